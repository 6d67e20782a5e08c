//! `fulmen seed`: has `fulmend seed` encrypt the file of the seed, or decrypt it.
use clap::Subcommand;

use super::fulmend;
use crate::discover::Place;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum Group {
    /// Encrypt the seed's file under a new passphrase
    ///
    /// Every start of the daemon then needs it: from a file that seed.passphrase_file names, or at the
    /// terminal. Without the passphrase only the 24 words bring the money back.
    Encrypt,
    /// Put the words in the seed's file into the clear again
    Decrypt,
}

impl Group {
    /// Runs `fulmend seed` at this terminal; the passphrase never passes through this program.
    pub async fn run(self, place: &Place) -> Result<(), Failure> {
        let verb = match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        };
        fulmend::run(place, &["seed", verb], "the seed is as it was").await
    }
}
