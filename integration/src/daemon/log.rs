//! Reads a daemon's log for what must never be in it.
use std::path::Path;

use anyhow::{Context as _, Result};

/// The lines that report a panic or an ERROR, but for those that hold one of `allowed`.
pub fn problems(log: &Path, allowed: &[String]) -> Result<Vec<String>> {
    let bytes = std::fs::read(log).with_context(|| format!("reading {}", log.display()))?;
    Ok(problems_in(&String::from_utf8_lossy(&bytes), allowed))
}

fn problems_in(text: &str, allowed: &[String]) -> Vec<String> {
    text.lines()
        .filter(|line| is_problem(line))
        .filter(|line| !allowed.iter().any(|phrase| line.contains(phrase.as_str())))
        .map(str::to_owned)
        .collect()
}

/// The level stands among the first words of a line; later in it, it may be a peer's words.
fn is_problem(line: &str) -> bool {
    line.contains("panicked at")
        || line.split_whitespace().take(3).any(|word| without_colour(word) == "ERROR")
}

/// A word without the escape sequences that terminals take as colours.
fn without_colour(word: &str) -> &str {
    let word = word.strip_suffix("\u{1b}[0m").unwrap_or(word);
    word.rsplit_once('m').filter(|(code, _)| code.contains('\u{1b}')).map_or(word, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_panics_are_found_and_allowed_ones_forgiven() {
        let text = "2026-01-01T00:00:00Z  INFO fulmend: up\n\
                    2026-01-01T00:00:00Z ERROR chain: bitcoind is gone\n\
                    2026-01-01T00:00:00Z  WARN peers: they said ERROR\n\
                    \u{1b}[2m2026\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m storage: full\n\
                    thread 'main' panicked at daemon/src/main.rs:1:1:";
        assert_eq!(problems_in(text, &[]).len(), 3);
        assert_eq!(problems_in(text, &["bitcoind is gone".to_owned()]).len(), 2);
    }
}
