//! Reads LDK's state back from the store; what was never stored is made anew.

use std::sync::Arc;

use bitcoin::{BlockHash, Network};
use fulmen_routing::Beliefs;
use fulmen_routing::liquidity::Bounds;
use fulmen_routing::liquidity::snapshot::Belief;
use lightning::chain::BestBlock;
use lightning::io::{Cursor, ErrorKind};
use lightning::ln::msgs::DecodeError;
use lightning::routing::scoring::{ProbabilisticScorer, ProbabilisticScoringDecayParameters};
use lightning::util::persist::{
    CHANNEL_MANAGER_PERSISTENCE_KEY, CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
    CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE,
};
use lightning::util::persist::{
    KVStoreSync, NETWORK_GRAPH_PERSISTENCE_KEY, NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE,
    NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE, OUTPUT_SWEEPER_PERSISTENCE_KEY,
    OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE, OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
    SCORER_PERSISTENCE_KEY, SCORER_PERSISTENCE_PRIMARY_NAMESPACE,
    SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
};
use lightning::util::ser::{Readable, ReadableArgs, Writeable, Writer};

use super::broadcasts::Packages;
use super::logger::Logger;
use super::types::{
    Broadcaster, ChannelManager, ChannelManagerReadArgs, ChannelMonitor, Graph, MonitorPersister,
    Scorer, Sweeper,
};
use crate::storage::{Commit, KvStore, KvWrite};

/// Why the node's state could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not answer.
    #[error("could not read {what} from the store: {source}")]
    Read {
        /// Which part of the state.
        what: &'static str,
        /// What the store said.
        source: lightning::io::Error,
    },
    /// The bytes are not what this version writes.
    #[error(
        "{what} in the store cannot be decoded: {reason}; restore a copy of the data directory, and never start from an older one"
    )]
    Decode {
        /// Which part of the state.
        what: &'static str,
        /// What LDK said.
        reason: String,
    },
}

/// One of LDK's values under its fixed name in the store.
#[derive(Clone, Copy)]
pub struct Slot {
    what: &'static str,
    primary: &'static str,
    secondary: &'static str,
    key: &'static str,
}

/// The channel manager.
pub const MANAGER: Slot = Slot {
    what: "the channel manager",
    primary: CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
    secondary: CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE,
    key: CHANNEL_MANAGER_PERSISTENCE_KEY,
};
/// The network graph.
pub const GRAPH: Slot = Slot {
    what: "the network graph",
    primary: NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE,
    secondary: NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE,
    key: NETWORK_GRAPH_PERSISTENCE_KEY,
};
/// What payments taught.
pub const SCORER: Slot = Slot {
    what: "the scorer",
    primary: SCORER_PERSISTENCE_PRIMARY_NAMESPACE,
    secondary: SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
    key: SCORER_PERSISTENCE_KEY,
};
/// What is believed of other nodes' channels.
pub const BELIEFS: Slot = Slot {
    what: "the beliefs about liquidity",
    primary: "",
    secondary: "",
    key: "liquidity_beliefs",
};
/// Transactions that bitcoind may not have taken when the last checkpoint was made.
pub const BROADCASTS: Slot = Slot {
    what: "the transactions to be broadcast",
    primary: "",
    secondary: "",
    key: "broadcasts",
};
const SWEEPER: Slot = Slot {
    what: "the sweeper",
    primary: OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
    secondary: OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
    key: OUTPUT_SWEEPER_PERSISTENCE_KEY,
};

impl Slot {
    /// Enqueues a new value; it becomes durable after everything enqueued before it.
    pub fn write(self, store: &KvStore, value: &impl Writeable) -> Commit {
        store.commit_all([self.holding(value.encode())])
    }

    /// Returns the write of an encoded value, for a batch of several.
    pub fn holding(self, value: Vec<u8>) -> KvWrite {
        KvWrite {
            primary: self.primary.to_owned(),
            secondary: self.secondary.to_owned(),
            key: self.key.to_owned(),
            value: Some(value),
        }
    }

    fn read(self, store: &KvStore) -> Result<Option<Vec<u8>>, Error> {
        match KVStoreSync::read(store, self.primary, self.secondary, self.key) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { what: self.what, source }),
        }
    }

    fn undecodable(self, reason: impl std::fmt::Debug) -> Error {
        Error::Decode { what: self.what, reason: format!("{reason:?}") }
    }
}

/// Reads the graph. A graph that cannot be decoded is gossip lost, not money: it is begun anew.
pub fn graph(store: &KvStore, network: Network, logger: &Arc<Logger>) -> Result<Graph, Error> {
    let Some(bytes) = GRAPH.read(store)? else {
        return Ok(Graph::new(network, logger.clone()));
    };
    Ok(Graph::read(&mut Cursor::new(bytes), logger.clone()).unwrap_or_else(|error| {
        tracing::warn!(?error, "the stored network graph cannot be decoded; gossip starts anew");
        Graph::new(network, logger.clone())
    }))
}

/// Reads the scorer; one that cannot be decoded is begun anew.
pub fn scorer(store: &KvStore, graph: &Arc<Graph>, logger: &Arc<Logger>) -> Result<Scorer, Error> {
    let decay = ProbabilisticScoringDecayParameters::default();
    let fresh = || ProbabilisticScorer::new(decay, graph.clone(), logger.clone());
    let Some(bytes) = SCORER.read(store)? else {
        return Ok(Scorer::new(fresh()));
    };
    let args = (decay, graph.clone(), logger.clone());
    Ok(Scorer::new(ProbabilisticScorer::read(&mut Cursor::new(bytes), args).unwrap_or_else(
        |error| {
            tracing::warn!(?error, "the stored scorer cannot be decoded; learning starts anew");
            fresh()
        },
    )))
}

/// Reads our beliefs; ones that cannot be decoded are begun anew.
pub fn beliefs(store: &KvStore) -> Result<Beliefs, Error> {
    let mut beliefs = Beliefs::new();
    if let Some(bytes) = BELIEFS.read(store)? {
        match StoredBeliefs::read(&mut &bytes[..]) {
            Ok(stored) => beliefs.import(stored.0),
            Err(error) => {
                tracing::warn!(?error, "the stored beliefs cannot be decoded; learning starts anew")
            }
        }
    }
    Ok(beliefs)
}

/// Beliefs as they are stored: rows of a short channel id and its two bounds.
pub struct StoredBeliefs(pub Vec<Belief>);

impl Writeable for StoredBeliefs {
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), lightning::io::Error> {
        (self.0.len() as u64).write(writer)?;
        for row in &self.0 {
            row.scid.write(writer)?;
            for bounds in &row.bounds {
                (bounds.least_msat, bounds.least_at).write(writer)?;
                (bounds.most_msat, bounds.most_at).write(writer)?;
            }
        }
        Ok(())
    }
}

impl Readable for StoredBeliefs {
    fn read<R: lightning::io::Read>(reader: &mut R) -> Result<Self, DecodeError> {
        let count: u64 = Readable::read(reader)?;
        let mut rows = Vec::new();
        for _ in 0..count {
            let scid = Readable::read(reader)?;
            let mut bounds = [Bounds::UNKNOWN; 2];
            for bounds in &mut bounds {
                (bounds.least_msat, bounds.least_at) = Readable::read(reader)?;
                (bounds.most_msat, bounds.most_at) = Readable::read(reader)?;
            }
            rows.push(Belief { scid, bounds });
        }
        Ok(Self(rows))
    }
}

/// Reads the transactions that bitcoind may not have taken when the node ended.
pub fn broadcasts(store: &KvStore) -> Result<Packages, Error> {
    let Some(bytes) = BROADCASTS.read(store)? else {
        return Ok(Packages::default());
    };
    Packages::read(&mut &bytes[..]).map_err(|error| BROADCASTS.undecodable(error))
}

/// Reads all monitors with their updates.
///
/// # Errors
/// Any monitor that cannot be read whole: going on without it would lose its channel's money.
pub fn monitors(persister: &MonitorPersister) -> Result<Vec<(BlockHash, ChannelMonitor)>, Error> {
    persister
        .read_all_channel_monitors_with_updates()
        .map_err(|source| Error::Read { what: "the channel monitors", source })
}

/// Reads the channel manager; `None` on the first start.
pub fn manager(
    store: &KvStore,
    args: ChannelManagerReadArgs<'_>,
) -> Result<Option<(BlockHash, ChannelManager)>, Error> {
    let Some(bytes) = MANAGER.read(store)? else {
        return Ok(None);
    };
    <(BlockHash, ChannelManager)>::read(&mut Cursor::new(bytes), args)
        .map(Some)
        .map_err(|error| MANAGER.undecodable(error))
}

/// The arguments to read a [`Sweeper`] with.
pub type SweeperArgs = (
    Arc<Broadcaster>,
    Arc<crate::feerates::Feerates>,
    Option<Arc<dyn lightning::chain::Filter + Send + Sync>>,
    Arc<super::keys::Keys>,
    Arc<crate::wallet::Wallet>,
    Arc<KvStore>,
    Arc<Logger>,
);

/// Reads the sweeper; `None` on the first start.
pub fn sweeper(store: &KvStore, args: SweeperArgs) -> Result<Option<(BestBlock, Sweeper)>, Error> {
    let Some(bytes) = SWEEPER.read(store)? else {
        return Ok(None);
    };
    <(BestBlock, Sweeper)>::read(&mut Cursor::new(bytes), args)
        .map(Some)
        .map_err(|error| SWEEPER.undecodable(error))
}
