//! Opens several channels with one funding transaction: cheaper than one each, and all at the same time.
//!
//! LDK publishes the transaction when every peer has signed our first commitment. If one of them leaves before that, LDK
//! closes all of them, and nothing is spent; so does a kill.

use std::time::Duration;

use bitcoin::FeeRate;

use super::batches::{Terms, Verdict};
use super::wishes::{Money, Wish};
use super::{Amount, Open, OpenFacts, OpenFollower, check, check_capacity, fingerprint};
use crate::channels::record::{self, CHANNELS, OPENS_BY_KEY, OpenKey};
use crate::channels::{Channels, Error};
use crate::storage::{self, Batch};
use crate::tasks::Stage;
use crate::wallet::CoinChoice;

/// How long peers have to accept.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most channels of one batch.
pub const MAX_CHANNELS: usize = 50;

/// Channels to open with one transaction.
#[derive(Clone, Debug)]
pub struct OpenBatch {
    /// Each of a certain amount; what pays for them is said here.
    pub opens: Vec<Open>,
    /// For the funding transaction; none for the estimate.
    pub feerate: Option<FeeRate>,
    /// Which coins pay.
    pub coins: CoinChoice,
    /// Open none unless all peers accept.
    pub all_or_none: bool,
    /// The same key again follows the first batch.
    pub idempotency_key: Option<String>,
}

impl Channels {
    /// Opens channels with one funding transaction, and follows each; with a known idempotency key follows the first.
    ///
    /// # Errors
    /// Refusals before anything is recorded; what happens later is a stage of each channel.
    pub async fn open_batch(&self, batch: OpenBatch) -> Result<Vec<OpenFollower>, Error> {
        let asked: Vec<String> = batch.opens.iter().map(|open| in_batch(open, &batch)).collect();
        if let Some(known) = self.batch_opened_before(&batch, &asked)? {
            return Ok(known);
        }
        let amounts_sat = self.check_batch(&batch)?;
        let feerate = batch.feerate.unwrap_or_else(|| self.funding_feerate());
        let reserve = self.reserve_with_more(batch.opens.len());
        self.0.node.wallet.check_funding(&amounts_sat, feerate, &batch.coins, reserve)?;
        let mut offers = Vec::new();
        for (open, capacity_sat) in batch.opens.iter().zip(amounts_sat) {
            offers.push(self.offer_of(open, capacity_sat)?);
        }

        let ids: Vec<u128> = offers.iter().map(|_| self.new_id()).collect();
        let recorded = {
            let _taking = self.0.taking_key.lock().expect("no panic while held");
            if let Some(known) = self.batch_opened_before(&batch, &asked)? {
                return Ok(known);
            }
            let mut rows = Batch::new();
            for ((number, id), (offer, asked)) in
                ids.iter().enumerate().zip(offers.iter().zip(&asked))
            {
                let key = batch.idempotency_key.as_ref().map(|key| key_of(key, number));
                if let Some(key) = &key {
                    let first = OpenKey { user_channel_id: *id };
                    OPENS_BY_KEY.put(&mut rows, key.as_bytes(), &first);
                }
                let record = self.record_of(offer, asked.clone(), key);
                CHANNELS.put(&mut rows, &record::key(*id), &record);
            }
            self.0.store.commit(rows)
        };
        recorded.await?;
        // A kill before this line leaves records of channels that nobody knows; `reconcile` fails them.
        let terms = Terms { feerate, coins: batch.coins, all_or_none: batch.all_or_none };
        self.0.batches.begin(&ids, terms);
        let followers = ids.iter().map(|id| self.follow_open(*id)).collect();
        for (id, offer) in ids.iter().zip(offers) {
            let wish = Wish { money: Money::Batch, zero_conf: offer.zero_conf };
            if !self.offer(*id, offer, wish).await? {
                self.lost_member(*id).await?;
            }
        }
        self.expire_batch(ids);
        Ok(followers)
    }

    /// Does what has been decided about a batch.
    pub(in crate::channels) async fn settle_batch(
        &self,
        verdict: Verdict,
    ) -> Result<(), storage::Error> {
        match verdict {
            Verdict::Wait | Verdict::Unknown => Ok(()),
            Verdict::Fund(channels, _) if channels.is_empty() => Ok(()),
            Verdict::Fund(channels, terms) => {
                self.fund(channels, terms.feerate, &terms.coins).await
            }
            Verdict::GiveUp(channels) => {
                let why =
                    "another channel of the batch cannot be opened, and all or none were wanted";
                self.fail_unfunded(&channels, why, "this channel is not wanted any more").await
            }
        }
    }

    /// Tells a batch that one of its channels cannot be opened.
    pub(in crate::channels) async fn lost_member(&self, id: u128) -> Result<(), storage::Error> {
        let verdict = self.0.batches.gone(id);
        self.settle_batch(verdict).await
    }

    /// Leaves out the peers that have not accepted in time.
    fn expire_batch(&self, ids: Vec<u128>) {
        let (channels, stopping) = (self.clone(), self.0.tasks.stopping(Stage::Peers));
        self.0.tasks.spawn_once(Stage::Peers, "time-out of a batch", async move {
            if stopping.run_until_cancelled(tokio::time::sleep(PATIENCE)).await.is_none() {
                return;
            }
            for id in channels.0.batches.waiting(&ids) {
                if let Err(error) = channels.leave_out(id).await {
                    tracing::error!(%error, "could not leave a channel out of its batch");
                }
            }
        });
    }

    async fn leave_out(&self, id: u128) -> Result<(), storage::Error> {
        if let Some(record) = CHANNELS.get(&self.0.store, &record::key(id))? {
            let peer = record.node_id;
            self.fail(id, record, "the peer did not accept in time").await?;
            let listed = self.0.node.channel_manager.list_channels_with_counterparty(&peer);
            for channel in listed.iter().filter(|channel| channel.user_channel_id == id) {
                self.let_go(&channel.channel_id, &peer, "this channel is not wanted any more");
            }
        }
        self.lost_member(id).await
    }

    fn check_batch(&self, batch: &OpenBatch) -> Result<Vec<u64>, Error> {
        let refuse = |why: String| Err(Error::Argument("channels", why));
        match batch.opens.len() {
            0 => return refuse("name no channel".to_owned()),
            1..=MAX_CHANNELS => (),
            many => return refuse(format!("{many} are more than {MAX_CHANNELS}")),
        }
        let mut amounts_sat = Vec::new();
        for open in &batch.opens {
            let Amount::Exactly(capacity_sat) = open.amount else {
                return refuse("need an amount each".to_owned());
            };
            if open.coins != CoinChoice::default() || open.feerate.is_some() || open.outside {
                return refuse(
                    "of a batch have neither coins nor a feerate of their own".to_owned(),
                );
            }
            let facts: OpenFacts = self.facts(open);
            check(open, &facts)?;
            check_capacity(&self.0.config, capacity_sat, open.push_msat)?;
            amounts_sat.push(capacity_sat);
        }
        Ok(amounts_sat)
    }

    fn batch_opened_before(
        &self,
        batch: &OpenBatch,
        asked: &[String],
    ) -> Result<Option<Vec<OpenFollower>>, Error> {
        let Some(key) = &batch.idempotency_key else { return Ok(None) };
        let mut followers = Vec::new();
        for (number, asked) in asked.iter().enumerate() {
            match self.opened_before(Some(&key_of(key, number)), asked)? {
                Some(known) => followers.push(self.follow_open(known)),
                None => return Ok(None),
            }
        }
        Ok(Some(followers))
    }

    /// Whether a batch was asked for under this key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn knows_batch_key(&self, key: &str) -> Result<bool, Error> {
        self.knows_key(&key_of(key, 0))
    }
}

/// The key of one channel of a batch; callers' own keys have no line break.
fn key_of(key: &str, number: usize) -> String {
    format!("{key}\n{number}")
}

fn in_batch(open: &Open, batch: &OpenBatch) -> String {
    let count = batch.opens.len();
    let rule = if batch.all_or_none { "all or none" } else { "those that accept" };
    format!("{}, one of {count}, {rule}, {:?}", fingerprint(open), batch.coins)
}
