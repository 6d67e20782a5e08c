//! Our planner as a router of the simulator.

use crate::graph::overlay::Overlay;
use crate::graph::view::View;
use crate::liquidity::Beliefs;
use crate::plan::Part;
use crate::planner::Planner;
use crate::query::Query;

use super::{Ask, Payment, Router};

/// Plans with [`Planner`] and learns with [`Beliefs`], as the daemon does.
#[derive(Debug)]
pub struct Ours<'a> {
    view: &'a View,
    planner: Planner,
    beliefs: Beliefs,
    locked: Vec<(u64, u8, u64)>,
    /// Seconds since the payment began.
    now: u64,
}

/// A round takes so many seconds: parts fail at a second or so a hop, and the last one is waited for.
const ROUND_SECS: u64 = 10;

impl<'a> Ours<'a> {
    /// Starts on a view with cold knowledge.
    pub fn new(view: &'a View) -> Self {
        Self { view, planner: Planner::new(), beliefs: Beliefs::new(), locked: Vec::new(), now: 0 }
    }

    /// Returns what else of ours is locked on a channel in a direction.
    fn in_flight(&self, scid: u64, direction: u8) -> u64 {
        let here = self.locked.iter().filter(|&&(s, d, _)| (s, d) == (scid, direction));
        here.map(|&(_, _, amount)| amount).sum()
    }

    fn passed(&mut self, part: &Part, hops: usize) {
        for hop in part.hops.iter().take(hops).skip(1) {
            let total = hop.amount_msat + self.in_flight(hop.scid, hop.direction);
            self.beliefs.passed(hop.scid, hop.direction, total, self.now);
        }
    }
}

impl Router for Ours<'_> {
    fn begin(&mut self, _: &Payment) {
        self.beliefs.clear();
        self.locked.clear();
    }

    fn route(&mut self, ask: &Ask<'_>) -> Option<Vec<Part>> {
        self.now = u64::from(ask.round) * ROUND_SECS;
        let mut overlay = Overlay::new();
        ask.own.iter().for_each(|&own| {
            overlay.own_channel(own);
        });
        for part in ask.locked {
            for hop in part.hops.iter().skip(1) {
                overlay.reserve(hop.scid, hop.direction, hop.amount_msat);
            }
        }
        let (payer, payee) = (*self.view.key(ask.payment.payer), *self.view.key(ask.payment.payee));
        let query = Query {
            max_fee_msat: ask.max_fee_msat,
            max_parts: ask.max_parts,
            round: ask.round,
            total_msat: ask.payment.amount_msat,
            ..Query::new(payer, payee, ask.amount_msat)
        };
        let found = self.planner.plan(self.view, &overlay, &self.beliefs, self.now, &query);
        found.ok().map(|plan| plan.parts)
    }

    fn arrived(&mut self, part: &Part) {
        self.passed(part, part.hops.len());
        let held = part.hops.iter().map(|hop| (hop.scid, hop.direction, hop.amount_msat));
        self.locked.extend(held);
    }

    fn failed(&mut self, part: &Part, place: usize) {
        self.passed(part, place);
        let hop = &part.hops[place];
        let total = hop.amount_msat + self.in_flight(hop.scid, hop.direction);
        self.beliefs.failed(hop.scid, hop.direction, total, self.now);
    }
}
