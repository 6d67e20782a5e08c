//! What a soak counted, and what the node at its middle needed before and after.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::daemon::Node;
use crate::poll;
use crate::strangers::Mischief;

/// For so long a node is watched at rest.
const REST: Duration = Duration::from_secs(5);
const MIB: f64 = 1_048_576.0;

/// What a node needs at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Needs {
    /// Resident memory.
    pub rss_bytes: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Of the log, since the node was made.
    pub log_bytes: u64,
    /// Milliseconds of CPU in a second.
    pub cpu_ms_per_second: f64,
}

impl Needs {
    /// So many more descriptors are no leak: connections to peers and to bitcoind come and go.
    pub const FEW_DESCRIPTORS: usize = 24;

    /// Watches a node for a few seconds.
    pub async fn of(node: &Node) -> Result<Self> {
        let process = node.process()?;
        let before = process.cpu_time()?;
        poll::pass(REST).await;
        let cpu = process.cpu_time()?.saturating_sub(before);
        Ok(Self {
            rss_bytes: process.resident_bytes()?,
            descriptors: process.descriptors()?,
            log_bytes: std::fs::metadata(node.log())?.len(),
            cpu_ms_per_second: cpu.as_secs_f64() * 1_000.0 / REST.as_secs_f64(),
        })
    }

    fn json(&self) -> Value {
        json!({
            "rss_mib": (self.rss_bytes as f64 / MIB).round(),
            "descriptors": self.descriptors,
            "log_bytes": self.log_bytes,
            "cpu_ms_per_second": self.cpu_ms_per_second.round(),
        })
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Report {
    seed: u64,
    /// Rounds that are over.
    pub rounds: usize,
    /// Payments that arrived.
    pub settled: usize,
    /// Payments that failed.
    pub failed: usize,
    /// Payments whose node was killed before it reported an outcome.
    pub unreported: usize,
    /// HTLCs that went the whole way and came back.
    pub htlcs_failed: usize,
    /// Channels opened.
    pub opens: usize,
    /// Channels closed by agreement.
    pub closes: usize,
    /// Times that bitcoind did not answer for a while.
    pub stalls: usize,
    /// Daemons killed.
    pub kills: usize,
    mischief: BTreeMap<String, usize>,
    /// The victim before the first round.
    pub before: Needs,
    /// The victim after the last.
    pub after: Needs,
    /// "ok", or what the audit found.
    pub audit: String,
}

impl Report {
    /// Nothing counted yet.
    pub fn new(seed: u64, before: Needs) -> Self {
        Self {
            seed,
            rounds: 0,
            settled: 0,
            failed: 0,
            unreported: 0,
            htlcs_failed: 0,
            opens: 0,
            closes: 0,
            stalls: 0,
            kills: 0,
            mischief: BTreeMap::new(),
            before,
            after: Needs::default(),
            audit: "not audited".to_owned(),
        }
    }

    /// Counts what a stranger did.
    pub fn bothered(&mut self, mischief: Mischief, times: usize) {
        *self.mischief.entry(format!("{mischief:?}").to_lowercase()).or_default() += times;
    }

    /// How often a kind of stranger came through.
    pub fn times(&self, mischief: Mischief) -> usize {
        self.mischief.get(&format!("{mischief:?}").to_lowercase()).copied().unwrap_or_default()
    }

    /// So far, for people.
    pub fn line(&self) -> String {
        format!(
            "round {}: {} settled, {} failed, {} unreported; {} opens, {} closes, {} stalls, {} kills",
            self.rounds,
            self.settled,
            self.failed,
            self.unreported,
            self.opens,
            self.closes,
            self.stalls,
            self.kills
        )
    }

    /// For machines: one object.
    pub fn json(&self) -> String {
        json!({
            "seed": self.seed,
            "rounds": self.rounds,
            "settled": self.settled,
            "failed": self.failed,
            "unreported": self.unreported,
            "htlcs_failed": self.htlcs_failed,
            "opens": self.opens,
            "closes": self.closes,
            "stalls": self.stalls,
            "kills": self.kills,
            "strangers": self.mischief,
            "before": self.before.json(),
            "after": self.after.json(),
            "audit": self.audit,
        })
        .to_string()
    }
}
