//! Opens channels: check, record, wait until the record is durable, offer to the peer.

use bitcoin::FeeRate;
use bitcoin::secp256k1::PublicKey;
use lightning::sign::EntropySource as _;
use tokio::sync::watch;

use super::policy::{self, Policy};
use super::record::{self, CHANNELS, ChannelRecord, ChannelStage, OPENS_BY_KEY, OpenKey};
use super::{Channels, Config, Error};
use crate::admission::NotReady;
use crate::idempotency;
use crate::storage::{self, Batch};

/// How large a channel is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many satoshis.
    Exactly(u64),
    /// All on-chain money that is not reserved.
    All,
}

/// A channel to open.
#[derive(Clone, Debug)]
pub struct Open {
    /// With whom; must be connected.
    pub node_id: PublicKey,
    /// How large.
    pub amount: Amount,
    /// Given to the peer at the start.
    pub push_msat: u64,
    /// Whether the channel is announced to the network (BOLT 7).
    pub announce: bool,
    /// For the funding transaction; none for the estimate.
    pub feerate: Option<FeeRate>,
    /// Ours over the default.
    pub policy: Option<Policy>,
    /// The same key again follows the first open.
    pub idempotency_key: Option<String>,
}

/// What is known when a channel is to be opened.
#[derive(Clone, Debug)]
struct OpenFacts {
    ourselves: bool,
    connected: bool,
    /// Whether the peer knows `option_anchors`.
    anchors: bool,
    pending_with_peer: usize,
    not_ready: Option<NotReady>,
}

impl Channels {
    /// Opens a channel and follows it; with a known idempotency key follows the first open.
    ///
    /// # Errors
    /// Refusals before anything is recorded; whatever happens later is a stage of the channel.
    pub async fn open(&self, request: Open) -> Result<OpenFollower, Error> {
        let asked = fingerprint(&request);
        if let Some(known) = self.opened_before(request.idempotency_key.as_deref(), &asked)? {
            return Ok(self.follow_open(known));
        }
        check(&request, &self.facts(&request))?;
        let feerate = request.feerate.unwrap_or_else(|| self.funding_feerate());
        let capacity_sat = self.capacity(request.amount, feerate)?;
        check_capacity(&self.0.config, capacity_sat, request.push_msat)?;
        let reserve = self.reserve_with_another();
        self.0.node.wallet.check_funding(capacity_sat, feerate, reserve)?;
        let mut config =
            self.0.config.for_outbound(capacity_sat, request.announce, self.0.node.network);
        if let Some(policy) = request.policy {
            config.channel_config.apply(&policy::check(policy.into())?);
        }

        let user_channel_id = self.new_id();
        let record = ChannelRecord {
            outbound: true,
            node_id: request.node_id,
            capacity_sat,
            push_msat: request.push_msat,
            announced: request.announce,
            feerate_sat_per_kwu: request.feerate.map(FeeRate::to_sat_per_kwu),
            idempotency_key: request.idempotency_key.clone(),
            asked: asked.clone(),
            created_at: self.0.clock.unix_secs(),
            stage: ChannelStage::Negotiating,
            channel_id: None,
            funding: None,
            short_channel_id: None,
            ending: None,
            close_feerate_sat_per_kwu: None,
        };
        let recorded = {
            let _taking = self.0.taking_key.lock().expect("no panic while held");
            if let Some(known) = self.opened_before(request.idempotency_key.as_deref(), &asked)? {
                return Ok(self.follow_open(known));
            }
            let mut batch = Batch::new();
            CHANNELS.put(&mut batch, &record::key(user_channel_id), &record);
            if let Some(key) = &record.idempotency_key {
                OPENS_BY_KEY.put(&mut batch, key.as_bytes(), &OpenKey { user_channel_id });
            }
            self.0.store.commit(batch)
        };
        recorded.await?;
        // A kill before this line leaves a record of a channel that nobody knows; `reconcile` fails it.
        let node = &self.0.node;
        let offered = node.keys.shutdown.for_peer(&request.node_id, || {
            node.channel_manager.create_channel(
                request.node_id,
                capacity_sat,
                request.push_msat,
                user_channel_id,
                None,
                Some(config),
            )
        });
        match offered {
            Ok(_) => self.0.node.wake(),
            Err(error) => {
                let why = Error::from_ldk(error).to_string();
                self.fail(user_channel_id, record, &why).await?;
            }
        }
        Ok(self.follow_open(user_channel_id))
    }

    /// Whether an open was asked for under this key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn knows_key(&self, key: &str) -> Result<bool, Error> {
        Ok(OPENS_BY_KEY.contains(&self.0.store, key.as_bytes())?)
    }

    /// Checks what can be checked of a request before the peer is connected.
    ///
    /// # Errors
    /// [`Error::Argument`], [`Error::NotReady`], [`Error::TooManyPending`].
    pub fn check_request(&self, request: &Open) -> Result<(), Error> {
        let facts = self.facts(request);
        // What the peer knows is seen once it is connected.
        let anchors = facts.anchors || !facts.connected;
        check(request, &OpenFacts { connected: true, anchors, ..facts })?;
        match request.amount {
            Amount::Exactly(sat) => check_capacity(&self.0.config, sat, request.push_msat),
            Amount::All => Ok(()),
        }
    }

    /// Records that an open has failed; wakes its followers.
    pub(super) async fn fail(
        &self,
        user_channel_id: u128,
        record: ChannelRecord,
        why: &str,
    ) -> Result<(), storage::Error> {
        tracing::warn!(peer = %record.node_id, why, "a channel could not be opened");
        let failed =
            ChannelRecord { stage: ChannelStage::Failed, ending: Some(why.to_owned()), ..record };
        let mut batch = Batch::new();
        CHANNELS.put(&mut batch, &record::key(user_channel_id), &failed);
        self.0.store.commit(batch).await?;
        self.0.spends.changes.notify();
        Ok(())
    }

    /// Returns what a funding transaction pays when nobody says.
    pub(super) fn funding_feerate(&self) -> FeeRate {
        self.0.feerates.feerate_for_wallet(self.0.config.open_target_blocks)
    }

    /// Returns a new `user_channel_id`.
    pub(super) fn new_id(&self) -> u128 {
        let random = self.0.node.keys.get_secure_random_bytes();
        let half: [u8; 16] = random[..16].try_into().expect("16 of 32 bytes");
        u128::from_be_bytes(half)
    }

    fn follow_open(&self, user_channel_id: u128) -> OpenFollower {
        let changes = self.0.spends.changes.subscribe();
        OpenFollower { channels: self.clone(), user_channel_id, changes, told: None }
    }

    fn opened_before(&self, key: Option<&str>, asked: &str) -> Result<Option<u128>, Error> {
        let Some(key) = key else { return Ok(None) };
        let Some(known) = OPENS_BY_KEY.get(&self.0.store, key.as_bytes())? else { return Ok(None) };
        let record = CHANNELS.get(&self.0.store, &record::key(known.user_channel_id))?;
        let first = record.map(|record| record.asked).unwrap_or_else(|| asked.to_owned());
        let outcome = Some((known.user_channel_id, first.as_str()));
        idempotency::first_outcome(outcome, &asked)
            .map_err(|_| Error::KeyReused { asked: first.clone() })
    }

    fn facts(&self, request: &Open) -> OpenFacts {
        let node = &self.0.node;
        let with_peer = node.channel_manager.list_channels_with_counterparty(&request.node_id);
        let peer = node.peer_manager.peer_by_node_id(&request.node_id);
        let pending = |outbound: bool, ready: bool| outbound && !ready;
        OpenFacts {
            ourselves: request.node_id == node.id(),
            connected: peer.is_some(),
            anchors: peer
                .is_some_and(|peer| peer.init_features.supports_anchors_zero_fee_htlc_tx()),
            pending_with_peer: with_peer
                .iter()
                .filter(|channel| pending(channel.is_outbound, channel.is_channel_ready))
                .count(),
            not_ready: (self.0.admission)().err(),
        }
    }

    fn capacity(&self, amount: Amount, feerate: FeeRate) -> Result<u64, Error> {
        match amount {
            Amount::Exactly(capacity_sat) => Ok(capacity_sat),
            Amount::All => {
                let reserve = self.reserve_with_another();
                let most_sat = self.0.node.wallet.max_funding_sat(feerate, reserve)?;
                Ok(most_sat.min(self.0.config.max_capacity_sat))
            }
        }
    }
}

fn check(request: &Open, facts: &OpenFacts) -> Result<(), Error> {
    if facts.ourselves {
        return Err(Error::Argument("node_id", "is this node itself".to_owned()));
    }
    if let Some(policy) = request.policy {
        policy::check(policy.into())?;
    }
    if let Some(why) = &facts.not_ready {
        return Err(Error::NotReady(why.clone()));
    }
    if !facts.connected {
        return Err(Error::NotConnected(request.node_id));
    }
    if !facts.anchors {
        return Err(Error::NoAnchors(request.node_id));
    }
    // LDK itself takes no more unfunded channels of one peer; ours is the sooner and clearer refusal.
    if facts.pending_with_peer >= MAX_PENDING_OUTBOUND {
        let pending = facts.pending_with_peer;
        return Err(Error::TooManyPending { pending, most: MAX_PENDING_OUTBOUND });
    }
    Ok(())
}

/// Opens to one peer that may wait for their confirmations at once.
const MAX_PENDING_OUTBOUND: usize = 20;

fn check_capacity(config: &Config, capacity_sat: u64, push_msat: u64) -> Result<(), Error> {
    if capacity_sat < config.min_capacity_sat {
        let why = format!("{capacity_sat} is below the least, {}", config.min_capacity_sat);
        return Err(Error::Argument("capacity_sat", why));
    }
    if capacity_sat > config.max_capacity_sat {
        let why = format!("{capacity_sat} is above the most, {}", config.max_capacity_sat);
        return Err(Error::Argument("capacity_sat", why));
    }
    // The peer gets at most what leaves us our own reserve (BOLT 2).
    let reserve_sat = capacity_sat / 100;
    if push_msat > (capacity_sat - reserve_sat) * 1_000 {
        let why = format!("{push_msat} leaves less than a hundredth of the capacity on our side");
        return Err(Error::Argument("push_msat", why));
    }
    Ok(())
}

/// Tells whether two requests ask for the same.
fn fingerprint(request: &Open) -> String {
    let amount = match request.amount {
        Amount::Exactly(sat) => format!("{sat} sat"),
        Amount::All => "all".to_owned(),
    };
    let announce = if request.announce { "public" } else { "private" };
    format!("{amount} with {}, {announce}, pushing {} msat", request.node_id, request.push_msat)
}

/// Follows a channel from its record to its readiness or failure.
pub struct OpenFollower {
    channels: Channels,
    user_channel_id: u128,
    changes: watch::Receiver<u64>,
    told: Option<ChannelStage>,
}

impl OpenFollower {
    /// Returns the next stage: the present one at first; none after the last.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub async fn next(&mut self) -> Result<Option<ChannelRecord>, storage::Error> {
        while self.told.is_none_or(|told| told < ChannelStage::Ready) {
            if self.changes.changed().await.is_err() {
                return Ok(None);
            }
            let key = record::key(self.user_channel_id);
            let Some(record) = CHANNELS.get(&self.channels.0.store, &key)? else { return Ok(None) };
            if self.told != Some(record.stage) {
                self.told = Some(record.stage);
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Unsynced;

    fn request() -> Open {
        Open {
            node_id: record::tests::opening().node_id,
            amount: Amount::Exactly(100_000),
            push_msat: 0,
            announce: true,
            feerate: None,
            policy: None,
            idempotency_key: None,
        }
    }

    fn facts() -> OpenFacts {
        OpenFacts {
            ourselves: false,
            connected: true,
            anchors: true,
            pending_with_peer: 0,
            not_ready: None,
        }
    }

    #[test]
    fn each_obstacle_is_told_apart() {
        assert!(check(&request(), &facts()).is_ok());
        let refusal = |facts| check(&request(), &facts).expect_err("must be refused");
        assert!(matches!(
            refusal(OpenFacts { ourselves: true, ..facts() }),
            Error::Argument("node_id", _)
        ));
        assert!(matches!(
            refusal(OpenFacts { connected: false, ..facts() }),
            Error::NotConnected(_)
        ));
        assert!(matches!(refusal(OpenFacts { anchors: false, ..facts() }), Error::NoAnchors(_)));
        assert!(matches!(
            refusal(OpenFacts {
                not_ready: Some(NotReady::NotSynced(Unsynced::NoPeers)),
                ..facts()
            }),
            Error::NotReady(_)
        ));
        assert!(matches!(
            refusal(OpenFacts { pending_with_peer: 20, ..facts() }),
            Error::TooManyPending { pending: 20, .. }
        ));
        let policy = Policy { base_fee_msat: 0, proportional_millionths: 0, cltv_expiry_delta: 1 };
        let request = Open { policy: Some(policy), ..request() };
        assert!(matches!(check(&request, &facts()), Err(Error::Argument("cltv_expiry_delta", _))));
    }

    #[test]
    fn capacity_and_push_have_bounds() {
        let config = Config::default();
        let table = [
            (20_000, 0, None),
            (19_999, 0, Some("capacity_sat")),
            (1_000_000_000, 0, None),
            (1_000_000_001, 0, Some("capacity_sat")),
            (100_000, 99_000_000, None),
            (100_000, 99_000_001, Some("push_msat")),
            (100_000, u64::MAX, Some("push_msat")),
        ];
        for (capacity_sat, push_msat, argument) in table {
            let refused = check_capacity(&config, capacity_sat, push_msat).err();
            let named = refused.map(|error| match error {
                Error::Argument(argument, _) => argument,
                other => panic!("{other}"),
            });
            assert_eq!(named, argument, "{capacity_sat} sat, {push_msat} msat pushed");
        }
    }

    #[test]
    fn another_wish_has_another_fingerprint() {
        let first = fingerprint(&request());
        for other in [
            Open { amount: Amount::All, ..request() },
            Open { push_msat: 1, ..request() },
            Open { announce: false, ..request() },
        ] {
            assert_ne!(fingerprint(&other), first);
        }
        assert_eq!(fingerprint(&Open { idempotency_key: Some("k".into()), ..request() }), first);
    }
}
