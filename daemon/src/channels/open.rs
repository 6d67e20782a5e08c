//! Opens channels: check, record, wait until the record is durable, offer to the peer.

pub mod batch;
pub(super) mod batches;
mod check;
mod follow;
mod fund;
pub(super) mod outside;
pub mod unfunded;
pub(super) mod wishes;

use bitcoin::secp256k1::PublicKey;
use bitcoin::{FeeRate, ScriptBuf};
use lightning::ln::script::ShutdownScript;
use lightning::sign::EntropySource as _;
use lightning::util::config::UserConfig;

pub use self::follow::{OpenFollower, OpenUpdate};

use self::check::{OpenFacts, check, check_capacity, fingerprint};
use self::wishes::{Money, Wish};
use super::close::shutdown_script;
use super::policy::{self, Policy};
use super::record::{self, CHANNELS, ChannelRecord, ChannelStage, OPENS_BY_KEY, OpenKey};
use super::{Channels, Error};
use crate::idempotency;
use crate::storage::{self, Batch};
use crate::wallet::reserve::AnchorReserve;
use crate::wallet::{self, CoinChoice};

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
    /// Which coins pay.
    pub coins: CoinChoice,
    /// Another wallet pays: a signed transaction comes by [`Channels::fund_from_outside`].
    pub outside: bool,
    /// Give the channel up unless the peer uses it before its funding is confirmed.
    pub zero_conf: bool,
    /// Where the money of an agreed close goes, for good; none as it is configured.
    pub close_script: Option<ScriptBuf>,
    /// The same key again follows the first open.
    pub idempotency_key: Option<String>,
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
        let capacity_sat = self.capacity(&request, feerate)?;
        check_capacity(&self.0.config, capacity_sat, request.push_msat)?;
        let reserve = self.reserve_with_another();
        match request.outside {
            true => self.check_reserve(reserve)?,
            false => {
                let wallet = &self.0.node.wallet;
                wallet.check_funding(&[capacity_sat], feerate, &request.coins, reserve)?;
            }
        }
        let offer = self.offer_of(&request, capacity_sat)?;

        let user_channel_id = self.new_id();
        let recorded = {
            let _taking = self.0.taking_key.lock().expect("no panic while held");
            if let Some(known) = self.opened_before(request.idempotency_key.as_deref(), &asked)? {
                return Ok(self.follow_open(known));
            }
            let record = self.record_of(&offer, asked, request.idempotency_key.clone());
            let mut batch = Batch::new();
            CHANNELS.put(&mut batch, &record::key(user_channel_id), &record);
            if let Some(key) = &record.idempotency_key {
                OPENS_BY_KEY.put(&mut batch, key.as_bytes(), &OpenKey { user_channel_id });
            }
            self.0.store.commit(batch)
        };
        recorded.await?;
        // A kill before this line leaves a record of a channel that nobody knows; `reconcile` fails it.
        let money = match request.outside {
            true => Money::Outside,
            false => Money::Wallet(request.coins),
        };
        let wish = Wish { money, zero_conf: request.zero_conf };
        if self.offer(user_channel_id, offer, wish).await? && request.outside {
            self.expire_outside(user_channel_id, self.0.config.outside_funding_timeout());
        }
        Ok(self.follow_open(user_channel_id))
    }

    /// Returns what the peer is to be offered.
    fn offer_of(&self, request: &Open, capacity_sat: u64) -> Result<Offer, Error> {
        let close_script = request.close_script.clone().map(shutdown_script).transpose()?;
        let mut config =
            self.0.config.for_outbound(capacity_sat, request.announce, self.0.node.network);
        if let Some(stored) = self.policy_with(&request.node_id)? {
            config.channel_config.apply(&stored);
        }
        if let Some(policy) = request.policy {
            config.channel_config.apply(&policy::check(policy.into())?);
        }
        config.channel_handshake_config.commit_upfront_shutdown_pubkey |= close_script.is_some();
        Ok(Offer {
            node_id: request.node_id,
            capacity_sat,
            push_msat: request.push_msat,
            announce: request.announce,
            feerate: request.feerate,
            zero_conf: request.zero_conf,
            config,
            close_script,
        })
    }

    fn record_of(&self, offer: &Offer, asked: String, key: Option<String>) -> ChannelRecord {
        ChannelRecord {
            outbound: true,
            node_id: offer.node_id,
            capacity_sat: offer.capacity_sat,
            push_msat: offer.push_msat,
            announced: offer.announce,
            feerate_sat_per_kwu: offer.feerate.map(FeeRate::to_sat_per_kwu),
            idempotency_key: key,
            asked,
            created_at: self.0.clock.unix_secs(),
            stage: ChannelStage::Negotiating,
            channel_id: None,
            funding: None,
            short_channel_id: None,
            ending: None,
            close_feerate_sat_per_kwu: None,
            in_batch: None,
        }
    }

    /// Offers a recorded channel to the peer; returns false if LDK refuses to, which fails the record.
    async fn offer(
        &self,
        user_channel_id: u128,
        offer: Offer,
        wish: Wish,
    ) -> Result<bool, storage::Error> {
        let node = &self.0.node;
        self.0.wishes.keep(user_channel_id, wish);
        let offered = node.keys.shutdown.for_peer_with(&offer.node_id, offer.close_script, || {
            node.channel_manager.create_channel(
                offer.node_id,
                offer.capacity_sat,
                offer.push_msat,
                user_channel_id,
                None,
                Some(offer.config),
            )
        });
        let Err(error) = offered else {
            node.wake();
            return Ok(true);
        };
        if let Some(record) = CHANNELS.get(&self.0.store, &record::key(user_channel_id))? {
            self.fail(user_channel_id, record, &Error::from_ldk(error).to_string()).await?;
        }
        Ok(false)
    }

    /// Checks that the wallet could bump the commitment of one channel more, which it does not pay for.
    fn check_reserve(&self, reserve: AnchorReserve) -> Result<(), Error> {
        let held = self.0.node.wallet.balance();
        let (needed_sat, spendable_sat) =
            (reserve.total_sat, held.confirmed_sat + held.unconfirmed_sat);
        match spendable_sat < needed_sat {
            true => Err(Error::Wallet(wallet::Error::InsufficientFunds {
                needed_sat,
                spendable_sat,
                reserved_sat: needed_sat,
            })),
            false => Ok(()),
        }
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
        self.0.wishes.forget(user_channel_id);
        self.0.outside.forget(user_channel_id);
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

    fn capacity(&self, request: &Open, feerate: FeeRate) -> Result<u64, Error> {
        match request.amount {
            Amount::Exactly(capacity_sat) => Ok(capacity_sat),
            Amount::All if request.outside => {
                let why = "is needed where the wallet does not pay".to_owned();
                Err(Error::Argument("capacity_sat", why))
            }
            Amount::All => {
                let reserve = self.reserve_with_another();
                let wallet = &self.0.node.wallet;
                let most_sat = wallet.max_funding_sat(feerate, &request.coins, reserve)?;
                Ok(most_sat.min(self.0.config.max_capacity_sat))
            }
        }
    }
}

/// A channel as the peer is offered it.
struct Offer {
    node_id: PublicKey,
    capacity_sat: u64,
    push_msat: u64,
    announce: bool,
    feerate: Option<FeeRate>,
    zero_conf: bool,
    config: UserConfig,
    close_script: Option<ShutdownScript>,
}
