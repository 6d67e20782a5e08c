//! Probing: HTLCs that nobody can claim take a payment's route and show whether it would arrive.

mod background;
mod outcomes;

use std::collections::VecDeque;
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::Plan;
use lightning::ln::channelmanager::PaymentId;
use lightning::routing::router::Path;
use tokio::time::{Instant, timeout_at};

pub use outcomes::{ProbeOutcome, ProbeOutcomes};

use super::check::{self, Splitting};
use super::route::{Inquiry, no_route};
use super::{Error, Payments, blocking};
use crate::node::planner::{NoRouteReason, Wanted};

/// Attempts where the caller does not say how many.
const DEFAULT_ATTEMPTS: u32 = 5;
/// More are the work of background probing.
const MAX_ATTEMPTS: u32 = 50;

/// The state of a probe, as its follower sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeUpdate {
    /// An attempt begins: the route, and from which hop of each part on nothing can be probed.
    Sent(Plan),
    /// A part, counted from 1, came as far as can be probed.
    PartReached(usize),
    /// A part got stuck: at which hop, counted from 1, and at which channel, where that is known.
    PartStuck {
        /// Which part, counted from 1.
        part: usize,
        /// Which hop of it, counted from 1.
        hop: Option<usize>,
        /// Which channel.
        short_channel_id: Option<u64>,
    },
    /// The end: all parts of the last attempt reached the payee.
    WouldArrive,
    /// The end: parts got stuck, and why no other attempt is made, where that is not their number.
    Stuck(Option<NoRouteReason>),
    /// The end: parts are still under way, and the time is up.
    NoAnswer,
}

impl Payments {
    /// Sends what nobody can claim the way that a payment would go, again by other ways where it gets
    /// stuck, and tells what becomes of it.
    ///
    /// # Errors
    /// Refusals, and [`Error::NoRoute`] where there is none to begin with.
    pub fn probe(&self, inquiry: Inquiry, attempts: u32) -> Result<Probe, Error> {
        if attempts > MAX_ATTEMPTS {
            let why = format!("{attempts} is more than {MAX_ATTEMPTS}");
            return Err(Error::BadLimit("max_attempts", why));
        }
        let limits = inquiry.limits;
        let wanted = self.wanted(inquiry)?;
        if wanted.payee == self.0.node.id() {
            return Err(Error::ToSelf);
        }
        let splitting = Splitting::of(true, wanted.max_parts);
        self.check_sendable(wanted.amount_msat, &wanted.constraints, splitting)?;
        let timeout = check::limits(limits, wanted.amount_msat, &self.0.config)?.timeout;
        let plan = blocking(|| self.ask(&wanted)).map_err(no_route)?;
        Ok(Probe::begin(self.clone(), wanted, plan, attempts, timeout))
    }

    /// Takes in LDK's `ProbeSuccessful` and `ProbeFailed`.
    pub fn probe_ended(&self, payment_id: PaymentId, end: ProbeOutcome) {
        self.0.probes.tell(payment_id, end);
    }
}

/// A probe that goes on as it is asked for its next news.
pub struct Probe {
    payments: Payments,
    wanted: Wanted,
    attempts_left: u32,
    deadline: Instant,
    news: VecDeque<ProbeUpdate>,
    under_way: Vec<UnderWay>,
    stuck: bool,
    ended: bool,
}

struct UnderWay {
    payment_id: PaymentId,
    part: usize,
    path: Path,
}

impl Probe {
    fn begin(
        payments: Payments,
        wanted: Wanted,
        plan: Plan,
        attempts: u32,
        timeout: Duration,
    ) -> Self {
        let attempts = if attempts == 0 { DEFAULT_ATTEMPTS } else { attempts };
        let mut probing = Self {
            payments,
            wanted,
            attempts_left: attempts,
            deadline: Instant::now() + timeout,
            news: VecDeque::new(),
            under_way: Vec::new(),
            stuck: false,
            ended: false,
        };
        probing.send(plan);
        probing
    }

    /// Returns what happened next; none after the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<ProbeUpdate> {
        while self.news.is_empty() && !self.ended {
            if self.under_way.is_empty() {
                self.conclude();
                continue;
            }
            let ids: Vec<_> = self.under_way.iter().map(|probe| probe.payment_id).collect();
            let payments = self.payments.clone();
            match timeout_at(self.deadline, payments.0.probes.next_of(&ids)).await {
                Ok((payment_id, end)) => self.hear(payment_id, end),
                Err(_) => self.end(ProbeUpdate::NoAnswer),
            }
        }
        self.news.pop_front()
    }

    fn hear(&mut self, payment_id: PaymentId, end: ProbeOutcome) {
        let place = self.under_way.iter().position(|probe| probe.payment_id == payment_id);
        let Some(place) = place else { return };
        let UnderWay { part, path, .. } = self.under_way.swap_remove(place);
        self.news.push_back(match end {
            ProbeOutcome::Reached => ProbeUpdate::PartReached(part),
            ProbeOutcome::Stuck(short_channel_id) => {
                self.stuck = true;
                let hop = short_channel_id.and_then(|scid| hop_of(&path, scid));
                ProbeUpdate::PartStuck { part, hop, short_channel_id }
            }
        });
    }

    /// All parts of an attempt have ended: another attempt, or the end.
    fn conclude(&mut self) {
        if !self.stuck {
            return self.end(ProbeUpdate::WouldArrive);
        }
        if self.attempts_left == 0 {
            return self.end(ProbeUpdate::Stuck(None));
        }
        match blocking(|| self.payments.ask(&self.wanted)) {
            Ok(plan) => self.send(plan),
            Err(why) => self.end(ProbeUpdate::Stuck(Some(why.into()))),
        }
    }

    fn end(&mut self, last: ProbeUpdate) {
        self.news.push_back(last);
        self.ended = true;
    }

    /// Sends the parts of a plan.
    fn send(&mut self, plan: Plan) {
        self.attempts_left = self.attempts_left.saturating_sub(1);
        self.stuck = false;
        let node = self.payments.0.node.clone();
        let channels = node.channel_manager.list_usable_channels();
        let paths = node.router.planner().paths(&plan, &channels.iter().collect::<Vec<_>>());
        self.news.push_back(ProbeUpdate::Sent(plan));
        for (part, path) in (1..).zip(paths.unwrap_or_default()) {
            let Some(path) = probed_path(path, &node.id()) else {
                // Only our own channel: what it can send we know without a probe.
                self.news.push_back(ProbeUpdate::PartReached(part));
                continue;
            };
            match blocking(|| node.channel_manager.send_probe(path.clone())) {
                Ok((_, payment_id)) => self.under_way.push(UnderWay { payment_id, part, path }),
                Err(error) => {
                    tracing::debug!(?error, "a probe was not sent");
                    self.stuck = true;
                    let short_channel_id = path.hops.first().map(|hop| hop.short_channel_id);
                    self.news.push_back(ProbeUpdate::PartStuck {
                        part,
                        hop: Some(1),
                        short_channel_id,
                    });
                }
            }
        }
        node.wake();
    }
}

/// The way as far as it can be probed: a node behind channels that are not announced may not answer as others
/// do (LDK probes no further either). None for our own channel alone.
pub fn probed_path(mut path: Path, us: &PublicKey) -> Option<Path> {
    while let Some(last) = path.hops.last().filter(|last| !last.maybe_announced_channel) {
        let beyond_msat = last.fee_msat;
        path.hops.pop();
        path.hops.last_mut()?.fee_msat += beyond_msat;
    }
    let ends_here = path.hops.last().is_some_and(|last| last.pubkey == *us);
    (path.hops.len() >= 2 && !ends_here).then_some(path)
}

/// Which hop of the way, counted from 1, a channel is.
fn hop_of(path: &Path, short_channel_id: u64) -> Option<usize> {
    let place = path.hops.iter().position(|hop| hop.short_channel_id == short_channel_id);
    place.map(|place| place + 1)
}

#[cfg(test)]
mod tests {
    use lightning::routing::router::RouteHop;
    use lightning::types::features::{ChannelFeatures, NodeFeatures};

    use super::*;

    fn key(byte: u8) -> PublicKey {
        let secret = bitcoin::secp256k1::SecretKey::from_slice(&[byte; 32]).expect("a key");
        PublicKey::from_secret_key(&bitcoin::secp256k1::Secp256k1::new(), &secret)
    }

    fn path(announced: &[bool]) -> Path {
        let hop = |(scid, announced): (u64, &bool)| RouteHop {
            pubkey: key(scid.try_into().expect("few hops")),
            node_features: NodeFeatures::empty(),
            short_channel_id: scid,
            channel_features: ChannelFeatures::empty(),
            fee_msat: 10,
            cltv_expiry_delta: 40,
            maybe_announced_channel: *announced,
        };
        Path { hops: (2..).zip(announced).map(hop).collect(), blinded_tail: None }
    }

    #[test]
    fn a_way_is_probed_as_far_as_it_is_announced() {
        for (announced, hops, last_msat) in [
            (&[true, true, true][..], Some(3), 10),
            (&[false, true, true], Some(3), 10),
            (&[true, true, false], Some(2), 20),
            (&[true, false, false], None, 0),
            (&[true], None, 0),
            (&[false], None, 0),
        ] {
            let probed = probed_path(path(announced), &key(1));
            assert_eq!(probed.as_ref().map(|path| path.hops.len()), hops, "{announced:?}");
            if let Some(last) = probed.as_ref().and_then(|path| path.hops.last()) {
                assert_eq!(last.fee_msat, last_msat, "{announced:?}");
            }
        }
        assert_eq!(hop_of(&path(&[true, true]), 3), Some(2));
        assert_eq!(hop_of(&path(&[true, true]), 9), None);
    }
}
