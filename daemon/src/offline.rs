//! What `fulmend` does besides running: make the seed, show a sample configuration, care for the store.

use crate::config::args::{Command, StoreVerb};
use crate::config::{Config, Places};
use crate::storage;
use crate::wallet::seed::{self, Mnemonic};

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The seed could not be made or restored.
    #[error(transparent)]
    Seed(#[from] seed::Error),
    /// The words could not be read.
    #[error("could not read 24 words from standard input")]
    Words(#[source] std::io::Error),
    /// The store could not be worked on.
    #[error(transparent)]
    Store(#[from] storage::Error),
}

/// Carries out `command` and returns what to print.
///
/// # Errors
/// See [`Error`]; nothing has been overwritten then.
pub fn run(command: &Command, places: &Places, config: &Config) -> Result<String, Error> {
    match command {
        Command::Create { restore, json } => create(places, *restore, *json),
        Command::SampleConfig => Ok(include_str!("../fulmen.sample.toml").to_owned()),
        Command::Store { verb } => store(verb, places, config),
    }
}

fn create(places: &Places, restore: bool, json: bool) -> Result<String, Error> {
    let mnemonic = if restore {
        let words = std::io::read_to_string(std::io::stdin()).map_err(Error::Words)?;
        seed::restore(&places.data, &words)?
    } else {
        seed::create(&places.data)?
    };
    Ok(match (json, restore) {
        (true, _) => format!("{}\n", serde_json::json!({ "mnemonic": mnemonic.to_string() })),
        (false, true) => format!("The seed is restored in {}.\n", places.data.display()),
        (false, false) => sheet(&mnemonic, places),
    })
}

/// The words in four columns, and what to do with them.
fn sheet(mnemonic: &Mnemonic, places: &Places) -> String {
    let words: Vec<_> = mnemonic.words().collect();
    let rows = words.len().div_ceil(4);
    let mut text = "Write down these 24 words. They are shown only now, and whoever has them has the money.\n\n".to_owned();
    for row in 0..rows {
        for column in 0..4 {
            let index = column * rows + row;
            text += &format!("  {:2}. {:10}", index + 1, words[index]);
        }
        text = format!("{}\n", text.trim_end());
    }
    text + &format!(
        "\nThe seed is stored in {}. Start the node with `fulmend`.\n",
        places.data.display()
    )
}

fn store(_verb: &StoreVerb, _places: &Places, _config: &Config) -> Result<String, Error> {
    unreachable!("wired when storage::offline lands")
}
