//! Reads a backend page by page.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::backend::{Backend, Direction, Span};
use crate::storage::error::Error;

/// Rows of a page.
pub(in crate::storage) const PAGE_ROWS: usize = 2_000;
/// Bytes of a page, more or less.
const PAGE_BYTES: usize = 4 << 20;

/// Keys with their values.
pub(in crate::storage) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The first rows of a span, and the key where the next page begins, if there are more.
pub(in crate::storage) fn page(
    backend: &dyn Backend,
    span: &Span,
) -> Result<(Rows, Option<Vec<u8>>), Error> {
    let (mut rows, mut bytes, mut next) = (Rows::new(), 0, None);
    backend.scan(span, Direction::Forward, &mut |key, value| {
        if rows.len() >= PAGE_ROWS || bytes >= PAGE_BYTES {
            next = Some(key.to_vec());
            return ControlFlow::Break(());
        }
        bytes += key.len() + value.len();
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok((rows, next))
}
