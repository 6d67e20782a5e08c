//! Brings up the network that a load runs on: daemons whose disk is counted, busy channels, idle ones.
use anyhow::{Context as _, Result};
use fulmen_proto::v1::StoreStatsRequest;
use fulmen_proto::v1::open_channel_request::Amount;
use fulmen_proto::v1::open_channel_update::State;

use super::meter::{Meter, Reading};
use super::options::Options;
use crate::bitcoind::node::Options as BitcoindOptions;
use crate::daemon::{Settings, channels};
use crate::demo::screen::Screen;
use crate::network::Network;
use crate::network::funding::{Plan, follow_open};
use crate::steps::channel::open_request;

/// One coinbase of regtest (50 btc) pays for a round of channels.
const CAPACITY_SAT: std::ops::RangeInclusive<u64> = 10_000_000..=400_000_000;
const IDLE_CAPACITY_SAT: u64 = 100_000;
/// LDK takes four channels at once from a peer that are not confirmed.
const OPENS_AT_ONCE: usize = 4;
/// Where only the time is limited, the channels get money for so many payments.
const MEASURED_MAX_PAYMENTS: u64 = 1_000_000;

/// The network with its meters.
pub(super) struct Laid {
    pub network: Network,
    meters: Vec<Meter>,
    /// The channels that payments may leave by; empty where all channels carry payments.
    pub busy: Vec<u64>,
}

impl Laid {
    pub(super) fn names(&self) -> Vec<String> {
        self.network.nodes.iter().map(|node| node.name().to_owned()).collect()
    }

    pub(super) async fn read(&self) -> Result<Vec<Reading>> {
        let mut readings = Vec::new();
        for (node, meter) in self.network.nodes.iter().zip(&self.meters) {
            readings.push(meter.read(node).await?);
        }
        Ok(readings)
    }

    /// Bytes of keys and values that each node's store holds.
    pub(super) async fn live_bytes(&self) -> Result<Vec<u64>> {
        let mut bytes = Vec::new();
        for node in &self.network.nodes {
            let stats = node.store().stats(StoreStatsRequest {}).await;
            let stats = stats.with_context(|| format!("{}: store stats", node.name()))?;
            bytes.push(stats.into_inner().live_bytes);
        }
        Ok(bytes)
    }
}

pub(super) async fn lay_out(options: &Options, screen: &Screen) -> Result<Laid> {
    let topology = options.topology();
    let stage = screen.stage("bitcoind and the daemons");
    let mut settings = Settings::default();
    for setting in &options.settings {
        settings.set(&setting.section, &setting.option, &setting.value);
    }
    let mut network = Network::start_on("load", settings, BitcoindOptions::default()).await?;
    let scratch = network.folder("counts")?;
    let mut meters = Vec::new();
    for number in 0..topology.nodes() {
        let mut node = network.create_node(&crate::network::name_of(number)).await?;
        meters.push(Meter::of(&mut node, &network, &scratch)?);
        network.nodes.push(node);
    }
    for node in &mut network.nodes {
        node.launch().await?;
    }
    network.wait_synced().await?;
    stage.done(&format!("{} nodes", network.nodes.len()));

    let stage = screen.stage("channels");
    let mut plan = Plan::balanced(topology);
    let payments = options.payments.map_or(MEASURED_MAX_PAYMENTS, |count| count as u64);
    let all_msat = options.amount_msat.saturating_mul(payments + options.history as u64);
    plan.capacity_sat =
        (all_msat / 1_000 * 5 / 4).clamp(*CAPACITY_SAT.start(), *CAPACITY_SAT.end());
    // The payer has the money where it only pays; LDK keeps a hundredth as the peer's reserve.
    let one_way = !options.both_ways && options.topology != super::options::Shape::Star;
    plan.push_sat = if one_way { plan.capacity_sat / 50 } else { plan.capacity_sat / 2 };
    for _ in 0..options.channels {
        network.fund(&plan).await?;
        network.open(&plan).await?;
    }
    let mut busy = Vec::new();
    if options.idle_channels > 0 {
        for node in &network.nodes {
            busy.extend(channels::all(node).await?.iter().map(|channel| channel.short_channel_id));
        }
        open_idle(&mut network, usize::from(options.idle_channels)).await?;
    }
    network.wait_for_graph().await?;
    let idle = options.idle_channels;
    stage.done(&format!("{} of {} sat, {idle} idle", options.channels, plan.capacity_sat));
    Ok(Laid { network, meters, busy })
}

/// Opens unannounced channels from the first node to the second.
async fn open_idle(network: &mut Network, count: usize) -> Result<()> {
    network.give_node(0, IDLE_CAPACITY_SAT + 10_000, count + OPENS_AT_ONCE).await?;
    let mut opened = 0;
    while opened < count {
        let batch = OPENS_AT_ONCE.min(count - opened);
        let mut streams = Vec::new();
        for _ in 0..batch {
            let [opener, accepter, ..] = &network.nodes[..] else { unreachable!("two nodes") };
            let mut request = open_request(accepter, IDLE_CAPACITY_SAT, 0);
            request.amount = Some(Amount::CapacitySat(IDLE_CAPACITY_SAT));
            request.announce = false;
            let mut stream = opener.channels().open(request).await.context("opening")?.into_inner();
            network.follow_to_mempool(&mut stream).await?;
            streams.push(stream);
        }
        network.mine(6).await?;
        for mut stream in streams {
            follow_open(&mut stream, State::Ready).await?;
        }
        opened += batch;
    }
    network.wait_usable().await
}
