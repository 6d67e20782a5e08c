//! What `fulmend` does besides running: make the seed and guard it, show a sample configuration, care for the store.

mod recover;

use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::config::args::{Command, SeedVerb, StoreVerb};
use crate::config::{self, Config, Places};
use crate::node::ldk::decode;
use crate::storage::{self, CheckReport, StatsReport};
use crate::wallet::{self, Birthday, Passphrase, Seed, SeedError, SeedFile};

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
    /// The operator has not agreed to what cannot be undone; the text says what.
    #[error("nothing was changed: --yes, or `yes` on a terminal, is needed to go on\n{0}")]
    NotAgreed(&'static str),
    /// The store can be read, but what is in it does not hold.
    #[error("{0}")]
    Unsound(String),
}

/// The command that starts the daemon of this directory and network.
fn start_command(places: &Places) -> String {
    let mut command = "fulmend".to_owned();
    if places.base != config::default_base() {
        command += &format!(" --dir {}", places.base.display());
    }
    match places.network() {
        "bitcoin" => command,
        network => command + &format!(" --network {network}"),
    }
}

/// Says which networks have a seed, if this one has none.
///
/// # Errors
/// [`SeedError::OtherNetworks`]; nothing if no network has one.
pub fn check_seed_of(places: &Places) -> Result<(), SeedError> {
    let path = places.data.join("seed");
    if path.exists() {
        return Ok(());
    }
    let others: Vec<&str> = config::NETWORKS
        .into_iter()
        .filter(|network| places.base.join(network).join("seed").exists())
        .collect();
    match others.as_slice() {
        [] => Ok(()),
        others => Err(SeedError::OtherNetworks {
            network: places.network().to_owned(),
            others: others.join(" and "),
            first: others[0].to_owned(),
        }),
    }
}

/// Where the seed is.
pub fn seed_file(places: &Places) -> SeedFile {
    SeedFile::new(places.data.join("seed"))
}

/// Carries out `command` and returns what to print.
///
/// # Errors
/// See [`Error`]; nothing has been overwritten then.
pub fn run(command: &Command, places: &Places, config: &Config) -> Result<String, Error> {
    match command {
        Command::Create { restore, birthday, encrypt, json } => {
            let file = seed_file(places);
            if !*restore && file.path().exists() {
                return Err(SeedError::Exists(file.path().to_owned()).into());
            }
            let passphrase = || encrypt.then(|| config.seed.new_passphrase()).transpose();
            let words = match restore {
                true => restore_seed(&file, *birthday, &passphrase, places, &config.seed)?,
                false => make_seed(&file, &passphrase, places)?,
            };
            Ok(told(&words, *restore, *json, places))
        }
        Command::Seed { verb } => reform_seed(*verb, &seed_file(places), &config.seed),
        Command::SampleConfig => Ok(include_str!("../../fulmen.sample.toml").to_owned()),
        Command::Store { verb } => store(verb, places),
        Command::Recover { stale: _, yes } => recover::stale(places, config, *yes),
    }
}

/// Asks, once all else is known, for the passphrase that a seed is to be encrypted under.
type Ask<'a> = &'a dyn Fn() -> Result<Option<Passphrase>, SeedError>;

fn make_seed(file: &SeedFile, passphrase: Ask<'_>, places: &Places) -> Result<Seed, Error> {
    let passphrase = passphrase()?;
    let seed = Seed::generate()?;
    make_private(places)?;
    file.store(&seed, passphrase.as_ref())?;
    // Lost at a crash, it costs only a longer search for money that is not there.
    Birthday::New.store(file.path())?;
    Ok(seed)
}

/// The same words again may tell another birthday.
fn restore_seed(
    file: &SeedFile,
    birthday: Option<Birthday>,
    passphrase: Ask<'_>,
    places: &Places,
    config: &wallet::Config,
) -> Result<Seed, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if birthday.is_some_and(|birthday| birthday.is_after(now)) {
        return Err(Error::Unborn);
    }
    let words = std::io::read_to_string(std::io::stdin()).map_err(|source| Error::Io {
        doing: "read 24 words from standard input".into(),
        source,
    })?;
    let seed = Seed::parse(&Zeroizing::new(words))?;
    let path = file.path();
    if path.exists() {
        let Some(birthday) = birthday else { return Err(SeedError::Exists(path.into()).into()) };
        let stored = file.load(|path| config.passphrase(path));
        if stored.map_or(true, |stored| stored.words() != seed.words()) {
            return Err(SeedError::Exists(path.into()).into());
        }
        birthday.store(path)?;
        return Ok(seed);
    }
    let passphrase = passphrase()?;
    make_private(places)?;
    // Before the seed: the birthday of another one must never be taken for this one's.
    Birthday::forget(path)?;
    if let Some(birthday) = birthday {
        birthday.store(path)?;
    }
    file.store(&seed, passphrase.as_ref())?;
    Ok(seed)
}

/// Encrypts a seed, or decrypts it.
fn reform_seed(verb: SeedVerb, file: &SeedFile, config: &wallet::Config) -> Result<String, Error> {
    let path = file.path().display();
    match verb {
        SeedVerb::Encrypt => {
            file.encrypt(|| config.new_passphrase())?;
            Ok(format!(
                "The seed in {path} is encrypted. Copies of the file as it was, in backups for instance, are not.\n"
            ))
        }
        SeedVerb::Decrypt => {
            file.decrypt(|path| config.passphrase(path))?;
            Ok(format!("The seed in {path} is in the clear: anyone who reads it has the money.\n"))
        }
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
        "Write down these 24 words. They are shown only now, and anyone who has them has the money.\n\n",
    );
    for row in 0..rows {
        for index in (row..words.len()).step_by(rows) {
            text += &format!("  {:2}. {:10}", index + 1, words[index]);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text + &format!(
        "\nThe seed is stored in {}. Start the node with `{}`.\n",
        places.data.display(),
        start_command(places),
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
        false => text + &format!("the store has {} problems", report.problem_count),
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
