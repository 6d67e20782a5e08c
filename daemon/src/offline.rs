//! What `fulmend` does besides running: make the seed, show a sample configuration, care for the store.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::args::{Command, StoreVerb};
use crate::config::{Config, Places};
use crate::node::decode;
use crate::storage::{self, CheckReport, StatsReport};
use crate::wallet::{Birthday, Seed, SeedError};

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The seed could not be made or restored.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// A seed cannot have been made tomorrow.
    #[error("--birthday: this day is still to come")]
    Unborn,
    /// Something else on the disk.
    #[error("could not {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The store could not be worked on.
    #[error(transparent)]
    Store(#[from] storage::Error),
    /// The store can be read, but what is in it does not hold.
    #[error("{0}")]
    Unsound(String),
}

/// Where the seed is.
pub fn seed_file(places: &Places) -> PathBuf {
    places.data.join("seed")
}

/// Carries out `command` and returns what to print.
///
/// # Errors
/// See [`Error`]; nothing has been overwritten then.
pub fn run(command: &Command, places: &Places, _config: &Config) -> Result<String, Error> {
    match command {
        Command::Create { restore, birthday, json } => {
            let seed = seed_file(places);
            make_private(places)?;
            let words = match restore {
                true => restore_seed(&seed, *birthday)?,
                false => make_seed(&seed)?,
            };
            Ok(told(&words, *restore, *json, places))
        }
        Command::SampleConfig => Ok(include_str!("../fulmen.sample.toml").to_owned()),
        Command::Store { verb } => store(verb, places),
    }
}

fn make_seed(path: &Path) -> Result<Seed, Error> {
    let seed = Seed::create(path)?;
    // Lost at a crash, it costs only a longer search for money that is not there.
    Birthday::New.store(path)?;
    Ok(seed)
}

/// The same words again may tell another birthday.
fn restore_seed(path: &Path, birthday: Option<Birthday>) -> Result<Seed, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if birthday.is_some_and(|birthday| birthday.is_after(now)) {
        return Err(Error::Unborn);
    }
    let words = std::io::read_to_string(std::io::stdin()).map_err(|source| Error::Io {
        doing: "read 24 words from standard input".into(),
        source,
    })?;
    let seed = Seed::parse(&words)?;
    let is_there = birthday.is_some()
        && path.exists()
        && Seed::load(path).is_ok_and(|stored| stored.words() == seed.words());
    if !is_there {
        // Before the seed: what is said of another one must never be taken for this one's.
        if path.exists() {
            return Err(SeedError::Exists(path.to_owned()).into());
        }
        Birthday::forget(path)?;
    }
    if let Some(birthday) = birthday {
        birthday.store(path)?;
    }
    match is_there {
        true => Ok(seed),
        false => Ok(Seed::restore(path, &words)?),
    }
}

fn told(seed: &Seed, restored: bool, json: bool, places: &Places) -> String {
    let words = seed.words();
    match (json, restored) {
        (true, _) => format!("{}\n", serde_json::json!({ "mnemonic": words.join(" ") })),
        (false, true) => format!("The seed is restored in {}.\n", places.data.display()),
        (false, false) => sheet(&words, places),
    }
}

/// The directory is for its owner alone: it holds the seed and the macaroons.
fn make_private(places: &Places) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&places.data)
        .map_err(|source| Error::Io { doing: format!("make {}", places.data.display()), source })
}

/// The words in four columns, and what to do with them.
fn sheet(words: &[&str], places: &Places) -> String {
    let rows = words.len().div_ceil(4);
    let mut text = String::from(
        "Write down these 24 words. They are shown only now, and whoever has them has the money.\n\n",
    );
    for row in 0..rows {
        for index in (row..words.len()).step_by(rows) {
            text += &format!("  {:2}. {:10}", index + 1, words[index]);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text + &format!(
        "\nThe seed is stored in {}. Start the node with `fulmend`.\n",
        places.data.display()
    )
}

fn store(verb: &StoreVerb, places: &Places) -> Result<String, Error> {
    let data = &places.data;
    match verb {
        StoreVerb::Check => {
            let report = storage::offline::check(data, &decode::stored)?;
            match report.is_sound() {
                true => Ok(checked(&report)),
                false => Err(Error::Unsound(checked(&report))),
            }
        }
        StoreVerb::Stats => Ok(measured(&storage::offline::stats(data)?)),
        StoreVerb::Compact => {
            let report = storage::offline::compact(data)?;
            Ok(format!(
                "{} bytes on disk before, {} now\n",
                report.before_bytes, report.after_bytes
            ))
        }
        StoreVerb::Export { to } => {
            let report = storage::offline::export(data, to)?;
            Ok(format!(
                "{} writes, {} bytes up to commit {} are in {}\n",
                report.writes,
                report.bytes,
                report.commit,
                to.display()
            ))
        }
        StoreVerb::Import { from } if from.is_dir() => {
            let commit = storage::offline::restore(from, data)?;
            Ok(format!("the mirror is restored up to commit {commit}\n"))
        }
        StoreVerb::Import { from } => {
            let report = storage::offline::import(from, data)?;
            Ok(format!("{} writes are imported, up to commit {}\n", report.writes, report.commit))
        }
    }
}

fn checked(report: &CheckReport) -> String {
    let mut text = format!(
        "{} rows, {} bytes read; {} of LDK's values decoded\n",
        report.rows, report.bytes, report.decoded
    );
    for problem in &report.problems {
        text += &format!("{problem}\n");
    }
    match report.is_sound() {
        true => text + "the store is sound\n",
        false => text + &format!("{} things do not hold", report.problem_count),
    }
}

fn measured(report: &StatsReport) -> String {
    let mut text = format!("{:40} {:>10} {:>14}\n", "table", "rows", "bytes");
    for table in &report.tables {
        text += &format!("{:40} {:>10} {:>14}\n", table.name, table.rows, table.bytes);
    }
    text += "\nlargest values\n";
    for (name, bytes) in &report.largest {
        text += &format!("{name:51} {bytes:>14}\n");
    }
    text + &format!(
        "\n{} bytes live, {} on disk; {} commits; schema {}\n",
        report.live_bytes, report.disk_bytes, report.commits, report.schema
    )
}
