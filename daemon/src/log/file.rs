//! A file that becomes the first of a row of older ones when it is full.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// `NAME`, and older ones as `NAME.1`, `NAME.2` and so on.
pub(super) struct RotatedFile {
    path: PathBuf,
    max_bytes: u64,
    files: usize,
    open: Option<(File, u64)>,
    /// The last write may have left a part of a line.
    torn: bool,
}

impl RotatedFile {
    /// `files` of at most `max_bytes`; a single longer line has a file of its own.
    pub(super) fn new(path: PathBuf, max_bytes: u64, files: usize) -> Self {
        Self { path, max_bytes, files, open: None, torn: false }
    }

    /// Adds a line; says whether the disk took it.
    pub(super) fn append(&mut self, line: &[u8]) -> bool {
        let done = self.try_append(line);
        if done.is_err() {
            // Whatever is wrong with it, the next line looks anew.
            self.torn = self.torn || self.open.is_some();
            self.open = None;
        }
        done.is_ok()
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        let (mut file, mut bytes) = match self.open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        if bytes > 0 && bytes + line.len() as u64 > self.max_bytes {
            drop(file);
            self.rotate()?;
            (file, bytes) = self.open()?;
        }
        let (file, bytes) = self.open.insert((file, bytes));
        if self.torn {
            file.write_all(b"\n")?;
            *bytes += 1;
            self.torn = false;
        }
        file.write_all(line)?;
        *bytes += line.len() as u64;
        Ok(())
    }

    fn open(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    }

    /// Each file gets the next one's name, the oldest last, which is lost.
    fn rotate(&self) -> io::Result<()> {
        for age in (0..self.files).rev() {
            let moved = match age + 1 == self.files {
                true => fs::remove_file(self.aged(age)),
                false => fs::rename(self.aged(age), self.aged(age + 1)),
            };
            match moved {
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                moved => moved?,
            }
        }
        Ok(())
    }

    fn aged(&self, age: usize) -> PathBuf {
        if age == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{age}"));
        PathBuf::from(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dir: &tempfile::TempDir, name: &str) -> Option<String> {
        fs::read_to_string(dir.path().join(name)).ok()
    }

    #[test]
    fn a_full_file_makes_room_and_the_oldest_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let new = || RotatedFile::new(dir.path().join("log"), 10, 3);
        let mut file = new();
        for line in ["11111\n", "222\n", "3333333\n", "44444\n"] {
            assert!(file.append(line.as_bytes()), "{line}");
        }
        assert_eq!(read(&dir, "log").as_deref(), Some("44444\n"));
        assert_eq!(read(&dir, "log.1").as_deref(), Some("3333333\n"));
        assert_eq!(read(&dir, "log.2").as_deref(), Some("11111\n222\n"));
        // Another run goes on in the same file, and a line longer than a file has one for itself.
        file = new();
        assert!(file.append(b"55\n"));
        assert!(file.append(b"a line of more than ten bytes\n"));
        assert_eq!(read(&dir, "log").as_deref(), Some("a line of more than ten bytes\n"));
        assert_eq!(read(&dir, "log.1").as_deref(), Some("44444\n55\n"));
        assert_eq!(read(&dir, "log.2").as_deref(), Some("3333333\n"));
        assert_eq!(read(&dir, "log.3"), None);
    }

    #[test]
    fn one_file_begins_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = RotatedFile::new(dir.path().join("log"), 10, 1);
        assert!(file.append(b"11111\n") && file.append(b"22222\n"));
        assert_eq!(read(&dir, "log").as_deref(), Some("22222\n"));
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1);
    }

    #[test]
    fn a_line_after_a_torn_one_begins_on_a_line_of_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = RotatedFile::new(dir.path().join("log"), 100, 2);
        assert!(file.append(b"11111\n"));
        // A full disk, which takes the first bytes of a line only.
        file.torn = true;
        assert!(file.append(b"22222\n"));
        assert_eq!(read(&dir, "log").as_deref(), Some("11111\n\n22222\n"));
    }
}
