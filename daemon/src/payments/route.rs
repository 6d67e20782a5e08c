//! Routes for those who ask without paying: found and estimated.

use std::str::FromStr as _;

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::{NoRoute, Plan};
use lightning::ln::channelmanager::MIN_FINAL_CLTV_EXPIRY_DELTA;
use lightning::routing::gossip::NodeId;
use lightning_invoice::Bolt11Invoice;

use super::check::{self, AskedLimits};
use super::{Error, Payments, blocking};
use crate::node::planner::{Constraints, NoRouteReason, Wanted};

/// The blocks that the last node has left to claim a keysend; a few blocks may pass on the way.
pub(super) const KEYSEND_FINAL_CLTV_DELTA: u32 = MIN_FINAL_CLTV_EXPIRY_DELTA as u32 + 3;
/// How often the fee is halved, or the half of what is left, to find out what the cheapest way costs.
const HALVINGS: u32 = 7;
/// A round in which a plan pays several times as much for certainty.
const SURE_ROUND: u32 = 5;

/// Whom a route is to lead to.
#[derive(Clone, Debug)]
pub enum Payee {
    /// A node.
    Node(PublicKey),
    /// The payee of an invoice, with its hints.
    Invoice(String),
}

/// A route that somebody asks for.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Who would be paid.
    pub payee: Payee,
    /// What is to arrive; may be left to an invoice.
    pub amount_msat: Option<u64>,
    /// Who would pay; we, if nobody is named.
    pub payer: Option<PublicKey>,
    /// The caller's bounds; the time is of no account.
    pub limits: AskedLimits,
    /// Which ways it may go.
    pub constraints: Constraints,
}

/// What a payment may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The least that was found to be possible.
    pub cheapest: Plan,
    /// What a payment would try first.
    pub usual: Plan,
    /// What a payment would pay if certainty were worth several times as much.
    pub surest: Plan,
}

impl Payments {
    /// Finds the route that a payment would try first.
    ///
    /// # Errors
    /// [`Error::NoRoute`] with the reason, and what makes no sense in the request.
    pub fn find_route(&self, inquiry: Inquiry) -> Result<Plan, Error> {
        let wanted = self.wanted(inquiry)?;
        blocking(|| self.ask(&wanted)).map_err(no_route)
    }

    /// Tells what a payment may cost, how long it may lock the money, and how likely it arrives at once.
    ///
    /// # Errors
    /// As [`Payments::find_route`].
    pub fn estimate(&self, inquiry: Inquiry) -> Result<Estimate, Error> {
        let wanted = self.wanted(inquiry)?;
        blocking(|| estimate(&wanted, |wanted| self.ask(wanted))).map_err(no_route)
    }

    pub(super) fn wanted(&self, inquiry: Inquiry) -> Result<Wanted, Error> {
        let Inquiry { payee, amount_msat, payer, limits, constraints } = inquiry;
        let us = self.0.node.id();
        let payer = payer.unwrap_or(us);
        if payer != us && !self.knows(&payer) {
            return Err(Error::UnknownNode("source", payer));
        }
        let mut wanted = match payee {
            Payee::Node(payee) => Wanted {
                amount_msat: check::amount(amount_msat.unwrap_or(0))?,
                payee,
                final_cltv_delta: KEYSEND_FINAL_CLTV_DELTA,
                ..blank(payer)
            },
            Payee::Invoice(text) => {
                let invoice = Bolt11Invoice::from_str(text.trim())
                    .map_err(|error| Error::NotAnInvoice(error.to_string()))?;
                let terms = check::terms(&invoice, amount_msat, &self.facts())?;
                let splittable =
                    invoice.features().is_some_and(|features| features.supports_basic_mpp());
                Wanted {
                    amount_msat: terms.amount_msat,
                    payee: terms.payee,
                    final_cltv_delta: invoice
                        .min_final_cltv_expiry_delta()
                        .try_into()
                        .unwrap_or(u32::MAX),
                    max_parts: if splittable { u8::MAX } else { 1 },
                    hints: invoice.route_hints(),
                    ..blank(payer)
                }
            }
        };
        if let Some((argument, why)) = constraints.fault(&payer, &wanted.payee) {
            return Err(Error::BadConstraint(argument, why));
        }
        if payer == us {
            self.check_constraints(&constraints, &wanted.payee)?;
        }
        let limits = check::limits(limits, wanted.amount_msat, &self.0.config)?;
        wanted.max_fee_msat = limits.max_fee_msat;
        wanted.max_total_cltv_delta = limits.max_total_cltv_delta;
        wanted.max_parts = wanted.max_parts.min(limits.max_parts);
        wanted.constraints = constraints;
        Ok(wanted)
    }

    /// Asks the planner, with our channels where we are the payer.
    pub(super) fn ask(&self, wanted: &Wanted) -> Result<Plan, NoRoute> {
        let node = &self.0.node;
        if wanted.payer != node.id() {
            return node.router.planner().ask(wanted, None);
        }
        let channels = node.channel_manager.list_usable_channels();
        let channels: Vec<_> = channels.iter().collect();
        let in_flight = node.channel_manager.compute_inflight_htlcs();
        node.router.planner().ask(wanted, Some((&channels, &in_flight)))
    }

    fn knows(&self, node: &PublicKey) -> bool {
        self.0.node.graph.read_only().node(&NodeId::from_pubkey(node)).is_some()
    }
}

fn blank(payer: PublicKey) -> Wanted {
    Wanted {
        payer,
        payee: payer,
        amount_msat: 0,
        max_fee_msat: 0,
        max_total_cltv_delta: 0,
        final_cltv_delta: 0,
        max_parts: u8::MAX,
        hints: Vec::new(),
        constraints: Constraints::default(),
        round: 0,
    }
}

pub(super) fn no_route(why: NoRoute) -> Error {
    Error::NoRoute(NoRouteReason::from(why))
}

/// Estimates by asking for the route that is usual, for cheaper ones, and for a surer one.
fn estimate(
    wanted: &Wanted,
    ask: impl Fn(&Wanted) -> Result<Plan, NoRoute>,
) -> Result<Estimate, NoRoute> {
    let usual = ask(wanted)?;
    let mut cheapest = usual.clone();
    let mut too_little_msat = 0;
    for _ in 0..HALVINGS {
        if cheapest.fee_msat <= too_little_msat {
            break;
        }
        let max_fee_msat = too_little_msat + (cheapest.fee_msat - too_little_msat) / 2;
        match ask(&Wanted { max_fee_msat, ..wanted.clone() }) {
            Ok(plan) => cheapest = plan,
            Err(_) => too_little_msat = max_fee_msat + 1,
        }
    }
    let sure = ask(&Wanted { round: SURE_ROUND, ..wanted.clone() }).ok();
    let surest = sure.filter(|plan| plan.chance > usual.chance).unwrap_or_else(|| usual.clone());
    Ok(Estimate { cheapest, usual, surest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(max_fee_msat: u64) -> Wanted {
        let key = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";
        Wanted { max_fee_msat, ..blank(key.parse().expect("it is a point")) }
    }

    fn plan(fee_msat: u64, chance: f32) -> Plan {
        Plan { parts: Vec::new(), amount_msat: 1, fee_msat, chance }
    }

    /// A network in which the cheapest way costs 100, and which prefers one for 1,000.
    fn network(wanted: &Wanted) -> Result<Plan, NoRoute> {
        match (wanted.max_fee_msat, wanted.round) {
            (0..100, _) => {
                Err(NoRoute::FeeLimit { fee_msat: 100, max_fee_msat: wanted.max_fee_msat })
            }
            (100..1_000, _) => {
                Ok(plan(wanted.max_fee_msat.min(100 + wanted.max_fee_msat / 8), 0.5))
            }
            (_, 0) => Ok(plan(1_000, 0.9)),
            (_, _) => Ok(plan(5_000, 0.99)),
        }
    }

    #[test]
    fn an_estimate_spans_from_the_cheapest_to_the_surest() {
        let found = estimate(&wanted(10_000), network).expect("there is a way");
        assert_eq!((found.usual.fee_msat, found.surest.fee_msat), (1_000, 5_000));
        assert!((100..130).contains(&found.cheapest.fee_msat), "{}", found.cheapest.fee_msat);
        assert!(estimate(&wanted(99), network).is_err());
        let free = |_: &Wanted| Ok(plan(0, 1.0));
        let found = estimate(&wanted(0), free).expect("there is a way");
        assert_eq!(
            (found.cheapest.clone(), found.surest.clone()),
            (found.usual.clone(), found.usual)
        );
    }
}
