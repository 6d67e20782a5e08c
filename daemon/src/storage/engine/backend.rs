//! The contract of a database that holds the store.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::storage::error::Error;

/// An ordered map from bytes to bytes that applies batches atomically and durably.
///
/// Values are at most [`super::chunks::CHUNK_BYTES`] long plus a small header; keys below 1 KiB.
pub trait Backend: Send + Sync + 'static {
    /// Applies all writes or none, later ones winning; when it returns, they survive a power cut.
    ///
    /// After an error nothing may be assumed about the batch, and `commit` is not called again.
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error>;

    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Visits the keys of a span in order until the visitor breaks off.
    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error>;

    /// Returns how much space the data takes on disk, in bytes.
    fn disk_bytes(&self) -> Result<u64, Error>;

    /// Reports a failure that the next `commit` would meet.
    fn health(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl<B: Backend> Backend for Arc<B> {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        (**self).commit(writes)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        (**self).get(key)
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        (**self).scan(span, direction, visit)
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        (**self).disk_bytes()
    }

    fn health(&self) -> Result<(), Error> {
        (**self).health()
    }
}

/// Called with each key and value of a scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// One key's new value, or its removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// The value; none removes the key.
    pub value: Option<Cow<'a, [u8]>>,
}

/// In which order a scan visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Forward,
    /// Greatest key first.
    Backward,
}

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The smallest key in it.
    pub start: Vec<u8>,
    /// The smallest key beyond it; none if there is no such key.
    pub end: Option<Vec<u8>>,
}

impl Span {
    /// All keys with a prefix.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start: prefix.to_vec(), end: (!end.is_empty()).then_some(end) }
    }

    /// The part of the span that a scan in `direction` visits from `key` on, the key included.
    pub fn from(mut self, key: &[u8], direction: Direction) -> Self {
        match direction {
            Direction::Forward => self.start = self.start.max(key.to_vec()),
            Direction::Backward => {
                let beyond = [key, &[0]].concat();
                self.end = Some(match self.end {
                    Some(end) => end.min(beyond),
                    None => beyond,
                });
            }
        }
        self
    }

    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// The span as bounds of a map of owned keys.
    pub fn bounds(&self) -> (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        (Included(&self.start), self.end.as_deref().map_or(Unbounded, Excluded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_spans_exactly_its_keys() {
        for (prefix, end) in [
            (&b"ab"[..], Some(&b"ac"[..])),
            (&b"a\xff"[..], Some(&b"b"[..])),
            (&b"\xff"[..], None),
            (&b""[..], None),
        ] {
            let span = Span::prefix(prefix);
            assert_eq!((span.start.as_slice(), span.end.as_deref()), (prefix, end));
        }
    }

    #[test]
    fn a_cursor_narrows_one_side() {
        let span = Span::prefix(b"p");
        assert_eq!(span.clone().from(b"p5", Direction::Forward).start, b"p5");
        assert_eq!(span.clone().from(b"p5", Direction::Backward).end.unwrap(), b"p5\0");
        assert_eq!(span.clone().from(b"a", Direction::Forward), span);
        assert!(span.from(b"a", Direction::Backward).is_empty());
    }
}
