//! Libraries in C that are preloaded into a daemon, compiled where they are needed.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Compiles a library from its source, in a folder for such files.
pub(super) fn library(folder: &Path, name: &str, source: &str) -> Result<PathBuf> {
    let (file, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    std::fs::write(&file, source).with_context(|| format!("writing {}", file.display()))?;
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&file)
        .arg("-ldl")
        .output()
        .context("running cc")?;
    if !output.status.success() {
        bail!("compiling {name}.c: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(library)
}
