//! The signed name of a macaroon: the root key's number and the macaroon's id.

use std::fmt;

use bitcoin::hex::{DisplayHex as _, FromHex};
use lightning::util::ser::{Readable, Writeable, Writer};

const PREFIX: &str = "fulmen:";

/// The id of a macaroon; all that were attenuated from one macaroon share its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacaroonId(pub [u8; 16]);

impl fmt::Display for MacaroonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.to_lower_hex_string())
    }
}

impl Writeable for MacaroonId {
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), lightning::io::Error> {
        self.0.write(writer)
    }
}

impl Readable for MacaroonId {
    fn read<R: lightning::io::Read>(
        reader: &mut R,
    ) -> Result<Self, lightning::ln::msgs::DecodeError> {
        Readable::read(reader).map(Self)
    }
}

/// What the identifier field of our macaroons says, as `fulmen:KEY:ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The number of the root key that signed it.
    pub root_key: u32,
    /// The macaroon.
    pub id: MacaroonId,
}

impl Identifier {
    /// Reads an identifier; none if it is not one of ours.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (root_key, id) =
            std::str::from_utf8(bytes).ok()?.strip_prefix(PREFIX)?.split_once(':')?;
        let identifier =
            Self { root_key: root_key.parse().ok()?, id: MacaroonId(FromHex::from_hex(id).ok()?) };
        // Each macaroon has one spelling, so that each has one id.
        (identifier.to_string().as_bytes() == bytes).then_some(identifier)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}", self.root_key, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_has_one_spelling() {
        let identifier = Identifier { root_key: 7, id: MacaroonId([0xab; 16]) };
        let text = format!("fulmen:7:{}", "ab".repeat(16));
        assert_eq!(identifier.to_string(), text);
        assert_eq!(Identifier::read(text.as_bytes()), Some(identifier));
        let upper = format!("fulmen:7:{}", "AB".repeat(16));
        let (zero, plus) = (text.replace(":7:", ":07:"), text.replace(":7:", ":+7:"));
        for other in [&upper, &zero, &plus, "fulmen:7:", "fulmen:ab", "other:7:ab", ""] {
            assert_eq!(Identifier::read(other.as_bytes()), None, "{other}");
        }
    }
}
