//! The main job, shown: a network from nothing, many payments, the bill, and the audit.

pub mod options;
pub mod report;
pub mod screen;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fulmen_proto::v1::SummarizeForwardsRequest;

use self::options::Options;
use self::report::Report;
use self::screen::Screen;
use crate::audit;
use crate::bitcoind::provision;
use crate::daemon::Settings;
use crate::network::Network;
use crate::network::funding::Plan;
use crate::steps::traffic::{self, End, Load, Outcome, Until};
use crate::steps::{chain, channel};
use crate::{binaries, poll};

/// Keysends among the payments: every fifth.
const KEYSEND_EVERY: usize = 5;
/// A coinbase of regtest has 50 btc for all channels together.
const CAPACITY_SAT: std::ops::RangeInclusive<u64> = 10_000_000..=400_000_000;

/// Builds what is missing: programs first, so that later stages show only themselves.
pub fn provide(screen: &Screen) -> Result<()> {
    // No spinner here: cargo and ninja show their own progress on the same terminal.
    let binaries = binaries::get()?;
    let bitcoind = provision::bitcoind()?;
    screen.line(&format!("  ✓ {} and {}", binaries.fulmend.display(), bitcoind.display()));
    Ok(())
}

/// Brings the network up: daemons, money, channels, gossip.
pub async fn bring_up(options: &Options, screen: &Screen) -> Result<Network> {
    let topology = options.topology();
    let stage = screen.stage("bitcoind and the daemons");
    let mut network = Network::start("demo", Settings::default()).await?;
    network.add_nodes(topology.nodes()).await?;
    let names: Vec<_> = network.nodes.iter().map(|node| node.name()).collect();
    stage.done(&names.join(", "));

    let mut plan = Plan::balanced(topology);
    let most_sat = options.amount_msat.div_ceil(1_000) * u64::try_from(options.payments)? / 2;
    plan.capacity_sat = most_sat.clamp(*CAPACITY_SAT.start(), *CAPACITY_SAT.end());
    plan.push_sat = plan.capacity_sat / 2;
    let stage = screen.stage("on-chain money");
    network.fund(&plan).await?;
    stage.done("one transaction for all");

    let stage = screen.stage("channels");
    network.open(&plan).await?;
    let edges: Vec<_> = topology
        .edges()
        .iter()
        .map(|(a, b)| format!("{}–{}", network.nodes[*a].name(), network.nodes[*b].name()))
        .collect();
    stage.done(&format!("{} of {} sat each: {}", edges.len(), plan.capacity_sat, edges.join(" ")));

    let stage = screen.stage("gossip");
    network.wait_for_graph().await?;
    stage.done("every node knows every channel, both policies");
    Ok(network)
}

/// Makes the payments and measures them.
pub async fn pay(
    network: &Network,
    options: &Options,
    until: Until,
    screen: &Screen,
) -> Result<(Outcome, Duration)> {
    let mut pairs = Vec::new();
    for (payer, payee) in traffic::farthest_pairs(options.topology()) {
        pairs.push((
            End::of(payer, &network.nodes[payer]).await?,
            End::of(payee, &network.nodes[payee]).await?,
        ));
    }
    let load = Load {
        pairs,
        amount_msat: options.amount_msat,
        in_flight: options.in_flight,
        keysend_every: KEYSEND_EVERY,
        max_parts: 0,
        out_through: Vec::new(),
        until,
    };
    let cpu_before = cpu_time(network)?;
    let bar = screen.payments(&load);
    let outcome = traffic::run(load, |ended| bar.at(ended)).await?;
    let cpu = cpu_time(network)?.saturating_sub(cpu_before);
    bar.done(&outcome);
    Ok((outcome, cpu))
}

/// The whole show.
pub async fn run(network: &mut Network, options: &Options, screen: &Screen) -> Result<Report> {
    let began = Instant::now();
    let until = Until::Payments(options.payments);
    let (outcome, cpu) = pay(network, options, until, screen).await?;
    let names: Vec<_> = network.nodes.iter().map(|node| node.name().to_owned()).collect();
    let ids: Vec<_> = network.nodes.iter().map(crate::daemon::Node::id).collect();
    screen.samples(&report::sample_routes(&outcome.samples, &names, &ids));

    if !options.keep {
        let stage = screen.stage("closing all channels");
        close_everything(network).await?;
        stage.done("cooperatively, all money back on chain");
    }

    let mut earned_msat = Vec::new();
    for node in &network.nodes {
        let summary = poll::eventually("the forwards are counted", async || {
            let answer = node.forwards().summarize(SummarizeForwardsRequest {}).await?;
            Ok(poll::Look::Done(answer.into_inner()))
        })
        .await?;
        earned_msat.push(report::Earned {
            name: node.name().to_owned(),
            forwards: summary.count,
            fee_msat: summary.fee_msat,
        });
    }

    let stage = screen.stage("audit");
    let verdict = audit::run(network).await.context("auditing")?;
    stage.done(&verdict.summary());
    if options.keep {
        for node in &mut network.nodes {
            node.launch().await?;
        }
    }
    Ok(Report::new(&outcome, cpu, &verdict, earned_msat, began.elapsed()))
}

async fn close_everything(network: &Network) -> Result<()> {
    for (number, node) in network.nodes.iter().enumerate() {
        for open in channel::all(node).await?.into_iter().filter(|channel| channel.outbound) {
            let request = channel::close_request(&open.channel_id);
            let closing = channel::follow_close(&network.nodes[number], request).await;
            closing.with_context(|| format!("{} closes", node.name()))?;
            channel::closed(node, &open.channel_id).await?;
        }
    }
    chain::sweep_everything(network).await
}

fn cpu_time(network: &Network) -> Result<Duration> {
    network.nodes.iter().map(|node| node.process()?.cpu_time()).sum()
}
