//! How patiently peers are reconnected.

use serde::{Deserialize, Serialize};

/// Section `[peers]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds before the first attempt to reconnect a lost peer; each later one waits longer.
    pub reconnect_min_secs: u64,
    /// Seconds between attempts at most.
    pub reconnect_max_secs: u64,
    /// Attempts under way at once.
    pub concurrent_attempts: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { reconnect_min_secs: 1, reconnect_max_secs: 3_600, concurrent_attempts: 16 }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.reconnect_min_secs == 0 {
            problems.push("peers.reconnect_min_secs: must be at least 1".to_owned());
        }
        if self.reconnect_max_secs < self.reconnect_min_secs {
            problems.push("peers.reconnect_max_secs: is below peers.reconnect_min_secs".to_owned());
        }
        if self.concurrent_attempts == 0 {
            problems.push("peers.concurrent_attempts: must be at least 1".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_names_its_option() {
        assert!(Config::default().problems().is_empty());
        let config = Config { reconnect_min_secs: 0, concurrent_attempts: 0, ..Config::default() };
        assert_eq!(config.problems().len(), 2);
        let config = Config { reconnect_min_secs: 9, reconnect_max_secs: 8, ..config };
        assert!(config.problems()[0].starts_with("peers.reconnect_max_secs:"));
    }
}
