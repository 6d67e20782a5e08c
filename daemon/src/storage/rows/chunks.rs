//! Long values as chunks with a manifest: sled puts values above a quarter of a segment in files that it never
//! fsyncs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;

use super::codec::{DecodeError, MANIFEST_KIND};
use super::{codec, keys};
use crate::storage::engine::backend::{Backend, Direction, Span, Write};
use crate::storage::engine::overlay::Enqueued;
use crate::storage::error::Error;

/// The longest piece that a backend is given.
pub(in crate::storage) const CHUNK_BYTES: usize = 8 * 1024;

/// Stored in place of a long value; its chunks follow under keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Manifest {
    pub(in crate::storage) chunks: u32,
    pub(in crate::storage) bytes: u64,
    sum: u32,
}

impl Manifest {
    fn of(value: &[u8]) -> Self {
        let chunks = value.len().div_ceil(CHUNK_BYTES);
        Self {
            chunks: u32::try_from(chunks).expect("a value is shorter than 128 TiB"),
            bytes: value.len() as u64,
            sum: crc32c::crc32c(value),
        }
    }

    pub(in crate::storage) fn encode(self) -> Vec<u8> {
        let body =
            [&self.chunks.to_be_bytes()[..], &self.bytes.to_be_bytes(), &self.sum.to_be_bytes()]
                .concat();
        codec::frame(1, MANIFEST_KIND, &body)
    }

    /// Reads a stored value as a manifest; none if it is the value itself.
    pub(in crate::storage) fn decode(stored: &[u8]) -> Result<Option<Self>, DecodeError> {
        if stored.get(1) != Some(&MANIFEST_KIND) {
            return Ok(None);
        }
        let body = codec::unframe_kind(stored, MANIFEST_KIND)?;
        let Ok::<[u8; 16], _>([a, b, c, d, bytes @ .., e, f, g, h]) = body.try_into() else {
            return Err(DecodeError::TooShort(body.len()));
        };
        Ok(Some(Self {
            chunks: u32::from_be_bytes([a, b, c, d]),
            bytes: u64::from_be_bytes(bytes),
            sum: u32::from_be_bytes([e, f, g, h]),
        }))
    }

    /// Reads the value's chunks; none while they are being replaced, or when they are damaged.
    pub(in crate::storage) fn join(
        self,
        backend: &dyn Backend,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut value = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or(0).min(1 << 30));
        for index in 0..self.chunks {
            match backend.get(&keys::chunk(key, index))? {
                Some(chunk) => value.extend(chunk),
                None => return Ok(None),
            }
        }
        let whole = value.len() as u64 == self.bytes && crc32c::crc32c(&value) == self.sum;
        Ok(whole.then_some(value))
    }
}

/// The keys of long values, so that leftover chunks are deleted when a value shrinks or is deleted.
#[derive(Debug, Default)]
pub(in crate::storage) struct Chunked(HashMap<Vec<u8>, u32>);

impl Chunked {
    /// Finds all long values of a store.
    pub(in crate::storage) fn load(backend: &dyn Backend) -> Result<Self, Error> {
        let mut chunked = HashMap::new();
        let all = Span::prefix(&[keys::CHUNK]);
        let mut rest = all.clone();
        loop {
            let mut found = None;
            backend.scan(&rest, Direction::Forward, &mut |key, _| {
                found = keys::parse_chunk(key).map(|(key, _)| key.to_vec());
                ControlFlow::Break(())
            })?;
            let Some(key) = found else { return Ok(Self(chunked)) };
            let of_key = Span::prefix(&keys::chunks_of(&key));
            let mut last = 0;
            backend.scan(&of_key, Direction::Backward, &mut |chunk, _| {
                last = keys::parse_chunk(chunk).map_or(0, |(_, index)| index);
                ControlFlow::Break(())
            })?;
            chunked.insert(key, last + 1);
            match of_key.end {
                Some(next) => rest = all.clone().from(&next, Direction::Forward),
                None => return Ok(Self(chunked)),
            }
        }
    }

    /// Turns enqueued writes into what the backend is given.
    pub(in crate::storage) fn split<'a>(&mut self, writes: &'a [Enqueued]) -> Vec<Write<'a>> {
        let mut split = Vec::with_capacity(writes.len() + 1);
        for Enqueued { key, value, .. } in writes {
            let now = match value {
                Some(value) if value.len() > CHUNK_BYTES => {
                    let manifest = Manifest::of(value);
                    split.push(put(key, Cow::Owned(manifest.encode())));
                    split.extend(value.chunks(CHUNK_BYTES).zip(0..).map(|(chunk, index)| Write {
                        key: Cow::Owned(keys::chunk(key, index)),
                        value: Some(Cow::Borrowed(chunk)),
                    }));
                    manifest.chunks
                }
                Some(value) => {
                    split.push(put(key, Cow::Borrowed(value)));
                    0
                }
                None => {
                    split.push(Write { key: Cow::Borrowed(key), value: None });
                    0
                }
            };
            let before = match now {
                0 => self.0.remove(key),
                _ => self.0.insert(key.clone(), now),
            };
            split.extend(
                (now..before.unwrap_or(0))
                    .map(|index| Write { key: Cow::Owned(keys::chunk(key, index)), value: None }),
            );
        }
        split
    }
}

fn put<'a>(key: &'a [u8], value: Cow<'a, [u8]>) -> Write<'a> {
    Write { key: Cow::Borrowed(key), value: Some(value) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::engine::memory::Memory;

    fn write(key: &[u8], value: Option<Vec<u8>>) -> Enqueued {
        Enqueued { key: key.to_vec(), value: value.map(Arc::new), number: 0 }
    }

    fn read(backend: &Memory, key: &[u8]) -> Option<Vec<u8>> {
        let stored = backend.get(key).unwrap()?;
        match Manifest::decode(&stored).unwrap() {
            Some(manifest) => manifest.join(backend, key).unwrap(),
            None => Some(stored),
        }
    }

    #[test]
    fn a_value_of_any_length_comes_back_and_leaves_nothing_behind() {
        let backend = Memory::default();
        let mut chunked = Chunked::default();
        let lengths = [10, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, CHUNK_BYTES * 2, 5, 0];
        for length in lengths {
            let value = codec::frame(1, codec::BYTES_KIND, &vec![7; length]);
            let writes = [write(b"key", Some(value.clone()))];
            backend.commit(&chunked.split(&writes)).unwrap();
            assert_eq!(read(&backend, b"key"), Some(value), "length {length}");
            let mut count = 0;
            let all = Span::prefix(&[keys::CHUNK]);
            let visit: &mut crate::storage::engine::backend::Visit<'_> = &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            };
            backend.scan(&all, Direction::Forward, visit).unwrap();
            let long = length + codec::HEADER_BYTES > CHUNK_BYTES;
            let expected =
                if long { (length + codec::HEADER_BYTES).div_ceil(CHUNK_BYTES) } else { 0 };
            assert_eq!(count, expected, "length {length}");
            assert_eq!(Chunked::load(&backend).unwrap().0, chunked.0);
        }
    }

    /// Written by release 0.1; later releases must read it.
    #[test]
    fn a_stored_manifest_is_read_for_ever() {
        let stored = [1, 255, 228, 233, 123, 88, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 64, 1, 1, 2, 3, 4];
        let manifest = Manifest { chunks: 3, bytes: 16_385, sum: 0x0102_0304 };
        assert_eq!(manifest.encode(), stored);
        assert_eq!(Manifest::decode(&stored), Ok(Some(manifest)));
    }

    #[test]
    fn a_missing_or_foreign_chunk_is_noticed() {
        let backend = Memory::default();
        let mut chunked = Chunked::default();
        let writes = [write(b"key", Some(codec::frame(1, 1, &vec![7; 2 * CHUNK_BYTES])))];
        backend.commit(&chunked.split(&writes)).unwrap();
        let second = keys::chunk(b"key", 1);
        for value in [None, Some(Cow::Borrowed(&[1u8, 2][..]))] {
            backend.commit(&[Write { key: Cow::Borrowed(&second), value }]).unwrap();
            assert_eq!(read(&backend, b"key"), None);
        }
    }
}
