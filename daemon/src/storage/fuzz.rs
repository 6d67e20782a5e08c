//! What must hold for any bytes that the store reads from a disk; called by the fuzz targets and by property tests.

use super::commit::witness;
use super::engine::backend::Write;
use super::engine::wal::frame::{self, FramesIn};
use super::rows::chunks::Manifest;
use super::rows::codec;

/// The log that the frames are of.
const LOG_ID: u64 = 0x6675_6c6d_656e;

/// Reads bytes as a file of the write-ahead log.
///
/// # Panics
///
/// If a frame that was read does not encode to one that reads the same.
pub fn log_file(bytes: &[u8]) {
    for (number, batch) in FramesIn::new(bytes, LOG_ID) {
        let mut again = Vec::new();
        frame::encode(LOG_ID, number, &batch, &mut again);
        assert_eq!(FramesIn::new(&again, LOG_ID).collect::<Vec<_>>(), [(number, batch)]);
    }
}

/// Writes a log of what `bytes` say, damages one byte of it, and reads it.
///
/// # Panics
///
/// If a frame without the damage is not read, or one is read that was not written.
pub fn damaged_log(bytes: &[u8]) {
    let mut input = bytes.iter().copied();
    let mut next = || input.next().unwrap_or(0);
    let (mut file, mut written) = (Vec::new(), Vec::new());
    for number in 1..=u64::from(next() % 4) + 1 {
        let batch: Vec<_> = (0..next() % 4).map(|key| write(key, next(), next())).collect();
        let mut frame = Vec::new();
        frame::encode(LOG_ID, number, &batch, &mut frame);
        let begin = file.len();
        file.extend(frame);
        written.push((begin..file.len(), (number, batch)));
    }
    let place = usize::from(u16::from_be_bytes([next(), next()])) % file.len();
    file[place] ^= next();
    let read: Vec<_> = FramesIn::new(&file, LOG_ID).collect();
    for (range, frame) in &written {
        assert!(range.contains(&place) || read.contains(frame), "{place}: {frame:?} is gone");
    }
    assert!(read.iter().all(|frame| written.iter().any(|(_, written)| written == frame)));
}

fn write(key: u8, class: u8, fill: u8) -> Write<'static> {
    // Lengths around those of pages.
    let bytes = [0, 1, 4_047, 4_048, 8_192, 20_000].get(usize::from(class % 8)).copied();
    let value = bytes.map(|bytes| vec![fill; bytes].into());
    Write { key: vec![key, class].into(), value }
}

/// Reads bytes as a stored row.
///
/// # Panics
///
/// If a row that was read does not encode to the same bytes.
pub fn row(bytes: &[u8]) {
    if let Ok(read) = codec::unframe(bytes) {
        assert_eq!(codec::frame(read.version, read.kind, read.body), bytes);
    }
    if let Ok(number) = codec::decode_number(bytes) {
        assert_eq!(codec::decode_number(&codec::encode_number(number)), Ok(number));
    }
    if let Ok(Some(manifest)) = Manifest::decode(bytes) {
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(Some(manifest)));
    }
}

/// Reads bytes as a slot of the witness.
///
/// # Panics
///
/// If a note that was read does not encode to one that reads the same.
pub fn witness_slot(bytes: &[u8]) {
    let mut slot = [0; witness::SLOT_BYTES];
    let length = bytes.len().min(slot.len());
    slot[..length].copy_from_slice(&bytes[..length]);
    if let Some(seen) = witness::decode(&slot) {
        assert_eq!(witness::decode(&witness::encode(seen)), Some(seen));
    }
}
