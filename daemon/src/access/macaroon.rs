//! Macaroons in the v2 binary format of libmacaroons, with first-party caveats only.
//!
//! The signature of a macaroon is a chain: HMAC-SHA256 of the identifier under the root key, then of each caveat under
//! the signature before it. So the bearer of a macaroon can add caveats but not remove any.
//!
//! Our own codec rather than the crate `macaroon`: that one has had no release for years, brings libsodium's bindings and
//! third-party caveats, which this daemon refuses, and has no bound on what it reads; libmacaroons' vectors test ours.

use bitcoin::hashes::cmp::fixed_time_eq;
use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};

/// Salt with which libmacaroons derives the signing key from a secret of any length.
const KEY_GENERATOR: &[u8] = b"macaroons-key-generator";

/// The longest macaroon read; ours have about 100 bytes, each caveat some dozens more.
pub const MAX_BYTES: usize = 4_096;

const VERSION: u8 = 2;
const END: u8 = 0;
const LOCATION: u8 = 1;
const IDENTIFIER: u8 = 2;
const VERIFIER: u8 = 4;
const SIGNATURE: u8 = 6;

/// The key that signs macaroons, derived from the secret on disk.
#[derive(Clone)]
pub struct RootKey([u8; 32]);

impl RootKey {
    /// Derives the signing key as libmacaroons does.
    pub fn derive(secret: &[u8]) -> Self {
        Self(hmac(KEY_GENERATOR, secret))
    }
}

/// A token that says what its bearer may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macaroon {
    /// A hint where it is used; not signed.
    pub location: Option<Vec<u8>>,
    /// Names the key that signed it and the macaroon.
    pub identifier: Vec<u8>,
    /// Conditions, all of which must hold.
    pub caveats: Vec<Vec<u8>>,
    signature: [u8; 32],
}

/// Why bytes are not a macaroon that this daemon can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The first byte is not 2.
    #[error("is not a macaroon of version 2")]
    Version,
    /// It ends within a field or goes on after its end.
    #[error("is cut off or damaged")]
    Damaged,
    /// It needs a discharge macaroon by a third party, which this daemon does not support.
    #[error("has a third-party caveat")]
    ThirdParty,
}

impl Macaroon {
    /// Makes a macaroon without caveats.
    pub fn new(key: &RootKey, location: &str, identifier: &[u8]) -> Self {
        Self {
            location: Some(location.as_bytes().to_vec()),
            identifier: identifier.to_vec(),
            caveats: Vec::new(),
            signature: hmac(&key.0, identifier),
        }
    }

    /// Adds a condition.
    #[must_use]
    pub fn with_caveat(mut self, caveat: &str) -> Self {
        self.signature = hmac(&self.signature, caveat.as_bytes());
        self.caveats.push(caveat.as_bytes().to_vec());
        self
    }

    /// Returns whether this key signed identifier and caveats; takes the same time for any signature.
    pub fn is_signed_by(&self, key: &RootKey) -> bool {
        let expected = self
            .caveats
            .iter()
            .fold(hmac(&key.0, &self.identifier), |signature, caveat| hmac(&signature, caveat));
        fixed_time_eq(&expected, &self.signature)
    }

    /// Writes the v2 binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        if let Some(location) = &self.location {
            put_field(&mut bytes, LOCATION, location);
        }
        put_field(&mut bytes, IDENTIFIER, &self.identifier);
        bytes.push(END);
        for caveat in &self.caveats {
            put_field(&mut bytes, IDENTIFIER, caveat);
            bytes.push(END);
        }
        bytes.push(END);
        put_field(&mut bytes, SIGNATURE, &self.signature);
        bytes
    }

    /// Reads the v2 binary form; nothing is verified yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut rest = match bytes {
            [VERSION, ..] if bytes.len() <= MAX_BYTES => &bytes[1..],
            [VERSION, ..] => return Err(ParseError::Damaged),
            _ => return Err(ParseError::Version),
        };
        let (location, identifier) = take_section(&mut rest)?.ok_or(ParseError::Damaged)?;
        let mut caveats = Vec::new();
        while let Some((_, caveat)) = take_section(&mut rest)? {
            caveats.push(caveat);
        }
        let signature = match take_field(&mut rest)? {
            Some((SIGNATURE, signature)) => signature.try_into(),
            _ => return Err(ParseError::Damaged),
        };
        match (signature, rest) {
            (Ok(signature), []) => Ok(Self { location, identifier, caveats, signature }),
            _ => Err(ParseError::Damaged),
        }
    }
}

type Section = (Option<Vec<u8>>, Vec<u8>);

/// Reads an optional location and an identifier up to the end mark; none for an empty section.
fn take_section(rest: &mut &[u8]) -> Result<Option<Section>, ParseError> {
    let (mut location, mut identifier) = (None, None);
    while let Some((tag, value)) = take_field(rest)? {
        match tag {
            LOCATION if location.is_none() && identifier.is_none() => location = Some(value),
            IDENTIFIER if identifier.is_none() => identifier = Some(value),
            VERIFIER if identifier.is_some() => return Err(ParseError::ThirdParty),
            _ => return Err(ParseError::Damaged),
        }
    }
    match (location, identifier) {
        (None, None) => Ok(None),
        (location, Some(identifier)) => Ok(Some((location, identifier))),
        (Some(_), None) => Err(ParseError::Damaged),
    }
}

/// Reads a tag with its value, or none at the end mark.
fn take_field(rest: &mut &[u8]) -> Result<Option<(u8, Vec<u8>)>, ParseError> {
    let tag = take_byte(rest)?;
    if tag == END {
        return Ok(None);
    }
    let length = take_length(rest)?;
    let value = rest.get(..length).ok_or(ParseError::Damaged)?;
    *rest = &rest[length..];
    Ok(Some((tag, value.to_vec())))
}

fn take_byte(rest: &mut &[u8]) -> Result<u8, ParseError> {
    let (first, after) = rest.split_first().ok_or(ParseError::Damaged)?;
    *rest = after;
    Ok(*first)
}

/// Reads a little-endian base-128 number; two bytes are enough for [`MAX_BYTES`].
fn take_length(rest: &mut &[u8]) -> Result<usize, ParseError> {
    match take_byte(rest)? {
        low @ 0..=127 => Ok(usize::from(low)),
        low => match take_byte(rest)? {
            high @ 0..=127 => Ok(usize::from(low & 127) | usize::from(high) << 7),
            _ => Err(ParseError::Damaged),
        },
    }
}

fn put_field(bytes: &mut Vec<u8>, tag: u8, value: &[u8]) {
    bytes.push(tag);
    let mut length = value.len();
    while length >= 128 {
        bytes.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(value);
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    engine.input(message);
    Hmac::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;

    /// From the README of libmacaroons.
    #[test]
    fn signatures_are_those_of_libmacaroons() {
        let key = RootKey::derive(b"this is our super secret key; only we should know it");
        let bare = Macaroon::new(&key, "http://mybank/", b"we used our secret key");
        assert_eq!(
            bare.signature.to_lower_hex_string(),
            "e3d9e02908526c4c0039ae15114115d97fdd68bf2ba379b342aaf0f617d0552f"
        );
        let bound = bare.with_caveat("test = caveat");
        assert_eq!(
            bound.signature.to_lower_hex_string(),
            "197bac7a044af33332865b9266e26d493bdd668a660e44d88ce1a998c23dbd67"
        );
        assert!(bound.is_signed_by(&key));
        assert!(!bound.is_signed_by(&RootKey::derive(b"another")));
    }

    /// From the tests of the v2 format in libmacaroons, pymacaroons and their kin.
    #[test]
    fn the_binary_form_is_that_of_libmacaroons() {
        let known = "020113687474703a2f2f6578616d706c652e6f72672f02056b65796964000214\
            6163636f756e74203d203337333539323835353900020c75736572203d20616c696365000006204be967cd\
            1ea0c6b26baf6a4a94ee9b05b15886da0ba85e8c42a93c8d0e125efc";
        let known = Vec::<u8>::from_hex(known).expect("hex");
        let read = Macaroon::decode(&known).expect("well-formed");
        assert_eq!(read.location.as_deref(), Some(&b"http://example.org/"[..]));
        assert_eq!(read.identifier, b"keyid");
        assert_eq!(read.caveats, [&b"account = 3735928559"[..], b"user = alice"]);
        assert_eq!(read.encode(), known);
        let made =
            Macaroon::new(&RootKey::derive(b"this is the key"), "http://example.org/", b"keyid")
                .with_caveat("account = 3735928559")
                .with_caveat("user = alice");
        assert_eq!(made, read);
    }

    #[test]
    fn a_caveat_can_be_added_but_not_removed_or_changed() {
        let key = RootKey::derive(b"secret");
        let bound = Macaroon::new(&key, "fulmen", b"id").with_caveat("permission = *:read");
        let narrower = bound.clone().with_caveat("before = 5");
        assert!(narrower.is_signed_by(&key));
        for forge in [
            |forged: &mut Macaroon| forged.caveats.clear(),
            |forged: &mut Macaroon| forged.caveats[0] = b"permission = *:*".to_vec(),
            |forged: &mut Macaroon| forged.identifier = b"other".to_vec(),
            |forged: &mut Macaroon| forged.signature[31] ^= 1,
        ] {
            let mut forged = bound.clone();
            forge(&mut forged);
            assert!(!forged.is_signed_by(&key));
        }
    }

    #[test]
    fn damaged_bytes_are_refused_wherever_they_are_cut() {
        let long = "x".repeat(300);
        let whole = Macaroon::new(&RootKey::derive(b"k"), "fulmen", b"id").with_caveat(&long);
        let bytes = whole.encode();
        assert_eq!(Macaroon::decode(&bytes), Ok(whole));
        for length in 0..bytes.len() {
            assert!(Macaroon::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Macaroon::decode(&longer), Err(ParseError::Damaged));
        assert_eq!(Macaroon::decode(b"\x01\x02"), Err(ParseError::Version));
        assert_eq!(Macaroon::decode(&[2, 2, 212, 212, 212]), Err(ParseError::Damaged));
        assert_eq!(Macaroon::decode(&[2; MAX_BYTES + 1]), Err(ParseError::Damaged));
    }

    #[test]
    fn a_third_party_caveat_is_refused_as_such() {
        let bytes = [2, 2, 1, b'i', 0, 1, 1, b'l', 2, 1, b'c', 4, 1, b'v', 0, 0, 6, 0];
        assert_eq!(Macaroon::decode(&bytes), Err(ParseError::ThirdParty));
    }
}
