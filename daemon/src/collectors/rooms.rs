//! Metrics of each room as it is now.

use std::time::{Duration, SystemTime};

use lightning::ln::channel_state::ChannelDetails;

use super::MeasuredRooms;
use crate::metrics::Metric;
use crate::storage::{self, MirrorStatus};
use crate::usecases::balances::balances;
use crate::usecases::channel_state::ChannelState;

impl MeasuredRooms {
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let channels = self.channels.list(None);
        let mut metrics = self.of_the_node();
        metrics.extend(self.node.checkpoint_times.metrics());
        metrics.extend(self.of_the_chain());
        metrics.extend(self.of_the_money());
        metrics.extend(of_the_channels(&channels));
        metrics.extend(htlcs(&channels));
        let stored = [self.of_the_payments(), self.of_the_forwards(), self.of_the_store()];
        for collected in stored {
            match collected {
                Ok(collected) => metrics.extend(collected),
                Err(error) => tracing::warn!(%error, "could not collect the metrics of a room"),
            }
        }
        metrics
    }

    fn of_the_node(&self) -> Vec<Metric> {
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
            Metric::gauge("fulmen_info", "Always 1; its labels identify the node.").of(&labels, 1),
            Metric::gauge("fulmen_start_time_seconds", "Unix time of the start.")
                .is(self.started_at),
            Metric::gauge("fulmen_peers_connected", "Connected peers.")
                .is(number(node.peer_manager.list_peers().len())),
            Metric::gauge("fulmen_graph_nodes", "Nodes in the network graph.")
                .is(number(graph_nodes)),
            Metric::gauge("fulmen_graph_channels", "Channels in the network graph.")
                .is(number(graph_channels)),
        ]
    }

    fn of_the_chain(&self) -> Vec<Metric> {
        let tip = *self.tip.borrow();
        vec![
            Metric::gauge(
                "fulmen_synced",
                "1 while the tip is fresh enough to pay and to open channels, else 0.",
            )
            .is(self.admission.is_synced().into()),
            Metric::gauge("fulmen_block_height", "Height of the best block.").is(tip.height.into()),
            Metric::gauge(
                "fulmen_block_timestamp_seconds",
                "Unix time in the header of the best block.",
            )
            .is(tip.time.into()),
            Metric::gauge(
                "fulmen_tip_age_seconds",
                "Time since bitcoind last confirmed the best block.",
            )
            .lasts(since(tip.confirmed_at)),
        ]
    }

    fn of_the_money(&self) -> Vec<Metric> {
        let balances = balances(&self.node, &self.channels);
        vec![
            Metric::gauge("fulmen_onchain_confirmed_sat", "On-chain balance in blocks.")
                .is(balances.onchain.confirmed_sat),
            Metric::gauge(
                "fulmen_onchain_unconfirmed_sat",
                "On-chain balance that is not in a block yet.",
            )
            .is(balances.onchain.unconfirmed_sat),
            Metric::gauge(
                "fulmen_onchain_reserved_sat",
                "Part of both that is kept for bumping anchors.",
            )
            .is(balances.onchain.reserved_sat),
            Metric::gauge("fulmen_channels_local_msat", "Our balance in channels.")
                .is(balances.channels_local_msat),
            Metric::gauge("fulmen_channels_remote_msat", "The peers' balance in channels.")
                .is(balances.channels_remote_msat),
            Metric::gauge(
                "fulmen_channels_outbound_capacity_msat",
                "What usable channels can send now.",
            )
            .is(balances.outbound_capacity_msat),
            Metric::gauge(
                "fulmen_channels_inbound_capacity_msat",
                "What usable channels can receive now.",
            )
            .is(balances.inbound_capacity_msat),
            Metric::gauge(
                "fulmen_closing_sat",
                "Balances of closed channels that come back to the wallet whatever others do.",
            )
            .is(balances.closing.sure_sat),
        ]
    }

    fn of_the_payments(&self) -> Result<Vec<Metric>, storage::Error> {
        let pending = number(self.payments.pending_count()?);
        let help = "Payments that have not ended.";
        Ok(vec![Metric::gauge("fulmen_payments_pending", help).is(pending)])
    }

    fn of_the_forwards(&self) -> Result<Vec<Metric>, storage::Error> {
        let totals = self.forwards.totals()?;
        Ok(vec![
            Metric::counter("fulmen_forwards_total", "Forwards that ended, in all time.")
                .of(&[("outcome", "settled")], totals.count)
                .of(&[("outcome", "failed")], totals.failed_count),
            Metric::counter("fulmen_forwards_msat_total", "What settled forwards paid out.")
                .is(totals.outbound_msat),
            Metric::counter("fulmen_forwards_fees_msat_total", "What settled forwards earned.")
                .is(totals.fee_msat),
        ])
    }

    fn of_the_store(&self) -> Result<Vec<Metric>, storage::Error> {
        let growth = self.store.growth()?;
        let mut metrics = vec![
            Metric::counter("fulmen_store_writes_total", "Records written since the start.")
                .is(growth.writes),
            Metric::counter(
                "fulmen_store_written_bytes_total",
                "Bytes of keys and values in them.",
            )
            .is(growth.bytes),
            Metric::durations(
                "fulmen_store_commit_duration_seconds",
                "Durations of the commits since the start, each with one fsync.",
                &growth.times.classes(),
                growth.commits,
                growth.times.sum,
            ),
            Metric::gauge("fulmen_store_disk_bytes", "Size of the database on disk.")
                .is(self.store.disk_bytes()?),
            Metric::gauge(
                "fulmen_store_failed",
                "1 when the store accepts no more writes and the daemon is about to end.",
            )
            .is(self.store.failed().borrow().is_some().into()),
        ];
        if let Some(free_bytes) = self.store.free_bytes() {
            let help = "Free space on the fullest disk of the store.";
            metrics.push(Metric::gauge("fulmen_store_free_bytes", help).is(free_bytes));
        }
        let mirror_ok = match &*self.store.mirror().borrow() {
            MirrorStatus::Off => None,
            MirrorStatus::InSync { .. } => Some(1),
            MirrorStatus::Failed { .. } => Some(0),
        };
        if let Some(ok) = mirror_ok {
            let help = "1 while the mirror gets every batch, 0 when it has failed.";
            metrics.push(Metric::gauge("fulmen_mirror_ok", help).is(ok));
        }
        Ok(metrics)
    }
}

fn of_the_channels(channels: &[ChannelDetails]) -> Vec<Metric> {
    let mut by_state = Metric::gauge("fulmen_channels", "Open and pending channels, by state.");
    // A state without channels has a sample too: 0.
    for state in ChannelState::ALL {
        let in_state = channels.iter().filter(|channel| ChannelState::of(channel) == state);
        by_state = by_state.of(&[("state", state.name())], number(in_state.count()));
    }
    let usable = channels.iter().filter(|channel| channel.is_usable).count();
    let help = "Channels that are ready and whose peer is connected.";
    vec![by_state, Metric::gauge("fulmen_channels_usable", help).is(number(usable))]
}

fn htlcs(channels: &[ChannelDetails]) -> Vec<Metric> {
    let inbound = || channels.iter().flat_map(|channel| &channel.pending_inbound_htlcs);
    let outbound = || channels.iter().flat_map(|channel| &channel.pending_outbound_htlcs);
    vec![
        Metric::gauge("fulmen_htlcs_pending", "HTLCs in flight, by direction.")
            .of(&[("direction", "inbound")], number(inbound().count()))
            .of(&[("direction", "outbound")], number(outbound().count())),
        Metric::gauge("fulmen_htlcs_pending_msat", "Amount of the HTLCs in flight, by direction.")
            .of(&[("direction", "inbound")], inbound().map(|htlc| htlc.amount_msat).sum())
            .of(&[("direction", "outbound")], outbound().map(|htlc| htlc.amount_msat).sum()),
    ]
}

fn number(count: usize) -> u64 {
    count as u64
}

fn since(moment: SystemTime) -> Duration {
    // A clock that was set back yields no negative age.
    moment.elapsed().unwrap_or_default()
}
