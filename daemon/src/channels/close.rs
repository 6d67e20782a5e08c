//! Closes channels, in agreement with the peer or by force, and follows the close to the chain.

use std::time::Duration;

use bitcoin::{FeeRate, ScriptBuf, Txid};
use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};
use lightning::ln::script::ShutdownScript;
use lightning::ln::types::ChannelId;
use lightning::util::errors::APIError;
use tokio::sync::watch;

use super::record::{self, CHANNELS, CLOSED, Stage};
use super::{ChannelRef, Channels, Error};
use crate::storage;

/// Tries to begin a cooperative close while an update of the channel is under way: 5 seconds in all.
const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// The error message to the peer of a forced close.
const FORCE_WORDS: &str = "closed by the operator of this node";

/// A channel to close.
#[derive(Clone, Debug)]
pub struct Close {
    /// Which.
    pub channel: ChannelRef,
    /// Publish our commitment rather than agree with the peer.
    pub force: bool,
    /// For a cooperative close; none for the estimate.
    pub feerate: Option<FeeRate>,
    /// Where the money goes in a cooperative close; none for our wallet.
    pub script: Option<ScriptBuf>,
}

/// How far a close has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseUpdate {
    /// Agreed on with the peer, or published.
    Closing,
    /// The channel is no more; repeated when its transaction is broadcast later, or another is.
    Closed {
        /// The closing transaction, once it was broadcast.
        txid: Option<Txid>,
        /// Why, in words.
        reason: String,
    },
    /// The closing transaction is in a block, or there was nothing to confirm.
    Confirmed {
        /// The transaction; none for a channel that never was funded.
        txid: Option<Txid>,
        /// Why it was closed, in words.
        reason: String,
    },
}

/// What to do about a wish to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// Publish our commitment.
    Force,
    /// Ask the peer.
    Agree,
    /// The peer has been asked already.
    Follow,
}

impl Channels {
    /// Begins to close a channel and follows it.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::AlreadyClosed`], [`Error::NotConnected`], [`Error::Argument`],
    /// [`Error::AddressFixed`], [`Error::Busy`], [`Error::Ldk`].
    pub async fn close(&self, request: Close) -> Result<CloseFollower, Error> {
        if request.force && (request.feerate.is_some() || request.script.is_some()) {
            let why = "a close by force takes neither a feerate nor an address".to_owned();
            return Err(Error::Argument("force", why));
        }
        let details = self.find(&request.channel)?;
        let script = request.script.map(shutdown_script).transpose()?;
        // Followed from before the deed, so that no change is missed.
        let follower = self.follow_close(&details);
        let (id, peer) = (&details.channel_id, &details.counterparty.node_id);
        let manager = &self.0.node.channel_manager;
        let connected = self.0.node.peer_manager.peer_by_node_id(peer).is_some();
        match course(&details, request.force, connected)? {
            Course::Follow => (),
            Course::Force => manager
                .force_close_broadcasting_latest_txn(id, peer, FORCE_WORDS.to_owned())
                .map_err(Error::from_ldk)?,
            Course::Agree => {
                if script.is_some() && self.0.config.fix_close_address {
                    return Err(Error::AddressFixed);
                }
                self.agree(&details, request.feerate.map(sat_per_1000_weight), script).await?;
            }
        }
        self.0.node.wake();
        // A caller that has heard that the channel closes need not look after it: no crash undoes it.
        self.0.node.checkpointed().await;
        Ok(follower)
    }

    /// Sends our `shutdown`; waits a moment for what has to end before.
    async fn agree(
        &self,
        details: &ChannelDetails,
        feerate: Option<u32>,
        script: Option<ShutdownScript>,
    ) -> Result<(), Error> {
        let (id, peer) = (&details.channel_id, &details.counterparty.node_id);
        let manager = &self.0.node.channel_manager;
        for _ in 0..TRIES {
            let script = script.clone();
            let Err(error) =
                manager.close_channel_with_feerate_and_script(id, peer, feerate, script)
            else {
                return Ok(());
            };
            match judge(&error) {
                Obstacle::Passing => tokio::time::sleep(BETWEEN_TRIES).await,
                Obstacle::ClosingAlready => return Ok(()),
                Obstacle::Lasting => return Err(Error::from_ldk(error)),
            }
        }
        Err(Error::Busy)
    }

    fn follow_close(&self, details: &ChannelDetails) -> CloseFollower {
        CloseFollower {
            channels: self.clone(),
            channel_id: details.channel_id,
            user_channel_id: details.user_channel_id,
            changes: self.0.spends.changes.follow(),
            told: Told::Nothing,
        }
    }
}

/// What keeps LDK from sending our `shutdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// An update of the channel is under way, or the peer has connected a moment ago.
    Passing,
    /// The peer was faster.
    ClosingAlready,
    /// Waiting does not help.
    Lasting,
}

/// LDK tells these apart only by its words.
fn judge(error: &APIError) -> Obstacle {
    let words = match error {
        APIError::MonitorUpdateInProgress => return Obstacle::Passing,
        APIError::APIMisuseError { err } | APIError::ChannelUnavailable { err } => err,
        APIError::FeeRateTooHigh { .. }
        | APIError::InvalidRoute { .. }
        | APIError::IncompatibleShutdownScript { .. } => return Obstacle::Lasting,
    };
    let passing =
        ["Process pending events first", "waiting on a monitor update", "while quiescent"];
    if words.contains("already in progress") {
        Obstacle::ClosingAlready
    } else if passing.iter().any(|sign| words.contains(sign)) {
        Obstacle::Passing
    } else {
        Obstacle::Lasting
    }
}

fn course(details: &ChannelDetails, force: bool, connected: bool) -> Result<Course, Error> {
    if force {
        return Ok(Course::Force);
    }
    match details.channel_shutdown_state {
        None | Some(ChannelShutdownState::NotShuttingDown) => (),
        Some(
            ChannelShutdownState::ShutdownInitiated
            | ChannelShutdownState::ResolvingHTLCs
            | ChannelShutdownState::NegotiatingClosingFee
            | ChannelShutdownState::ShutdownComplete,
        ) => return Ok(Course::Follow),
    }
    match connected {
        true => Ok(Course::Agree),
        false => Err(Error::NotConnected(details.counterparty.node_id)),
    }
}

fn shutdown_script(script: ScriptBuf) -> Result<ShutdownScript, Error> {
    ShutdownScript::try_from(script).map_err(|_| {
        let why = "BOLT 2 allows only addresses of witness programs (bc1...) here".to_owned();
        Error::Argument("address", why)
    })
}

fn sat_per_1000_weight(feerate: FeeRate) -> u32 {
    u32::try_from(feerate.to_sat_per_kwu()).unwrap_or(u32::MAX)
}

/// Follows a close until its transaction is confirmed.
pub struct CloseFollower {
    channels: Channels,
    channel_id: ChannelId,
    user_channel_id: u128,
    changes: watch::Receiver<u64>,
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Closing,
    /// With this transaction.
    Closed(Option<Txid>),
    Confirmed,
}

impl CloseFollower {
    /// The channel's id.
    pub fn channel_id(&self) -> ChannelId {
        self.channel_id
    }

    /// Returns the next state; none after the last.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub async fn next(&mut self) -> Result<Option<CloseUpdate>, storage::Error> {
        loop {
            match self.told {
                Told::Nothing => {
                    self.told = Told::Closing;
                    return Ok(Some(CloseUpdate::Closing));
                }
                Told::Confirmed => return Ok(None),
                Told::Closing | Told::Closed(_) => {
                    if let Some(update) = self.look()? {
                        return Ok(Some(update));
                    }
                    if self.changes.changed().await.is_err() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn look(&mut self) -> Result<Option<CloseUpdate>, storage::Error> {
        let inner = &self.channels.0;
        let Some(closed) = CLOSED.get(&inner.store, &self.channel_id.0)? else {
            return self.look_unfunded();
        };
        let reason = closed.reason;
        let closing = inner.spends.closing(&self.channel_id)?;
        let txid = closing.map(|closing| closing.txid);
        let confirmed = closing.is_some_and(|closing| closing.height.is_some());
        match self.told {
            Told::Closed(_) if confirmed => {
                self.told = Told::Confirmed;
                Ok(Some(CloseUpdate::Confirmed { txid, reason }))
            }
            Told::Closed(told) if told == txid => Ok(None),
            Told::Nothing | Told::Closing | Told::Closed(_) => {
                self.told = Told::Closed(txid);
                Ok(Some(CloseUpdate::Closed { txid, reason }))
            }
            Told::Confirmed => Ok(None),
        }
    }

    /// A channel that never was funded leaves no record of a closed one.
    fn look_unfunded(&mut self) -> Result<Option<CloseUpdate>, storage::Error> {
        let inner = &self.channels.0;
        let channels = inner.node.channel_manager.list_channels();
        if channels.iter().any(|channel| channel.channel_id == self.channel_id) {
            return Ok(None);
        }
        let record = CHANNELS.get(&inner.store, &record::key(self.user_channel_id))?;
        let reason = match record {
            Some(record) if record.stage == Stage::Failed => record.ending.unwrap_or_default(),
            // It is gone from LDK, but the event that tells why is still to come.
            Some(_) => return Ok(None),
            None => "it was given up before it was funded".to_owned(),
        };
        self.told = Told::Confirmed;
        Ok(Some(CloseUpdate::Confirmed { txid: None, reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_waited_for() {
        let misuse = |err: &str| APIError::APIMisuseError { err: err.to_owned() };
        let gone = |err: &str| APIError::ChannelUnavailable { err: err.to_owned() };
        let table = [
            (APIError::MonitorUpdateInProgress, Obstacle::Passing),
            (
                misuse("Cannot begin shutdown with pending HTLCs. Process pending events first"),
                Obstacle::Passing,
            ),
            (
                gone(
                    "Cannot begin shutdown while peer is disconnected or we're waiting on a monitor update, maybe force-close instead?",
                ),
                Obstacle::Passing,
            ),
            (misuse("Cannot begin shutdown while quiescent"), Obstacle::Passing),
            (gone("Shutdown already in progress by remote"), Obstacle::ClosingAlready),
            (gone("Channel with id 00 not found"), Obstacle::Lasting),
        ];
        for (error, expected) in table {
            assert_eq!(judge(&error), expected, "{error:?}");
        }
    }
}
