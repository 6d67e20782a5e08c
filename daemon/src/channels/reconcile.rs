//! Brings records and wallet in line with what LDK knows after a restart.

use std::collections::HashSet;

use bitcoin::Txid;
use lightning::util::config::ChannelConfigUpdate;

use super::record::{self, CHANNELS, CLOSED, ChannelRecord, ChannelStage, ClosedChannel};
use super::{Channels, Error};
use crate::journal::Entry;
use crate::node::negotiation::closes::UNBOUNDED_AVOIDANCE_SAT;
use crate::storage::Batch;

/// What becomes of a record whose channel LDK does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// LDK runs it, or it is over, or LDK is about to tell its end.
    Leave,
    /// Its funding was never broadcast.
    Fail,
    /// Its funding may be on chain: LDK's monitor closes it.
    CloseByMonitor,
}

fn judge(stage: ChannelStage, run_by_ldk: bool, monitored: bool) -> Verdict {
    match stage {
        _ if run_by_ldk => Verdict::Leave,
        ChannelStage::Negotiating | ChannelStage::Funded if monitored => Verdict::CloseByMonitor,
        ChannelStage::Negotiating | ChannelStage::Funded => Verdict::Fail,
        // LDK's event of the end is durable with the manager that forgot the channel.
        ChannelStage::Pending
        | ChannelStage::Ready
        | ChannelStage::Closed
        | ChannelStage::Failed => Verdict::Leave,
    }
}

impl Channels {
    /// Fails opens that a restart has cut short, and frees the wallet's inputs for fundings that LDK
    /// knows nothing of. To be called once, before LDK's events are handled.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Wallet`].
    pub async fn reconcile(&self) -> Result<(), Error> {
        let node = &self.0.node;
        let run: HashSet<u128> = node
            .channel_manager
            .list_channels()
            .into_iter()
            .map(|channel| channel.user_channel_id)
            .collect();
        let monitors = node.chain_monitor.list_monitors();
        let monitored: HashSet<_> = monitors.iter().copied().collect();
        self.unbind_closing_fees()?;
        for (key, record) in CHANNELS.all(&self.0.store)? {
            if let Some((id, asked)) = record.channel_id.zip(record.close_feerate_sat_per_kwu) {
                node.closes.ask(id, Some(asked));
            }
            let Ok(bytes) = <[u8; 16]>::try_from(key.as_slice()) else { continue };
            let user_channel_id = u128::from_be_bytes(bytes);
            let has_monitor = record.channel_id.is_some_and(|id| monitored.contains(&id));
            match judge(record.stage, run.contains(&user_channel_id), has_monitor) {
                Verdict::Leave => (),
                Verdict::Fail => {
                    let why = "the daemon was restarted before the channel was funded";
                    self.fail(user_channel_id, record, why).await?;
                }
                Verdict::CloseByMonitor => self.close_by_monitor(user_channel_id, record).await?,
            }
        }
        self.0.node.wallet.discard_fundings_except(&self.known_fundings())?;
        Ok(())
    }

    /// Lets `node::negotiation` alone bound the fees of closes, for channels of earlier releases as well.
    fn unbind_closing_fees(&self) -> Result<(), Error> {
        let manager = &self.0.node.channel_manager;
        let unbounded = ChannelConfigUpdate {
            force_close_avoidance_max_fee_satoshis: Some(UNBOUNDED_AVOIDANCE_SAT),
            ..ChannelConfigUpdate::default()
        };
        for channel in manager.list_channels() {
            let bound = channel.config.map(|of| of.force_close_avoidance_max_fee_satoshis);
            if bound != Some(UNBOUNDED_AVOIDANCE_SAT) {
                let (peer, ids) = (channel.counterparty.node_id, [channel.channel_id]);
                manager
                    .update_partial_channel_config(&peer, &ids, &unbounded)
                    .map_err(Error::from_ldk)?;
            }
        }
        Ok(())
    }

    /// The funding transactions of all channels and monitors.
    fn known_fundings(&self) -> HashSet<Txid> {
        let node = &self.0.node;
        let channels = node.channel_manager.list_channels();
        let mut known: HashSet<Txid> =
            channels.iter().filter_map(|channel| channel.funding_txo).map(|txo| txo.txid).collect();
        for channel_id in node.chain_monitor.list_monitors() {
            if let Ok(monitor) = node.chain_monitor.get_monitor(channel_id) {
                known.insert(monitor.get_funding_txo().txid);
            }
        }
        known
    }

    async fn close_by_monitor(
        &self,
        user_channel_id: u128,
        record: ChannelRecord,
    ) -> Result<(), Error> {
        let Some(channel_id) = record.channel_id else { return Ok(()) };
        let reason = "the daemon was restarted while the channel was being funded; \
                      what was paid in comes back on chain";
        let closed = ClosedChannel {
            channel_id,
            short_channel_id: None,
            node_id: Some(record.node_id),
            funding: record.funding,
            capacity_sat: record.capacity_sat,
            local_msat: (record.capacity_sat * 1_000).saturating_sub(record.push_msat),
            closed_at: self.0.clock.unix_secs(),
            kind: "outdated_manager".to_owned(),
            reason: reason.to_owned(),
            outbound: record.outbound,
        };
        let entry = Entry::ChannelClosed {
            channel_id: channel_id.0,
            node_id: closed.node_id,
            kind: closed.kind.clone(),
            reason: closed.reason.clone(),
        };
        let ending = Some(reason.to_owned());
        let ended = ChannelRecord { stage: ChannelStage::Closed, ending, ..record };
        let mut batch = Batch::new();
        CLOSED.insert(&self.0.store, &mut batch, &channel_id.0, &closed)?;
        CHANNELS.put(&mut batch, &record::key(user_channel_id), &ended);
        self.0.journal.append(&mut batch, entry);
        self.0.store.commit(batch).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_opens_that_were_cut_short_are_judged() {
        let table = [
            (ChannelStage::Negotiating, true, false, Verdict::Leave),
            (ChannelStage::Negotiating, false, false, Verdict::Fail),
            (ChannelStage::Funded, true, true, Verdict::Leave),
            (ChannelStage::Funded, false, false, Verdict::Fail),
            (ChannelStage::Funded, false, true, Verdict::CloseByMonitor),
            (ChannelStage::Pending, false, true, Verdict::Leave),
            (ChannelStage::Ready, false, true, Verdict::Leave),
            (ChannelStage::Closed, false, true, Verdict::Leave),
            (ChannelStage::Failed, false, false, Verdict::Leave),
        ];
        for (stage, run_by_ldk, monitored, expected) in table {
            assert_eq!(judge(stage, run_by_ldk, monitored), expected, "{stage:?}");
        }
    }
}
