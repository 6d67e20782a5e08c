//! The frame around every stored value: version, kind, CRC32C, body.

/// Bytes before the body.
pub(in crate::storage) const HEADER_BYTES: usize = 6;
/// The kind of a chunked value's manifest.
pub(in crate::storage) const MANIFEST_KIND: u8 = 255;
/// The kind of bytes that LDK or another room encodes.
pub(in crate::storage) const BYTES_KIND: u8 = 254;
/// The kind of the store's own numbers.
pub(in crate::storage) const NUMBER_KIND: u8 = 253;
/// The kind of journal entries.
pub const JOURNAL_KIND: u8 = 252;

/// A value kept on disk in a format of its own.
///
/// An old version's format is never edited: [`Record::decode`] reads each version it knows.
pub trait Record: Sized {
    /// Which record this is; unique in the crate, below 250.
    const KIND: u8;
    /// The version that [`Record::encode`] writes.
    const VERSION: u8;
    /// Returns the body.
    fn encode(&self) -> Vec<u8>;
    /// Reads a body of some version.
    fn decode(version: u8, body: &[u8]) -> Result<Self, DecodeError>;
}

/// Makes a type with LDK's `Writeable` and `Readable` a [`Record`].
#[macro_export]
macro_rules! record {
    ($record: ty, kind = $kind: expr, version = $version: expr) => {
        impl $crate::storage::Record for $record {
            const KIND: u8 = $kind;
            const VERSION: u8 = $version;

            fn encode(&self) -> Vec<u8> {
                lightning::util::ser::Writeable::encode(self)
            }

            fn decode(version: u8, body: &[u8]) -> Result<Self, $crate::storage::DecodeError> {
                if version != $version {
                    return Err($crate::storage::DecodeError::UnknownVersion(version));
                }
                let mut rest = body;
                let record = lightning::util::ser::Readable::read(&mut rest)?;
                if rest.is_empty() {
                    Ok(record)
                } else {
                    Err($crate::storage::DecodeError::TrailingBytes(rest.len()))
                }
            }
        }
    };
}

/// Why bytes are not the record that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than a header.
    #[error("{0} bytes are too few for a record")]
    TooShort(usize),
    /// The bytes have changed since they were written.
    #[error("its checksum is {found:08x}, not {expected:08x}")]
    Checksum {
        /// What the bytes give.
        found: u32,
        /// What was stored.
        expected: u32,
    },
    /// Another record than expected.
    #[error("it is a record of kind {found}, not {expected}")]
    OtherKind {
        /// What is stored.
        found: u8,
        /// What was expected.
        expected: u8,
    },
    /// A version that this release does not read.
    #[error("its version {0} is not known")]
    UnknownVersion(u8),
    /// Bytes after the record's end.
    #[error("{0} bytes follow the record")]
    TrailingBytes(usize),
    /// The body does not parse.
    #[error("its body does not parse: {0}")]
    Body(String),
}

impl From<lightning::ln::msgs::DecodeError> for DecodeError {
    fn from(error: lightning::ln::msgs::DecodeError) -> Self {
        DecodeError::Body(format!("{error:?}"))
    }
}

/// A value whose checksum is right.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::storage) struct Framed<'a> {
    pub(in crate::storage) version: u8,
    pub(in crate::storage) kind: u8,
    pub(in crate::storage) body: &'a [u8],
}

/// Puts a header before `body`.
pub(in crate::storage) fn frame(version: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(HEADER_BYTES + body.len());
    framed.extend([version, kind]);
    framed.extend(checksum(version, kind, body).to_le_bytes());
    framed.extend(body);
    framed
}

/// Takes the header off, checking the sum.
pub(in crate::storage) fn unframe(framed: &[u8]) -> Result<Framed<'_>, DecodeError> {
    let Some((header, body)) = framed.split_first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::TooShort(framed.len()));
    };
    let [version, kind, sum @ ..] = *header;
    let (found, expected) = (checksum(version, kind, body), u32::from_le_bytes(sum));
    if found != expected {
        return Err(DecodeError::Checksum { found, expected });
    }
    Ok(Framed { version, kind, body })
}

/// The body of a value of a given kind.
pub(in crate::storage) fn unframe_kind(framed: &[u8], kind: u8) -> Result<&[u8], DecodeError> {
    let read = unframe(framed)?;
    if read.kind != kind {
        return Err(DecodeError::OtherKind { found: read.kind, expected: kind });
    }
    Ok(read.body)
}

/// Encodes a record with its header.
pub(in crate::storage) fn encode<R: Record>(record: &R) -> Vec<u8> {
    frame(R::VERSION, R::KIND, &record.encode())
}

/// Decodes a record with its header.
pub(in crate::storage) fn decode<R: Record>(framed: &[u8]) -> Result<R, DecodeError> {
    let read = unframe(framed)?;
    if read.kind != R::KIND {
        return Err(DecodeError::OtherKind { found: read.kind, expected: R::KIND });
    }
    R::decode(read.version, read.body)
}

/// Encodes one of the store's own numbers.
pub(in crate::storage) fn encode_number(number: u64) -> Vec<u8> {
    frame(1, NUMBER_KIND, &number.to_be_bytes())
}

/// Decodes one of the store's own numbers.
pub(in crate::storage) fn decode_number(framed: &[u8]) -> Result<u64, DecodeError> {
    let body = unframe_kind(framed, NUMBER_KIND)?;
    let bytes = body.try_into().map_err(|_| DecodeError::TooShort(body.len()))?;
    Ok(u64::from_be_bytes(bytes))
}

fn checksum(version: u8, kind: u8, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[version, kind]), body)
}

#[cfg(test)]
pub(in crate::storage) mod tests {
    use lightning::impl_writeable_tlv_based;

    use super::*;

    /// A record for tests of this room.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Note {
        pub(crate) text: String,
        pub(crate) done: bool,
    }
    impl_writeable_tlv_based!(Note, { (0, text, required), (2, done, required) });
    record!(Note, kind = 249, version = 3);

    impl Note {
        pub(crate) fn new(text: &str) -> Self {
            Self { text: text.to_owned(), done: false }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let framed = encode(&Note::new("pay the baker"));
        assert_eq!(decode::<Note>(&framed), Ok(Note::new("pay the baker")));
        for bit in 0..framed.len() * 8 {
            let mut flipped = framed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Note>(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..framed.len() {
            assert!(decode::<Note>(&framed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_record_says_what_it_is_not() {
        let number = encode_number(7);
        assert_eq!(decode_number(&number), Ok(7));
        assert_eq!(
            decode::<Note>(&number),
            Err(DecodeError::OtherKind { found: NUMBER_KIND, expected: 249 })
        );
        let newer = frame(4, 249, &Note::new("x").encode());
        assert_eq!(decode::<Note>(&newer), Err(DecodeError::UnknownVersion(4)));
        let longer = frame(3, 249, &[Note::new("x").encode(), vec![1]].concat());
        assert_eq!(decode::<Note>(&longer), Err(DecodeError::TrailingBytes(1)));
    }
}
