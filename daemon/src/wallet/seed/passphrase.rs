//! The passphrase of an encrypted seed: out of a file that an option names, or asked for at the terminal.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SeedError;
use crate::private_file::warn_if_others_can_read;

/// Section `[seed]`: how an encrypted seed is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A file whose first line is the passphrase of an encrypted seed, for starts without anybody to ask; none by default.
    pub passphrase_file: Option<PathBuf>,
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        match &self.passphrase_file {
            Some(file) if file.as_os_str().is_empty() => {
                vec!["passphrase_file: must name a file".to_owned()]
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Returns the passphrase of the seed in `seed`.
    ///
    /// # Errors
    /// [`SeedError::Locked`] where there is nobody to ask; [`SeedError::EmptyPassphrase`]; what the file or the terminal
    /// says.
    pub fn passphrase(&self, seed: &Path) -> Result<Passphrase, SeedError> {
        match &self.passphrase_file {
            Some(file) => from_file(file),
            None => ask(&format!("Passphrase of the seed in {}: ", seed.display()))?
                .ok_or_else(|| SeedError::Locked(seed.to_owned())),
        }
    }

    /// Returns a passphrase to encrypt a seed under; typed twice at a terminal.
    ///
    /// # Errors
    /// [`SeedError::NobodyToAsk`], [`SeedError::EmptyPassphrase`], [`SeedError::PassphrasesDiffer`]; what the file or the
    /// terminal says.
    pub fn new_passphrase(&self) -> Result<Passphrase, SeedError> {
        if let Some(file) = &self.passphrase_file {
            return from_file(file);
        }
        let first = ask("New passphrase for the seed: ")?.ok_or(SeedError::NobodyToAsk)?;
        let second = ask("The same again: ")?.ok_or(SeedError::NobodyToAsk)?;
        match first.0 == second.0 {
            true => Ok(first),
            false => Err(SeedError::PassphrasesDiffer),
        }
    }
}

/// A passphrase; never empty, and wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase as it was typed.
    ///
    /// # Errors
    /// [`SeedError::EmptyPassphrase`].
    pub fn new(text: Zeroizing<String>) -> Result<Self, SeedError> {
        if text.is_empty() { Err(SeedError::EmptyPassphrase) } else { Ok(Self(text)) }
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(secret)")
    }
}

fn from_file(file: &Path) -> Result<Passphrase, SeedError> {
    let text = fs::read_to_string(file).map_err(|source| SeedError::Io {
        doing: "read the seed's passphrase in",
        path: file.to_owned(),
        source,
    })?;
    warn_if_others_can_read(file, "the seed's passphrase");
    let text = Zeroizing::new(text);
    let line = text.split('\n').next().unwrap_or_default();
    Passphrase::new(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// Asks at the terminal, which does not show what is typed; none where nobody could read the question.
fn ask(question: &str) -> Result<Option<Passphrase>, SeedError> {
    if !io::stderr().is_terminal() {
        return Ok(None);
    }
    let typed = rpassword::prompt_password(question).map_err(|source| SeedError::Io {
        doing: "ask for a passphrase at",
        path: PathBuf::from("/dev/tty"),
        source,
    })?;
    Passphrase::new(Zeroizing::new(typed)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_of_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("passphrase");
        let config = Config { passphrase_file: Some(file.clone()) };
        for (text, expected) in [
            ("open sesame", Some("open sesame")),
            ("open sesame\n", Some("open sesame")),
            (" open sesame \r\nsecond line\n", Some(" open sesame ")),
            ("", None),
            ("\nsecond line\n", None),
        ] {
            fs::write(&file, text).expect("written");
            let read = config.passphrase(Path::new("seed"));
            let again = config.new_passphrase();
            match expected {
                Some(expected) => {
                    assert_eq!(read.expect("read").text(), expected);
                    assert_eq!(again.expect("read").text(), expected);
                }
                None => assert!(matches!(read, Err(SeedError::EmptyPassphrase)), "{read:?}"),
            }
        }
        fs::remove_file(&file).expect("removed");
        let missing = config.passphrase(Path::new("seed")).expect_err("there is no file");
        assert!(missing.to_string().contains(&file.display().to_string()), "{missing}");
    }
}
