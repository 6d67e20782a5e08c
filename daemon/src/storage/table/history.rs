//! Histories: records with an id, listed newest first in pages whose cost does not grow with the history.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::records::Table;
use super::retention::PruneStep;
use super::seek::{self, CLOCK_SLACK_SECS, position};
use crate::listing::{Filter, Listed};
use crate::storage::commit::batch::Batch;
use crate::storage::engine::backend::{Direction, Span};
use crate::storage::error::Error;
use crate::storage::rows::codec::{BYTES_KIND, Record};
use crate::storage::rows::damage::damaged;
use crate::storage::rows::{codec, keys};
use crate::storage::store::Store;

/// A page looks at no more records than this, however few of them its filter lets through.
const LOOKS_PER_PAGE: usize = 20_000;

/// How many records retention looks at in one step.
const LOOKS_PER_STEP: usize = 256;

/// A named history of records; a constant.
///
/// The record stands under its id, and an index leads from its position, which grows with each insertion, to the id.
#[derive(Debug)]
pub struct History<R> {
    name: &'static str,
    records: PhantomData<fn() -> R>,
}

/// Some records of a history, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<R> {
    /// Ids and records.
    pub items: Vec<(Vec<u8>, R)>,
    /// Continues the list where this page ends; empty at the end of the list.
    pub next_token: Vec<u8>,
}

/// The decision of retention about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneDecision {
    /// It is kept, whatever its age.
    Keep,
    /// It is removed.
    Remove,
    /// It is kept, and the scan stops: records inserted after it are younger.
    Stop,
}

/// The records that one step of retention removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned<R> {
    /// Ids and records, oldest first.
    pub removed: Vec<(Vec<u8>, R)>,
    /// Where the next step begins; none at the end of the history.
    pub next: Option<u64>,
}

impl<R> Pruned<R> {
    /// The step's result, for the retention loop.
    pub fn step(&self) -> PruneStep {
        PruneStep { records: self.removed.len() as u64, next: self.next }
    }
}

impl<R: Record> History<R> {
    /// Names a history; it shares no name with another history or table.
    pub const fn new(name: &'static str) -> Self {
        Self { name, records: PhantomData }
    }

    /// Adds a record, or updates it in its place if the id is known: doing it twice does no harm.
    pub fn insert(
        &self,
        store: &Store,
        batch: &mut Batch,
        id: &[u8],
        record: &R,
    ) -> Result<(), Error> {
        let key = self.key(id);
        if !batch.puts(&key) && store.get(&key)?.is_none() {
            batch.append(self.index(), codec::frame(1, BYTES_KIND, id));
        }
        batch.put(key, codec::encode(record));
        Ok(())
    }

    /// Puts the new state of a record that was inserted before.
    pub fn update(&self, batch: &mut Batch, id: &[u8], record: &R) {
        batch.put(self.key(id), codec::encode(record));
    }

    /// Returns the record with an id.
    pub fn get(&self, store: &Store, id: &[u8]) -> Result<Option<R>, Error> {
        self.rows().get(store, id)
    }

    /// Visits all records in the order of their ids, until the visitor breaks off.
    pub fn visit(
        &self,
        store: &Store,
        visit: impl FnMut(&[u8], R) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.rows().visit(store, None, Direction::Forward, visit)
    }

    /// Returns the newest `limit` records that pass the filter, from where `token` says (empty: the newest).
    ///
    /// A page may hold fewer when the filter lets few through; the list ends where the token is empty.
    ///
    /// # Errors
    ///
    /// [`Error::BadToken`] for a token that no page gave out.
    pub fn page(
        &self,
        store: &Store,
        token: &[u8],
        limit: usize,
        filter: impl Fn(&R) -> bool,
    ) -> Result<Page<R>, Error> {
        self.page_until(store, token, None, limit, filter, |_| false)
    }

    /// Returns what [`History::page`] does, where `is_past` says of the first record that is too old that the list ends
    /// there, and no record stands at `below` or after it.
    fn page_until(
        &self,
        store: &Store,
        token: &[u8],
        below: Option<u64>,
        limit: usize,
        filter: impl Fn(&R) -> bool,
        is_past: impl Fn(&R) -> bool,
    ) -> Result<Page<R>, Error> {
        let index = self.index();
        let mut span = Span::prefix(&index);
        if let Some(below) = below {
            span.end = Some(seek::key(&index, below));
        }
        if !token.is_empty() {
            let below = <[u8; 8]>::try_from(token).map_err(|_| Error::BadToken)?;
            span.end = Some([&index[..], &below].concat());
        }
        let mut page = Page { items: Vec::new(), next_token: Vec::new() };
        let (mut looks, mut last, mut read) = (0, Vec::new(), Ok(()));
        store.scan(&span, Direction::Backward, |key, id| {
            if page.items.len() >= limit || looks >= LOOKS_PER_PAGE {
                page.next_token = std::mem::take(&mut last);
                return ControlFlow::Break(());
            }
            looks += 1;
            last = key[index.len()..].to_vec();
            match self.indexed(store, key, id) {
                Ok(Some((_, record))) if is_past(&record) => return ControlFlow::Break(()),
                Ok(Some((id, record))) if filter(&record) => page.items.push((id, record)),
                Ok(_) => (),
                Err(error) => {
                    read = Err(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        read.map(|()| page)
    }

    /// Removes in one short step the records that `decide` lets go, and returns them: oldest first, from the position
    /// `from` on, and never one of the newest `keep_newest`. What else the room keeps of them goes in the same batch.
    ///
    /// Begin with 0 and call it again from where it stopped.
    pub fn prune(
        &self,
        store: &Store,
        batch: &mut Batch,
        from: u64,
        keep_newest: u64,
        decide: impl Fn(&R) -> PruneDecision,
    ) -> Result<Pruned<R>, Error> {
        let index = self.index();
        let mut pruned = Pruned { removed: Vec::new(), next: None };
        let mut newest = None;
        store.scan(&Span::prefix(&index), Direction::Backward, |key, _| {
            newest = position(&key[index.len()..]);
            ControlFlow::Break(())
        })?;
        // The newest stays in any case: positions go on from it.
        let Some(keep_from) = newest.map(|newest| (newest + 1).saturating_sub(keep_newest.max(1)))
        else {
            return Ok(pruned);
        };
        if from >= keep_from {
            return Ok(pruned);
        }
        let span = Span { start: seek::key(&index, from), end: Some(seek::key(&index, keep_from)) };
        let (mut looks, mut read) = (0, Ok(()));
        store.scan(&span, Direction::Forward, |key, id| {
            if looks >= LOOKS_PER_STEP {
                pruned.next = position(&key[index.len()..]);
                return ControlFlow::Break(());
            }
            looks += 1;
            let (id, record) = match self.indexed(store, key, id) {
                Ok(Some(found)) => found,
                Ok(None) => return ControlFlow::Continue(()),
                Err(error) => {
                    read = Err(error);
                    return ControlFlow::Break(());
                }
            };
            match decide(&record) {
                PruneDecision::Keep => (),
                PruneDecision::Remove => {
                    batch.delete(self.key(&id));
                    batch.delete(key.to_vec());
                    pruned.removed.push((id, record));
                }
                PruneDecision::Stop => return ControlFlow::Break(()),
            }
            ControlFlow::Continue(())
        })?;
        read.map(|()| pruned)
    }

    /// The record that an index row leads to.
    pub(super) fn indexed(
        &self,
        store: &Store,
        key: &[u8],
        row: &[u8],
    ) -> Result<Option<(Vec<u8>, R)>, Error> {
        let id = codec::unframe_kind(row, BYTES_KIND).map_err(|error| damaged(key, error))?;
        Ok(self.get(store, id)?.map(|record| (id.to_vec(), record)))
    }

    fn rows(&self) -> Table<R> {
        Table::new(self.name)
    }

    fn key(&self, id: &[u8]) -> Vec<u8> {
        let mut key = keys::table(self.name);
        key.extend(id);
        key
    }

    pub(super) fn index(&self) -> Vec<u8> {
        keys::index(self.name)
    }
}

impl<R: Record + Listed> History<R> {
    /// Returns the newest `limit` records that are wanted and that pass `also`, as [`History::page`] does.
    ///
    /// Records come in the order of their times but for corrections of the clock: what is a day later or earlier than
    /// the filter's time is not read.
    ///
    /// # Errors
    ///
    /// [`Error::BadToken`] for a token that no page gave out.
    pub fn list(
        &self,
        store: &Store,
        token: &[u8],
        limit: usize,
        wanted: &Filter,
        also: impl Fn(&R) -> bool,
    ) -> Result<Page<R>, Error> {
        let below = match wanted.time.until.checked_add(CLOCK_SLACK_SECS) {
            Some(late) if token.is_empty() => {
                let at = |key: &[u8], row: &[u8]| {
                    Ok(self.indexed(store, key, row)?.map(|(_, record)| record.at()))
                };
                seek::first_not_before(store, &self.index(), late, at)?
            }
            Some(_) | None => None,
        };
        let oldest = wanted.time.since.saturating_sub(CLOCK_SLACK_SECS);
        let filter = |record: &R| wanted.passes(record) && also(record);
        self.page_until(store, token, below, limit, filter, |record| record.at() < oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ignore_progress;
    use crate::storage::rows::codec::tests::Note;

    const NOTES: History<Note> = History::new("notes");

    thread_local! {
        /// How often a note's time was looked at.
        static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// A note of the day that its text names.
    impl Listed for Note {
        const ASKS: &'static [crate::listing::Ask] = &[crate::listing::Ask::Time];

        fn at(&self) -> u64 {
            LOOKS.set(LOOKS.get() + 1);
            self.text.parse::<u64>().map_or(0, |day| day * 86_400)
        }
    }

    #[test]
    fn a_stretch_of_time_is_found_without_reading_all() {
        use crate::listing::TimeRange;
        let store = filled(2_000);
        let days = |since: u64, until: u64, token: &[u8]| {
            let time = TimeRange { since: since * 86_400, until: until.saturating_mul(86_400) };
            let wanted = Filter { time, ..Filter::default() };
            NOTES.list(&store, token, 3, &wanted, |_| true).unwrap()
        };
        let first = days(10, 15, &[]);
        assert_eq!(texts(&first), ["14", "13", "12"]);
        let second = days(10, 15, &first.next_token);
        assert_eq!((texts(&second), second.next_token.len()), (vec!["11", "10"], 0));
        assert_eq!(texts(&days(1_998, u64::MAX, &[])), ["1999", "1998"]);
        assert_eq!(texts(&days(0, 1, &[])), ["0"]);
        assert_eq!(texts(&days(5_000, 6_000, &[])), [""; 0]);
        assert!(LOOKS.get() < 120, "{} looks at the times of 2,000 records", LOOKS.get());
    }

    fn filled(count: u32) -> Store {
        let store = Store::temporary();
        for id in 0..count {
            let mut batch = Batch::new();
            let note = Note { text: id.to_string(), done: id % 2 == 0 };
            NOTES.insert(&store, &mut batch, &id.to_be_bytes(), &note).unwrap();
            drop(store.commit(batch));
        }
        store
    }

    fn texts(page: &Page<Note>) -> Vec<&str> {
        page.items.iter().map(|(_, note)| note.text.as_str()).collect()
    }

    #[test]
    fn pages_come_newest_first_and_stay_put_while_records_come() {
        let store = filled(5);
        let first = NOTES.page(&store, &[], 2, |_| true).unwrap();
        assert_eq!(texts(&first), ["4", "3"]);
        let mut batch = Batch::new();
        NOTES.insert(&store, &mut batch, b"late", &Note::new("late")).unwrap();
        drop(store.commit(batch));
        let second = NOTES.page(&store, &first.next_token, 2, |_| true).unwrap();
        assert_eq!(texts(&second), ["2", "1"]);
        let third = NOTES.page(&store, &second.next_token, 2, |_| true).unwrap();
        assert_eq!((texts(&third), third.next_token.len()), (vec!["0"], 0));
        let whole = NOTES.page(&store, &[], 6, |_| true).unwrap();
        assert_eq!((whole.items.len(), whole.next_token.len()), (6, 0));
        assert!(matches!(NOTES.page(&store, b"x", 2, |_| true), Err(Error::BadToken)));
    }

    #[test]
    fn a_filter_passes_over_records() {
        let store = filled(5);
        let page = NOTES.page(&store, &[], 2, |note| note.done).unwrap();
        assert_eq!(texts(&page), ["4", "2"]);
        let page = NOTES.page(&store, &page.next_token, 2, |note| note.done).unwrap();
        assert_eq!((texts(&page), page.next_token.len()), (vec!["0"], 0));
    }

    #[test]
    fn inserting_twice_and_updating_keep_the_place() {
        let store = filled(3);
        let (zero, one) = (0u32.to_be_bytes(), 1u32.to_be_bytes());
        let mut batch = Batch::new();
        NOTES.insert(&store, &mut batch, &zero, &Note::new("zero")).unwrap();
        NOTES.update(&mut batch, &one, &Note::new("one"));
        NOTES.insert(&store, &mut batch, b"new", &Note::new("draft")).unwrap();
        NOTES.insert(&store, &mut batch, b"new", &Note::new("new")).unwrap();
        store.commit(batch).wait().unwrap();
        let page = NOTES.page(&store, &[], 10, |_| true).unwrap();
        assert_eq!(texts(&page), ["new", "2", "one", "zero"]);
        assert_eq!(NOTES.get(&store, &zero).unwrap(), Some(Note::new("zero")));
    }

    /// Removes what `decide` lets go, step by step; how many that were, and in how many steps.
    fn prune_all(
        store: &Store,
        keep_newest: u64,
        decide: impl Fn(&Note) -> PruneDecision,
    ) -> (usize, usize) {
        let (mut gone, mut steps, mut from) = (0, 0, Some(0));
        while let Some(begin) = from {
            let mut batch = Batch::new();
            let pruned = NOTES.prune(store, &mut batch, begin, keep_newest, &decide).unwrap();
            store.commit_lazily(batch);
            gone += pruned.removed.len();
            steps += 1;
            from = pruned.next;
        }
        (gone, steps)
    }

    fn done_goes(note: &Note) -> PruneDecision {
        if note.done { PruneDecision::Remove } else { PruneDecision::Keep }
    }

    #[test]
    fn retention_removes_all_that_may_go_in_short_steps() {
        let store = filled(1_300);
        assert_eq!(prune_all(&store, 100, done_goes), (600, 5), "1,200 are looked at, 256 a step");
        assert_eq!(prune_all(&store, 100, done_goes), (0, 3), "600 are left to look at");
        assert!(store.check(&|_| Ok(()), &ignore_progress).unwrap().is_sound());
        assert_eq!(NOTES.page(&store, &[], 1_300, |_| true).unwrap().items.len(), 700);
    }

    #[test]
    fn pruning_spares_the_newest_and_those_that_may_not_go() {
        let store = filled(10);
        assert_eq!(prune_all(&store, 4, done_goes), (3, 1));
        let page = NOTES.page(&store, &[], 10, |_| true).unwrap();
        assert_eq!(texts(&page), ["9", "8", "7", "6", "5", "3", "1"]);
        assert_eq!(NOTES.get(&store, &0u32.to_be_bytes()).unwrap(), None);
        let until_five = |note: &Note| {
            if note.text.as_str() < "5" { PruneDecision::Remove } else { PruneDecision::Stop }
        };
        assert_eq!(prune_all(&store, 0, until_five), (2, 1));
        assert_eq!(prune_all(&store, 0, |_| PruneDecision::Remove), (4, 1));
        assert_eq!(texts(&NOTES.page(&store, &[], 10, |_| true).unwrap()), ["9"]);
        let mut batch = Batch::new();
        NOTES.insert(&store, &mut batch, b"next", &Note::new("next")).unwrap();
        drop(store.commit(batch));
        assert_eq!(texts(&NOTES.page(&store, &[], 10, |_| true).unwrap()), ["next", "9"]);
        assert_eq!(prune_all(&Store::temporary(), 0, |_| PruneDecision::Remove), (0, 1));
    }

    #[test]
    fn a_list_goes_on_where_records_have_gone() {
        let store = filled(6);
        let first = NOTES.page(&store, &[], 2, |_| true).unwrap();
        assert_eq!(texts(&first), ["5", "4"]);
        // The record at the token, and the one after it.
        let goes = |note: &Note| match note.text.as_str() {
            "4" | "3" => PruneDecision::Remove,
            _ => PruneDecision::Keep,
        };
        assert_eq!(prune_all(&store, 1, goes), (2, 1));
        let second = NOTES.page(&store, &first.next_token, 2, |_| true).unwrap();
        assert_eq!(texts(&second), ["2", "1"]);
        assert_eq!(prune_all(&store, 1, |_| PruneDecision::Remove), (3, 1));
        let third = NOTES.page(&store, &second.next_token, 2, |_| true).unwrap();
        assert_eq!((texts(&third).len(), third.next_token.len()), (0, 0));
    }
}
