//! Opening, accepting, closing and pricing channels.
//!
//! A channel that we open is recorded before it is offered; its funding is recorded before LDK gets
//! it, and LDK broadcasts it only when the peer has signed our first commitment. So after a kill at
//! any line LDK either knows the channel, or its funding was never broadcast: then
//! [`Channels::reconcile`] fails the record and frees the wallet's inputs.

mod accept;
pub mod balance;
mod change_notifier;
mod close;
pub mod config;
mod error;
mod funding_spends;
mod lifecycle;
mod open;
mod policy;
mod reason;
mod reconcile;
mod record;
mod retain;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bitcoin::secp256k1::PublicKey;
use bitcoin::{Network, Txid};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;

pub use accept::OpenRequest;
pub use accept::decider::{Decision, Proposal, Seated};
pub use accept::rules::Config as AcceptanceConfig;
pub use close::{Close, CloseFollower, CloseQuote, CloseUpdate};
pub use config::Config;
pub use error::Error;
pub use funding_spends::{ClosingTx, FundingSpends, Sighting};
pub use lifecycle::ChannelClosed;
pub use open::batch::OpenBatch;
pub use open::unfunded::Unfunded;
pub use open::{Amount, Open, OpenFollower, OpenUpdate};
pub use policy::{Changed, Policy, PolicyChange, Scope, SetPolicy, StoredPolicy, Which, Wish};
pub use record::{ChannelRecord, ChannelStage, ClosedChannel};

use self::accept::decider::Decider;
use self::open::batches::Batches;
use self::open::outside::Outside;
use self::open::wishes::Wishes;
use crate::admission::AdmissionCheck;
use crate::clock::Clock;
use crate::feerates::Feerates;
use crate::journal::Journal;
use crate::listing::{Ask, ChannelNames, Filter, Listed};
use crate::node::Node;
use crate::node::negotiation::closes::Negotiation;
use crate::node::run::reserve;
use crate::parts::Parts;
use crate::storage::{self, Page, Store};
use crate::tasks::Tasks;
use crate::wallet::reserve::AnchorReserve;

/// How a caller names a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelRef {
    /// By its 32-byte id.
    Id(ChannelId),
    /// By its announced short id or by an alias (BOLT 7).
    Short(u64),
    /// By its funding output.
    Funding(bitcoin::OutPoint),
}

/// The room of channels; a handle.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

struct Inner {
    config: Config,
    rules: AcceptanceConfig,
    decider: Decider,
    wishes: Wishes,
    batches: Batches,
    outside: Outside,
    node: Arc<Node>,
    feerates: Arc<Feerates>,
    store: Store,
    journal: Journal,
    spends: Arc<FundingSpends>,
    admission: AdmissionCheck,
    clock: Clock,
    tasks: Tasks,
    /// Held while an idempotency key is looked up and taken, so that two calls never take it both.
    taking_key: Mutex<()>,
}

/// What people call a channel by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its place in the chain, where it is known.
    pub short_channel_id: Option<u64>,
    /// The peer, where it is known.
    pub node_id: Option<PublicKey>,
}

/// A channel, open or closed.
#[derive(Clone, Debug)]
pub enum Found {
    /// LDK runs it.
    Open(Box<ChannelDetails>),
    /// It is history.
    Closed(Box<ClosedChannel>, Option<ClosingTx>),
}

impl Channels {
    /// Makes the room; call [`Channels::reconcile`] before LDK's events are handled.
    ///
    /// `spends` knows which transactions closed channels; it must see each block before the channel manager does.
    pub fn new(
        config: Config,
        rules: AcceptanceConfig,
        parts: &Parts,
        spends: Arc<FundingSpends>,
    ) -> Self {
        let Parts { node, feerates, store, journal, admission, clock, tasks } = parts.clone();
        let taking_key = Mutex::new(());
        Self(Arc::new(Inner {
            config,
            rules,
            decider: Decider::default(),
            wishes: Wishes::default(),
            batches: Batches::default(),
            outside: Outside::default(),
            node,
            feerates,
            store,
            journal,
            spends,
            admission,
            clock,
            tasks,
            taking_key,
        }))
    }

    /// Returns open and pending channels, with one peer or with all.
    pub fn list(&self, with: Option<&PublicKey>) -> Vec<ChannelDetails> {
        let manager = &self.0.node.channel_manager;
        let mut channels = match with {
            Some(peer) => manager.list_channels_with_counterparty(peer),
            None => manager.list_channels(),
        };
        // LDK has no order; by place in the chain, new ones last.
        channels.sort_by_key(|channel| {
            (channel.short_channel_id.unwrap_or(u64::MAX), channel.channel_id.0)
        });
        channels
    }

    /// Returns who is connected.
    pub fn connected_peers(&self) -> HashSet<PublicKey> {
        let peers = self.0.node.peer_manager.list_peers();
        peers.into_iter().map(|peer| peer.counterparty_node_id).collect()
    }

    /// Returns which chain this is.
    pub fn network(&self) -> Network {
        self.0.node.network
    }

    /// Returns one channel, open or closed.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub fn get(&self, reference: &ChannelRef) -> Result<Found, Error> {
        match self.find(reference) {
            Ok(details) => Ok(Found::Open(Box::new(details))),
            Err(Error::AlreadyClosed { closed }) => {
                let closing = self.0.spends.closing(&closed.channel_id)?;
                Ok(Found::Closed(closed, closing))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the names by which records know a channel, open or closed.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub fn names(&self, reference: &ChannelRef) -> Result<ChannelNames, Error> {
        let (id, short_ids) = match self.get(reference)? {
            Found::Open(details) => {
                let aliases = [details.outbound_scid_alias, details.inbound_scid_alias];
                let short_ids = [details.short_channel_id].into_iter().chain(aliases).flatten();
                (details.channel_id, short_ids.collect())
            }
            Found::Closed(closed, _) => {
                (closed.channel_id, closed.short_channel_id.into_iter().collect())
            }
        };
        Ok(ChannelNames { channel_id: id.0, short_ids })
    }

    /// Returns the short id and the peer of each of these channels, open or closed, as far as they are known.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn identify(
        &self,
        channel_ids: impl IntoIterator<Item = [u8; 32]>,
    ) -> Result<HashMap<[u8; 32], Identity>, Error> {
        let open = self.0.node.channel_manager.list_channels();
        let open: HashMap<_, _> =
            open.iter().map(|details| (details.channel_id.0, details)).collect();
        let mut known = HashMap::new();
        for id in channel_ids.into_iter().collect::<HashSet<_>>() {
            let identity = match open.get(&id) {
                Some(details) => Identity {
                    short_channel_id: details.short_channel_id,
                    node_id: Some(details.counterparty.node_id),
                },
                None => match record::CLOSED.get(&self.0.store, &id)? {
                    Some(closed) => Identity {
                        short_channel_id: closed.short_channel_id,
                        node_id: closed.node_id,
                    },
                    None => continue,
                },
            };
            known.insert(id, identity);
        }
        Ok(known)
    }

    /// Whether LDK's monitor of a closed channel has nothing to claim: it was closed in agreement with the peer, or its
    /// funding was never broadcast.
    pub fn leaves_no_claims(&self, channel_id: &ChannelId) -> bool {
        let closed = record::CLOSED.get(&self.0.store, &channel_id.0);
        matches!(closed, Ok(Some(closed))
            if closed.kind == reason::COOPERATIVE || self.was_never_funded(&closed))
    }

    /// Whether the funding of a batch was given up and has not come to the network all the same: a kill between LDK's
    /// broadcast and its event may leave such a record of a channel whose money its monitor must claim.
    fn was_never_funded(&self, closed: &ClosedChannel) -> bool {
        closed.kind == reason::FUNDING_BATCH
            && closed.funding.is_none_or(|funding| !self.0.node.wallet.has_seen(funding.txid))
    }

    /// Returns a page of the closed channels that are wanted, with the transactions that closed them, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn closed_page(
        &self,
        token: &[u8],
        limit: usize,
        wanted: &Filter,
        also: impl Fn(&ClosedChannel) -> bool,
    ) -> Result<Page<(ClosedChannel, Option<ClosingTx>)>, Error> {
        let page = record::CLOSED.list(&self.0.store, token, limit, wanted, also)?;
        let mut items = Vec::with_capacity(page.items.len());
        for (id, closed) in page.items {
            let closing = self.0.spends.closing(&closed.channel_id)?;
            items.push((id, (closed, closing)));
        }
        Ok(Page { items, next_token: page.next_token })
    }

    /// Returns the transaction that closes a channel, once it was seen.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn closing_tx(&self, channel_id: &ChannelId) -> Result<Option<ClosingTx>, Error> {
        Ok(self.0.spends.closing(channel_id)?)
    }

    /// Returns how far the negotiation of a close has come, if there is one.
    pub fn close_negotiation(&self, channel_id: &ChannelId) -> Option<Negotiation> {
        self.0.node.closes.negotiation(channel_id)
    }

    /// Whether a block holds a transaction other than `commitment` that closed the channel, or the channel never was
    /// funded.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_closed_otherwise(
        &self,
        channel_id: &ChannelId,
        commitment: &Txid,
    ) -> Result<bool, storage::Error> {
        let closed = record::CLOSED.get(&self.0.store, &channel_id.0)?;
        let was_funded = closed.is_none_or(|closed| !self.was_never_funded(&closed));
        let spend = self.0.spends.of(channel_id)?;
        Ok(!was_funded || spend.is_some_and(|spend| spend.txid != *commitment))
    }

    /// Whether an output funds a channel that is or was ours: LDK has, or had, a monitor for it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn owns_funding(&self, funding: &bitcoin::OutPoint) -> Result<bool, storage::Error> {
        let monitors = &self.0.node.chain_monitor;
        let is_watched = monitors.list_monitors().into_iter().any(|channel_id| {
            let monitor = monitors.get_monitor(channel_id);
            monitor
                .is_ok_and(|monitor| monitor.get_funding_txo().into_bitcoin_outpoint() == *funding)
        });
        Ok(is_watched || self.find_closed(&ChannelRef::Funding(*funding))?.is_some())
    }

    /// Finds an open channel.
    ///
    /// # Errors
    /// [`Error::AlreadyClosed`], [`Error::Unknown`], [`Error::Store`].
    fn find(&self, reference: &ChannelRef) -> Result<ChannelDetails, Error> {
        let open = self.0.node.channel_manager.list_channels();
        if let Some(details) = open.into_iter().find(|details| is(details, reference)) {
            return Ok(details);
        }
        match self.find_closed(reference)? {
            Some(closed) => Err(Error::AlreadyClosed { closed: Box::new(closed) }),
            None => Err(Error::Unknown),
        }
    }

    fn find_closed(&self, reference: &ChannelRef) -> Result<Option<ClosedChannel>, storage::Error> {
        let store = &self.0.store;
        let wanted = |closed: &ClosedChannel| match reference {
            ChannelRef::Id(id) => closed.channel_id == *id,
            ChannelRef::Short(short) => closed.short_channel_id == Some(*short),
            ChannelRef::Funding(funding) => closed.funding == Some(*funding),
        };
        if let ChannelRef::Id(id) = reference {
            return record::CLOSED.get(store, &id.0);
        }
        let mut found = None;
        record::CLOSED.visit(store, |_, closed| match wanted(&closed) {
            true => {
                found = Some(closed);
                std::ops::ControlFlow::Break(())
            }
            false => std::ops::ControlFlow::Continue(()),
        })?;
        Ok(found)
    }

    /// The anchor reserve with one channel more.
    fn reserve_with_another(&self) -> AnchorReserve {
        self.reserve_with_more(1)
    }

    /// The anchor reserve with so many channels more.
    fn reserve_with_more(&self, count: usize) -> AnchorReserve {
        let feerates = &self.0.feerates;
        let now = reserve::of(&self.0.node, feerates);
        (0..count).fold(now, |reserve, _| reserve.with_another(feerates.for_anchor_reserve()))
    }
}

impl Listed for ChannelDetails {
    const ASKS: &'static [Ask] = &[Ask::Amount, Ask::Node, Ask::Channel];

    fn amount_msat(&self) -> u64 {
        self.channel_value_satoshis.saturating_mul(1_000)
    }

    fn is_of_node(&self, node_id: &PublicKey) -> bool {
        self.counterparty.node_id == *node_id
    }

    fn is_of_channel(&self, channel: &ChannelNames) -> bool {
        self.channel_id.0 == channel.channel_id
    }
}

fn is(details: &ChannelDetails, reference: &ChannelRef) -> bool {
    match reference {
        ChannelRef::Id(id) => details.channel_id == *id,
        ChannelRef::Short(short) => {
            [details.short_channel_id, details.outbound_scid_alias, details.inbound_scid_alias]
                .contains(&Some(*short))
        }
        ChannelRef::Funding(funding) => {
            details.funding_txo.is_some_and(|ldk| record::outpoint(ldk) == *funding)
        }
    }
}
