//! The figures of each room, as they are now.

use std::time::{Duration, SystemTime};

use lightning::ln::channel_state::ChannelDetails;

use super::Rooms;
use crate::metrics::Figure;
use crate::storage::{self, MirrorStatus};
use crate::usecases::balances::balances;
use crate::usecases::channel_state::ChannelState;

impl Rooms {
    pub(super) fn figures(&self) -> Vec<Figure> {
        let channels = self.channels.list(None);
        let mut figures = self.of_the_node();
        figures.extend(self.node.checkpoint_times.figures());
        figures.extend(self.of_the_chain());
        figures.extend(self.of_the_money());
        figures.extend(of_the_channels(&channels));
        figures.extend(htlcs(&channels));
        let stored = [self.of_the_payments(), self.of_the_forwards(), self.of_the_store()];
        for told in stored {
            match told {
                Ok(told) => figures.extend(told),
                Err(error) => tracing::warn!(%error, "some figures cannot be told"),
            }
        }
        figures
    }

    fn of_the_node(&self) -> Vec<Figure> {
        let node = &self.node;
        let (graph_nodes, graph_channels) = {
            let graph = node.graph.read_only();
            (graph.nodes().len(), graph.channels().len())
        };
        let (id, network) = (node.id().to_string(), node.network.to_string());
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("node_id", id.as_str()),
            ("network", network.as_str()),
            ("alias", node.config.alias.as_str()),
        ];
        vec![
            Figure::gauge("fulmen_info", "Always 1; which node this is.").of(&labels, 1),
            Figure::gauge("fulmen_start_time_seconds", "When the daemon started, since 1970.")
                .is(self.started_at),
            Figure::gauge("fulmen_peers_connected", "Peers that are connected now.")
                .is(number(node.peer_manager.list_peers().len())),
            Figure::gauge("fulmen_graph_nodes", "Nodes of the network that are known.")
                .is(number(graph_nodes)),
            Figure::gauge("fulmen_graph_channels", "Public channels that are known.")
                .is(number(graph_channels)),
        ]
    }

    fn of_the_chain(&self) -> Vec<Figure> {
        let tip = *self.tip.borrow();
        vec![
            Figure::gauge(
                "fulmen_synced",
                "1 while the tip is fresh enough to pay and to open channels, else 0.",
            )
            .is(self.admission.is_synced().into()),
            Figure::gauge("fulmen_block_height", "Height of the best block.").is(tip.height.into()),
            Figure::gauge("fulmen_block_timestamp_seconds", "Time in its header, since 1970.")
                .is(tip.time.into()),
            Figure::gauge(
                "fulmen_tip_age_seconds",
                "How long ago bitcoind last said that this block is the best.",
            )
            .lasts(since(tip.confirmed_at)),
        ]
    }

    fn of_the_money(&self) -> Vec<Figure> {
        let balances = balances(&self.node, &self.channels);
        vec![
            Figure::gauge("fulmen_onchain_confirmed_sat", "What the wallet holds in blocks.")
                .is(balances.onchain.confirmed_sat),
            Figure::gauge(
                "fulmen_onchain_unconfirmed_sat",
                "What the wallet has seen that is not yet in a block.",
            )
            .is(balances.onchain.unconfirmed_sat),
            Figure::gauge(
                "fulmen_onchain_reserved_sat",
                "What of both is kept for bumping the transactions of channels.",
            )
            .is(balances.onchain.reserved_sat),
            Figure::gauge("fulmen_channels_local_msat", "What is ours in channels.")
                .is(balances.channels_local_msat),
            Figure::gauge("fulmen_channels_remote_msat", "What is the peers' in channels.")
                .is(balances.channels_remote_msat),
            Figure::gauge("fulmen_channels_outbound_capacity_msat", "What can be sent now.")
                .is(balances.outbound_capacity_msat),
            Figure::gauge("fulmen_channels_inbound_capacity_msat", "What can be received now.")
                .is(balances.inbound_capacity_msat),
            Figure::gauge(
                "fulmen_closing_sat",
                "What comes back to the wallet from closed channels, whatever others do.",
            )
            .is(balances.closing.sure_sat),
        ]
    }

    fn of_the_payments(&self) -> Result<Vec<Figure>, storage::Error> {
        let pending = number(self.payments.pending_count()?);
        let help = "Payments that have not ended.";
        Ok(vec![Figure::gauge("fulmen_payments_pending", help).is(pending)])
    }

    fn of_the_forwards(&self) -> Result<Vec<Figure>, storage::Error> {
        let totals = self.forwards.totals()?;
        Ok(vec![
            Figure::counter("fulmen_forwards_total", "Forwards that ended, since ever.")
                .of(&[("outcome", "settled")], totals.count)
                .of(&[("outcome", "failed")], totals.failed_count),
            Figure::counter("fulmen_forwards_msat_total", "What settled forwards passed on.")
                .is(totals.outbound_msat),
            Figure::counter("fulmen_forwards_fees_msat_total", "What settled forwards earned.")
                .is(totals.fee_msat),
        ])
    }

    fn of_the_store(&self) -> Result<Vec<Figure>, storage::Error> {
        let growth = self.store.growth()?;
        let mut figures = vec![
            Figure::counter("fulmen_store_writes_total", "Records written since the start.")
                .is(growth.writes),
            Figure::counter(
                "fulmen_store_written_bytes_total",
                "Bytes of keys and values in them.",
            )
            .is(growth.bytes),
            Figure::durations(
                "fulmen_store_commit_duration_seconds",
                "How long the commits since the start took, each with one fsync.",
                &growth.times.classes(),
                growth.commits,
                growth.times.sum,
            ),
            Figure::gauge("fulmen_store_disk_bytes", "What the database takes on disk.")
                .is(self.store.disk_bytes()?),
            Figure::gauge(
                "fulmen_store_failed",
                "1 when nothing more becomes durable, and the daemon is about to end.",
            )
            .is(self.store.failed().borrow().is_some().into()),
        ];
        if let Some(free_bytes) = self.store.free_bytes() {
            let help =
                "What is free on the fullest disk of the store, looked at every few seconds.";
            figures.push(Figure::gauge("fulmen_store_free_bytes", help).is(free_bytes));
        }
        let mirror_ok = match &*self.store.mirror().borrow() {
            MirrorStatus::Off => None,
            MirrorStatus::InSync { .. } => Some(1),
            MirrorStatus::Failed { .. } => Some(0),
        };
        if let Some(ok) = mirror_ok {
            let help = "1 while the mirror gets every batch, 0 when there is one copy only.";
            figures.push(Figure::gauge("fulmen_mirror_ok", help).is(ok));
        }
        Ok(figures)
    }
}

fn of_the_channels(channels: &[ChannelDetails]) -> Vec<Figure> {
    let mut by_state = Figure::gauge("fulmen_channels", "Open and pending channels, by state.");
    // A state without channels has a sample too: 0.
    for state in ChannelState::ALL {
        let in_state = channels.iter().filter(|channel| ChannelState::of(channel) == state);
        by_state = by_state.of(&[("state", state.name())], number(in_state.count()));
    }
    let usable = channels.iter().filter(|channel| channel.is_usable).count();
    let help = "Channels that are ready and whose peer is connected.";
    vec![by_state, Figure::gauge("fulmen_channels_usable", help).is(number(usable))]
}

fn htlcs(channels: &[ChannelDetails]) -> Vec<Figure> {
    let inbound = || channels.iter().flat_map(|channel| &channel.pending_inbound_htlcs);
    let outbound = || channels.iter().flat_map(|channel| &channel.pending_outbound_htlcs);
    vec![
        Figure::gauge("fulmen_htlcs_pending", "HTLCs in flight, by where they go.")
            .of(&[("direction", "inbound")], number(inbound().count()))
            .of(&[("direction", "outbound")], number(outbound().count())),
        Figure::gauge("fulmen_htlcs_pending_msat", "What they carry.")
            .of(&[("direction", "inbound")], inbound().map(|htlc| htlc.amount_msat).sum())
            .of(&[("direction", "outbound")], outbound().map(|htlc| htlc.amount_msat).sum()),
    ]
}

fn number(count: usize) -> u64 {
    count as u64
}

fn since(moment: SystemTime) -> Duration {
    // A clock that was set back makes nothing older than now.
    moment.elapsed().unwrap_or_default()
}
