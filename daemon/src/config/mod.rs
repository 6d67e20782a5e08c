//! Every room's configuration, read from file, environment and flags; all problems are reported at once.

pub mod args;
mod layers;
mod paths;
#[cfg(test)]
mod properties;
mod sections;

use std::fmt;
use std::path::PathBuf;

use bitcoin::Network;

pub use args::Args;
pub use sections::Config;

use layers::Layered;

/// Everything that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(formatter, "the configuration has a problem: {one}"),
            many => {
                write!(formatter, "the configuration has {} problems:", many.len())?;
                many.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

/// Where this daemon keeps its things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `~/.fulmen` unless told otherwise.
    pub base: PathBuf,
    /// The base's folder of this network.
    pub data: PathBuf,
}

/// The names of all networks.
pub const NETWORKS: [&str; 5] = ["bitcoin", "testnet", "testnet4", "signet", "regtest"];

impl Places {
    /// The name of the network, which is that of its folder.
    pub fn network(&self) -> &str {
        self.data.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

/// The base directory where none is given.
pub fn default_base() -> PathBuf {
    Args::default().base_dir()
}

/// Reads the configuration that `args` and the environment point to.
///
/// Later layers win: built-in defaults, `fulmen.toml`, environment (`FULMEN_NODE_ALIAS`), flags
/// (`--set node.alias=...`).
///
/// # Errors
/// All problems of all layers together.
pub fn load(
    args: &Args,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(Places, Config), Problems> {
    let mut problems = Vec::new();
    let base = paths::expanded(&args.base_dir());
    let file = args.config.as_deref().map(paths::expanded);
    let file = file.unwrap_or_else(|| base.join("fulmen.toml"));
    let table = layers::file(&file, args.config.is_some(), &mut problems);
    let mut layered = Layered { table, ..Layered::default() };
    layers::environment(&mut layered, environment, &mut problems);
    layers::flags(&mut layered, args, &mut problems);
    let config = sections::read(layered, &mut problems);
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let data = base.join(network_name(config.network));
    Ok((Places { base, data }, config))
}

/// The name of a network, which is also the name of its folder.
pub fn network_name(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "bitcoin",
        Network::Testnet => "testnet",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(
        file: &str,
        environment: &[(&str, &str)],
        set: &[&str],
    ) -> Result<Config, Problems> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("fulmen.toml"), file).expect("written");
        let args = Args {
            dir: Some(dir.path().to_owned()),
            set: set.iter().map(|set| (*set).to_owned()).collect(),
            ..Args::default()
        };
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(&args, environment).map(|(_, config)| config)
    }

    #[test]
    fn file_yields_to_environment_yields_to_flags() {
        let file = "network = \"regtest\"\n[node]\nalias = \"file\"\ncolor = \"#000001\"\n";
        let env = [("FULMEN_NODE_ALIAS", "env"), ("FULMEN_NODE_COLOR", "#000002")];
        let config = load_text(file, &env, &["node.alias=flag"]).expect("no problems");
        assert_eq!(config.network, Network::Regtest);
        assert_eq!(config.node.alias, "flag");
        assert_eq!(config.node.color, "#000002");
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let file =
            "network = \"moon\"\nwhat = 1\n[node]\nalias = 5\ncolour = \"x\"\ncolor = \"x\"\n";
        let Problems(problems) = load_text(file, &[], &["node.listen=nowhere"]).unwrap_err();
        for name in ["network", "what", "node.alias", "node.colour", "node.color", "node.listen"] {
            assert!(problems.iter().any(|problem| problem.contains(name)), "{name}: {problems:?}");
        }
    }

    #[test]
    fn a_text_option_takes_any_text_and_others_what_toml_takes() {
        let password =
            |config: &Config| config.bitcoind.rpc_password.clone().map(|secret| secret.0);
        for text in
            ["12345678", "true", "[x]", "1e9", "0x10", "a=b", "'", "2026-01-31", "\"abc\"", "'x'"]
        {
            let env = [
                ("FULMEN_BITCOIND_RPC_PASSWORD", text),
                ("FULMEN_BITCOIND_RPC_USER", "7"),
                ("FULMEN_NODE_ALIAS", text),
            ];
            let config = load_text("", &env, &[]).expect(text);
            assert_eq!(config.node.alias, text);
            assert_eq!(password(&config), Some(text.to_owned()));
            let set = format!("node.alias={text}");
            assert_eq!(load_text("", &[], &[&set]).expect(text).node.alias, text);
        }
        let sets = [
            "bitcoind.rpc_address=\"127.0.0.1:2\"",
            "node.listen=[\"127.0.0.1:1\"]",
            "channels.confirmations=3",
        ];
        let config = load_text("", &[], &sets).expect("no problems");
        assert_eq!(config.bitcoind.rpc_address, "127.0.0.1:2");
        assert_eq!(config.channels.confirmations, 3);
        assert_eq!(config.node.listen.len(), 1);
    }

    #[test]
    fn a_secret_is_never_printed() {
        for (file, set) in [
            ("[bitcoind]\nrpc_password = 31337\nrpc_user = 7\n", "node.alias=x"),
            ("[bitcoind]\nrpc_password = hush31337\n", "node.alias=x"),
            ("", "bitcoind.rpc_password:31337"),
        ] {
            let problems = load_text(file, &[], &[set]).expect_err("wrong").to_string();
            assert!(!problems.contains("31337"), "{problems}");
        }
    }

    #[test]
    fn a_tilde_is_the_home_and_a_relative_path_is_refused() {
        let home = std::env::home_dir().expect("a home").join("c");
        let file = "[bitcoind]\nrpc_cookie_file = \"~/c\"\n";
        let config = load_text(file, &[], &[]).expect("fine");
        assert_eq!(config.bitcoind.rpc_cookie_file, Some(home.clone()));
        let config = load_text("", &[], &["storage.mirror=~/c"]).expect("fine");
        assert_eq!(config.storage.mirror, Some(home));
        for wrong in
            ["storage.mirror=mirror", "seed.passphrase_file=./p", "bitcoind.rpc_cookie_file=~bob/c"]
        {
            let Problems(problems) = load_text("", &[], &[wrong]).expect_err(wrong);
            let (name, _) = wrong.split_once('=').expect("a pair");
            assert!(problems.len() == 1 && problems[0].starts_with(name), "{problems:?}");
        }
    }

    #[test]
    fn the_sample_equals_the_defaults() {
        let sample = include_str!("../../fulmen.sample.toml");
        assert_eq!(load_text(sample, &[], &[]), Ok(Config::default()));
        let table: toml::Table = sample.parse().expect("toml");
        let defaults = toml::Table::try_from(Config::default()).expect("serialises");
        for (section, options) in
            defaults.iter().filter_map(|(name, value)| Some((name, value.as_table()?)))
        {
            for option in options.keys() {
                let said = table.get(section).and_then(|section| section.get(option)).is_some()
                    || sample.contains(&format!("# {option} ="));
                assert!(said, "the sample does not tell of {section}.{option}");
            }
        }
    }
}
