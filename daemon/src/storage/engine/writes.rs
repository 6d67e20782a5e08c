//! The encoding of single writes in exports and in the write-ahead log.

use std::io::{self, Read};

use super::backend::Write;

const PUT: u8 = 1;
const DELETE: u8 = 2;
/// Before the key and the value: which of both it is, and the two lengths.
const HEADER_BYTES: usize = 9;

/// Appends a write; no other byte than those of a write begins as it does.
pub(in crate::storage) fn encode(write: &Write<'_>, bytes: &mut Vec<u8>) {
    let value = write.value.as_deref().unwrap_or_default();
    let lengths = [write.key.len() as u32, value.len() as u32].map(u32::to_be_bytes);
    bytes.push(if write.value.is_some() { PUT } else { DELETE });
    bytes.extend_from_slice(lengths.as_flattened());
    bytes.extend_from_slice(&write.key);
    bytes.extend_from_slice(value);
}

/// How many bytes [`encode`] appends.
pub(in crate::storage) fn encoded_len(write: &Write<'_>) -> usize {
    HEADER_BYTES + write.key.len() + write.value.as_ref().map_or(0, |value| value.len())
}

/// Reads the write that begins with `op`, of at most `at_most` bytes; none where `op` begins none, or it is longer.
pub(in crate::storage) fn decode(
    op: u8,
    bytes: &mut impl Read,
    at_most: u64,
) -> io::Result<Option<Write<'static>>> {
    let mut lengths = [[0; 4]; 2];
    bytes.read_exact(lengths.as_flattened_mut())?;
    let [key, value] = lengths.map(u32::from_be_bytes);
    if !matches!(op, PUT | DELETE) || u64::from(key) + u64::from(value) > at_most {
        return Ok(None);
    }
    let (mut key, mut value) = (vec![0; key as usize], vec![0; value as usize]);
    bytes.read_exact(&mut key)?;
    bytes.read_exact(&mut value)?;
    Ok(Some(Write { key: key.into(), value: (op == PUT).then_some(value.into()) }))
}
