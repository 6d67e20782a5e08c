//! `kill -9` of daemons under payment load, again and again, each followed by a restart and an audit of the money.
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;

use crate::audit;
use crate::network::funding::Plan;
use crate::network::{Network, Topology};
use crate::poll;
use crate::steps::channel;
use crate::steps::traffic::{self, End, Load, Outcome, Until};

/// Payments of one round, all under way at once.
const PAYMENTS: usize = 12;
/// Above dust, and worth a claim on chain at any feerate that the daemons use.
const AMOUNT_MSAT: u64 = 50_000_000;
/// The kill falls into the first moments of the round, in which most payments live.
const MOMENTS_MS: usize = 400;
/// A start takes about so long until it answers.
const OPENING_MS: usize = 800;
/// One kill in so many is followed by another one while the daemon opens its store.
const OPENING_EVERY: usize = 4;
/// Up to so many kills are a short run.
const SHORT: usize = 10;

/// What the kills did.
#[derive(Debug, Default)]
pub struct Toll {
    /// Daemons killed.
    pub kills: usize,
    /// Of these, how many while they started.
    pub in_opening: usize,
    /// Payments whose success the payer's stream reported.
    pub succeeded: usize,
    /// Payments whose failure it reported.
    pub failed: usize,
    /// Payments whose payer or payee was killed before it reported anything.
    pub untold: usize,
    /// Kill, restart, settling and audit of all rounds.
    pub elapsed: Duration,
}

/// Builds the topology and kills one of its daemons `kills` times under load.
///
/// After each kill all channels must work again, and the money is audited to the satoshi.
pub async fn run(network: &mut Network, topology: Topology, kills: usize) -> Result<Toll> {
    network.build(&Plan::balanced(topology)).await?;
    let began = Instant::now();
    let mut toll = Toll::default();
    // A payee holds a part for minutes when another one came back (BOLT 4, `mpp_timeout`): not in a short run.
    let max_parts = if kills <= SHORT { 1 } else { 0 };
    while toll.kills < kills {
        round(network, topology, max_parts, &mut toll)
            .await
            .with_context(|| format!("kill {} of {kills}", toll.kills))?;
        toll.elapsed = began.elapsed();
        if toll.kills % 25 == 0 || toll.kills >= kills {
            // Progress for a person who waits for hundreds; without a terminal nothing is lost.
            let _ = writeln!(std::io::stderr(), "{toll:?}");
        }
    }
    Ok(toll)
}

async fn round(
    network: &mut Network,
    topology: Topology,
    max_parts: u32,
    toll: &mut Toll,
) -> Result<()> {
    let victim = network.chance.below(network.nodes.len());
    let mut paying = JoinSet::new();
    paying.spawn(traffic::run(load(network, max_parts).await?, |_| ()));
    pass(network, MOMENTS_MS).await;
    network.nodes[victim].kill()?;
    toll.kills += 1;
    while network.chance.below(OPENING_EVERY) == 0 {
        network.nodes[victim].spawn()?;
        pass(network, OPENING_MS).await;
        network.nodes[victim].kill()?;
        toll.kills += 1;
        toll.in_opening += 1;
    }
    network.nodes[victim].launch().await?;
    network.wait_synced().await?;
    network.wait_usable().await?;
    for (one, other) in topology.edges() {
        let (one, other) = (&network.nodes[one], &network.nodes[other]);
        channel::between(one, other).await.context("a kill has closed a channel")?;
    }
    let outcome = paying.join_next().await.context("the load was spawned")???;
    count(&outcome, toll);
    audit::money(network).await?.into_result()
}

/// Lets up to so many milliseconds pass.
async fn pass(network: &mut Network, most_ms: usize) {
    let moment = network.chance.below(most_ms);
    poll::pass(Duration::from_millis(u64::try_from(moment).unwrap_or_default())).await;
}

/// Everybody pays everybody at once, and as much as it gets: no channel runs dry however often this is done.
async fn load(network: &Network, max_parts: u32) -> Result<Load> {
    let mut ends = Vec::new();
    for (number, node) in network.nodes.iter().enumerate() {
        ends.push(End::of(number, node).await?);
    }
    let to_others = |payer: &End| {
        let others = ends.iter().filter(|payee| payee.number != payer.number);
        others.map(|payee| (payer.clone(), payee.clone())).collect::<Vec<_>>()
    };
    let pairs = ends.iter().flat_map(to_others).collect();
    Ok(Load {
        pairs,
        amount_msat: AMOUNT_MSAT,
        in_flight: PAYMENTS,
        keysend_every: 4,
        max_parts,
        out_through: Vec::new(),
        until: Until::Payments(PAYMENTS),
    })
}

fn count(outcome: &Outcome, toll: &mut Toll) {
    for sample in &outcome.samples {
        match &sample.outcome {
            Ok(_) if sample.succeeded() => toll.succeeded += 1,
            Ok(_) => toll.failed += 1,
            Err(_) => toll.untold += 1,
        }
    }
}

/// How many kills a test is to make: `FULMEN_KILLS`, else a few.
pub fn wanted() -> Result<usize> {
    let kills = match std::env::var("FULMEN_KILLS") {
        Ok(text) => text.parse().context("FULMEN_KILLS is not a number")?,
        Err(_) => 5,
    };
    ensure!(kills > 0, "FULMEN_KILLS is 0");
    Ok(kills)
}
