//! The 24 words from which every key is derived.

pub mod birthday;
pub mod file;
pub mod keys;
pub mod passphrase;
mod sealed;

use std::io;
use std::path::PathBuf;

use bdk_wallet::keys::bip39::{Error as Bip39Error, Language, Mnemonic};
use thiserror::Error;
use zeroize::Zeroizing;

use self::sealed::ENTROPY_BYTES;

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
    /// There is a seed, but of another network.
    #[error(
        "there is no seed for network {network}, but one for {others}: start `fulmend --network {first}`, or make one \
         with `fulmen create --network {network}`"
    )]
    OtherNetworks {
        /// The network that was asked for.
        network: String,
        /// The networks that have a seed.
        others: String,
        /// The first of them.
        first: String,
    },
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
    /// It is encrypted, and there is nobody to ask for the passphrase.
    #[error(
        "the seed in {} is encrypted: name a file with its passphrase by seed.passphrase_file (or \
         FULMEN_SEED_PASSPHRASE_FILE), or start fulmend at a terminal, where it asks for it", .0.display()
    )]
    Locked(PathBuf),
    /// It is to be encrypted, and there is nobody to ask for a passphrase.
    #[error(
        "a passphrase is needed: name a file with it by seed.passphrase_file (or FULMEN_SEED_PASSPHRASE_FILE), or \
         come back at a terminal"
    )]
    NobodyToAsk,
    /// Nothing was typed, or the file is empty.
    #[error("the seed's passphrase is empty")]
    EmptyPassphrase,
    /// The two passphrases that were typed differ.
    #[error("these are two passphrases, not twice the same")]
    PassphrasesDiffer,
    /// It does not open the seed.
    #[error("the passphrase is wrong, or the seed in {} is damaged", .0.display())]
    WrongPassphrase(PathBuf),
    /// What is in the file begins like an encrypted seed, and is none.
    #[error("the encrypted seed in {} is damaged", .0.display())]
    DamagedSeal(PathBuf),
    /// A later release has encrypted it.
    #[error("the seed in {} is encrypted in the form {version}, which this release does not know", .path.display())]
    NewerSeal {
        /// Where it is.
        path: PathBuf,
        /// The form's number.
        version: u8,
    },
    /// It is encrypted, and should be encrypted.
    #[error("the seed in {} is encrypted already; decrypt it first to give it another passphrase", .0.display())]
    EncryptedAlready(PathBuf),
    /// It is not encrypted, and should be decrypted.
    #[error("the seed in {} is not encrypted", .0.display())]
    NotEncrypted(PathBuf),
    /// What was written beside the seed reads otherwise than it was written.
    #[error("what was written for the seed in {} does not read back; it is left as it was", .0.display())]
    NotVerified(PathBuf),
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
    /// Makes a new seed from the operating system's randomness.
    ///
    /// # Errors
    /// [`SeedError::Entropy`].
    pub fn generate() -> Result<Self, SeedError> {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        getrandom::fill(&mut *entropy).map_err(SeedError::Entropy)?;
        Ok(Self::from_entropy(&entropy))
    }

    fn from_entropy(entropy: &[u8; ENTROPY_BYTES]) -> Self {
        Self(
            Mnemonic::from_entropy_in(Language::English, entropy)
                .expect("32 bytes make 24 words by BIP 39"),
        )
    }

    fn entropy(&self) -> Zeroizing<[u8; ENTROPY_BYTES]> {
        let bytes = Zeroizing::new(self.0.to_entropy());
        Zeroizing::new(bytes[..].try_into().expect("24 words are 32 bytes by BIP 39"))
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
    fn bip32_seed(&self) -> [u8; 64] {
        self.0.to_seed_normalized("")
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
    fn two_seeds_differ() {
        let (one, two) = (Seed::generate().expect("made"), Seed::generate().expect("made"));
        assert_ne!(one.words(), two.words());
        assert_eq!(Seed::from_entropy(&one.entropy()).words(), one.words());
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
}
