//! The root key, and the three macaroons that are made at the first start.

use std::io;
use std::path::Path;

use bitcoin::hex::DisplayHex as _;

use super::macaroon::{Macaroon, RootKey};
use crate::private_file;

/// The file of the secret that signs macaroons.
pub const KEY_FILE: &str = "macaroon.key";
/// The location written into macaroons.
pub const LOCATION: &str = "fulmen";
/// The prefix of the identifiers of macaroons of the first root key.
pub const IDENTIFIER_PREFIX: &str = "fulmen:0:";

/// File and caveat of each macaroon made at the first start.
const FIRST: [(&str, Option<&str>); 3] = [
    ("admin.macaroon", None),
    ("readonly.macaroon", Some("permission = *:read")),
    ("invoice.macaroon", Some("permission = invoices:read,invoices:write,info:read")),
];

/// Loads the root key, or makes it together with the first macaroons.
///
/// A macaroon that the operator removed is not made again, unless all are gone.
pub fn load_or_create(data_dir: &Path) -> io::Result<RootKey> {
    let path = data_dir.join(KEY_FILE);
    let known = private_file::read(&path)?;
    let fresh = known.is_none();
    let secret = match known {
        Some(secret) if secret.len() == 32 => secret,
        Some(_) => return Err(io::Error::other(format!("{} is damaged", path.display()))),
        None => {
            let secret = random::<32>()?.to_vec();
            private_file::write(&path, &secret)?;
            secret
        }
    };
    let key = RootKey::derive(&secret);
    if fresh || !FIRST.iter().any(|(file, _)| data_dir.join(file).exists()) {
        for (file, caveat) in FIRST {
            let macaroon = bake(&key, caveat)?;
            private_file::write(&data_dir.join(file), &macaroon.encode())?;
        }
    }
    Ok(key)
}

/// Makes a macaroon with a new identifier.
pub fn bake(key: &RootKey, caveat: Option<&str>) -> io::Result<Macaroon> {
    let nonce = random::<16>()?.to_lower_hex_string();
    let macaroon = Macaroon::new(key, LOCATION, format!("{IDENTIFIER_PREFIX}{nonce}").as_bytes());
    Ok(match caveat {
        Some(caveat) => macaroon.with_caveat(caveat),
        None => macaroon,
    })
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("no randomness: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stored(dir: &Path, file: &str) -> Macaroon {
        Macaroon::decode(&fs::read(dir.join(file)).expect("exists")).expect("well-formed")
    }

    #[test]
    fn key_and_macaroons_are_made_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let key = load_or_create(dir.path()).expect("made");
        let admin = stored(dir.path(), "admin.macaroon");
        assert!(admin.caveats.is_empty() && admin.is_signed_by(&key));
        let read_only = stored(dir.path(), "readonly.macaroon");
        assert_eq!(read_only.caveats, [b"permission = *:read"]);
        assert!(read_only.is_signed_by(&key));

        fs::remove_file(dir.path().join("admin.macaroon")).expect("was there");
        let again = load_or_create(dir.path()).expect("loaded");
        assert!(admin.is_signed_by(&again));
        assert!(!dir.path().join("admin.macaroon").exists(), "an operator took it away");
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join(KEY_FILE), b"short").expect("writable");
        assert!(load_or_create(dir.path()).is_err());
    }
}
