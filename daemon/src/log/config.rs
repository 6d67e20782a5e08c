//! Section `[log]`: what is logged, how, and where to.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What to log, as in `info` or `info,ldk=debug`.
    pub filter: String,
    /// For people (`text`) or for machines (`json`).
    pub format: Format,
    /// Whether to log to standard error.
    pub stderr: bool,
    /// How many files to keep in the data directory: `fulmend.log` and the older `fulmend.log.1` and so
    /// on; 0 for none.
    pub files: usize,
    /// Bytes after which a new file is begun.
    pub file_bytes: u64,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: Format::Text,
            stderr: true,
            files: 10,
            file_bytes: 20_000_000,
        }
    }
}

impl Config {
    /// Returns everything that is wrong with these options, each in one line.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = EnvFilter::try_new(&self.filter) {
            problems.push(format!("filter: {error}"));
        }
        if !self.stderr && self.files == 0 {
            problems.push("stderr, files: nothing would be logged anywhere".to_owned());
        }
        if self.files > 1_000 {
            problems.push("files: must be between 0 and 1000".to_owned());
        }
        if self.file_bytes < 10_000 {
            problems.push("file_bytes: must be at least 10000".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_every_problem_is_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            filter: "info,[".to_owned(),
            stderr: false,
            files: 0,
            file_bytes: 9_999,
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 3);
        let many = Config { files: 1_001, ..Config::default() };
        assert_eq!(many.problems(), ["files: must be between 0 and 1000"]);
    }
}
