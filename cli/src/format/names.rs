//! Names of nodes as they announce them: anybody may choose any name, so that an id stands beside it.
use std::collections::HashMap;

use super::human;

/// Aliases by node id, fit to be printed.
#[derive(Debug, Default)]
pub struct Names(HashMap<Vec<u8>, String>);

impl Names {
    /// Adds a node's name; one that shows nothing is none.
    pub fn insert(&mut self, node_id: Vec<u8>, alias: &str) {
        let alias = human::one_line(alias).trim().to_owned();
        if !alias.is_empty() {
            self.0.insert(node_id, alias);
        }
    }

    /// A node's name.
    pub fn alias(&self, node_id: &[u8]) -> Option<&str> {
        self.0.get(node_id).map(String::as_str)
    }

    /// The name of one node, for tests.
    #[cfg(test)]
    pub fn of(node_id: Vec<u8>, alias: &str) -> Self {
        let mut names = Self::default();
        names.insert(node_id, alias);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_show_nothing_or_move_the_cursor_do_no_harm() {
        for (alias, shown) in [
            ("alice", Some("alice")),
            ("\u{200b}\u{202e}  ", None),
            ("", None),
            ("a\u{1b}[2Jb", Some("a [2Jb")),
            ("ec\u{202e}ila", Some("ecila")),
        ] {
            assert_eq!(Names::of(vec![2; 33], alias).alias(&[2; 33]), shown, "{alias:?}");
        }
    }
}
