//! Writes that fail under a daemon, on demand, through a preloaded library.
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::preload;
use crate::daemon::Node;
use crate::network::Network;

/// How writes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// As of a dying disk.
    Eio,
    /// As of a full one.
    Enospc,
    /// They succeed, but each flush takes a second more.
    Slow,
}

/// Fails a daemon's writes under one directory, on demand.
#[derive(Debug)]
pub struct Faults {
    switch: PathBuf,
}

impl Faults {
    /// Prepares a daemon, which must be started after it; `scratch` is a folder for our own files.
    pub fn under(node: &mut Node, directory: &Path, scratch: &Path) -> Result<Self> {
        let library = preload::library(scratch, "faults", include_str!("faults.c"))?;
        // The daemon's descriptors lead to the real place, whatever links the path has.
        std::fs::create_dir_all(directory)?;
        let under = directory.canonicalize()?;
        let switch = scratch.join("fault");
        let text = |path: &Path| path.display().to_string();
        node.set_environment(vec![
            ("LD_PRELOAD".to_owned(), text(&library)),
            ("FULMEN_FAULT_UNDER".to_owned(), text(&under)),
            ("FULMEN_FAULT_SWITCH".to_owned(), text(&switch)),
        ]);
        Ok(Self { switch })
    }

    /// Starts a daemon of a network anew, on a disk that can fail.
    pub async fn restart(network: &mut Network, node: usize) -> Result<Self> {
        let scratch = network.folder("faults")?;
        let node = &mut network.nodes[node];
        node.stop().await?;
        let state = node.state_dir();
        let faults = Self::under(node, &state, &scratch)?;
        node.launch().await?;
        network.wait_usable().await?;
        Ok(faults)
    }

    /// From now on writes fail.
    pub fn begin(&self, fault: Fault) -> Result<()> {
        let word = match fault {
            Fault::Eio => "EIO",
            Fault::Enospc => "ENOSPC",
            Fault::Slow => "SLOW",
        };
        // In one step: the daemon must not read half of it.
        let draft = self.switch.with_extension("draft");
        std::fs::write(&draft, word)?;
        Ok(std::fs::rename(draft, &self.switch)?)
    }

    /// From now on they succeed again.
    pub fn end(&self) -> Result<()> {
        std::fs::remove_file(&self.switch).context("ending a fault")
    }
}
