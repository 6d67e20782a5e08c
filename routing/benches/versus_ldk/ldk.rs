//! LDK's router and scorer as a router of the simulator.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fulmen_routing::simulator::{Ask, Payment, Router};
use fulmen_routing::{Hop, NodeKey, Part, View};
use lightning::bitcoin::constants::ChainHash;
use lightning::bitcoin::network::Network;
use lightning::bitcoin::secp256k1::PublicKey;
use lightning::ln::chan_utils::make_funding_redeemscript;
use lightning::ln::channel_state::{ChannelCounterparty, ChannelDetails, ChannelShutdownState};
use lightning::ln::msgs::UnsignedChannelUpdate;
use lightning::ln::types::ChannelId;
use lightning::routing::gossip::{NetworkGraph, NodeId};
use lightning::routing::router::{
    InFlightHtlcs, Path, PaymentParameters, Route, RouteParameters,
    ScorerAccountingForInFlightHtlcs, find_route,
};
use lightning::routing::scoring::{
    ProbabilisticScorer, ProbabilisticScoringDecayParameters, ProbabilisticScoringFeeParameters,
    ScoreUpdate,
};
use lightning::types::features::{ChannelFeatures, InitFeatures};
use lightning::util::logger::{Logger, Record};

/// Drops every line.
pub struct Silent;

impl Logger for Silent {
    fn log(&self, _: Record<'_>) {}
}

/// LDK's graph type, without its lifetimes.
pub type Graph = NetworkGraph<&'static Silent>;
type Scorer<'g> = ProbabilisticScorer<&'g Graph, &'static Silent>;

static SILENT: Silent = Silent;

/// LDK refuses updates older than two weeks, so the graph is dated today.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Builds LDK's graph from ours.
pub fn graph(view: &View) -> Graph {
    let graph = NetworkGraph::new(Network::Bitcoin, &SILENT);
    for channel in view.channels() {
        let ends = channel.nodes.map(|key| NodeId::from_slice(&key).expect("33 bytes"));
        graph
            .add_channel_from_partial_announcement(
                channel.scid,
                Some(u64::from(channel.capacity_sat)),
                now().as_secs(),
                ChannelFeatures::empty(),
                ends[0],
                ends[1],
            )
            .expect("the view has each channel once");
        for (direction, policy) in channel.policies.iter().enumerate() {
            let Some(policy) = policy else { continue };
            graph
                .update_channel_unsigned(&UnsignedChannelUpdate {
                    chain_hash: ChainHash::BITCOIN,
                    short_channel_id: channel.scid,
                    timestamp: now().as_secs() as u32,
                    message_flags: 1,
                    channel_flags: direction as u8,
                    cltv_expiry_delta: policy.cltv_delta,
                    htlc_minimum_msat: policy.htlc_min_msat,
                    htlc_maximum_msat: policy.htlc_max_msat,
                    fee_base_msat: policy.base_msat,
                    fee_proportional_millionths: policy.ppm,
                    excess_data: Vec::new(),
                })
                .expect("the channel is known");
        }
    }
    graph
}

/// Plans with `find_route` and learns with the default scorer.
pub struct Ldk<'g> {
    view: &'g View,
    graph: &'g Graph,
    scorer: Scorer<'g>,
    fee_params: ProbabilisticScoringFeeParameters,
    payer: NodeKey,
    in_flight: InFlightHtlcs,
    failed: Vec<u64>,
    paths: Vec<(Part, Path)>,
    seed: [u8; 32],
}

impl<'g> Ldk<'g> {
    /// Starts with LDK's defaults and cold knowledge.
    pub fn new(view: &'g View, graph: &'g Graph) -> Self {
        Self {
            view,
            graph,
            scorer: scorer(graph),
            fee_params: ProbabilisticScoringFeeParameters::default(),
            payer: [0; 33],
            in_flight: InFlightHtlcs::new(),
            failed: Vec::new(),
            paths: Vec::new(),
            seed: [7; 32],
        }
    }

    /// Returns one path with nothing known of first hops, as a search is timed.
    pub fn single(&self, payer: u32, payee: u32, amount_msat: u64) -> Option<Route> {
        let mut params = parameters(self.view.key(payee), amount_msat, amount_msat / 100 + 50_000);
        params.payment_params.max_path_count = 1;
        let payer = public(self.view.key(payer));
        let (graph, scorer) = (self.graph, &self.scorer);
        find_route(&payer, &params, graph, None, &SILENT, scorer, &self.fee_params, &self.seed).ok()
    }

    /// Returns such a path as a part of a plan.
    #[allow(dead_code)] // for the tests beside LDK
    pub fn single_part(&self, payer: u32, payee: u32, amount_msat: u64) -> Option<Part> {
        let route = self.single(payer, payee, amount_msat)?;
        route.paths.first().map(|path| part(self.view.key(payer), path))
    }

    fn path(&self, part: &Part) -> Option<&Path> {
        self.paths.iter().find(|(p, _)| p == part).map(|(_, path)| path)
    }
}

fn scorer(graph: &Graph) -> Scorer<'_> {
    ProbabilisticScorer::new(ProbabilisticScoringDecayParameters::default(), graph, &SILENT)
}

fn public(key: &NodeKey) -> PublicKey {
    PublicKey::from_slice(key).expect("the graph's keys are points of the curve")
}

fn parameters(payee: &NodeKey, amount_msat: u64, max_fee_msat: u64) -> RouteParameters {
    let payment_params = PaymentParameters::for_keysend(public(payee), 18, true)
        .with_max_total_cltv_expiry_delta(2_016);
    let mut params = RouteParameters::from_payment_params_and_value(payment_params, amount_msat);
    params.max_total_routing_fee_msat = Some(max_fee_msat);
    params
}

impl Router for Ldk<'_> {
    fn begin(&mut self, payment: &Payment) {
        self.scorer = scorer(self.graph);
        self.payer = *self.view.key(payment.payer);
        self.in_flight = InFlightHtlcs::new();
        self.failed.clear();
        self.paths.clear();
    }

    fn route(&mut self, ask: &Ask<'_>) -> Option<Vec<Part>> {
        let payee = self.view.key(ask.payment.payee);
        let mut params = parameters(payee, ask.amount_msat, ask.max_fee_msat);
        let default_paths = params.payment_params.max_path_count;
        params.payment_params.max_path_count = default_paths.min(ask.max_parts.min(255) as u8);
        params.payment_params.previously_failed_channels.clone_from(&self.failed);
        let own: Vec<ChannelDetails> = ask
            .own
            .iter()
            .map(|own| details(own.scid, &own.peer, own.htlc_max_msat, own.htlc_min_msat))
            .collect();
        let own: Vec<&ChannelDetails> = own.iter().collect();
        let payer = public(&self.payer);
        let scorer = ScorerAccountingForInFlightHtlcs::new(&self.scorer, &self.in_flight);
        let route = find_route(
            &payer,
            &params,
            self.graph,
            Some(&own),
            &SILENT,
            &scorer,
            &self.fee_params,
            &self.seed,
        )
        .ok()?;
        let parts: Vec<Part> = route.paths.iter().map(|path| part(&self.payer, path)).collect();
        self.paths.extend(parts.iter().cloned().zip(route.paths));
        Some(parts)
    }

    fn arrived(&mut self, part: &Part) {
        let Some(path) = self.path(part).cloned() else { return };
        self.in_flight.process_path(&path, public(&self.payer));
        self.scorer.payment_path_successful(&path, now());
    }

    fn failed(&mut self, part: &Part, place: usize) {
        let Some(path) = self.path(part).cloned() else { return };
        let scid = part.hops[place].scid;
        self.scorer.payment_path_failed(&path, scid, now());
        self.failed.push(scid);
    }
}

fn part(payer: &NodeKey, path: &Path) -> Part {
    let mut hops: Vec<Hop> = Vec::with_capacity(path.hops.len());
    let (mut amount_msat, mut cltv) = (0, 0);
    for (place, hop) in path.hops.iter().enumerate().rev() {
        amount_msat += hop.fee_msat;
        cltv += hop.cltv_expiry_delta;
        let node = hop.pubkey.serialize();
        let from = if place == 0 { *payer } else { path.hops[place - 1].pubkey.serialize() };
        hops.push(Hop {
            scid: hop.short_channel_id,
            node,
            direction: u8::from(from > node),
            amount_msat,
            cltv,
        });
    }
    hops.reverse();
    Part { hops, amount_msat: path.final_value_msat(), fee_msat: path.fee_msat(), chance: 0.0 }
}

fn details(scid: u64, peer: &NodeKey, limit_msat: u64, minimum_msat: u64) -> ChannelDetails {
    let node_id = public(peer);
    ChannelDetails {
        channel_id: ChannelId::new_zero(),
        counterparty: ChannelCounterparty {
            features: InitFeatures::empty(),
            node_id,
            unspendable_punishment_reserve: 0,
            forwarding_info: None,
            outbound_htlc_minimum_msat: None,
            outbound_htlc_maximum_msat: None,
        },
        funding_txo: None,
        funding_redeem_script: Some(make_funding_redeemscript(&node_id, &node_id)),
        channel_type: None,
        short_channel_id: Some(scid),
        outbound_scid_alias: None,
        inbound_scid_alias: None,
        channel_value_satoshis: limit_msat / 1_000,
        user_channel_id: 0,
        outbound_capacity_msat: limit_msat,
        next_outbound_htlc_limit_msat: limit_msat,
        next_outbound_htlc_minimum_msat: minimum_msat,
        inbound_capacity_msat: 0,
        unspendable_punishment_reserve: None,
        confirmations_required: None,
        confirmations: None,
        force_close_spend_delay: None,
        is_outbound: true,
        is_channel_ready: true,
        is_usable: true,
        is_announced: true,
        inbound_htlc_minimum_msat: None,
        inbound_htlc_maximum_msat: None,
        config: None,
        feerate_sat_per_1000_weight: None,
        channel_shutdown_state: Some(ChannelShutdownState::NotShuttingDown),
        pending_inbound_htlcs: Vec::new(),
        pending_outbound_htlcs: Vec::new(),
    }
}
