//! A scenario's directory: gone when all went well, kept when not.
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// A directory under the system's temporary one.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
}

impl Scratch {
    /// Makes `fulmen-NAME-XXXXXX`.
    pub fn new(name: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("fulmen-{name}-"))
            .tempdir()
            .context("making a scratch directory")?;
        Ok(Self { dir })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A new folder inside.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(path)
    }

    /// Keeps the directory when this value is dropped, unless the program aborts before.
    pub fn keep(&mut self) {
        self.dir.disable_cleanup(true);
    }
}
