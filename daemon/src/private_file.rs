//! Secrets as files: complete or absent, durable, and readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes a file of mode 0600; after a crash it has the old content or the new one, never a part.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads a file that may not exist yet.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Logs a warning if a secret that the operator keeps in a file is readable by others; `what` begins the sentence.
pub fn warn_if_others_can_read(path: &Path, what: &str) {
    let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "{what} can be read by others: chmod 600 it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_owners_and_may_be_replaced() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("secret.key");
        assert_eq!(read(&path).expect("readable"), None);
        fs::write(path.with_extension("new"), b"left by a crash").expect("writable");
        write(&path, b"one").expect("writable");
        write(&path, b"two").expect("writable");
        assert_eq!(read(&path).expect("readable").as_deref(), Some(&b"two"[..]));
        let mode = fs::metadata(&path).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!path.with_extension("new").exists());
    }
}
