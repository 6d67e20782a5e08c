//! Finds a bitcoind, or builds one from the sources that a crate of the registry carries.
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::fs::{FlockOperation, flock};

use super::build::{self, CRATE_VERSION, beside, on_path};

/// The path of a bitcoind: `BITCOIND`, else the one on `PATH`, else the cached one, else a fresh build.
pub fn bitcoind() -> Result<&'static Path> {
    static BITCOIND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BITCOIND
        .get_or_init(|| provide().map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow!("{error}"))
}

fn provide() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("BITCOIND") {
        let given = PathBuf::from(given);
        if !given.is_file() {
            bail!("BITCOIND names {}, which is not a file", given.display());
        }
        return Ok(given);
    }
    if let Some(found) = on_path("bitcoind") {
        return Ok(found);
    }
    let cache = cache_folder()?;
    let binary = cache.join("bin/bitcoind");
    if binary.is_file() {
        return Ok(binary);
    }
    std::fs::create_dir_all(cache.parent().unwrap_or(&cache))
        .with_context(|| format!("creating {}", cache.display()))?;
    // Test binaries may start together: one builds, the others wait here and find it built.
    let lock_path = beside(&cache, "lock");
    let lock = File::create(&lock_path)
        .with_context(|| format!("creating the lock {}", lock_path.display()))?;
    flock(&lock, FlockOperation::LockExclusive).context("waiting for another build of bitcoind")?;
    if !binary.is_file() {
        build::into_cache(&cache)?;
    }
    Ok(binary)
}

/// `$FULMEN_CACHE` or `~/.cache/fulmen`, and in it a folder for this version.
fn cache_folder() -> Result<PathBuf> {
    let base = match std::env::var_os("FULMEN_CACHE") {
        Some(given) => PathBuf::from(given),
        None => match std::env::var_os("XDG_CACHE_HOME") {
            Some(cache) => PathBuf::from(cache).join("fulmen"),
            None => std::env::home_dir()
                .context("no home directory: set BITCOIND or FULMEN_CACHE")?
                .join(".cache/fulmen"),
        },
    };
    Ok(base.join(format!("bitcoind-{CRATE_VERSION}")))
}
