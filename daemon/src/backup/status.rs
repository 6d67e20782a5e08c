//! What recovery has brought back, and what it still waits for.

use bitcoin::{Amount, OutPoint, Txid};

pub use super::records::{Fate, KnownFrom, LostChannel};

use super::records::{self, LOST, OUTPUTS, StaticOutput};
use super::{Backup, Error};
use crate::node::run::sweep::{self, Sweep};
use crate::peers::Peer;

/// How far a lost channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its peer is not connected: it is tried again and again.
    PeerAway {
        /// Why the last attempt failed.
        last_error: Option<String>,
    },
    /// The peer is connected and has been told; its forced close is awaited.
    Asked,
    /// A block has spent its funding output.
    Closed,
}

/// A lost channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its funding output.
    pub funding: OutPoint,
    /// Its record.
    pub channel: LostChannel,
    /// How far it is.
    pub progress: Progress,
}

/// A balance that came back from a lost channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The output of the closing transaction.
    pub outpoint: OutPoint,
    /// The funding output of its channel.
    pub funding: OutPoint,
    /// Its value, before the fee of the sweep.
    pub amount: Amount,
    /// The height of the closing transaction.
    pub height: u32,
    /// What became of it.
    pub fate: Fate,
    /// The sweep, once broadcast.
    pub sweep_txid: Option<Txid>,
    /// The height at which the sweep was confirmed.
    pub swept_at: Option<u32>,
}

/// The state of the recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The last block that was searched for outputs.
    pub searched_height: u32,
    /// Lost channels.
    pub lost: Vec<Lost>,
    /// What came back.
    pub recovered: Vec<Recovered>,
}

impl Backup {
    /// Returns the state of the recovery; a node that has lost nothing has empty lists.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn status(&self) -> Result<Status, Error> {
        let inner = &self.0;
        let sweeps = sweep::pending(&inner.node);
        let outputs = OUTPUTS.all(&inner.store)?.into_iter();
        let recovered: Vec<Recovered> = outputs
            .filter_map(|(key, output)| Some(recovered(records::outpoint(&key)?, &output, &sweeps)))
            .collect();
        let lost = LOST.all(&inner.store)?;
        let peers = if lost.is_empty() { Vec::new() } else { inner.peers.list()? };
        let lost = lost.into_iter().filter_map(|(key, channel)| {
            let funding = records::outpoint(&key)?;
            let is_closed = channel.closed || recovered.iter().any(|it| it.funding == funding);
            let peer = peers.iter().find(|peer| peer.node_id == channel.node_id);
            Some(Lost { funding, progress: progress(is_closed, peer), channel })
        });
        Ok(Status {
            searched_height: inner.static_outputs.best_block().height,
            lost: lost.collect(),
            recovered,
        })
    }

    /// Returns a sentence while lost channels are not closed.
    pub fn recovery_warning(&self) -> Option<String> {
        let lost = LOST.all(&self.0.store).ok()?;
        let open = lost.iter().filter(|(_, channel)| !channel.closed).count();
        let noun = if open == 1 { "channel has" } else { "channels have" };
        (open > 0).then(|| {
            format!(
                "{open} {noun} been lost and not closed by the peer yet: see `fulmen backup status`"
            )
        })
    }
}

fn progress(is_closed: bool, peer: Option<&Peer>) -> Progress {
    match peer {
        _ if is_closed => Progress::Closed,
        Some(peer) if peer.connected => Progress::Asked,
        Some(peer) => Progress::PeerAway { last_error: peer.last_error.clone() },
        None => Progress::PeerAway { last_error: None },
    }
}

fn recovered(outpoint: OutPoint, output: &StaticOutput, sweeps: &[Sweep]) -> Recovered {
    let sweep = sweeps.iter().find(|sweep| sweep.outpoint == outpoint);
    Recovered {
        outpoint,
        funding: output.funding,
        amount: output.output.value,
        height: output.height,
        fate: output.fate,
        sweep_txid: sweep.and_then(|sweep| sweep.txid),
        swept_at: sweep.and_then(|sweep| sweep.confirmed_at),
    }
}
