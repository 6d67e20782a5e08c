//! A frame of the write-ahead log: one batch on pages of its own, with its number and its checksums.

use std::collections::BTreeMap;

use crate::storage::engine::backend::Write;
use crate::storage::engine::writes;

const PAGE_BYTES: usize = 4096;

/// The batches of a log by their numbers.
pub(in crate::storage) type Frames = BTreeMap<u64, Vec<Write<'static>>>;

/// The header of a frame, before its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    id: u64,
    number: u64,
    body_bytes: u64,
    body_sum: u32,
}

const MAGIC: [u8; 8] = *b"fulmwal1";
const HEADER_BYTES: usize = 40;

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.id.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.body_bytes.to_be_bytes());
        bytes[32..36].copy_from_slice(&self.body_sum.to_be_bytes());
        let sum = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let number =
            |from: usize| bytes[from..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let sum =
            |from: usize| bytes[from..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let whole = bytes[..8] == MAGIC && sum(36) == crc32c::crc32c(&bytes[..36]);
        whole.then(|| Self {
            id: number(8),
            number: number(16),
            body_bytes: number(24),
            body_sum: sum(32),
        })
    }
}

/// Encodes a batch as a frame of whole pages.
pub(in crate::storage) fn encode(id: u64, number: u64, batch: &[Write<'_>], frame: &mut Vec<u8>) {
    frame.clear();
    frame.reserve(HEADER_BYTES + batch.iter().map(writes::encoded_len).sum::<usize>() + PAGE_BYTES);
    frame.resize(HEADER_BYTES, 0);
    for write in batch {
        writes::encode(write, frame);
    }
    let body = &frame[HEADER_BYTES..];
    let (body_bytes, body_sum) = (body.len() as u64, crc32c::crc32c(body));
    frame[..HEADER_BYTES].copy_from_slice(&Header { id, number, body_bytes, body_sum }.encode());
    frame.resize(frame.len().next_multiple_of(PAGE_BYTES), 0);
}

/// Whether a file holds frames of any log.
pub(in crate::storage) fn holds_frames(bytes: &[u8]) -> bool {
    let mut pages = bytes.chunks(PAGE_BYTES).filter_map(<[u8]>::first_chunk);
    pages.any(|page| Header::decode(page).is_some())
}

/// All readable frames of a log in a file, wherever they begin; torn or damaged bytes between them are skipped.
pub(in crate::storage) struct FramesIn<'a> {
    rest: &'a [u8],
    id: u64,
    /// Frames up to this one are left out.
    after: u64,
}

impl<'a> FramesIn<'a> {
    /// The frames of the log `id` in the bytes of a file.
    pub(in crate::storage) fn new(file: &'a [u8], id: u64) -> Self {
        Self { rest: file, id, after: 0 }
    }

    /// Leaves out the frames up to `after` without decoding their batches.
    pub(in crate::storage) fn after(self, after: u64) -> Self {
        Self { after, ..self }
    }
}

impl Iterator for FramesIn<'_> {
    type Item = (u64, Vec<Write<'static>>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frame = self.rest;
            let header = frame.first_chunk()?;
            let found = Header::decode(header).filter(|header| header.id == self.id);
            // Also of a frame that is left out: where its body was written over, later frames may lie in it.
            let body = found.and_then(|header| Some((header, body(header, frame)?)));
            let bytes = body.map_or(1, |(_, body)| HEADER_BYTES + body.len());
            self.rest = &frame[bytes.next_multiple_of(PAGE_BYTES).min(frame.len())..];
            if let Some((header, body)) = body.filter(|(header, _)| header.number > self.after)
                && let Some(batch) = batch(body)
            {
                return Some((header.number, batch));
            }
        }
    }
}

/// The encoded writes of a frame; none if they do not match the header.
fn body(header: Header, frame: &[u8]) -> Option<&[u8]> {
    let bytes = usize::try_from(header.body_bytes).ok()?;
    let body = frame[HEADER_BYTES..].get(..bytes)?;
    (crc32c::crc32c(body) == header.body_sum).then_some(body)
}

fn batch(mut body: &[u8]) -> Option<Vec<Write<'static>>> {
    let mut batch = Vec::new();
    while let Some((op, mut rest)) = body.split_first() {
        let at_most = rest.len() as u64;
        batch.push(writes::decode(*op, &mut rest, at_most).ok()??);
        body = rest;
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by schema 2; later releases must read it.
    #[test]
    fn a_stored_frame_is_read_for_ever() {
        let put = Write { key: b"k"[..].into(), value: Some(b"vw"[..].into()) };
        let batch = [put, Write { key: b"d"[..].into(), value: None }];
        let mut stored = Vec::new();
        stored.extend(b"fulmwal1");
        stored.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 22]);
        stored.extend([92, 208, 132, 118, 70, 97, 68, 136]);
        stored.extend([1, 0, 0, 0, 1, 0, 0, 0, 2, b'k', b'v', b'w']);
        stored.extend([2, 0, 0, 0, 1, 0, 0, 0, 0, b'd']);
        stored.resize(PAGE_BYTES, 0);
        let mut frame = Vec::new();
        encode(7, 9, &batch, &mut frame);
        assert!(frame == stored, "{:?}", &frame[..70]);
        let read: Vec<_> = FramesIn::new(&stored, 7).collect();
        assert_eq!(read, [(9, batch.to_vec())]);
        assert_eq!(FramesIn::new(&stored, 8).count(), 0);
        assert_eq!(FramesIn::new(&stored, 7).after(8).count(), 1);
        assert_eq!(FramesIn::new(&stored, 7).after(9).count(), 0);
    }
}
