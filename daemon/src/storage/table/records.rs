//! Typed tables: records of one kind under keys of their own.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::storage::commit::batch::Batch;
use crate::storage::engine::backend::{Direction, Span};
use crate::storage::error::Error;
use crate::storage::rows::codec::Record;
use crate::storage::rows::damage::damaged;
use crate::storage::rows::{codec, keys};
use crate::storage::store::Store;

/// A named table of records; a constant.
#[derive(Debug)]
pub struct Table<R> {
    name: &'static str,
    records: PhantomData<fn() -> R>,
}

impl<R: Record> Table<R> {
    /// Names a table; two tables never share a name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, records: PhantomData }
    }

    /// Returns a key's record.
    pub fn get(&self, store: &Store, key: &[u8]) -> Result<Option<R>, Error> {
        let key = self.key(key);
        let Some(value) = store.get(&key)? else { return Ok(None) };
        codec::decode(&value).map(Some).map_err(|error| damaged(&key, error))
    }

    /// Whether a key has a record.
    pub fn contains(&self, store: &Store, key: &[u8]) -> Result<bool, Error> {
        Ok(store.get(&self.key(key))?.is_some())
    }

    /// Puts a record under a key, in place of the one there.
    pub fn put(&self, batch: &mut Batch, key: &[u8], record: &R) {
        batch.put(self.key(key), codec::encode(record));
    }

    /// Removes a key's record, if there is one.
    pub fn delete(&self, batch: &mut Batch, key: &[u8]) {
        batch.delete(self.key(key));
    }

    /// Returns at most `limit` records in key order, beginning with the key `from` itself.
    pub fn scan(
        &self,
        store: &Store,
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, R)>, Error> {
        let mut records = Vec::new();
        if limit == 0 {
            return Ok(records);
        }
        self.visit(store, from, direction, |key, record| {
            records.push((key.to_vec(), record));
            if records.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(records)
    }

    /// Visits records in key order, beginning with the key `from` itself, until the visitor breaks off.
    pub fn visit(
        &self,
        store: &Store,
        from: Option<&[u8]>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], R) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let prefix = keys::table(self.name);
        let mut span = Span::prefix(&prefix);
        if let Some(from) = from {
            span = span.from(&self.key(from), direction);
        }
        let mut read = Ok(());
        store.scan(&span, direction, |key, value| match codec::decode(value) {
            Ok(record) => visit(&key[prefix.len()..], record),
            Err(error) => {
                read = Err(damaged(key, error));
                ControlFlow::Break(())
            }
        })?;
        read
    }

    /// Returns all records in key order.
    pub fn all(&self, store: &Store) -> Result<Vec<(Vec<u8>, R)>, Error> {
        self.scan(store, None, Direction::Forward, usize::MAX)
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        let mut whole = keys::table(self.name);
        whole.extend(key);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::rows::codec::tests::Note;

    const NOTES: Table<Note> = Table::new("notes");
    const OTHERS: Table<Note> = Table::new("notes2");

    #[test]
    fn a_table_keeps_its_own_records_in_key_order() {
        let store = Store::temporary();
        let mut batch = Batch::new();
        for key in [3u8, 1, 2] {
            NOTES.put(&mut batch, &[key], &Note::new(&key.to_string()));
            OTHERS.put(&mut batch, &[key], &Note::new("other"));
        }
        NOTES.delete(&mut batch, &[2]);
        store.commit(batch).wait().unwrap();
        let texts = |from, direction| {
            let found = NOTES.scan(&store, from, direction, 10).unwrap();
            found.into_iter().map(|(_, note)| note.text).collect::<Vec<_>>()
        };
        assert_eq!(texts(None, Direction::Forward), ["1", "3"]);
        assert_eq!(texts(Some(&[2]), Direction::Forward), ["3"]);
        assert_eq!(texts(Some(&[3]), Direction::Backward), ["3", "1"]);
        assert_eq!(texts(Some(&[1]), Direction::Backward), ["1"]);
        assert_eq!(NOTES.scan(&store, None, Direction::Forward, 1).unwrap().len(), 1);
        assert!(NOTES.scan(&store, None, Direction::Forward, 0).unwrap().is_empty());
        assert_eq!(NOTES.get(&store, &[3]).unwrap(), Some(Note::new("3")));
        assert_eq!(NOTES.get(&store, &[2]).unwrap(), None);
        assert!(OTHERS.contains(&store, &[2]).unwrap());
    }

    #[test]
    fn a_record_of_another_kind_is_named_by_its_place() {
        let store = Store::temporary();
        let mut batch = Batch::new();
        batch.put(keys::table("notes"), codec::encode_number(1));
        store.commit(batch).wait().unwrap();
        let error = NOTES.all(&store).unwrap_err().to_string();
        assert!(
            error.starts_with("notes/ in the store is damaged: it is a record of kind"),
            "{error}"
        );
    }
}
