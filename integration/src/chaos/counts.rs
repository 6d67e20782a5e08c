//! What a daemon asks of its disk, counted by system call through a preloaded library.
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::preload;
use crate::daemon::Node;

/// Numbers in the file that the library maps: flushes, bytes, writes.
const NUMBERS: usize = 3;

/// The counters of one daemon; they go on over its restarts.
#[derive(Debug)]
pub struct Counts {
    file: File,
}

/// What the counters showed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// `fsync`, `fdatasync` and `sync_file_range`.
    pub flushes: u64,
    /// Bytes written to regular files.
    pub bytes: u64,
}

impl Counts {
    /// Prepares a daemon, which must be started after it; `scratch` is a folder for our own files.
    pub fn of(node: &mut Node, scratch: &Path) -> Result<Self> {
        let library = preload::library(scratch, "counts", include_str!("counts.c"))?;
        let path = scratch.join(format!("{}.counts", node.name()));
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("creating {}", path.display()))?;
        file.set_len(u64::try_from(NUMBERS * size_of::<u64>())?)?;
        node.set_environment(vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("FULMEN_COUNTS".to_owned(), path.display().to_string()),
        ]);
        Ok(Self { file })
    }

    /// Reads them.
    pub fn read(&self) -> Result<Counted> {
        let mut bytes = [0; NUMBERS * size_of::<u64>()];
        self.file.read_exact_at(&mut bytes, 0).context("reading a daemon's counters")?;
        let number = |place: usize| {
            let at = place * size_of::<u64>();
            u64::from_ne_bytes(bytes[at..at + size_of::<u64>()].try_into().expect("eight bytes"))
        };
        Ok(Counted { flushes: number(0), bytes: number(1) })
    }
}
