//! Copies of a daemon's data: an operator who restores an old backup, or a cheater.
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::daemon::Node;

/// Copies the data of a stopped daemon to a folder beside its own.
pub fn save(node: &Node, name: &str) -> Result<PathBuf> {
    ensure!(!node.runs(), "{} still runs", node.name());
    let copy = node.dir().with_extension(name);
    copy_folder(&node.state_dir(), &copy)?;
    Ok(copy)
}

/// Puts a copy back in place of what a stopped daemon has.
pub fn restore(node: &Node, copy: &Path) -> Result<()> {
    ensure!(!node.runs(), "{} still runs", node.name());
    let state = node.state_dir();
    std::fs::remove_dir_all(&state).with_context(|| format!("removing {}", state.display()))?;
    copy_folder(copy, &state)
}

/// Copies the database alone, as an operator's nightly copy has it.
pub fn save_store(node: &Node, name: &str) -> Result<PathBuf> {
    ensure!(!node.runs(), "{} still runs", node.name());
    let copy = node.dir().with_extension(name);
    copy_folder(&database(node), &copy)?;
    Ok(copy)
}

/// Puts a copied database in place of the one that a stopped daemon has.
pub fn put_store(node: &Node, copy: &Path) -> Result<()> {
    ensure!(!node.runs(), "{} still runs", node.name());
    let database = database(node);
    std::fs::remove_dir_all(&database)
        .with_context(|| format!("removing {}", database.display()))?;
    copy_folder(copy, &database)
}

fn database(node: &Node) -> PathBuf {
    node.state_dir().join("sled")
}

/// Copies a folder with all that is in it; nobody may write to it meanwhile.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)
                .with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    Ok(())
}
