//! What can be typed after `fulmend`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::node::commit::finished::IS_LDK_PATCHED;
use crate::wallet::Birthday;

/// What `--version` says: which LDK this is decides how fast a busy node stays.
const VERSION: &str = if IS_LDK_PATCHED {
    concat!(env!("CARGO_PKG_VERSION"), " (LDK patched)")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (LDK as released)")
};

/// Fulmen's Lightning daemon.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "fulmend", version = VERSION, about)]
pub struct Args {
    /// Base directory: holds fulmen.toml and a folder per network [default: ~/.fulmen]
    #[arg(long, env = "FULMEN_DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// bitcoin, testnet, testnet4, signet or regtest [default: bitcoin]
    #[arg(long, env = "FULMEN_NETWORK", global = true)]
    pub network: Option<String>,
    /// Configuration file [default: fulmen.toml in the base directory]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Sets one option over file and environment, as in node.alias=fulmen; may be repeated
    #[arg(long, value_name = "SECTION.OPTION=VALUE", global = true)]
    pub set: Vec<String>,
    /// What to do other than running the daemon
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What `fulmend` does besides running.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Makes the node's seed and shows its 24 words once
    ///
    /// The words bring back the money on chain, and what closed channels paid to it. They do not bring back open channels:
    /// with the help of a static backup (backup.path) their peers are asked to close them, and what was under way is lost.
    /// Keep a copy of the store on another disk (storage.mirror), and never start from an older copy of it.
    Create {
        /// Take 24 words from standard input instead of making new ones
        #[arg(long)]
        restore: bool,
        /// When the seed to restore was made: the block's height, or the day as 2026-01-31; blocks before
        /// are not searched for its money
        #[arg(long, value_name = "HEIGHT|DAY", requires = "restore")]
        birthday: Option<Birthday>,
        /// Encrypt the seed's file under a passphrase, which is asked for, or read from seed.passphrase_file
        #[arg(long)]
        encrypt: bool,
        /// Print {"mnemonic": "..."} for machines
        #[arg(long)]
        json: bool,
    },
    /// Encrypts the file of the seed, or decrypts it
    Seed {
        /// Which of the two
        #[command(subcommand)]
        verb: SeedVerb,
    },
    /// Prints a configuration file with every option at its default
    SampleConfig,
    /// Gets back what can be got back when the newest store is lost
    Recover {
        /// The store is an older copy: its channels are given up, and their peers close them with the newest state
        #[arg(long, required = true)]
        stale: bool,
        /// Go on without asking
        #[arg(long)]
        yes: bool,
    },
    /// Looks after the store while the daemon does not run
    Store {
        /// What to do with it
        #[command(subcommand)]
        verb: StoreVerb,
    },
}

/// What can be done to the file of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum SeedVerb {
    /// Encrypts it under a new passphrase, which every start then needs
    Encrypt,
    /// Puts the words into the clear again
    Decrypt,
}

/// The offline care of a store.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreVerb {
    /// Reads and verifies every record
    Check,
    /// Shows sizes by table, and the largest monitors
    Stats,
    /// Rewrites the store without what is no longer needed
    Compact,
    /// Writes the whole store into one file
    ///
    /// The file has the channels as they are now, payments, invoices and the journal; it has neither the seed nor
    /// certificates, macaroons and configuration. Once the daemon has run again, the file is an older state: see
    /// `fulmend store import --help`.
    Export {
        /// The file to make; only an older export is overwritten
        to: PathBuf,
    },
    /// Makes the store from an export or from a mirror; there must be none yet
    ///
    /// Brings back channels, payments, invoices and the journal as they were then; the seed (`fulmend create
    /// --restore`), certificates, macaroons and configuration it does not. Only the newest state is safe to start: a
    /// channel has moved on since an older one, and a node that publishes its old state loses all money in it to the peer. If
    /// the daemon has run since the export was made, do not start it; `fulmend recover --stale` asks the peers to close
    /// the channels instead.
    Import {
        /// The file of an export, or the directory of a mirror
        from: PathBuf,
    },
}

impl Args {
    /// The base directory.
    pub fn base_dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| {
            std::env::home_dir().unwrap_or_else(|| PathBuf::from(".")).join(".fulmen")
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What `fulmend VERBS --help` prints.
    fn help(verbs: &[&str]) -> String {
        let mut command = Args::command();
        for verb in verbs {
            command = command.find_subcommand(verb).expect("it exists").clone();
        }
        command.render_long_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn help_says_what_is_not_brought_back_and_what_is_dangerous() {
        for (verbs, words) in [
            (&["create"][..], "They do not bring back open channels"),
            (&["store", "export"], "it has neither the seed nor certificates"),
            (&["store", "import"], "Only the newest state is safe to start"),
            (&["store", "import"], "`fulmend recover --stale`"),
            (&["recover"], "The store is an older copy"),
        ] {
            let help = help(verbs);
            assert!(help.contains(words), "{words:?} is not in: {help}");
        }
    }
}
