//! Background probes: liquidity is learnt before a payment needs it.

use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::Plan;
use lightning::sign::EntropySource as _;
use tokio_util::sync::CancellationToken;

use super::outcomes::{ProbeStats, ProbesInFlight};
use super::probed_path;
use crate::node::ldk::limits;
use crate::node::planner::Constraints;
use crate::payments::route::{Inquiry, Payee};
use crate::payments::{AskedLimits, Config, Payments, blocking};
use crate::tasks::Outcome;

/// Nodes that are looked at before one is probed.
const CANDIDATES: usize = 8;
/// Smaller probes teach too little for the HTLC that they take.
const LEAST_MSAT: u64 = 1_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

/// Returns how much another probe may send, if any: never more HTLCs at once, nor more of what our channels
/// can send, than the operator allows.
fn allowance(config: &Config, held: ProbesInFlight, outbound_msat: u64) -> Option<u64> {
    if held.htlcs >= config.background_probe_max_htlcs {
        return None;
    }
    let share = u128::from(outbound_msat) * u128::from(config.background_probe_max_percent) / 100;
    let left = u64::try_from(share).unwrap_or(u64::MAX).saturating_sub(held.msat);
    let msat = left.min(config.background_probe_sat.saturating_mul(1_000));
    (msat >= LEAST_MSAT).then_some(msat)
}

/// Returns the plan that teaches most: the one of which we know least whether it would arrive.
///
/// The outcome of an event of chance p tells `-p ln p - (1 - p) ln (1 - p)`, which is greatest at one half.
fn most_instructive(plans: Vec<Plan>) -> Option<Plan> {
    let doubt = |plan: &Plan| -(plan.chance - 0.5).abs();
    let unsure = plans.into_iter().filter(|plan| plan.chance > 0.0 && plan.chance < 1.0);
    unsure.max_by(|one, other| doubt(one).total_cmp(&doubt(other)))
}

impl Payments {
    /// Probes in the background, as the configuration allows, until `stopping`.
    ///
    /// # Errors
    /// None: what cannot be probed now is not probed.
    pub async fn explore(self, stopping: CancellationToken) -> Outcome {
        let per_hour = self.0.config.background_probes_per_hour;
        if per_hour == 0 {
            stopping.cancelled().await;
            return Ok(());
        }
        let pause = HOUR / per_hour;
        let mut told = tokio::time::Instant::now();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => (),
            }
            if (self.0.admission)().is_ok() {
                blocking(|| self.explore_once());
            }
            if told.elapsed() >= HOUR {
                told = tokio::time::Instant::now();
                let ProbeStats { sent, reached, stuck } = self.0.probes.explored();
                tracing::info!(sent, reached, stuck, "probed in the background for an hour");
            }
        }
    }

    fn explore_once(&self) {
        let node = &self.0.node;
        let channels = node.channel_manager.list_usable_channels();
        let outbound_msat = channels.iter().map(limits::sendable_msat).fold(0, u64::saturating_add);
        let held = self.0.probes.held();
        let Some(amount_msat) = allowance(&self.0.config, held, outbound_msat) else { return };
        let plans = (0..CANDIDATES).filter_map(|_| self.candidate(amount_msat)).collect();
        let Some(plan) = most_instructive(plans) else { return };
        let paths = node.router.planner().paths(&plan, &channels.iter().collect::<Vec<_>>());
        for path in paths.unwrap_or_default() {
            let Some(path) = probed_path(path, &node.id()) else { continue };
            let sent_msat = path.final_value_msat().saturating_add(path.fee_msat());
            match node.channel_manager.send_probe(path) {
                Ok((_, payment_id)) => self.0.probes.begin(payment_id, sent_msat),
                Err(error) => tracing::debug!(?error, "a probe in the background was not sent"),
            }
        }
        node.wake();
    }

    /// A route to a node that is met the more often the more channels it has.
    fn candidate(&self, amount_msat: u64) -> Option<Plan> {
        let node = &self.0.node;
        let random = node.keys.get_secure_random_bytes();
        let number = |at: usize| {
            let bytes = random[at..at + 8].try_into().expect("eight of 32 bytes");
            usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(0)
        };
        let graph = node.graph.read_only();
        let place = number(0).checked_rem(graph.channels().len())?;
        let (_, channel) = graph.channels().unordered_iter().nth(place)?;
        let end = if number(8).is_multiple_of(2) { channel.node_one } else { channel.node_two };
        let payee = PublicKey::try_from(end).ok().filter(|payee| *payee != node.id())?;
        drop(graph);
        let wanted = self.wanted(Inquiry {
            payee: Payee::Node(payee),
            amount_msat: Some(amount_msat),
            payer: None,
            limits: AskedLimits { max_parts: 1, ..AskedLimits::default() },
            constraints: Constraints::default(),
        });
        let plan = self.ask(&wanted.ok()?).ok()?;
        // Our own channels teach nothing.
        plan.parts.iter().all(|part| part.hops.len() >= 2).then_some(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_stay_within_the_operators_budget() {
        let config = Config {
            background_probe_sat: 100_000,
            background_probe_max_htlcs: 2,
            background_probe_max_percent: 5,
            ..Config::default()
        };
        for (htlcs, held_msat, outbound_msat, expected) in [
            (0, 0, 10_000_000_000, Some(100_000_000)),
            // Five percent of a million satoshis.
            (0, 0, 1_000_000_000, Some(50_000_000)),
            (1, 30_000_000, 1_000_000_000, Some(20_000_000)),
            (1, 49_500_000, 1_000_000_000, None),
            (2, 0, 10_000_000_000, None),
            (0, 0, 0, None),
            (0, 0, u64::MAX, Some(100_000_000)),
        ] {
            let held = ProbesInFlight { htlcs, msat: held_msat };
            assert_eq!(allowance(&config, held, outbound_msat), expected, "{held:?}");
        }
    }

    #[test]
    fn the_most_doubtful_route_is_probed() {
        let plan = |chance| Plan { parts: Vec::new(), amount_msat: 1, fee_msat: 0, chance };
        let chosen = |chances: &[f32]| {
            most_instructive(chances.iter().copied().map(plan).collect()).map(|plan| plan.chance)
        };
        assert_eq!(chosen(&[0.9, 0.4, 0.99]), Some(0.4));
        assert_eq!(chosen(&[0.1, 0.7]), Some(0.7));
        // What is certain teaches nothing.
        assert_eq!(chosen(&[1.0, 0.0]), None);
        assert_eq!(chosen(&[]), None);
    }
}
