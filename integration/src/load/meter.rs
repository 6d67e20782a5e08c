//! Reads one daemon from outside: its CPU, memory, disk, and what `/metrics` counts.
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::chaos::counts::{Counted, Counts};
use crate::daemon::Node;
use crate::network::Network;
use crate::poll;
use crate::ports::Port;

/// The meter of one node.
pub struct Meter {
    counts: Counts,
    metrics: Port,
}

/// What it showed at one moment; all but memory and disk only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// What the data directory takes on disk, in bytes.
    pub db_bytes: u64,
    /// Flushes and written bytes.
    pub disk: Counted,
    /// Checkpoints that became durable.
    pub checkpoints: u64,
    /// Bytes of these.
    pub checkpoint_bytes: u64,
}

impl Meter {
    /// Prepares a daemon, which must be started after it.
    pub fn of(node: &mut Node, network: &Network, scratch: &Path) -> Result<Self> {
        let metrics = Port::reserve()?;
        let listen = format!("[\"{}\"]", metrics.address());
        let settings = network.settings().clone().with("metrics", "listen", listen);
        node.configure(&network.bitcoind, &settings)?;
        Ok(Self { counts: Counts::of(node, scratch)?, metrics })
    }

    /// Reads everything.
    pub async fn read(&self, node: &Node) -> Result<Reading> {
        let process = node.process()?;
        let metrics = scrape(&self.metrics).await?;
        let counted = |name: &str| metrics.get(name).copied().unwrap_or_default() as u64;
        Ok(Reading {
            cpu: process.cpu_time()?,
            rss_bytes: process.resident_bytes()?,
            db_bytes: disk_bytes(&node.state_dir())?,
            disk: self.counts.read()?,
            checkpoints: counted("fulmen_checkpoint_duration_seconds_count"),
            checkpoint_bytes: counted("fulmen_checkpoint_bytes_total"),
        })
    }
}

/// Samples of `/metrics` by name; those with labels by name and labels.
pub async fn scrape(port: &Port) -> Result<BTreeMap<String, f64>> {
    poll::bounded("GET /metrics", async {
        let mut stream = TcpStream::connect(port.address()).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", port.address());
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no end of the head")?;
        Ok(samples(body))
    })
    .await
}

fn samples(body: &str) -> BTreeMap<String, f64> {
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    body.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

/// What the files below a directory take on disk. Files may come and go meanwhile.
pub fn disk_bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => waiting.push(entry.path()),
                Ok(metadata) => bytes += metadata.blocks() * 512,
                Err(_) => (),
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_comments_left_out() {
        let read = samples("# TYPE a counter\na 3\nb{x=\"y z\"} 1.5\nnonsense\n");
        assert_eq!(read.len(), 2);
        assert_eq!((read["a"], read["b{x=\"y z\"}"]), (3.0, 1.5));
    }
}
