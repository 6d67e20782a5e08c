//! Makes the rows of one backend equal to those of another, writing only the differences.

use std::ops::ControlFlow;

use crate::storage::engine::backend::{Backend, Direction, Span, Write};
use crate::storage::engine::page::{Rows, page};
use crate::storage::error::Error;
use crate::storage::rows::keys;

/// Writes to `copy` the rows in which it differs from `original`; returns how many there were.
pub(in crate::storage) fn copy_differences(
    original: &dyn Backend,
    copy: &dyn Backend,
) -> Result<u64, Error> {
    let mut changed = 0;
    let mut last = Vec::new();
    visit_differences(original, copy, &mut |writes| {
        changed += writes.len() as u64;
        // The store's own numbers go last: until then the copy counts as behind.
        let (own, rows): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|write| write.key.first() == Some(&keys::META));
        last.extend(own);
        if rows.is_empty() { Ok(()) } else { copy.commit(&rows) }
    })?;
    if !last.is_empty() {
        copy.commit(&last)?;
    }
    Ok(changed)
}

/// Visits, page by page, the writes that `copy` lacks.
fn visit_differences(
    original: &dyn Backend,
    copy: &dyn Backend,
    visit: &mut dyn FnMut(Vec<Write<'static>>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut rest = Span::prefix(&[]);
    loop {
        let (wanted, next) = page(original, &rest)?;
        let span = Span { start: rest.start.clone(), end: next.clone() };
        let mut there = all(copy, &span)?;
        let mut writes = Vec::new();
        for (key, value) in wanted {
            if there.remove(&key).as_ref() != Some(&value) {
                writes.push(Write { key: key.into(), value: Some(value.into()) });
            }
        }
        let too_many = there.into_keys().map(|key| Write { key: key.into(), value: None });
        writes.extend(too_many);
        if !writes.is_empty() {
            visit(writes)?;
        }
        match next {
            Some(next) => rest.start = next,
            None => return Ok(()),
        }
    }
}

fn all(backend: &dyn Backend, span: &Span) -> Result<Rows, Error> {
    let mut rows = Rows::new();
    backend.scan(span, Direction::Forward, &mut |key, value| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::engine::memory::Memory;
    use crate::storage::engine::page::PAGE_ROWS;

    #[test]
    fn a_copy_becomes_equal_and_only_differences_are_written() {
        let (original, copy) = (Memory::default(), Memory::default());
        let key = |number: u32| [&b"t"[..], &number.to_be_bytes()].concat();
        let put = |number: u32, value: &str| Write {
            key: key(number).into(),
            value: Some(value.as_bytes().to_vec().into()),
        };
        let count = 3 * PAGE_ROWS as u32;
        original.commit(&(0..count).map(|number| put(number, "row")).collect::<Vec<_>>()).unwrap();
        let number = Write { key: b"mcommit".to_vec().into(), value: Some(b"9".to_vec().into()) };
        original.commit(&[number]).unwrap();
        assert_eq!(copy_differences(&original, &copy).unwrap(), u64::from(count) + 1);
        assert_eq!(copy_differences(&original, &copy).unwrap(), 0);
        copy.commit(&[put(5, "old"), put(count, "too many"), put(count + 1, "too many")]).unwrap();
        copy.commit(&[Write { key: key(7).into(), value: None }]).unwrap();
        assert_eq!(copy_differences(&original, &copy).unwrap(), 4);
        let whole = Span::prefix(&[]);
        assert_eq!(all(&original, &whole).unwrap(), all(&copy, &whole).unwrap());
    }
}
