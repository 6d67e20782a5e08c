//! Builds bitcoind from the registry: its sources by cargo, its tools by apt, the work by ninja.
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The crate that carries Bitcoin Core's sources.
const CRATE: &str = "libbitcoinkernel-sys";
/// Its version; the cache is per version.
pub(super) const CRATE_VERSION: &str = "0.4.1";

/// What Debian and Ubuntu call the tools and libraries that the build needs beside a C++ compiler.
const PACKAGES: &[&str] =
    &["g++", "cmake", "ninja-build", "libboost-dev", "libevent-dev", "pkgconf"];
/// A daemon for regtest: no wallet, no GUI, no tests, no second programs.
const CMAKE_OPTIONS: &[&str] = &[
    "-DENABLE_WALLET=OFF",
    "-DENABLE_IPC=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_BITCOIN_BIN=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
    "-DINSTALL_MAN=OFF",
    "-DWITH_EMBEDDED_ASMAP=OFF",
    "-DCMAKE_BUILD_TYPE=Release",
];

/// Leaves `bin/bitcoind` and `bin/bitcoin-cli` in `cache`, which appears whole or not at all.
pub(super) fn into_cache(cache: &Path) -> Result<()> {
    say(
        "bitcoind: none found; building it once from the registry (about ten minutes on two cores)",
    );
    let work = beside(cache, "build");
    std::fs::create_dir_all(&work).with_context(|| format!("creating {}", work.display()))?;
    let sources = sources(&work)?;
    install_tools()?;
    let tree = work.join("tree");
    let bin = compile(&sources, &tree)?;

    let fresh = beside(cache, "fresh");
    let _ = std::fs::remove_dir_all(&fresh);
    std::fs::create_dir_all(fresh.join("bin")).context("making room for the binaries")?;
    for program in ["bitcoind", "bitcoin-cli"] {
        std::fs::copy(bin.join(program), fresh.join("bin").join(program))
            .with_context(|| format!("copying {program} into the cache"))?;
    }
    // Left over by somebody who removed the program but not its folder.
    let _ = std::fs::remove_dir_all(cache);
    std::fs::rename(&fresh, cache)
        .with_context(|| format!("moving the binaries to {}", cache.display()))?;
    std::fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))?;
    say(&format!("bitcoind: built, kept in {}", cache.display()));
    Ok(())
}

/// The folder of Bitcoin Core's sources, downloaded by cargo through a package of its own, so that
/// the workspace does not depend on it.
fn sources(work: &Path) -> Result<PathBuf> {
    say(&format!("bitcoind: fetching the sources ({CRATE} {CRATE_VERSION})"));
    let package = work.join("package");
    std::fs::create_dir_all(package.join("src")).context("making a package for the sources")?;
    std::fs::write(package.join("src/lib.rs"), "").context("writing its lib.rs")?;
    std::fs::write(
        package.join("Cargo.toml"),
        format!(
            "[package]\nname = \"bitcoind-sources\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
             [dependencies]\n{CRATE} = \"={CRATE_VERSION}\"\n\n[workspace]\n"
        ),
    )
    .context("writing its Cargo.toml")?;
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--quiet"])
        .current_dir(&package)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("fetching the sources: running cargo metadata")?;
    if !output.status.success() {
        bail!("fetching {CRATE} from the registry: cargo ended with {}", output.status);
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    let manifest = manifest_of_crate(&metadata)
        .with_context(|| format!("cargo's metadata does not name {CRATE}"))?;
    let folder = manifest.parent().unwrap_or(&manifest).join("bitcoin");
    if !folder.join("CMakeLists.txt").is_file() {
        bail!("{} does not hold Bitcoin Core's sources", folder.display());
    }
    Ok(folder)
}

fn manifest_of_crate(metadata: &serde_json::Value) -> Option<PathBuf> {
    metadata["packages"]
        .as_array()?
        .iter()
        .find(|package| package["name"] == CRATE)?["manifest_path"]
        .as_str()
        .map(PathBuf::from)
}

/// Installs what is missing, or says the line that does.
fn install_tools() -> Result<()> {
    if tools_are_there() {
        return Ok(());
    }
    let line = format!("apt-get update && apt-get install -y {}", PACKAGES.join(" "));
    let as_root = rustix::process::geteuid().is_root();
    let with_sudo = !as_root
        && Command::new("sudo")
            .args(["-n", "true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if on_path("apt-get").is_none() || !(as_root || with_sudo) {
        bail!(
            "building bitcoind needs cmake, ninja, boost, libevent and a C++ compiler; please run\n\n    \
             sudo sh -c '{line}'\n\nor set BITCOIND to a bitcoind that you have"
        );
    }
    say(&format!("bitcoind: installing tools: {line}"));
    let mut command = if with_sudo { Command::new("sudo") } else { Command::new("env") };
    command.args(["DEBIAN_FRONTEND=noninteractive", "sh", "-c", &line]);
    // What apt says is for people; our own standard output may be for machines.
    command.stdout(std::io::stderr());
    run(&mut command, "installing the tools that bitcoind needs")
}

fn tools_are_there() -> bool {
    let programs = ["cmake", "ninja", "g++"].iter().all(|program| on_path(program).is_some());
    let headers = ["/usr/include/boost/version.hpp", "/usr/include/event2/event.h"]
        .iter()
        .all(|header| Path::new(header).is_file());
    programs && headers
}

fn compile(sources: &Path, tree: &Path) -> Result<PathBuf> {
    say("bitcoind: configuring");
    let log = tree.with_extension("log");
    let output = std::fs::File::create(&log).context("creating the build's log")?;
    let errors = output.try_clone().context("sharing the build's log")?;
    let mut cmake = Command::new("cmake");
    cmake.args(["-G", "Ninja", "-S"]).arg(sources).arg("-B").arg(tree).args(CMAKE_OPTIONS);
    run(
        cmake.stdout(output).stderr(errors),
        &format!("configuring bitcoind (log: {})", log.display()),
    )?;

    let mut ninja = Command::new("ninja")
        .arg("-C")
        .arg(tree)
        .args(["bitcoind", "bitcoin-cli"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting ninja")?;
    let mut progress = Progress::default();
    let lines = BufReader::new(ninja.stdout.take().expect("its output was asked for"));
    for line in lines.lines() {
        progress.show(&line.context("reading ninja's output")?);
    }
    progress.end();
    let status = ninja.wait().context("waiting for ninja")?;
    if !status.success() {
        bail!("building bitcoind: ninja ended with {status} (its tree: {})", tree.display());
    }
    Ok(tree.join("bin"))
}

/// Ninja's lines: one line that changes on a terminal, one in ten elsewhere.
#[derive(Default)]
struct Progress {
    last_shown: Option<u32>,
}

impl Progress {
    fn show(&mut self, line: &str) {
        let Some((done, of)) = counter(line) else {
            say(line);
            return;
        };
        let terminal = std::io::stderr().is_terminal();
        if terminal {
            let _ = write!(std::io::stderr(), "\rbitcoind: [{done:>3}/{of}] ");
        } else if done == of || self.last_shown.is_none_or(|last| done >= last + 10) {
            say(&format!("bitcoind: [{done:>3}/{of}]"));
            self.last_shown = Some(done);
        }
    }

    fn end(&self) {
        if std::io::stderr().is_terminal() {
            say("");
        }
    }
}

/// `[57/297] Building …` -> (57, 297).
fn counter(line: &str) -> Option<(u32, u32)> {
    let (counter, _) = line.strip_prefix('[')?.split_once(']')?;
    let (done, of) = counter.split_once('/')?;
    Some((done.trim().parse().ok()?, of.trim().parse().ok()?))
}

fn say(line: &str) {
    // A closed standard error is ignored.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `FOLDER.NAME`: `with_extension` would cut the version's last number off.
pub(super) fn beside(folder: &Path, name: &str) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(".");
    path.push(name);
    path.into()
}

/// Where `PATH` finds a program.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a command to its end; its error says what was tried and how it ended.
fn run(command: &mut Command, what: &str) -> Result<()> {
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("{what}: starting it"))?;
    if !status.success() {
        bail!("{what}: it ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninjas_counter_is_read() {
        assert_eq!(counter("[57/297] Building CXX object src/x.cpp.o"), Some((57, 297)));
        assert_eq!(counter("[ 7/297] x"), Some((7, 297)));
        assert_eq!(counter("ninja: no work to do."), None);
        assert_eq!(counter("[a/b] x"), None);
    }

    #[test]
    fn the_crate_is_found_in_the_metadata() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "cc", "manifest_path": "/r/cc/Cargo.toml" },
            { "name": CRATE, "manifest_path": "/r/kernel/Cargo.toml" },
        ]});
        assert_eq!(manifest_of_crate(&metadata), Some(PathBuf::from("/r/kernel/Cargo.toml")));
        assert_eq!(manifest_of_crate(&serde_json::json!({})), None);
    }
}
