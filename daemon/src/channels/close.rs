//! Closes channels, in agreement with the peer or by force, and follows the close to the chain.

use std::time::Duration;

use bitcoin::{FeeRate, ScriptBuf, Txid};
use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};
use lightning::ln::script::ShutdownScript;
use lightning::ln::types::ChannelId;
use lightning::util::errors::APIError;
use tokio::sync::watch;

use super::record::{self, CHANNELS, CLOSED, ChannelRecord, ChannelStage};
use super::{ChannelRef, Channels, Error};
use crate::node::negotiation::closes::Sides;
use crate::node::negotiation::fees::Fees;
use crate::storage::{self, Batch};

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
    /// The peer was asked, or our commitment was published.
    Closing {
        /// What is offered and at most paid; none for a forced close.
        fees: Option<Fees>,
        /// Why there is no agreement about the fee yet, if so.
        stuck: Option<String>,
    },
    /// The channel is closed; repeated when its transaction is broadcast later, or another one is.
    Closed {
        /// The closing transaction, once it was broadcast.
        txid: Option<Txid>,
        /// Its fee in satoshis, once it was broadcast.
        fee_sat: Option<u64>,
        /// Why, in words.
        reason: String,
    },
    /// The closing transaction is in a block, or there was nothing to confirm.
    Confirmed {
        /// The transaction; none for a channel that never was funded.
        txid: Option<Txid>,
        /// Its fee in satoshis.
        fee_sat: Option<u64>,
        /// Why it was closed, in words.
        reason: String,
    },
}

/// What a close would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseQuote {
    /// Whether we opened the channel, so that we pay.
    pub we_pay: bool,
    /// By agreement: what is offered, and the most that is agreed to.
    pub fees: Fees,
    /// By force, in satoshis, without what HTLCs cost.
    pub forced_sat: u64,
    /// Blocks for which a forced close locks our money.
    pub locked_blocks: u16,
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
    /// Returns what a close would cost now, and closes nothing.
    ///
    /// # Errors
    /// As [`Channels::close`], but for the peer's absence.
    pub fn quote_close(&self, request: &Close) -> Result<CloseQuote, Error> {
        let details = self.find(&request.channel)?;
        let closes = &self.0.node.closes;
        let asked = asked_feerate(request.feerate, &details, closes.minimum())?;
        let sides = Sides::of(&details);
        Ok(CloseQuote {
            we_pay: sides.we_opened,
            fees: closes.fees(sides, asked),
            forced_sat: closes.forced_sat(),
            locked_blocks: details.force_close_spend_delay.unwrap_or(0),
        })
    }

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
        let asked = asked_feerate(request.feerate, &details, self.0.node.closes.minimum())?;
        let script = request.script.map(shutdown_script).transpose()?;
        // Followed from before the deed, so that no change is missed.
        let follower = self.follow_close(&details, request.force);
        let (id, peer) = (&details.channel_id, &details.counterparty.node_id);
        let manager = &self.0.node.channel_manager;
        let connected = self.0.node.peer_manager.peer_by_node_id(peer).is_some();
        match course(&details, request.force, connected)? {
            Course::Follow if asked.is_some() => {
                let why = "this channel is being closed already; its feerate is fixed".to_owned();
                return Err(Error::Argument("feerate_msat_per_vb", why));
            }
            Course::Follow => (),
            Course::Force => manager
                .force_close_broadcasting_latest_txn(id, peer, FORCE_WORDS.to_owned())
                .map_err(Error::from_ldk)?,
            Course::Agree => {
                if script.is_some() && self.0.config.fix_close_address {
                    return Err(Error::AddressFixed);
                }
                self.remember_feerate(&details, asked).await?;
                self.agree(&details, asked, script).await?;
            }
        }
        self.0.node.wake();
        // A caller that has heard that the channel closes need not look after it: no crash undoes it.
        self.0.node.checkpointed().await;
        Ok(follower)
    }

    /// Sets the feerate of a close, durably: after a restart the close goes on with it.
    async fn remember_feerate(
        &self,
        details: &ChannelDetails,
        asked: Option<u32>,
    ) -> Result<(), Error> {
        self.0.node.closes.ask(details.channel_id, asked);
        let key = record::key(details.user_channel_id);
        let Some(record) = CHANNELS.get(&self.0.store, &key)? else { return Ok(()) };
        if record.close_feerate_sat_per_kwu == asked {
            return Ok(());
        }
        let mut batch = Batch::new();
        let record = ChannelRecord { close_feerate_sat_per_kwu: asked, ..record };
        CHANNELS.put(&mut batch, &key, &record);
        self.0.store.commit(batch).await?;
        Ok(())
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
            let begun = self.0.node.keys.shutdown.for_peer(peer, || {
                manager.close_channel_with_feerate_and_script(id, peer, feerate, script)
            });
            let Err(error) = begun else { return Ok(()) };
            match judge(&error) {
                Obstacle::Passing => tokio::time::sleep(BETWEEN_TRIES).await,
                Obstacle::ClosingAlready => return Ok(()),
                Obstacle::Lasting => return Err(Error::from_ldk(error)),
            }
        }
        Err(Error::Busy)
    }

    fn follow_close(&self, details: &ChannelDetails, forced: bool) -> CloseFollower {
        CloseFollower {
            channels: self.clone(),
            channel_id: details.channel_id,
            user_channel_id: details.user_channel_id,
            forced,
            sides: Sides::of(details),
            changes: self.0.spends.changes.subscribe(),
            offers: self.0.node.closes.changes(),
            reported: Reported::Nothing,
            reported_stuck: None,
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

/// Checks the feerate that a caller asks for; returns it in satoshis per 1,000 weight units.
fn asked_feerate(
    feerate: Option<FeeRate>,
    details: &ChannelDetails,
    minimum: u32,
) -> Result<Option<u32>, Error> {
    let Some(feerate) = feerate else { return Ok(None) };
    let refuse = |why: String| Err(Error::Argument("feerate_msat_per_vb", why));
    if !details.is_outbound {
        return refuse(
            "the peer opened this channel, so it pays for the close and sets the feerate: leave this out".to_owned(),
        );
    }
    match at_least(u32::try_from(feerate.to_sat_per_kwu()).unwrap_or(u32::MAX), minimum) {
        Some(asked) => Ok(Some(asked)),
        None => refuse(format!(
            "{} msat per vbyte is less than the mempool takes now, {}",
            feerate.to_sat_per_kwu() * 4,
            u64::from(minimum) * 4
        )),
    }
}

/// Raises a feerate that misses the minimum by rounding only; `None` if it misses it by more.
fn at_least(asked: u32, minimum: u32) -> Option<u32> {
    let rounding = minimum / 20;
    (asked.saturating_add(rounding) >= minimum).then(|| asked.max(minimum))
}

/// Follows a close until its transaction is confirmed.
pub struct CloseFollower {
    channels: Channels,
    channel_id: ChannelId,
    user_channel_id: u128,
    forced: bool,
    sides: Sides,
    changes: watch::Receiver<u64>,
    offers: watch::Receiver<u64>,
    reported: Reported,
    reported_stuck: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
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
            match self.reported {
                Reported::Nothing => {
                    self.reported = Reported::Closing;
                    return Ok(Some(self.closing(None)));
                }
                Reported::Confirmed => return Ok(None),
                Reported::Closing | Reported::Closed(_) => {
                    if let Some(update) = self.look()? {
                        return Ok(Some(update));
                    }
                    if let Some(update) = self.look_at_offers() {
                        return Ok(Some(update));
                    }
                    let changed = tokio::select! {
                        changed = self.changes.changed() => changed,
                        offered = self.offers.changed() => offered,
                    };
                    if changed.is_err() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn closing(&self, stuck: Option<String>) -> CloseUpdate {
        let closes = &self.channels.0.node.closes;
        let fees = closes.fees(self.sides, closes.asked(&self.channel_id));
        CloseUpdate::Closing { fees: (!self.forced).then_some(fees), stuck }
    }

    /// Tells once why there is no agreement.
    fn look_at_offers(&mut self) -> Option<CloseUpdate> {
        let negotiation = self.channels.0.node.closes.negotiation(&self.channel_id)?;
        if self.reported != Reported::Closing || negotiation.stuck == self.reported_stuck {
            return None;
        }
        self.reported_stuck = negotiation.stuck.clone();
        negotiation.stuck.map(|why| self.closing(Some(why)))
    }

    fn look(&mut self) -> Result<Option<CloseUpdate>, storage::Error> {
        let inner = &self.channels.0;
        let Some(closed) = CLOSED.get(&inner.store, &self.channel_id.0)? else {
            return self.look_unfunded();
        };
        let reason = closed.reason;
        let closing = inner.spends.closing(&self.channel_id)?;
        let txid = closing.map(|closing| closing.txid);
        let fee_sat = closing.and_then(|closing| closing.fee_sat);
        let confirmed = closing.is_some_and(|closing| closing.height.is_some());
        match self.reported {
            Reported::Closed(_) if confirmed => {
                self.reported = Reported::Confirmed;
                Ok(Some(CloseUpdate::Confirmed { txid, fee_sat, reason }))
            }
            Reported::Closed(reported) if reported == txid => Ok(None),
            Reported::Nothing | Reported::Closing | Reported::Closed(_) => {
                self.reported = Reported::Closed(txid);
                Ok(Some(CloseUpdate::Closed { txid, fee_sat, reason }))
            }
            Reported::Confirmed => Ok(None),
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
            Some(record) if record.stage == ChannelStage::Failed => {
                record.ending.unwrap_or_default()
            }
            // It is gone from LDK, but the event that tells why is still to come.
            Some(_) => return Ok(None),
            None => "it was given up before it was funded".to_owned(),
        };
        self.reported = Reported::Confirmed;
        Ok(Some(CloseUpdate::Confirmed { txid: None, fee_sat: None, reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feerate_below_the_mempools_is_refused_but_not_for_its_rounding() {
        // 1 sat/vB is 250 sat per 1,000 weight units, and LDK's floor is 253.
        assert_eq!(at_least(250, 258), Some(258));
        assert_eq!(at_least(500, 258), Some(500));
        assert_eq!(at_least(200, 258), None);
    }

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
