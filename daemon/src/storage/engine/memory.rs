//! A backend in memory, for tests of the rooms above.

use std::collections::BTreeMap;
use std::sync::RwLock;

use super::backend::{Backend, Direction, Span, Visit, Write};
use crate::storage::error::Error;

/// Keeps everything in memory; it is gone when it is dropped.
#[derive(Debug, Default)]
pub struct Memory(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Backend for Memory {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        let mut rows = self.0.write().expect("nobody panics while holding it");
        for Write { key, value } in writes {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(&**key),
            };
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.read().expect("nobody panics while holding it").get(key).cloned())
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        if span.is_empty() {
            return Ok(());
        }
        // A copy, since the visitor may read.
        let rows = self.0.read().expect("nobody panics while holding it");
        let copy = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        let mut found: Vec<_> = rows.range::<[u8], _>(span.bounds()).map(copy).collect();
        drop(rows);
        if direction == Direction::Backward {
            found.reverse();
        }
        for (key, value) in found {
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(0)
    }
}
