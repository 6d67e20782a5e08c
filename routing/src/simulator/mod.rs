//! Payments over a graph with hidden balances, to try any router on: the same rules for all.
//!
//! Balances are drawn once per set of payments and never shown; the payer knows its own channels. Each
//! round the router plans what is still missing, all parts of the round are tried in their order, parts
//! that arrive stay locked (and are reported to the router, as failures are), and after at most
//! [`MAX_ROUNDS`] rounds the payment has failed. Payments do not see each other: knowledge is cold, and
//! what was locked is free again. What is feasible at all is the oracle's word ([`oracle`]).

pub mod balances;
pub mod ceiling;
pub mod oracle;
pub mod ours;
pub mod parts;
pub mod payments;

use std::collections::HashMap;

use crate::graph::overlay::OwnChannel;
use crate::graph::view::View;
use crate::plan::Part;
use balances::Balances;

/// Rounds after which a payment has failed.
pub const MAX_ROUNDS: u32 = 25;

/// A payment to be simulated, by dense node numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Who pays.
    pub payer: u32,
    /// Who is paid.
    pub payee: u32,
    /// What has to arrive, msat.
    pub amount_msat: u64,
    /// Budget for all fees, msat.
    pub max_fee_msat: u64,
    /// Greatest number of parts, locked ones included.
    pub max_parts: usize,
}

/// What a router is asked for in one round.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The payment as a whole.
    pub payment: Payment,
    /// Rounds before this one.
    pub round: u32,
    /// What is missing, msat.
    pub amount_msat: u64,
    /// What is left of the budget, msat.
    pub max_fee_msat: u64,
    /// How many parts are left.
    pub max_parts: usize,
    /// The payer's channels as they are now.
    pub own: &'a [OwnChannel],
    /// Parts that have arrived and stay locked.
    pub locked: &'a [Part],
}

/// Anything that finds routes.
pub trait Router {
    /// A new payment begins: all knowledge of earlier ones is to be forgotten.
    fn begin(&mut self, payment: &Payment);
    /// Returns parts that together deliver what is asked for, or `None`.
    fn route(&mut self, ask: &Ask<'_>) -> Option<Vec<Part>>;
    /// The part arrived and stays locked.
    fn arrived(&mut self, part: &Part);
    /// The part failed at the hop of this place: the ones before it forwarded it.
    fn failed(&mut self, part: &Part, place: usize);
}

/// How a payment went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether all of it arrived.
    pub delivered: bool,
    /// Rounds used.
    pub rounds: u32,
    /// Parts that arrived.
    pub parts: usize,
    /// Fees of the parts that arrived, msat.
    pub fee_msat: u64,
    /// Parts that were tried.
    pub tried: usize,
}

/// Simulates one payment.
pub fn pay(
    view: &View,
    balances: &Balances,
    payment: &Payment,
    router: &mut dyn Router,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut locked: Vec<Part> = Vec::new();
    let mut held: HashMap<(u64, u8), u64> = HashMap::new();
    let mut missing = payment.amount_msat;
    router.begin(payment);
    for round in 0..MAX_ROUNDS {
        let own = own_channels(view, balances, payment.payer, &held);
        let ask = Ask {
            payment: *payment,
            round,
            amount_msat: missing,
            max_fee_msat: payment.max_fee_msat.saturating_sub(outcome.fee_msat),
            max_parts: payment.max_parts.saturating_sub(locked.len()),
            own: &own,
            locked: &locked,
        };
        let Some(parts) = router.route(&ask) else { break };
        outcome.rounds = round + 1;
        for part in parts {
            outcome.tried += 1;
            match first_failure(view, balances, &held, &part) {
                Some(place) => router.failed(&part, place),
                None => {
                    for hop in &part.hops {
                        *held.entry((hop.scid, hop.direction)).or_default() += hop.amount_msat;
                    }
                    outcome.fee_msat += part.fee_msat;
                    missing = missing.saturating_sub(part.amount_msat);
                    router.arrived(&part);
                    locked.push(part);
                }
            }
        }
        if missing == 0 {
            outcome.delivered = outcome.fee_msat <= payment.max_fee_msat;
            break;
        }
    }
    outcome.parts = locked.len();
    outcome
}

fn first_failure(
    view: &View,
    balances: &Balances,
    held: &HashMap<(u64, u8), u64>,
    part: &Part,
) -> Option<usize> {
    part.hops.iter().position(|hop| {
        let used = held.get(&(hop.scid, hop.direction)).copied().unwrap_or(0);
        balances.of(view, hop.scid, hop.direction) < used.saturating_add(hop.amount_msat)
    })
}

fn own_channels(
    view: &View,
    balances: &Balances,
    payer: u32,
    held: &HashMap<(u64, u8), u64>,
) -> Vec<OwnChannel> {
    let key = *view.key(payer);
    let mut own = Vec::with_capacity(view.degree(payer));
    for channel in view.channels_of(payer) {
        let direction = u8::from(channel.nodes[1] == key);
        let Some(policy) = channel.policies[usize::from(direction)] else { continue };
        let used = held.get(&(channel.scid, direction)).copied().unwrap_or(0);
        let spendable_msat = balances.of(view, channel.scid, direction).saturating_sub(used);
        own.push(OwnChannel {
            scid: channel.scid,
            peer: channel.nodes[usize::from(1 - direction)],
            htlc_min_msat: policy.htlc_min_msat,
            htlc_max_msat: policy.htlc_max_msat.min(spendable_msat),
            spendable_msat,
        });
    }
    own
}
