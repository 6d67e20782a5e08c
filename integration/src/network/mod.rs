//! A network of daemons on one chain, and the acts that concern all of them.

pub mod funding;
pub mod topologies;

use std::time::Duration;

use anyhow::{Context as _, Result};
use bitcoincore_rpc::bitcoin::hashes::Hash as _;

use crate::bitcoind::{self, Bitcoind, Faucet};
use crate::chaos::Chance;
use crate::chaos::disks::Disk;
use crate::daemon::{Node, Settings};
use crate::poll::{self, Look};
use crate::scratch::Scratch;
pub use topologies::Topology;

const NAMES: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];
/// Blocks are processed one after the other by every daemon on the machine.
const PATIENCE_FOR_BLOCKS: Duration = Duration::from_secs(120);

/// Everything that a scenario has.
pub struct Network {
    /// The daemons, in the order of the topology. Dropped first, then bitcoind, then the directory.
    pub nodes: Vec<Node>,
    /// The chain.
    pub bitcoind: Bitcoind,
    /// Its money.
    pub faucet: Faucet,
    /// Its chance.
    pub chance: Chance,
    /// Phrases that forgive an ERROR in a log: what the scenario provokes.
    pub allowed_errors: Vec<String>,
    /// Outputs of at most this value may stay on the chain for good, because claiming them costs more.
    pub abandoned_at_most_sat: u64,
    /// A store was rolled back or a forward was claimed on chain: payments' books cannot agree.
    pub skip_payment_audit: bool,
    /// Disks under directories of the scenario; they go after the daemons, before the directory.
    pub disks: Vec<Disk>,
    settings: Settings,
    scratch: Scratch,
}

impl Network {
    /// Starts bitcoind and mines the first coin.
    pub async fn start(name: &str, settings: Settings) -> Result<Self> {
        Self::start_on(name, settings, bitcoind::node::Options::default()).await
    }

    /// [`Network::start`] with a particular bitcoind.
    pub async fn start_on(
        name: &str,
        settings: Settings,
        options: bitcoind::node::Options,
    ) -> Result<Self> {
        let scratch = Scratch::new(name)?;
        let bitcoind = Bitcoind::start(&scratch.folder("bitcoind")?, options).await?;
        let faucet = Faucet::open(&bitcoind)?;
        Ok(Self {
            nodes: Vec::new(),
            bitcoind,
            faucet,
            chance: Chance::new()?,
            allowed_errors: Vec::new(),
            abandoned_at_most_sat: 0,
            skip_payment_audit: false,
            disks: Vec::new(),
            settings,
            scratch,
        })
    }

    /// Starts daemons, side by side, and returns when all answer and know the tip.
    pub async fn add_nodes(&mut self, count: usize) -> Result<()> {
        let first = self.nodes.len();
        for number in first..first + count {
            let node = self.create_node(&name_of(number)).await?;
            self.nodes.push(node);
        }
        for node in &mut self.nodes[first..] {
            node.spawn()?;
        }
        for node in &mut self.nodes[first..] {
            node.reach().await?;
        }
        self.wait_synced().await
    }

    /// Makes a daemon's directory, configuration and seed, and leaves it to the caller.
    pub async fn create_node(&self, name: &str) -> Result<Node> {
        Node::create(name, &self.scratch.folder(name)?, &self.bitcoind, &self.settings).await
    }

    /// The configuration of every daemon of the network, beside its own name and ports.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Mines, and waits until every running daemon has seen it.
    pub async fn mine(&self, blocks: u64) -> Result<()> {
        self.faucet.mine(&self.bitcoind, blocks)?;
        self.wait_synced().await
    }

    /// [`Network::mine`] without what the mempool holds.
    pub async fn mine_empty(&self, blocks: u64) -> Result<()> {
        self.faucet.mine_empty(&self.bitcoind, blocks)?;
        self.wait_synced().await
    }

    /// Replaces the newest `depth` blocks by `depth + 1` others: those of `empty` first, without
    /// transactions; the rest with what the mempool holds.
    pub async fn reorganise(&mut self, depth: u64, empty: u64) -> Result<()> {
        self.faucet.disconnect(&self.bitcoind, depth)?;
        let blocks = depth + 1;
        self.faucet.mine_empty(&self.bitcoind, empty.min(blocks))?;
        self.faucet.mine(&self.bitcoind, blocks.saturating_sub(empty))?;
        self.wait_synced().await
    }

    /// Waits until every running daemon is at bitcoind's tip.
    pub async fn wait_synced(&self) -> Result<()> {
        let (height, hash) = self.bitcoind.tip()?;
        let wire_order = hash.to_byte_array().to_vec();
        for node in self.nodes.iter().filter(|node| node.runs()) {
            let what = format!("{} is at height {height}", node.name());
            poll::eventually_within(PATIENCE_FOR_BLOCKS, &what, async || {
                node.process()?.must_run()?;
                let info = node.info().await?;
                Ok(if info.block_hash == wire_order && info.synced_to_chain {
                    Look::Done(())
                } else {
                    Look::NotYet(format!("height {}", info.block_height))
                })
            })
            .await?;
        }
        Ok(())
    }

    /// The directory of the whole scenario.
    pub fn dir(&self) -> &std::path::Path {
        self.scratch.path()
    }

    /// A folder in it.
    pub fn folder(&self, name: &str) -> Result<std::path::PathBuf> {
        self.scratch.folder(name)
    }

    /// Keeps the directory when all is over.
    pub fn keep(&mut self) {
        self.scratch.keep();
    }

    /// Of everything that runs.
    pub fn pids(&self) -> Vec<u32> {
        let daemons = self.nodes.iter().filter_map(|node| node.process().ok());
        daemons.map(crate::process::Process::pid).chain(self.bitcoind.pid()).collect()
    }

    /// Ends all processes, however they take it: after a failure.
    pub fn tear_down(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
        }
        let _ = self.bitcoind.kill();
    }

    /// Stops every daemon that runs; each must end well.
    pub async fn stop_nodes(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.stop().await.with_context(|| format!("stopping {}", node.name()))?;
        }
        Ok(())
    }
}

/// The name of the node at a place.
pub fn name_of(number: usize) -> String {
    NAMES.get(number).map_or_else(|| format!("node{number}"), |name| (*name).to_owned())
}
