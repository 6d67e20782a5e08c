//! The layers that a configuration is made of, each laid over the one before.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use toml::{Table, Value};

use super::Args;

/// Options by section, as the layers so far have set them.
#[derive(Debug, Default)]
pub(super) struct Layered {
    /// The values.
    pub(super) table: Table,
    /// The options whose values are texts that nobody has read as TOML yet.
    pub(super) texts: BTreeSet<(String, String)>,
}

/// The names of all sections.
const SECTIONS: [&str; 15] = [
    "log",
    "node",
    "seed",
    "grpc",
    "lnd",
    "metrics",
    "bitcoind",
    "feerates",
    "channels",
    "acceptance",
    "peers",
    "payments",
    "invoices",
    "storage",
    "backup",
];

/// Variables that `fulmend`'s flags read themselves.
const FLAGS: [&str; 2] = ["FULMEN_DIR", "FULMEN_NETWORK"];

/// Reads the file; a missing one is empty unless it was asked for.
pub(super) fn file(path: &Path, asked_for: bool, problems: &mut Vec<String>) -> Table {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && !asked_for => return Table::new(),
        Err(error) => {
            problems.push(format!("could not read {}: {error}", path.display()));
            return Table::new();
        }
    };
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        // Without the line itself, which may hold a password.
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        problems.push(format!("{}, line {line}: {}", path.display(), error.message().trim_end()));
        Table::new()
    })
}

/// Lays `FULMEN_SECTION_OPTION` over the table. Other programs' variables that begin with FULMEN and
/// name no section are left alone: the CLI has some.
pub(super) fn environment(
    layered: &mut Layered,
    variables: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<String>,
) {
    for (name, value) in variables.filter(|(name, _)| !FLAGS.contains(&name.as_str())) {
        let Some(rest) = name.strip_prefix("FULMEN_").map(str::to_ascii_lowercase) else {
            continue;
        };
        if let Some((section, option)) = SECTIONS.iter().find_map(|section| {
            let option = rest.strip_prefix(section)?.strip_prefix('_')?;
            Some((*section, option))
        }) {
            lay(layered, section, option, &value, problems);
        }
    }
}

/// Lays the flags over the table.
pub(super) fn flags(layered: &mut Layered, args: &Args, problems: &mut Vec<String>) {
    if let Some(network) = &args.network {
        layered.table.insert("network".to_owned(), Value::String(network.clone()));
    }
    for set in &args.set {
        let parts = set.split_once('=').and_then(|(name, value)| {
            let (section, option) = name.split_once('.')?;
            Some((section.trim(), option.trim(), value.trim()))
        });
        match parts {
            Some((section, option, value)) => lay(layered, section, option, value, problems),
            None => {
                let name = set.split(|c: char| !c.is_alphanumeric() && c != '.' && c != '_').next();
                let name = name.unwrap_or_default();
                problems.push(format!("--set {name}: not of the form section.option=value"));
            }
        }
    }
}

fn lay(
    Layered { table, texts }: &mut Layered,
    section: &str,
    option: &str,
    value: &str,
    problems: &mut Vec<String>,
) {
    let entry = table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
    match entry {
        Value::Table(options) => {
            options.insert(option.to_owned(), Value::String(value.to_owned()));
            texts.insert((section.to_owned(), option.to_owned()));
        }
        _ => problems.push(format!("{section}: is a section, not an option")),
    }
}

/// The readings of a text from the environment or a flag, the likeliest first.
///
/// An option that is a text takes it as it stands, digits and brackets included. Quotes around all of it go, unless the
/// option is one in which a quote may stand (`is_free`). Any other option takes it as TOML writes its value.
pub(super) fn readings(text: &str, is_free: bool) -> Vec<Value> {
    let as_toml: Result<Table, _> = format!("value = {text}").parse();
    let literal = Value::String(text.to_owned());
    match as_toml.ok().and_then(|mut table| table.remove("value")) {
        Some(quoted @ Value::String(_)) if !is_free => vec![quoted, literal],
        Some(value) => vec![literal, value],
        None => vec![literal],
    }
}
