//! Reads LDK's state back from the store; makes what was never stored.

use std::sync::Arc;

use bitcoin::{BlockHash, Network};
use fulmen_routing::Beliefs;
use lightning::chain::BestBlock;
use lightning::io::Cursor;
use lightning::routing::scoring::{ProbabilisticScorer, ProbabilisticScoringDecayParameters};
use lightning::util::ser::{Readable, ReadableArgs};

use crate::feerates::Feerates;
use crate::node::commit::held_broadcaster::Packages;
use crate::node::commit::manager_rows;
use crate::node::commit::types::{ChannelManager, ChannelManagerReadArgs, MonitorPersister};
use crate::node::ldk::keys::Keys;
use crate::node::ldk::logger::Logger;
use crate::node::ldk::slots::{BELIEFS, BROADCASTS, Error, GRAPH, MANAGER, SCORER, SWEEPER};
use crate::node::ldk::types::{Broadcaster, ChannelMonitor, Filter, Graph, Scorer, Sweeper};
use crate::node::planner::stored::StoredBeliefs;
use crate::storage::KvStore;
use crate::wallet::Wallet;

/// Reads the graph; one that cannot be decoded costs gossip, not money, and is replaced by an empty one.
pub fn graph(store: &KvStore, network: Network, logger: &Arc<Logger>) -> Result<Graph, Error> {
    let Some(bytes) = GRAPH.read(store)? else {
        return Ok(Graph::new(network, logger.clone()));
    };
    Ok(Graph::read(&mut Cursor::new(bytes), logger.clone()).unwrap_or_else(|error| {
        tracing::warn!(
            ?error,
            "could not decode the stored network graph; starting with an empty one"
        );
        Graph::new(network, logger.clone())
    }))
}

/// Reads the scorer; one that cannot be decoded is replaced by an empty one.
pub fn scorer(store: &KvStore, graph: &Arc<Graph>, logger: &Arc<Logger>) -> Result<Scorer, Error> {
    let decay = ProbabilisticScoringDecayParameters::default();
    let fresh = || ProbabilisticScorer::new(decay, graph.clone(), logger.clone());
    let Some(bytes) = SCORER.read(store)? else {
        return Ok(Scorer::new(fresh()));
    };
    let args = (decay, graph.clone(), logger.clone());
    Ok(Scorer::new(ProbabilisticScorer::read(&mut Cursor::new(bytes), args).unwrap_or_else(
        |error| {
            tracing::warn!(
                ?error,
                "could not decode the stored scorer; starting with an empty one"
            );
            fresh()
        },
    )))
}

/// Reads our beliefs; if they cannot be decoded, there are none.
pub fn beliefs(store: &KvStore) -> Result<Beliefs, Error> {
    let mut beliefs = Beliefs::new();
    if let Some(bytes) = BELIEFS.read(store)? {
        match StoredBeliefs::read(&mut &bytes[..]) {
            Ok(stored) => beliefs.import(stored.0),
            Err(error) => {
                tracing::warn!(
                    ?error,
                    "could not decode the stored beliefs about liquidity; starting without"
                )
            }
        }
    }
    Ok(beliefs)
}

/// Reads the transactions that bitcoind had perhaps not accepted when the node ended.
pub fn broadcasts(store: &KvStore) -> Result<Packages, Error> {
    let Some(bytes) = BROADCASTS.read(store)? else {
        return Ok(Packages::default());
    };
    Packages::read(&mut &bytes[..]).map_err(|error| BROADCASTS.undecodable(error))
}

/// Reads all monitors with their updates.
///
/// # Errors
/// Any monitor that cannot be read whole: without it the money in its channel would be lost.
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
    let Some(bytes) = manager_rows::read(store)? else {
        return Ok(None);
    };
    <(BlockHash, ChannelManager)>::read(&mut Cursor::new(bytes), args)
        .map(Some)
        .map_err(|error| MANAGER.undecodable(error))
}

/// The arguments to read a [`Sweeper`] with.
pub type SweeperArgs = (
    Arc<Broadcaster>,
    Arc<Feerates>,
    Option<Filter>,
    Arc<Keys>,
    Arc<Wallet>,
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
