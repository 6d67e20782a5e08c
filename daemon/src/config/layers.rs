//! The layers that a configuration is made of, each laid over the one before.

use std::io::ErrorKind;
use std::path::Path;

use toml::{Table, Value};

use super::Args;
use super::sections::SECTIONS;

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
        problems.push(format!("{}: {}", path.display(), error.to_string().trim_end()));
        Table::new()
    })
}

/// Lays `FULMEN_SECTION_OPTION` over the table. Other programs' variables that begin with FULMEN and
/// name no section are left alone: the CLI has some.
pub(super) fn environment(
    table: &mut Table,
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
            lay(table, section, option, &value, problems);
        }
    }
}

/// Lays the flags over the table.
pub(super) fn flags(table: &mut Table, args: &Args, problems: &mut Vec<String>) {
    if let Some(network) = &args.network {
        table.insert("network".to_owned(), Value::String(network.clone()));
    }
    for set in &args.set {
        let parts = set.split_once('=').and_then(|(name, value)| {
            let (section, option) = name.split_once('.')?;
            Some((section.trim(), option.trim(), value.trim()))
        });
        match parts {
            Some((section, option, value)) => lay(table, section, option, value, problems),
            None => problems.push(format!("--set {set}: not of the form section.option=value")),
        }
    }
}

fn lay(table: &mut Table, section: &str, option: &str, value: &str, problems: &mut Vec<String>) {
    let entry = table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
    match entry {
        Value::Table(options) => {
            options.insert(option.to_owned(), typed(value));
        }
        _ => problems.push(format!("{section}: is a section, not an option")),
    }
}

/// A number, a boolean or a list where the text is one, else a string.
fn typed(text: &str) -> Value {
    let as_toml: Result<Table, _> = format!("value = {text}").parse();
    as_toml
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}
