//! Directories and files of the store are for their owner alone: channel states are secrets.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::storage::error::Error;

const DIRECTORY_MODE: u32 = 0o700;
/// The mode of files that the store creates.
pub(in crate::storage) const FILE_MODE: u32 = 0o600;

/// Creates a directory of mode 0700, or narrows the mode of an existing one.
///
/// # Errors
///
/// [`Error::Exposed`] for a directory that stays open to others.
pub(in crate::storage) fn create_directory(path: &Path) -> Result<(), Error> {
    let created = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
    created.map_err(|error| Error::io("create", path, error))?;
    narrow(path, DIRECTORY_MODE)
}

/// Narrows the modes of a directory and of the files in it, such as those that sled creates.
///
/// # Errors
///
/// [`Error::Exposed`] for a file that stays open to others.
pub(in crate::storage) fn narrow_files(directory: &Path) -> Result<(), Error> {
    let unread = |error| Error::io("read", directory, error);
    for entry in fs::read_dir(directory).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let is_directory = entry.file_type().map_err(unread)?.is_dir();
        narrow(&entry.path(), if is_directory { DIRECTORY_MODE } else { FILE_MODE })?;
    }
    Ok(())
}

fn narrow(path: &Path, mode: u32) -> Result<(), Error> {
    let found = mode_of(path)?;
    if found & 0o077 == 0 {
        return Ok(());
    }
    let exposed = |why: String| Error::Exposed { path: path.to_owned(), mode: found, why };
    let narrowed = fs::set_permissions(path, Permissions::from_mode(mode));
    narrowed.map_err(|error| exposed(error.to_string()))?;
    // Some file systems take a mode without a word and keep their own.
    if mode_of(path)? & 0o077 != 0 {
        return Err(exposed("the file system has modes of its own".to_owned()));
    }
    tracing::debug!(path = %path.display(), from = %format!("{found:o}"), "narrowed a mode");
    Ok(())
}

fn mode_of(path: &Path) -> Result<u32, Error> {
    let metadata =
        fs::metadata(path).map_err(|error| Error::io("read the mode of", path, error))?;
    Ok(metadata.permissions().mode() & 0o777)
}
