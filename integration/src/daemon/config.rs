//! Writes the `fulmen.toml` of a daemon under test.
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

/// A daemon's configuration; an option that is not set here keeps the daemon's own default.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `[section]` -> key -> value as TOML writes it.
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl Settings {
    /// Sets `key` in `[section]` to a value as TOML writes it: `"text"`, `5`, `["a", "b"]`.
    #[must_use]
    pub fn with(mut self, section: &str, key: &str, value: impl ToString) -> Self {
        self.set(section, key, value);
        self
    }

    /// [`Settings::with`] in place.
    pub fn set(&mut self, section: &str, key: &str, value: impl ToString) {
        self.sections
            .entry(section.to_owned())
            .or_default()
            .insert(key.to_owned(), value.to_string());
    }

    /// [`Settings::set`] where nothing is set yet.
    pub fn set_default(&mut self, section: &str, key: &str, value: impl ToString) {
        self.sections
            .entry(section.to_owned())
            .or_default()
            .entry(key.to_owned())
            .or_insert_with(|| value.to_string());
    }

    /// [`Settings::set`] of a text.
    pub fn set_text(&mut self, section: &str, key: &str, text: &str) {
        self.set(section, key, quoted(text));
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.to_toml()).with_context(|| format!("writing {}", path.display()))
    }

    fn to_toml(&self) -> String {
        let mut text = String::new();
        for (section, entries) in &self.sections {
            text.push_str(&format!("[{section}]\n"));
            for (key, value) in entries {
                text.push_str(&format!("{key} = {value}\n"));
            }
            text.push('\n');
        }
        text
    }
}

/// A TOML basic string.
pub fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|character| match character {
            '"' | '\\' => vec!['\\', character],
            other => vec![other],
        })
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_keys_come_out_sorted_and_texts_quoted() {
        let mut settings = Settings::default().with("node", "color", "\"ff9900\"");
        settings.set_text("node", "alias", "a \"b\" \\");
        settings.set("channels", "x", 5);
        assert_eq!(
            settings.to_toml(),
            "[channels]\nx = 5\n\n[node]\nalias = \"a \\\"b\\\" \\\\\"\ncolor = \"ff9900\"\n\n"
        );
    }
}
