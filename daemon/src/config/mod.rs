//! Every room's configuration, read from file, environment and flags; all problems are reported at once.

pub mod args;
mod layers;
#[cfg(test)]
mod properties;
mod sections;

use std::fmt;
use std::path::PathBuf;

use bitcoin::Network;

pub use args::Args;
pub use sections::Config;

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
    let base = args.base_dir();
    let file = args.config.clone().unwrap_or_else(|| base.join("fulmen.toml"));
    let mut table = layers::file(&file, args.config.is_some(), &mut problems);
    layers::environment(&mut table, environment, &mut problems);
    layers::flags(&mut table, args, &mut problems);
    let config = sections::read(table, &mut problems);
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
