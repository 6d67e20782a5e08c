//! Static channel backups, and what they are for: the recovery of channels that this node has lost.
//!
//! - `contents` is the sealed file, `writer` keeps it up to date;
//! - `static_outputs` searches the chain for our balances in channels that peers forced closed, and `claim` sweeps
//!   them;
//! - `seek` finds lost channels in backups and in gossip, and has their peers close them;
//! - `status` tells what came back and what could not.

mod claim;
mod config;
pub mod contents;
mod records;
mod seek;
pub mod static_outputs;
pub mod status;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use config::Config;

use crate::chain::{Source, Tip};
use crate::channels::Channels;
use crate::clock::Clock;
use crate::node::Node;
use crate::parts::Parts;
use crate::peers::{self, Peers};
use crate::storage::{self, Store};
use crate::tasks::Outcome;
use contents::{BackedUpChannel, Contents, Refusal, Sealer};
use static_outputs::StaticOutputs;

/// How often the network graph is searched for lost channels.
const GOSSIP_INTERVAL: Duration = Duration::from_secs(15);

/// Why a backup or a recovery did not work.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no backup of this node.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// None was written yet.
    #[error("no backup has been written yet: the daemon has just started")]
    NotYet,
    /// No key of the seed spends a static output.
    #[error("no key of the seed spends the output")]
    NoKey,
    /// The sweeper did not take an output.
    #[error("could not hand an output to the sweeper")]
    NotSwept,
    /// A peer's address could not be recorded.
    #[error(transparent)]
    Peers(#[from] peers::Error),
    /// The store failed.
    #[error("could not read or store what is recovered")]
    Store(#[from] storage::Error),
}

/// A backup as it was written.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The file.
    pub bytes: Vec<u8>,
    /// Unix time in seconds.
    pub created_at: u64,
    /// What is in it.
    pub channels: Vec<BackedUpChannel>,
}

/// The room of backups; a handle.
#[derive(Clone)]
pub struct Backup(Arc<Inner>);

struct Inner {
    config: Config,
    directory: PathBuf,
    sealer: Sealer,
    node: Arc<Node>,
    channels: Channels,
    peers: Peers,
    source: Source,
    store: Store,
    clock: Clock,
    static_outputs: Arc<StaticOutputs>,
    /// The last backup that was written.
    newest: watch::Sender<Option<Sealed>>,
    /// Held while a backup is made and written.
    writing: tokio::sync::Mutex<()>,
    /// Files that could not be written, and why.
    trouble: Mutex<BTreeMap<PathBuf, String>>,
    /// A lost channel was noticed, or closed.
    lost_changed: Notify,
}

/// What the room needs beside the parts of every room.
pub struct Materials {
    /// The data directory.
    pub directory: PathBuf,
    /// The 32 bytes of the node's seed.
    pub node_seed: [u8; 32],
    /// The room of channels.
    pub channels: Channels,
    /// The room of peers.
    pub peers: Peers,
    /// bitcoind.
    pub source: Source,
    /// The search for static outputs.
    pub static_outputs: Arc<StaticOutputs>,
}

impl Backup {
    /// Makes the room; [`Backup::keep_writing`] and [`Backup::recover`] run it.
    pub fn new(config: Config, parts: &Parts, materials: Materials) -> Self {
        let Materials { directory, node_seed, channels, peers, source, static_outputs } = materials;
        let Parts { node, store, clock, .. } = parts.clone();
        Self(Arc::new(Inner {
            config,
            directory,
            sealer: Sealer::new(&node_seed),
            node,
            channels,
            peers,
            source,
            store,
            clock,
            static_outputs,
            newest: watch::Sender::new(None),
            writing: tokio::sync::Mutex::default(),
            trouble: Mutex::default(),
            lost_changed: Notify::new(),
        }))
    }

    /// Returns the backup of this moment.
    ///
    /// # Errors
    /// [`Error::NotYet`] while the daemon starts, [`Error::Store`].
    pub async fn export(&self) -> Result<Sealed, Error> {
        // Existing files are read before the first backup is written.
        if self.0.newest.borrow().is_some() {
            self.write_if_changed().await?;
        }
        self.0.newest.borrow().clone().ok_or(Error::NotYet)
    }

    /// Returns the last backup, and those that follow it.
    pub fn subscribe(&self) -> watch::Receiver<Option<Sealed>> {
        self.0.newest.subscribe()
    }

    /// Returns what a backup holds.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is none of this node.
    pub fn verify(&self, sealed: &[u8]) -> Result<Contents, Error> {
        Ok(self.0.sealer.open(sealed)?)
    }

    /// Has the peers of a backup's channels close those that this node does not know; returns how many are new.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Store`].
    pub async fn restore(&self, sealed: &[u8]) -> Result<usize, Error> {
        let contents = self.verify(sealed)?;
        self.lose(&contents).await
    }

    /// Finds lost channels and claims what their closes leave us, until `stopping`.
    pub async fn recover(
        self,
        mut tip: watch::Receiver<Tip>,
        stopping: CancellationToken,
    ) -> Outcome {
        let mut known = HashSet::new();
        let mut looks = tokio::time::interval(GOSSIP_INTERVAL);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Err(error) = self.claim_found().await {
                // Tried again at the next block; a store that failed ends the daemon by itself.
                tracing::warn!(%error, "could not claim an output of a lost channel");
            }
            self.note_closed().await?;
            tokio::select! {
                () = self.0.static_outputs.found.notified() => (),
                changed = tip.changed() => if changed.is_err() {
                    stopping.cancelled().await;
                    return Ok(());
                },
                _ = looks.tick() => self.seek_in_gossip(&mut known).await?,
                () = stopping.cancelled() => return Ok(()),
            }
        }
    }
}
