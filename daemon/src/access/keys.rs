//! The root keys that sign macaroons, and the macaroons that are made with each of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::identifier::{Identifier, MacaroonId};
use super::macaroon::{Macaroon, RootKey};
use crate::private_file;

/// The file of the first secret that signs macaroons; those after it are `macaroon.NUMBER.key`.
pub const KEY_FILE: &str = "macaroon.key";
/// The location written into macaroons.
pub const LOCATION: &str = "fulmen";

/// Name and caveat of each macaroon that is made with a root key; its file is `NAME.macaroon`.
pub const FIRST: [(&str, Option<&str>); 3] = [
    ("admin", None),
    ("readonly", Some("permission = *:read")),
    ("invoice", Some("permission = invoices:read,invoices:write,info:read")),
];

/// The keys by which macaroons are accepted, by number; the last one signs new macaroons.
#[derive(Clone)]
pub struct RootKeys(BTreeMap<u32, RootKey>);

impl RootKeys {
    /// Loads the root keys, or makes the first one together with the first macaroons.
    ///
    /// A macaroon that the operator removed is not made again, unless all are gone.
    ///
    /// # Errors
    /// When a key is damaged, or a file cannot be read or written.
    pub fn load_or_create(data_dir: &Path) -> io::Result<Self> {
        let mut keys = BTreeMap::new();
        for number in numbers(data_dir)? {
            let path = key_file(data_dir, number);
            let secret = private_file::read(&path)?.filter(|secret| secret.len() == 32);
            let secret =
                secret.ok_or_else(|| io::Error::other(format!("{} is damaged", path.display())))?;
            keys.insert(number, RootKey::derive(&secret));
        }
        let fresh = keys.is_empty();
        if fresh {
            keys.insert(0, make_key(data_dir, 0)?);
        }
        let keys = Self(keys);
        if fresh || !FIRST.iter().any(|(name, _)| file_of(data_dir, name).exists()) {
            for (name, caveat) in FIRST {
                keys.write_first(data_dir, name, caveat)?;
            }
        }
        Ok(keys)
    }

    /// The number of the key that signs new macaroons.
    pub fn newest(&self) -> u32 {
        self.0.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Returns a key, unless it has been retired.
    pub fn get(&self, number: u32) -> Option<&RootKey> {
        self.0.get(&number)
    }

    /// Makes a macaroon with a new id.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn bake<S: AsRef<str>>(&self, caveats: &[S]) -> io::Result<Macaroon> {
        let identifier = Identifier { root_key: self.newest(), id: MacaroonId(random::<16>()?) };
        let (_, key) = self.0.last_key_value().expect("there is always a root key");
        let macaroon = Macaroon::new(key, LOCATION, identifier.to_string().as_bytes());
        Ok(caveats.iter().fold(macaroon, |macaroon, caveat| macaroon.with_caveat(caveat.as_ref())))
    }

    /// Adds a new key, durably, beside those before it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, data_dir: &Path) -> io::Result<()> {
        let number = self.newest() + 1;
        self.0.insert(number, make_key(data_dir, number)?);
        Ok(())
    }

    /// Replaces the files of the first macaroons by ones of the newest key; those that the operator removed stay away.
    ///
    /// # Errors
    /// When a file cannot be written; some are replaced then.
    pub fn renew_first(&self, data_dir: &Path) -> io::Result<()> {
        for (name, caveat) in FIRST {
            if file_of(data_dir, name).exists() {
                self.write_first(data_dir, name, caveat)?;
            }
        }
        Ok(())
    }

    /// Removes all keys but the newest, with their files: no macaroon that they signed is accepted any more.
    ///
    /// # Errors
    /// When a file cannot be removed; its key is accepted again after the next start.
    pub fn retire_older(&mut self, data_dir: &Path) -> io::Result<()> {
        let newest = self.newest();
        let older = std::mem::take(&mut self.0);
        for (number, key) in older {
            if number == newest {
                self.0.insert(number, key);
            } else {
                std::fs::remove_file(key_file(data_dir, number))?;
            }
        }
        Ok(())
    }

    fn write_first(&self, data_dir: &Path, name: &str, caveat: Option<&str>) -> io::Result<()> {
        let macaroon = self.bake(caveat.as_slice())?;
        private_file::write(&file_of(data_dir, name), &macaroon.encode())
    }
}

/// The file of one of the first macaroons.
pub fn file_of(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join(format!("{name}.macaroon"))
}

fn key_file(data_dir: &Path, number: u32) -> PathBuf {
    match number {
        0 => data_dir.join(KEY_FILE),
        number => data_dir.join(format!("macaroon.{number}.key")),
    }
}

/// The numbers of the keys whose files are there.
fn numbers(data_dir: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name == KEY_FILE {
            numbers.push(0);
        } else if let Some(middle) = name.strip_prefix("macaroon.")
            && let Some(number) = middle.strip_suffix(".key").and_then(|it| it.parse().ok())
            && number > 0
        {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn make_key(data_dir: &Path, number: u32) -> io::Result<RootKey> {
    let secret = random::<32>()?;
    private_file::write(&key_file(data_dir, number), &secret)?;
    Ok(RootKey::derive(&secret))
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

    fn signed(keys: &RootKeys, macaroon: &Macaroon) -> bool {
        let identifier = Identifier::read(&macaroon.identifier).expect("ours");
        keys.get(identifier.root_key).is_some_and(|key| macaroon.is_signed_by(key))
    }

    #[test]
    fn key_and_macaroons_are_made_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let keys = RootKeys::load_or_create(dir.path()).expect("made");
        let admin = stored(dir.path(), "admin.macaroon");
        assert!(admin.caveats.is_empty() && signed(&keys, &admin));
        assert!(admin.identifier.starts_with(b"fulmen:0:"), "as release 0.1 wrote it");
        let read_only = stored(dir.path(), "readonly.macaroon");
        assert_eq!(read_only.caveats, [b"permission = *:read"]);
        assert!(signed(&keys, &read_only));

        fs::remove_file(dir.path().join("admin.macaroon")).expect("was there");
        let again = RootKeys::load_or_create(dir.path()).expect("loaded");
        assert!(signed(&again, &admin));
        assert!(!dir.path().join("admin.macaroon").exists(), "an operator took it away");
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join(KEY_FILE), b"short").expect("writable");
        assert!(RootKeys::load_or_create(dir.path()).is_err());
    }

    #[test]
    fn a_rotation_locks_nobody_out_between_its_steps() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut keys = RootKeys::load_or_create(dir.path()).expect("made");
        let old = stored(dir.path(), "admin.macaroon");
        fs::remove_file(dir.path().join("invoice.macaroon")).expect("was there");

        // After each step a restart accepts the macaroon that the file holds.
        let accepted_after_restart = |macaroon: &Macaroon| {
            signed(&RootKeys::load_or_create(dir.path()).expect("loaded"), macaroon)
        };
        keys.add(dir.path()).expect("added");
        assert!(signed(&keys, &old) && accepted_after_restart(&old));
        keys.renew_first(dir.path()).expect("renewed");
        let new = stored(dir.path(), "admin.macaroon");
        assert!(new.identifier.starts_with(b"fulmen:1:"));
        assert!(accepted_after_restart(&old) && accepted_after_restart(&new));
        keys.retire_older(dir.path()).expect("retired");
        assert!(!signed(&keys, &old) && !accepted_after_restart(&old));
        assert!(signed(&keys, &new) && accepted_after_restart(&new));
        assert!(!dir.path().join("invoice.macaroon").exists(), "an operator took it away");
        assert_eq!(RootKeys::load_or_create(dir.path()).expect("loaded").newest(), 1);
    }
}
