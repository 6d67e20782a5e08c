//! Finds `fulmend` and `fulmen`, freshly built from this source tree.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};

/// The two programs under test.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The daemon.
    pub fulmend: PathBuf,
    /// The control CLI.
    pub fulmen: PathBuf,
}

/// The binaries: those that `FULMEND` and `FULMEN` name, else built by cargo beside the running
/// program, with its profile. Built once a process; between processes cargo's own lock stands.
pub fn get() -> Result<&'static Binaries> {
    static BINARIES: OnceLock<Result<Binaries, String>> = OnceLock::new();
    BINARIES
        .get_or_init(|| find_or_build().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}

fn find_or_build() -> Result<Binaries> {
    match (std::env::var_os("FULMEND"), std::env::var_os("FULMEN")) {
        (Some(fulmend), Some(fulmen)) => {
            return Ok(Binaries { fulmend: fulmend.into(), fulmen: fulmen.into() });
        }
        (None, None) => (),
        _ => bail!("set both of FULMEND and FULMEN, or none"),
    }
    let running = std::env::current_exe().context("asking which program runs")?;
    let place = Place::of(&running)
        .with_context(|| format!("{} is not in a target directory", running.display()))?;
    build(&place)?;
    let folder = place.target.join(&place.folder);
    Ok(Binaries { fulmend: folder.join("fulmend"), fulmen: folder.join("fulmen") })
}

/// Cargo's progress goes to the terminal as it is: test harnesses do not capture a child's output.
fn build(place: &Place) -> Result<()> {
    let mut cargo = cargo_in(&place.target);
    cargo.args(["build", "--profile", place.profile()]).args(if place.is_test {
        TEST_SELECTION
    } else {
        PROGRAM_SELECTION
    });
    let status = cargo.status().context("running cargo build")?;
    if !status.success() {
        bail!("cargo could not build fulmend and fulmen ({status})");
    }
    Ok(())
}

/// Cargo, to be run in this workspace with the target directory of the running program.
pub fn cargo() -> Result<Command> {
    let running = std::env::current_exe().context("asking which program runs")?;
    let place = Place::of(&running)
        .with_context(|| format!("{} is not in a target directory", running.display()))?;
    Ok(cargo_in(&place.target))
}

fn cargo_in(target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).env("CARGO_TARGET_DIR", target);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(describes_a_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Cargo describes their own package to the programs that it runs. Build scripts that look at these variables (ring's
/// does) would run anew, and much be compiled again, at each change between that cargo and this one.
fn describes_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
        || ["CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR"].contains(&variable)
}

/// With the tests' own selection, features resolve as for `cargo test --workspace`, so that no
/// dependency is compiled twice.
const TEST_SELECTION: &[&str] = &["--workspace", "--bins", "--tests"];
const PROGRAM_SELECTION: &[&str] = &["--bin", "fulmend", "--bin", "fulmen"];

/// The workspace's folder.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the workspace")
}

/// Where in a target directory a program stands.
#[derive(Debug, PartialEq)]
struct Place {
    target: PathBuf,
    folder: String,
    is_test: bool,
}

impl Place {
    /// `TARGET/PROFILE/demo` or `TARGET/PROFILE/deps/TEST-HASH`.
    fn of(program: &Path) -> Option<Self> {
        let mut folder = program.parent()?;
        let is_test = folder.ends_with("deps");
        if is_test {
            folder = folder.parent()?;
        }
        Some(Self {
            target: folder.parent()?.to_owned(),
            folder: folder.file_name()?.to_str()?.to_owned(),
            is_test,
        })
    }

    /// Only the profile `dev` has a folder of another name.
    fn profile(&self) -> &str {
        if self.folder == "debug" { "dev" } else { &self.folder }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_a_package_is_not_handed_on_and_what_tells_of_cargo_is() {
        for variable in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
            assert!(describes_a_package(variable), "{variable}");
        }
        for variable in ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_BUILD_JOBS", "CARGO"] {
            assert!(!describes_a_package(variable), "{variable}");
        }
    }

    #[test]
    fn the_place_of_a_program_shows_its_profile() {
        for (program, folder, profile, is_test) in [
            ("/t/debug/demo", "debug", "dev", false),
            ("/t/release/load", "release", "release", false),
            ("/t/debug/deps/pay-0123", "debug", "dev", true),
        ] {
            let place = Place::of(Path::new(program)).expect("these stand in a target directory");
            assert_eq!(
                (place.target.as_path(), place.folder.as_str(), place.profile(), place.is_test),
                (Path::new("/t"), folder, profile, is_test)
            );
        }
        assert_eq!(Place::of(Path::new("/")), None);
    }
}
