//! Paths in the configuration: `~` is the home directory, and relative paths are refused.

use std::path::{Path, PathBuf};

/// Returns a path from the root, with `~` expanded; an empty one is left to its room.
///
/// # Errors
/// What is wrong with a relative path: it would depend on the directory in which the daemon happens to be started.
pub(super) fn absolute(text: &str) -> Result<String, String> {
    let path = expanded(Path::new(text));
    if text.starts_with('~') && path == Path::new(text) {
        return Err(format!("`{text}`: only ~/ is expanded, to the home directory"));
    }
    if !text.is_empty() && path.is_relative() {
        return Err(format!("`{text}` is relative: write the whole path, from / or from ~/"));
    }
    path.into_os_string().into_string().map_err(|_| format!("`{text}` is not valid UTF-8"))
}

/// Replaces a leading `~` by the home directory.
pub(super) fn expanded(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        (Ok(_), None) | (Err(_), _) => path.to_owned(),
    }
}
