//! Finds a moment in rows that are numbered in the order in which they came, without reading them all.

use std::ops::ControlFlow;

use crate::storage::engine::backend::{Direction, Span};
use crate::storage::error::Error;
use crate::storage::store::Store;

/// How far a row's time may lie before that of a row that came earlier: clocks are corrected.
pub(super) const CLOCK_SLACK_SECS: u64 = 24 * 3_600;

/// Returns a position before which all rows under `prefix` are older than `moment`; none where all rows are.
///
/// `at` reads a row's time in seconds since 1970; none for a row without one. Reads about as many rows as positions have
/// bits.
pub(super) fn first_not_before(
    store: &Store,
    prefix: &[u8],
    moment: u64,
    mut at: impl FnMut(&[u8], &[u8]) -> Result<Option<u64>, Error>,
) -> Result<Option<u64>, Error> {
    let (Some(oldest), Some(newest)) =
        (end(store, prefix, Direction::Forward)?, end(store, prefix, Direction::Backward)?)
    else {
        return Ok(None);
    };
    let (mut low, mut high) = (oldest, newest.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        // The first row from the middle on that has a time: there are gaps where rows have gone.
        let mut found = None;
        let mut read = Ok(());
        let span = Span { start: key(prefix, middle), end: Some(key(prefix, high)) };
        store.scan(&span, Direction::Forward, |row_key, row| match at(row_key, row) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(time)) => {
                found = position(&row_key[prefix.len()..]).map(|position| (position, time));
                ControlFlow::Break(())
            }
            Err(error) => {
                read = Err(error);
                ControlFlow::Break(())
            }
        })?;
        read?;
        match found {
            Some((position, time)) if time < moment => low = position.saturating_add(1),
            Some(_) | None => high = middle,
        }
    }
    Ok((low <= newest).then_some(low))
}

/// The key of a position.
pub(super) fn key(prefix: &[u8], position: u64) -> Vec<u8> {
    [prefix, &position.to_be_bytes()].concat()
}

/// The position in a key behind its prefix.
pub(super) fn position(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

fn end(store: &Store, prefix: &[u8], direction: Direction) -> Result<Option<u64>, Error> {
    let mut found = None;
    store.scan(&Span::prefix(prefix), direction, |key, _| {
        found = position(&key[prefix.len()..]);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::commit::batch::Batch;
    use crate::storage::rows::{codec, keys};

    #[test]
    fn a_moment_is_found_among_rows_with_gaps() {
        let prefix = keys::index("moments");
        // Positions 10, 20, … 100 at the times 1,010, 1,020, … 1,100.
        let store = Store::temporary();
        let mut batch = Batch::new();
        for position in (10..=100).step_by(10) {
            batch.put(key(&prefix, position), codec::encode_number(1_000 + position));
        }
        store.commit(batch).wait().expect("the store works");
        let mut reads = 0;
        let mut find = |moment| {
            let at = |key: &[u8], _: &[u8]| {
                reads += 1;
                Ok(position(&key[prefix.len()..]).map(|position| 1_000 + position))
            };
            first_not_before(&store, &prefix, moment, at).expect("readable")
        };
        for (moment, first) in
            [(0, 10), (1_010, 10), (1_011, 20), (1_050, 50), (1_099, 100), (1_100, 100)]
        {
            let found = find(moment).expect("not all are older");
            assert!(found <= first && found > first.saturating_sub(10), "{moment}: {found}");
        }
        assert_eq!(find(1_101), None);
        assert!(reads <= 7 * 8, "{reads} rows read");
        let none = first_not_before(&Store::temporary(), &prefix, 0, |_, _| Ok(None));
        assert_eq!(none.expect("readable"), None);
    }
}
