//! TCP ports that stay ours from the choice to the end of the scenario.
//!
//! A free port found by binding port 0 may be taken by somebody else before the process that it is
//! for has bound it. Ports below the ephemeral range are never handed out by the kernel, and a lock
//! file for each keeps other harnesses away, while daemons restart, too.
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};

const FIRST: u16 = 12_000;
const LAST: u16 = 31_999;

/// A port of 127.0.0.1, ours until dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Finds one, beginning at a place that differs from process to process.
    pub fn reserve() -> Result<Self> {
        let folder = folder();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let mut chance = [0; 2];
        getrandom::fill(&mut chance).context("asking the system for chance")?;
        let span = LAST - FIRST + 1;
        let start = u16::from_le_bytes(chance) % span;
        for step in 0..span {
            let number = FIRST + (start + step) % span;
            let path = folder.join(number.to_string());
            let lock =
                File::create(&path).with_context(|| format!("opening {}", path.display()))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no port between {FIRST} and {LAST} is free")
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:NUMBER`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("fulmen-ports-{}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reservations_differ_and_both_can_be_bound() {
        let one = Port::reserve().expect("there are free ports");
        let two = Port::reserve().expect("there are free ports");
        assert_ne!(one.number(), two.number());
        for port in [&one, &two] {
            TcpListener::bind(port.address()).expect("nobody else may take a reserved port");
        }
    }
}
