//! What every backend must do, run against each.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::wal::{AT_ONCE, NEVER};
use crate::storage::engine::backend::{Backend, Direction, Span, Write};
use crate::storage::engine::memory::Memory;
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::logged::Logged;

fn with_every_backend(test: impl Fn(&dyn Backend)) {
    test(&Memory::default());
    let directory = || tempfile::tempdir().unwrap();
    let stored = directory();
    test(&Sled::open(stored.path(), 16).unwrap());
    // Read from the log alone, and on its way into the database.
    let logged = directory();
    test(&Logged::with(Memory::default(), logged.path(), NEVER).unwrap());
    let applied = directory();
    let sled = Sled::open(applied.path(), 16).unwrap();
    test(&Logged::with(sled, applied.path(), AT_ONCE).unwrap());
}

fn put(key: &[u8], value: &[u8]) -> Write<'static> {
    Write { key: key.to_vec().into(), value: Some(value.to_vec().into()) }
}

fn delete(key: &[u8]) -> Write<'static> {
    Write { key: key.to_vec().into(), value: None }
}

fn scanned(backend: &dyn Backend, span: &Span, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    backend.scan(span, direction, &mut visit).unwrap();
    rows
}

#[test]
fn later_writes_of_a_batch_win() {
    with_every_backend(|backend| {
        backend.commit(&[put(b"a", b"1"), put(b"b", b"1"), delete(b"a"), put(b"b", b"2")]).unwrap();
        assert_eq!(backend.get(b"a").unwrap(), None);
        assert_eq!(backend.get(b"b").unwrap().unwrap(), b"2");
        backend.commit(&[delete(b"b"), delete(b"never"), put(b"b", b"3")]).unwrap();
        assert_eq!(backend.get(b"b").unwrap().unwrap(), b"3");
        backend.commit(&[]).unwrap();
        backend.commit(&[put(b"empty", b"")]).unwrap();
        assert_eq!(backend.get(b"empty").unwrap().unwrap(), b"");
    });
}

#[test]
fn scans_agree_with_a_sorted_map() {
    with_every_backend(|backend| {
        let mut model = BTreeMap::new();
        for round in 0..20u32 {
            let mut writes = Vec::new();
            for step in 0..50u32 {
                let number = (round * 50 + step).wrapping_mul(2_654_435_761) % 300;
                let key = [&b"k"[..], &number.to_be_bytes()[2..]].concat();
                if number % 3 == round % 3 {
                    model.remove(&key);
                    writes.push(delete(&key));
                } else {
                    let value = vec![round as u8; (number * 100) as usize];
                    model.insert(key.clone(), value.clone());
                    writes.push(put(&key, &value));
                }
            }
            backend.commit(&writes).unwrap();
        }
        let all = Span::prefix(b"k");
        let mut expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(scanned(backend, &all, Direction::Forward), expected);
        expected.reverse();
        assert_eq!(scanned(backend, &all, Direction::Backward), expected);
        for cursor in [&b"k"[..], b"k\0\x50", b"k\x01", b"k\xff", b"z"] {
            let rows =
                scanned(backend, &all.clone().from(cursor, Direction::Forward), Direction::Forward);
            assert!(
                rows.iter()
                    .map(|(key, _)| key)
                    .eq(model.range(cursor.to_vec()..).map(|(key, _)| key))
            );
            let rows = scanned(
                backend,
                &all.clone().from(cursor, Direction::Backward),
                Direction::Backward,
            );
            let below = model.range(..=cursor.to_vec()).rev();
            assert!(rows.iter().map(|(key, _)| key).eq(below.map(|(key, _)| key)));
        }
    });
}

#[test]
fn a_scan_ends_where_its_visitor_breaks_off_and_may_read_meanwhile() {
    with_every_backend(|backend| {
        backend.commit(&[put(b"a", b"1"), put(b"b", b"2"), put(b"c", b"3")]).unwrap();
        for (direction, expected) in [(Direction::Forward, b"b"), (Direction::Backward, b"b")] {
            let mut last = Vec::new();
            let mut visit = |key: &[u8], value: &[u8]| {
                assert_eq!(backend.get(key).unwrap().unwrap(), value);
                let again = last.len() == 1;
                last = key.to_vec();
                if again { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            backend.scan(&Span::prefix(b""), direction, &mut visit).unwrap();
            assert_eq!(last, expected);
        }
        assert!(scanned(backend, &Span::prefix(b"d"), Direction::Forward).is_empty());
        let nothing = Span { start: b"b".to_vec(), end: Some(b"b".to_vec()) };
        assert!(scanned(backend, &nothing, Direction::Backward).is_empty());
    });
}
