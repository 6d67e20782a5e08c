//! The seal over LDK's rows: a sum that every commit carries, so that the next start notices a row that silently fell
//! back to an older state.
//!
//! A checksum in each row cannot tell an old row from the newest one, and sled may drop a damaged part of its log
//! without a word; a channel that went back in time loses its money.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use bitcoin::hashes::siphash24;

use super::damage::damaged;
use super::{codec, keys};
use crate::storage::engine::backend::{Backend, Direction, Span, Write};
use crate::storage::error::Error;

/// The name under which each commit keeps the sum.
const SEAL: &str = "seal";

/// The digests of all sealed rows, and their sum.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::storage) struct Seal {
    rows: HashMap<Vec<u8>, u64>,
    sum: u64,
    /// The digests that the last commit replaced, 0 for none: until it is written, the rows are still those.
    before: HashMap<Vec<u8>, u64>,
}

impl Seal {
    /// Reads all sealed rows.
    pub(in crate::storage) fn read(backend: &dyn Backend) -> Result<Self, Error> {
        let mut seal = Self::default();
        for class in [keys::KV, keys::CHUNK] {
            backend.scan(&Span::prefix(&[class]), Direction::Forward, &mut |key, value| {
                seal.put(key, value);
                ControlFlow::Continue(())
            })?;
        }
        Ok(seal)
    }

    /// Reads all sealed rows and compares them with what the last commit says of them.
    pub(in crate::storage) fn verified(
        backend: &dyn Backend,
        directory: &Path,
    ) -> Result<Self, Error> {
        let seal = Self::read(backend)?;
        let key = keys::meta(SEAL);
        let stored = match backend.get(&key)? {
            Some(stored) => codec::decode_number(&stored).map_err(|error| damaged(&key, error))?,
            None => 0,
        };
        if stored != seal.sum {
            return Err(Error::Corrupt {
                place: format!("LDK's state in {}", directory.display()),
                why: format!(
                    "its {} rows are not those of the last commit (seal {:016x}, not {stored:016x}): some have fallen \
                     back to an older state",
                    seal.rows.len(),
                    seal.sum
                ),
            });
        }
        Ok(seal)
    }

    /// Adds the writes of a commit; returns the write of the new sum.
    pub(in crate::storage) fn apply(&mut self, writes: &[Write<'_>]) -> Write<'static> {
        self.before.clear();
        for Write { key, value } in writes {
            let replaced = match value {
                Some(value) => self.put(key, value),
                None => self.delete(key),
            };
            if let Some(replaced) = replaced {
                self.before.entry(key.to_vec()).or_insert(replaced);
            }
        }
        Write { key: keys::meta(SEAL).into(), value: Some(codec::encode_number(self.sum).into()) }
    }

    /// Whether a row that was just read is the one of the last commit, or of the one before while that is being written.
    pub(in crate::storage) fn knows(&self, key: &[u8], value: Option<&[u8]>) -> bool {
        if !is_sealed(key) {
            return true;
        }
        let found = value.map_or(0, |value| digest(key, value));
        found == self.rows.get(key).copied().unwrap_or(0) || self.before.get(key) == Some(&found)
    }

    /// The keys of all sealed rows.
    pub(in crate::storage) fn keys(&self) -> Vec<Vec<u8>> {
        self.rows.keys().cloned().collect()
    }

    /// Returns the digest that it replaces, 0 for none; nothing for a row that is not sealed.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Option<u64> {
        if !is_sealed(key) {
            return None;
        }
        let digest = digest(key, value);
        let before = match self.rows.get_mut(key) {
            Some(row) => std::mem::replace(row, digest),
            None => {
                self.rows.insert(key.to_vec(), digest);
                0
            }
        };
        self.sum = self.sum.wrapping_add(digest).wrapping_sub(before);
        Some(before)
    }

    fn delete(&mut self, key: &[u8]) -> Option<u64> {
        let before = self.rows.remove(key)?;
        self.sum = self.sum.wrapping_sub(before);
        Some(before)
    }
}

fn is_sealed(key: &[u8]) -> bool {
    match key.first() {
        Some(&keys::KV) => true,
        Some(&keys::CHUNK) => {
            keys::parse_chunk(key).is_some_and(|(whole, _)| whole.first() == Some(&keys::KV))
        }
        _ => false,
    }
}

fn digest(key: &[u8], value: &[u8]) -> u64 {
    let sum = crc32c::crc32c(value);
    let row = [key, &sum.to_be_bytes(), &(value.len() as u64).to_be_bytes()].concat();
    siphash24::Hash::hash_to_u64_with_keys(u64::from(sum), 0x6675_6c6d_656e, &row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::engine::memory::Memory;

    fn write(key: &[u8], value: Option<&[u8]>) -> Write<'static> {
        Write { key: key.to_vec().into(), value: value.map(|value| value.to_vec().into()) }
    }

    fn commit(backend: &Memory, seal: &mut Seal, mut writes: Vec<Write<'static>>) {
        let sum = seal.apply(&writes);
        writes.push(sum);
        backend.commit(&writes).unwrap();
    }

    #[test]
    fn an_old_row_breaks_the_seal() {
        let (backend, mut seal) = (Memory::default(), Seal::default());
        let directory = Path::new("/somewhere");
        assert_eq!(Seal::verified(&backend, directory).unwrap(), seal);
        let one = keys::chunk(b"k1", 0);
        commit(&backend, &mut seal, vec![write(b"k1", Some(b"a")), write(&one, Some(b"x"))]);
        commit(&backend, &mut seal, vec![write(b"k1", Some(b"b")), write(b"k2", Some(b"c"))]);
        commit(
            &backend,
            &mut seal,
            vec![write(b"k2", None), write(b"k2", None), write(b"t", Some(b"1"))],
        );
        seal.before.clear();
        assert_eq!(Seal::verified(&backend, directory).unwrap(), seal);

        let fallen_back = [
            (&b"k1"[..], Some(&b"a"[..])),
            (b"k1", None),
            (b"k2", Some(b"c")),
            (&one, Some(b"y")),
            (b"k3", Some(b"never")),
        ];
        for (key, value) in fallen_back {
            let before = backend.get(key).unwrap();
            backend.commit(&[write(key, value)]).unwrap();
            let error = Seal::verified(&backend, directory).unwrap_err().to_string();
            assert!(error.contains("LDK's state in /somewhere"), "{error}");
            backend.commit(&[write(key, before.as_deref())]).unwrap();
        }
        backend.commit(&[write(b"t", Some(b"not sealed"))]).unwrap();
        assert_eq!(Seal::verified(&backend, directory).unwrap(), seal);
    }

    #[test]
    fn while_a_commit_is_written_both_states_are_known() {
        let (backend, mut seal) = (Memory::default(), Seal::default());
        commit(&backend, &mut seal, vec![write(b"k1", Some(b"a")), write(b"k2", Some(b"b"))]);
        seal.apply(&[write(b"k1", Some(b"c")), write(b"k1", Some(b"d")), write(b"k2", None)]);
        for (key, value, known) in [
            (&b"k1"[..], Some(&b"a"[..]), true),
            (b"k1", Some(b"c"), false),
            (b"k1", Some(b"d"), true),
            (b"k1", None, false),
            (b"k2", Some(b"b"), true),
            (b"k2", None, true),
            (b"k3", Some(b"never"), false),
            (b"k3", None, true),
            (b"t", Some(b"not sealed"), true),
        ] {
            assert_eq!(seal.knows(key, value), known, "{key:?} {value:?}");
        }
        seal.apply(&[]);
        assert!(!seal.knows(b"k1", Some(b"a")) && !seal.knows(b"k2", Some(b"b")));
        assert_eq!(seal.keys(), [b"k1".to_vec()]);
    }
}
