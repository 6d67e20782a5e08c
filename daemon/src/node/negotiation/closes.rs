//! Closes by agreement while their fee is negotiated (BOLT 2, `closing_signed`).
//!
//! The side that pays announces a range of fees; LDK as the other side takes the top of it, and as the payer forces the
//! close when the peer wants more than LDK's maximum. So LDK gets a maximum that is never reached, and the true range is
//! laid over the messages here: ours on its way out, the peer's on its way in. The signature in `closing_signed` covers
//! its fee and not its range. An offer that we do not agree to is kept from LDK, which would answer it with a forced
//! close; the channel stays in negotiation, and the offers are shown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bitcoin::secp256k1::PublicKey;
use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator as _};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::msgs::{ClosingSigned, ClosingSignedFeeRange, MessageSendEvent};
use lightning::ln::types::ChannelId;
use tokio::sync::watch;

use super::fees::{self, FeeFacts, Fees};
use crate::feerates::Feerates;

/// What LDK is allowed beyond its estimate: so much that the bound of this file is always the lower one.
pub const UNBOUNDED_AVOIDANCE_SAT: u64 = 21_000_000 * 100_000_000;

/// The money of a channel, and who pays for its close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Whether we opened it.
    pub we_opened: bool,
    /// Our balance.
    pub local_sat: u64,
    /// The peer's balance.
    pub remote_sat: u64,
}

impl Sides {
    /// Reads a channel: each side's balance is what it can send, and the reserve that it must keep.
    pub fn of(channel: &ChannelDetails) -> Self {
        let counterparty = &channel.counterparty;
        let (ours, theirs) =
            (channel.unspendable_punishment_reserve, counterparty.unspendable_punishment_reserve);
        Self {
            we_opened: channel.is_outbound,
            local_sat: (channel.outbound_capacity_msat / 1_000).saturating_add(ours.unwrap_or(0)),
            remote_sat: (channel.inbound_capacity_msat / 1_000).saturating_add(theirs),
        }
    }
}

/// Looks a channel up; `None` if LDK does not run it any more.
pub type LookUp = Box<dyn Fn(&PublicKey, &ChannelId) -> Option<Sides> + Send + Sync>;

/// An offer of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeOffer {
    /// The fee, in satoshis.
    pub fee_sat: u64,
    /// The least and the most that it agrees to, if it says so.
    pub range_sat: Option<(u64, u64)>,
}

/// How far the negotiation of a close has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiation {
    /// Our last offer.
    pub ours: Option<FeeOffer>,
    /// The peer's last offer.
    pub theirs: Option<FeeOffer>,
    /// Why there is no agreement, if the peer's last offer was not taken.
    pub stuck: Option<String>,
    peer: Option<PublicKey>,
    asked: Option<u32>,
    our_script: Option<usize>,
    their_script: Option<usize>,
}

/// How fees are negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosePolicy {
    /// Satoshis that may be paid beyond the estimate to avoid a forced close.
    pub avoidance_sat: u64,
    /// Blocks in which a closing transaction should confirm.
    pub target_blocks: u16,
}

/// All closes under negotiation.
pub struct Closes {
    feerates: Arc<Feerates>,
    policy: ClosePolicy,
    look_up: LookUp,
    known: Mutex<HashMap<ChannelId, Negotiation>>,
    changes: watch::Sender<u64>,
}

impl Closes {
    /// Begins with no negotiation.
    pub fn new(feerates: Arc<Feerates>, policy: ClosePolicy, look_up: LookUp) -> Self {
        let (known, changes) = (Mutex::default(), watch::Sender::new(0));
        Self { feerates, policy, look_up, known, changes }
    }

    /// Returns what wakes when an offer was made or heard.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Sets the feerate that a close is to pay, in satoshis per 1,000 weight units; `None` for the estimate.
    pub fn ask(&self, channel_id: ChannelId, asked: Option<u32>) {
        self.known().entry(channel_id).or_default().asked = asked;
    }

    /// Returns the feerate that a close is to pay, in satoshis per 1,000 weight units, if one was asked for.
    pub fn asked(&self, channel_id: &ChannelId) -> Option<u32> {
        self.known().get(channel_id).and_then(|negotiation| negotiation.asked)
    }

    /// Returns what a forced close of a channel without HTLCs costs now, in satoshis.
    pub fn forced_sat(&self) -> u64 {
        let urgent = ConfirmationTarget::UrgentOnChainSweep;
        fees::forced_close_sat(self.feerates.get_est_sat_per_1000_weight(urgent))
    }

    /// Returns how far the negotiation has come, if there is one.
    pub fn negotiation(&self, channel_id: &ChannelId) -> Option<Negotiation> {
        self.known().get(channel_id).cloned()
    }

    /// Forgets a channel that is closed.
    pub fn forget(&self, channel_id: &ChannelId) {
        self.known().remove(channel_id);
    }

    /// Returns what a close costs: what is offered, and the most that is agreed to.
    pub fn fees(&self, sides: Sides, asked: Option<u32>) -> Fees {
        fees::decide(&self.facts(sides, asked, fees::weight(None, None)))
    }

    /// Returns the least feerate that the mempool takes, in satoshis per 1,000 weight units.
    pub fn minimum(&self) -> u32 {
        self.feerates.get_est_sat_per_1000_weight(ConfirmationTarget::ChannelCloseMinimum)
    }

    /// Returns the peers that want another fee than we agree to.
    ///
    /// LDK forces a close whose negotiation outlasts two of its timer ticks while the peer is connected.
    pub fn peers_that_disagree(&self) -> Vec<PublicKey> {
        let known = self.known();
        let stuck = known.values().filter(|negotiation| negotiation.stuck.is_some());
        stuck.filter_map(|negotiation| negotiation.peer).collect()
    }

    /// Narrows an outgoing message.
    pub fn outgoing(&self, message: &mut MessageSendEvent) {
        match message {
            MessageSendEvent::SendShutdown { node_id: _, msg } => {
                let script = Some(msg.scriptpubkey.len());
                self.known().entry(msg.channel_id).or_default().our_script = script;
            }
            MessageSendEvent::SendClosingSigned { node_id, msg } => self.offer(node_id, msg),
            _ => (),
        }
    }

    /// Notes the script that the peer is paid to.
    pub fn shutdown(&self, channel_id: ChannelId, script_bytes: usize) {
        self.known().entry(channel_id).or_default().their_script = Some(script_bytes);
    }

    fn offer(&self, peer: &PublicKey, msg: &mut ClosingSigned) {
        let sides = (self.look_up)(peer, &msg.channel_id);
        let mut known = self.known();
        let Some(negotiation) = known.get_mut(&msg.channel_id) else {
            // The answer that ends the negotiation: LDK has let go of the channel.
            if let Some(range) = &mut msg.fee_range {
                *range = our_range(range, msg.fee_satoshis, None);
            }
            return;
        };
        let fees = sides.map(|sides| self.decide(sides, negotiation));
        if let Some(range) = &mut msg.fee_range {
            *range = our_range(range, msg.fee_satoshis, sides.map(|it| it.we_opened).zip(fees));
        }
        negotiation.ours = Some(FeeOffer::of(msg));
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        tracing::info!(channel_id = %msg.channel_id, offer = ?negotiation.ours, "offered a fee for a close");
    }

    /// Returns what LDK is to hear of a peer's offer; `None` if we do not agree to it.
    pub fn incoming(&self, peer: PublicKey, msg: &ClosingSigned) -> Option<ClosingSigned> {
        let sides = (self.look_up)(&peer, &msg.channel_id)?;
        let mut known = self.known();
        let negotiation = known.entry(msg.channel_id).or_default();
        let fees = self.decide(sides, negotiation);
        let least_sat = negotiation.ours.and_then(|ours| ours.range_sat).map_or(0, |range| range.0);
        negotiation.peer = Some(peer);
        negotiation.theirs = Some(FeeOffer::of(msg));
        let judged = judge(msg, sides.we_opened, least_sat, fees);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        match &judged {
            Ok(_) => negotiation.stuck = None,
            Err(why) => {
                tracing::warn!(channel_id = %msg.channel_id, %peer, why, "no agreement about the fee of a close");
                negotiation.stuck = Some(why.clone());
            }
        }
        judged.ok()
    }

    fn decide(&self, sides: Sides, negotiation: &Negotiation) -> Fees {
        let weight = fees::weight(negotiation.our_script, negotiation.their_script);
        fees::decide(&self.facts(sides, negotiation.asked, weight))
    }

    fn facts(&self, sides: Sides, asked: Option<u32>, weight: u64) -> FeeFacts {
        let estimate = self.feerates.feerate_for_wallet(self.policy.target_blocks).to_sat_per_kwu();
        let urgent =
            self.feerates.get_est_sat_per_1000_weight(ConfirmationTarget::UrgentOnChainSweep);
        FeeFacts {
            we_pay: sides.we_opened,
            local_sat: sides.local_sat,
            remote_sat: sides.remote_sat,
            weight,
            asked,
            estimate: u32::try_from(estimate).unwrap_or(u32::MAX),
            minimum: self.minimum(),
            urgent,
            avoidance_sat: self.policy.avoidance_sat,
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ChannelId, Negotiation>> {
        self.known.lock().expect("no panic while held")
    }
}

impl FeeOffer {
    fn of(msg: &ClosingSigned) -> Self {
        let range = msg.fee_range.as_ref();
        Self {
            fee_sat: msg.fee_satoshis,
            range_sat: range.map(|range| (range.min_fee_satoshis, range.max_fee_satoshis)),
        }
    }
}

/// The range that our offer announces: up to what we want to pay, and always with the offer in it. Where the peer pays
/// LDK's own range stays.
fn our_range(
    range: &ClosingSignedFeeRange,
    fee_sat: u64,
    payer: Option<(bool, Fees)>,
) -> ClosingSignedFeeRange {
    let min_fee_satoshis = range.min_fee_satoshis;
    let max_fee_satoshis = match payer {
        Some((false, _)) => range.max_fee_satoshis,
        Some((true, fees)) => fees.offer_sat.max(fee_sat).max(min_fee_satoshis),
        // LDK has just let go of the channel; nothing beyond the offer is agreed to.
        None => fee_sat.max(min_fee_satoshis),
    };
    ClosingSignedFeeRange { min_fee_satoshis, max_fee_satoshis }
}

/// Judges a peer's offer; `least_sat` is the least that our own offer announced.
fn judge(
    msg: &ClosingSigned,
    we_pay: bool,
    least_sat: u64,
    fees: Fees,
) -> Result<ClosingSigned, String> {
    let mut heard = msg.clone();
    let fee_sat = msg.fee_satoshis;
    if !we_pay {
        if let Some(range) = &mut heard.fee_range {
            // LDK takes the top of the range; what the peer pays for is near our estimate then.
            let wanted_sat = fees.offer_sat.max(fee_sat).max(range.min_fee_satoshis);
            range.max_fee_satoshis = range.max_fee_satoshis.min(wanted_sat);
        }
        return Ok(heard);
    }
    let most_sat = fees.most_sat.max(least_sat);
    let least_of_peer = msg.fee_range.as_ref().map_or(fee_sat, |range| range.min_fee_satoshis);
    if fee_sat > most_sat || least_of_peer > most_sat {
        let wanted_sat = fee_sat.max(least_of_peer);
        return Err(format!(
            "the peer wants a fee of {wanted_sat} sat, at most {most_sat} sat are paid to close in agreement"
        ));
    }
    if fee_sat < least_sat {
        return Err(format!(
            "the peer wants a fee of {fee_sat} sat only, at least {least_sat} sat are needed"
        ));
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::ecdsa::Signature;

    use super::*;

    fn offer(fee_satoshis: u64, range: Option<(u64, u64)>) -> ClosingSigned {
        ClosingSigned {
            channel_id: ChannelId([1; 32]),
            fee_satoshis,
            signature: Signature::from_compact(&[1; 64]).expect("it parses"),
            fee_range: range.map(|(min_fee_satoshis, max_fee_satoshis)| ClosingSignedFeeRange {
                min_fee_satoshis,
                max_fee_satoshis,
            }),
        }
    }

    const FEES: Fees = Fees { offer_sat: 500, most_sat: 5_000 };

    #[test]
    fn we_announce_what_we_want_to_pay_and_no_more() {
        let ldk = ClosingSignedFeeRange { min_fee_satoshis: 200, max_fee_satoshis: 9_000_000 };
        let range = |fee_sat, payer| {
            let range = our_range(&ldk, fee_sat, payer);
            (range.min_fee_satoshis, range.max_fee_satoshis)
        };
        assert_eq!(range(200, Some((true, FEES))), (200, 500));
        assert_eq!(range(4_343, Some((true, FEES))), (200, 4_343), "what was agreed to");
        assert_eq!(range(200, Some((true, Fees { offer_sat: 100, ..FEES }))), (200, 200));
        assert_eq!(range(200, Some((false, FEES))), (200, 9_000_000), "the peer pays");
        assert_eq!(range(200, None), (200, 200));
    }

    #[test]
    fn a_peer_that_pays_is_asked_for_the_estimate_and_not_for_all() {
        let heard = |msg: ClosingSigned| judge(&msg, false, 0, FEES).expect("it pays");
        let top = |msg| heard(msg).fee_range.map(|range| range.max_fee_satoshis);
        assert_eq!(top(offer(200, Some((200, 9_000)))), Some(500));
        assert_eq!(top(offer(200, Some((200, 300)))), Some(300));
        assert_eq!(top(offer(800, Some((700, 9_000)))), Some(800));
        assert_eq!(top(offer(800, None)), None);
    }

    #[test]
    fn a_payer_agrees_up_to_the_bound_and_keeps_the_rest_from_ldk() {
        let of = |msg: ClosingSigned| judge(&msg, true, 200, FEES);
        assert!(of(offer(200, Some((100, 900)))).is_ok());
        assert!(of(offer(4_343, Some((4_343, 8_686)))).is_ok());
        assert!(of(offer(5_000, None)).is_ok());
        let why = of(offer(5_001, None)).expect_err("too dear");
        assert!(why.contains("5001 sat") && why.contains("5000 sat"), "{why}");
        assert!(of(offer(400, Some((6_000, 9_000)))).is_err());
        let why = of(offer(199, None)).expect_err("it would not be relayed");
        assert!(why.contains("199 sat") && why.contains("200 sat"), "{why}");
    }
}
