//! `fulmen create`: has `fulmend create` make or restore the seed of a new node.
use clap::Args;

use super::fulmend;
use crate::discover::Place;
use crate::failure::Failure;
use crate::render::Screen;

#[derive(Debug, Args)]
pub struct Create {
    /// Make the seed from 24 words that you type in
    #[arg(long)]
    restore: bool,
    /// When that seed was made: the block's height, or the day as 2026-01-31; blocks before are not
    /// searched for its money
    #[arg(long, value_name = "HEIGHT|DAY", requires = "restore")]
    birthday: Option<String>,
    /// Encrypt the seed's file under a passphrase, which every start of the daemon then needs
    #[arg(long)]
    encrypt: bool,
}

impl Create {
    /// Runs `fulmend create` at this terminal; the words never pass through this program.
    pub async fn run(self, place: &Place, screen: Screen) -> Result<(), Failure> {
        let mut arguments = vec!["create"];
        if self.restore {
            arguments.push("--restore");
        }
        if let Some(birthday) = &self.birthday {
            arguments.extend(["--birthday", birthday]);
        }
        if self.encrypt {
            arguments.push("--encrypt");
        }
        if screen.json {
            arguments.push("--json");
        }
        if self.restore && screen.has_someone_to_ask() {
            screen.note("Type the 24 words, then Enter and Ctrl-D:");
        }
        fulmend::run(place, &arguments, "no seed was made").await
    }
}
