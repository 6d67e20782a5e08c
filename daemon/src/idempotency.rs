//! Idempotency keys: the same key again leads to the first outcome, and never to a second deed.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use lightning::util::ser::{Readable, Writeable, Writer};

use crate::storage::{self, Batch, DecodeError, Record, Store, Table};

/// A caller's key with what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The caller's own text.
    pub text: String,
    /// The SHA-256 of the request: another request under the same key is a mistake of the caller.
    pub fingerprint: [u8; 32],
}

impl Key {
    /// Joins a caller's text, if there is one, with the fingerprint of its request.
    pub fn new(text: Option<String>, fingerprint: [u8; 32]) -> Option<Self> {
        text.map(|text| Self { text, fingerprint })
    }
}

/// The key was used for another request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reused;

/// The first request under a key: the id of its outcome and its fingerprint.
pub type First = ([u8; 32], [u8; 32]);

/// Returns the SHA-256 of a request's fields, one after the other.
pub fn fingerprint<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    fields.into_iter().for_each(|field| engine.input(field));
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// Decides about a request by the first one under its key, if there was one: its outcome is returned.
///
/// # Errors
/// [`Reused`] if the two requests differ.
pub fn first_outcome<T, F: PartialEq>(
    first: Option<(T, F)>,
    fingerprint: &F,
) -> Result<Option<T>, Reused> {
    match first {
        None => Ok(None),
        Some((outcome, known)) if known == *fingerprint => Ok(Some(outcome)),
        Some(_) => Err(Reused),
    }
}

/// The requests of one kind by their keys; `KIND` is the kind of record on disk.
pub struct KeyTable<const KIND: u8>(Table<KeyedRequest<KIND>>);

impl<const KIND: u8> KeyTable<KIND> {
    /// Names the table on disk.
    pub const fn new(name: &'static str) -> Self {
        Self(Table::new(name))
    }

    /// Returns the first request under a key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn get(&self, store: &Store, text: &str) -> Result<Option<First>, storage::Error> {
        let known = self.0.get(store, text.as_bytes())?;
        Ok(known.map(|request| (request.outcome, request.fingerprint)))
    }

    /// Adds a key to the batch that records its outcome.
    pub fn put(&self, batch: &mut Batch, key: &Key, outcome: [u8; 32]) {
        let request = KeyedRequest { outcome, fingerprint: key.fingerprint };
        self.0.put(batch, key.text.as_bytes(), &request);
    }

    /// Frees a key in the batch that removes its outcome.
    pub fn delete(&self, batch: &mut Batch, text: &str) {
        self.0.delete(batch, text.as_bytes());
    }

    /// Returns how many keys are taken.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn count(&self, store: &Store) -> Result<usize, storage::Error> {
        Ok(self.0.all(store)?.len())
    }
}

/// What was asked for under a key, on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyedRequest<const KIND: u8> {
    /// The id of what came of it.
    outcome: [u8; 32],
    fingerprint: [u8; 32],
}

/// The fields as they are written: with LDK's TLV framing.
struct Fields {
    outcome: [u8; 32],
    fingerprint: [u8; 32],
}
lightning::impl_writeable_tlv_based!(Fields, {
    (0, outcome, required),
    (2, fingerprint, required),
});

impl<const KIND: u8> Writeable for KeyedRequest<KIND> {
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), lightning::io::Error> {
        Fields { outcome: self.outcome, fingerprint: self.fingerprint }.write(writer)
    }
}

impl<const KIND: u8> Record for KeyedRequest<KIND> {
    const KIND: u8 = KIND;
    const VERSION: u8 = 1;

    fn encode(&self) -> Vec<u8> {
        Writeable::encode(self)
    }

    fn decode(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        if version != 1 {
            return Err(DecodeError::UnknownVersion(version));
        }
        let mut rest = body;
        let Fields { outcome, fingerprint } = Readable::read(&mut rest)?;
        match rest.len() {
            0 => Ok(Self { outcome, fingerprint }),
            trailing => Err(DecodeError::TrailingBytes(trailing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;

    /// What release 0.1 writes for payments (kind 22) and invoices (kind 31); never to be edited.
    const VERSION_1: &str = "44002001010101010101010101010101010101010101010101010101010101010101010220\
        0202020202020202020202020202020202020202020202020202020202020202";

    #[test]
    fn what_was_stored_stays_readable() {
        let request = KeyedRequest::<22> { outcome: [1; 32], fingerprint: [2; 32] };
        assert_eq!(Record::encode(&request).to_lower_hex_string(), VERSION_1);
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(KeyedRequest::<22>::decode(1, &stored), Ok(request));
        assert_eq!((KeyedRequest::<22>::KIND, KeyedRequest::<31>::KIND), (22, 31));
    }

    #[test]
    fn the_same_request_gets_the_first_outcome_and_another_is_refused() {
        assert_eq!(first_outcome::<u8, u8>(None, &1), Ok(None));
        assert_eq!(first_outcome(Some(("first", 1)), &1), Ok(Some("first")));
        assert_eq!(first_outcome(Some(("first", 1)), &2), Err(Reused));
    }

    #[test]
    fn a_fingerprint_covers_every_field() {
        let one = fingerprint([&b"a"[..], b"b"]);
        assert_eq!(one, fingerprint([&b"a"[..], b"b"]));
        assert_ne!(one, fingerprint([&b"a"[..], b"c"]));
    }
}
