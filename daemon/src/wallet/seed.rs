//! The 24 words from which every key is derived, in a file that only the daemon's user can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bdk_wallet::keys::bip39::{Error as Bip39Error, Language, Mnemonic};
use thiserror::Error;

/// How many words a seed has: 256 bits of entropy and 8 of checksum.
pub const WORDS: usize = 24;

/// Why a seed was not made, taken, or read.
#[derive(Debug, Error)]
pub enum SeedError {
    /// There is a seed already; overwriting it could lose all money.
    #[error("there is a seed already in {}; it is never overwritten", .0.display())]
    Exists(PathBuf),
    /// There is no seed yet.
    #[error("there is no seed in {}; `fulmen create` makes one", .0.display())]
    Missing(PathBuf),
    /// Too few or too many words.
    #[error("a seed has {WORDS} words, {0} were given")]
    WordCount(usize),
    /// A word that is not in the list of BIP 39.
    #[error("word {position} ({word:?}) is not a word of the English BIP-39 list{hint}")]
    UnknownWord {
        /// Counted from 1.
        position: usize,
        /// What was given.
        word: String,
        /// A word of the list that begins alike, as a sentence of its own, or nothing.
        hint: String,
    },
    /// All words are in the list but do not belong together.
    #[error("the words do not fit together (wrong checksum): one is wrong or two are swapped")]
    Checksum,
    /// The file holds something else.
    #[error("the seed in {} is damaged", .path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with its words.
        source: Box<SeedError>,
    },
    /// What is kept of when the seed was made.
    #[error("the seed's birthday in {} cannot be read: {reason}", .path.display())]
    Birthday {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system gave no randomness.
    #[error("could not get randomness for a seed: {0}")]
    Entropy(getrandom::Error),
    /// The file system refused.
    #[error("could not {doing} {}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// A BIP-39 mnemonic of 24 English words without passphrase.
#[derive(Clone)]
pub struct Seed(Mnemonic);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(secret)")
    }
}

impl Seed {
    /// Makes a new seed from the operating system's randomness and stores it in `path`.
    pub fn create(path: &Path) -> Result<Self, SeedError> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(SeedError::Entropy)?;
        let seed = Self(
            Mnemonic::from_entropy_in(Language::English, &entropy)
                .expect("32 bytes make 24 words by BIP 39"),
        );
        seed.store(path)?;
        Ok(seed)
    }

    /// Checks the words that a user typed and stores them in `path`.
    pub fn restore(path: &Path, words: &str) -> Result<Self, SeedError> {
        let seed = Self::parse(words)?;
        seed.store(path)?;
        Ok(seed)
    }

    /// Reads the seed in `path`.
    pub fn load(path: &Path) -> Result<Self, SeedError> {
        let text = fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => SeedError::Missing(path.to_owned()),
            _ => SeedError::Io { doing: "read the seed", path: path.to_owned(), source },
        })?;
        warn_if_others_can_read(path);
        Self::parse(&text).map_err(|source| SeedError::Damaged {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Checks words: their number, each of them, and the checksum.
    pub fn parse(words: &str) -> Result<Self, SeedError> {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        if words.len() != WORDS {
            return Err(SeedError::WordCount(words.len()));
        }
        match Mnemonic::parse_in_normalized(Language::English, &words.join(" ")) {
            Ok(mnemonic) => Ok(Self(mnemonic)),
            Err(Bip39Error::UnknownWord(index)) => Err(SeedError::UnknownWord {
                position: index + 1,
                hint: hint(&words[index]),
                word: words[index].clone(),
            }),
            Err(_) => Err(SeedError::Checksum),
        }
    }

    /// Returns the 24 words in their order.
    pub fn words(&self) -> Vec<&'static str> {
        self.0.words().collect()
    }

    /// Returns the 64 bytes of BIP 39 (no passphrase) from which BIP 32 derives its master key.
    pub(super) fn bip32_seed(&self) -> [u8; 64] {
        self.0.to_seed_normalized("")
    }

    /// Writes beside `path`, makes that durable, then gives it its name only if the name is free: a
    /// crash leaves either no seed or a whole one, and an old seed is never replaced.
    fn store(&self, path: &Path) -> Result<(), SeedError> {
        let failed = |doing, source| SeedError::Io { doing, path: path.to_owned(), source };
        if path.exists() {
            return Err(SeedError::Exists(path.to_owned()));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let written = self.write_draft(&draft).and_then(|()| fs::hard_link(&draft, path));
        let removed = fs::remove_file(&draft);
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => {
                return Err(SeedError::Exists(path.to_owned()));
            }
            written => written.map_err(|source| failed("write the seed", source))?,
        }
        removed.map_err(|source| failed("remove the draft of the seed", source))?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| failed("sync the directory of", source))
    }

    fn write_draft(&self, draft: &Path) -> io::Result<()> {
        // A draft of a process that died before us and had our number.
        match fs::remove_file(draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
        file.write_all(self.words().join(" ").as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

fn warn_if_others_can_read(path: &Path) {
    let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the seed can be read by others: chmod 600 it");
    }
}

/// BIP-39 words differ in their first four letters, so a typo further on has one candidate.
fn hint(word: &str) -> String {
    let Some(start) = word.get(..3) else { return String::new() };
    let list = Language::English.words_by_prefix(start);
    match list {
        [] => String::new(),
        [only] => format!("; {only:?} is"),
        [first, .., last] => format!("; the list has {first:?} to {last:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon art";

    #[test]
    fn a_created_seed_is_private_and_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("seed");
        let seed = Seed::create(&path).expect("created");
        assert_eq!(seed.words().len(), WORDS);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(Seed::load(&path).expect("loads").words(), seed.words());
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1, "no draft is left");
    }

    #[test]
    fn a_seed_is_never_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("seed");
        let seed = Seed::create(&path).expect("created");
        assert!(matches!(Seed::create(&path), Err(SeedError::Exists(_))));
        assert!(matches!(Seed::restore(&path, GOOD), Err(SeedError::Exists(_))));
        assert_eq!(Seed::load(&path).expect("loads").words(), seed.words());
    }

    #[test]
    fn two_seeds_differ() {
        let dir = tempfile::tempdir().expect("a directory");
        let one = Seed::create(&dir.path().join("one")).expect("created");
        let two = Seed::create(&dir.path().join("two")).expect("created");
        assert_ne!(one.words(), two.words());
    }

    #[test]
    fn wrong_words_are_told() {
        assert!(Seed::parse(GOOD).is_ok());
        assert!(Seed::parse(&GOOD.to_uppercase()).is_ok());
        let says = |words: &str| Seed::parse(words).expect_err("refused").to_string();
        assert_eq!(says("abandon art"), "a seed has 24 words, 2 were given");
        assert!(says(&GOOD.replace("art", "arts")).starts_with("word 24 (\"arts\") is not"));
        assert!(says(&GOOD.replace("art", "zebraa")).ends_with("; \"zebra\" is"));
        assert!(says(&GOOD.replace("art", "abandon")).contains("checksum"));
    }

    #[test]
    fn a_missing_and_a_damaged_file_are_told_apart() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("seed");
        assert!(matches!(Seed::load(&path), Err(SeedError::Missing(_))));
        fs::write(&path, "abandon").expect("written");
        assert!(matches!(Seed::load(&path), Err(SeedError::Damaged { .. })));
    }
}
