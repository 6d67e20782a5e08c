//! Offers (BOLT 12): made, listed, disabled, and answered while they stand; refunds of others redeemed.
//!
//! LDK answers a request for an invoice by itself; what comes in for it is an invoice's payment and is recorded there.

mod create;
mod error;
mod record;

use std::num::NonZeroU64;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::constants::ChainHash;
use lightning::offers::offer::{Offer, Quantity};
use lightning::offers::parse::Bolt12SemanticError;
use lightning::offers::refund::Refund;

pub use create::CreateOffer;
pub use error::Error;
pub use record::OfferRecord;

use crate::admission::AdmissionCheck;
use crate::clock::Clock;
use crate::idempotency::{self, Key};
use crate::listing::Filter;
use crate::node::Node;
use crate::parts::Parts;
use crate::storage::{Batch, Page, Store};
use record::{BY_KEY, OFFERS};

/// The room of offers; a handle.
#[derive(Clone)]
pub struct Offers(Arc<Inner>);

struct Inner {
    node: Arc<Node>,
    store: Store,
    clock: Clock,
    admission: AdmissionCheck,
    /// Held from reading a record until its change is enqueued; reads see enqueued writes.
    changing: Mutex<()>,
}

/// An invoice of ours that asks for the money of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// What the payment will be locked to.
    pub payment_hash: [u8; 32],
    /// What the refund gives.
    pub amount_msat: u64,
    /// What the refund is for, in the refunder's words.
    pub description: String,
    /// Seconds since 1970 from which our invoice can no longer be paid.
    pub expires_at: u64,
}

impl Offers {
    /// Makes the room, and lets requests for invoices be answered.
    pub fn new(parts: &Parts) -> Self {
        let Parts { node, store, clock, admission, .. } = parts.clone();
        let offers =
            Self(Arc::new(Inner { node, store, clock, admission, changing: Mutex::new(()) }));
        let asked = offers.clone();
        offers.0.node.offer_requests.attach(Box::new(move |offer_id| asked.may_answer(offer_id)));
        offers
    }

    /// Returns the time in seconds since 1970 by which [`OfferRecord::is_expired`] decides.
    pub fn now(&self) -> u64 {
        self.0.clock.unix_secs()
    }

    /// Makes an offer; it is durable when it is returned.
    ///
    /// # Errors
    /// [`Error::Bad`], [`Error::KeyReused`], [`Error::NoPath`], [`Error::NotMade`], [`Error::Store`].
    pub async fn create(&self, request: CreateOffer) -> Result<OfferRecord, Error> {
        request.check()?;
        let key = Key::new(request.idempotency_key.clone(), request.fingerprint());
        if let Some(record) = self.made_before(key.as_ref())? {
            self.0.store.sync().await?;
            return Ok(record);
        }
        let now = self.now();
        let expires_at = match request.expiry_secs {
            0 => None,
            secs => Some(now.saturating_add(secs)),
        };
        let offer = self.build(&request, expires_at)?;
        let record = OfferRecord {
            offer_id: offer.id().0,
            offer: offer.to_string(),
            amount_msat: request.amount_msat,
            description: request.description,
            issuer: Some(request.issuer).filter(|issuer| !issuer.is_empty()),
            max_quantity: request.max_quantity,
            created_at: now,
            expires_at,
            disabled: false,
        };
        let (record, commit) = {
            let _changing = self.0.changing.lock().expect("no panic while held");
            if let Some(record) = self.made_before(key.as_ref())? {
                (record, self.0.store.sync())
            } else {
                let mut batch = Batch::new();
                OFFERS.insert(&self.0.store, &mut batch, &record.offer_id, &record)?;
                if let Some(key) = &key {
                    BY_KEY.put(&mut batch, key, record.offer_id);
                }
                (record, self.0.store.commit(batch))
            }
        };
        commit.await?;
        Ok(record)
    }

    fn build(&self, request: &CreateOffer, expires_at: Option<u64>) -> Result<Offer, Error> {
        let quantity = match request.max_quantity.map(NonZeroU64::new) {
            None => Quantity::One,
            Some(None) => Quantity::Unbounded,
            Some(Some(most)) => Quantity::Bounded(most),
        };
        let builder = self.0.node.channel_manager.create_offer_builder().map_err(not_made)?;
        let mut builder = builder.supported_quantity(quantity);
        if let Some(msat) = request.amount_msat {
            builder = builder.amount_msats(msat);
        }
        if !request.description.is_empty() {
            builder = builder.description(request.description.clone());
        }
        if !request.issuer.is_empty() {
            builder = builder.issuer(request.issuer.clone());
        }
        if let Some(secs) = expires_at {
            builder = builder.absolute_expiry(Duration::from_secs(secs));
        }
        builder.build().map_err(not_made)
    }

    fn made_before(&self, key: Option<&Key>) -> Result<Option<OfferRecord>, Error> {
        let Some(key) = key else { return Ok(None) };
        let first = BY_KEY.get(&self.0.store, &key.text)?;
        match idempotency::first_outcome(first, &key.fingerprint).map_err(|_| Error::KeyReused)? {
            Some(offer_id) => Ok(OFFERS.get(&self.0.store, &offer_id)?),
            None => Ok(None),
        }
    }

    /// Returns one offer.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub fn get(&self, offer_id: &[u8; 32]) -> Result<OfferRecord, Error> {
        OFFERS.get(&self.0.store, offer_id)?.ok_or(Error::Unknown)
    }

    /// Returns a page of the offers that are wanted, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn page(
        &self,
        token: &[u8],
        limit: usize,
        only_enabled: bool,
        wanted: &Filter,
    ) -> Result<Page<OfferRecord>, Error> {
        let now = self.now();
        let is_wanted =
            |record: &OfferRecord| !only_enabled || !record.disabled && !record.is_expired(now);
        Ok(OFFERS.list(&self.0.store, token, limit, wanted, is_wanted)?)
    }

    /// Answers requests for an offer, or refuses them from now on; invoices that were given out can still be paid.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub async fn set_enabled(
        &self,
        offer_id: &[u8; 32],
        enabled: bool,
    ) -> Result<OfferRecord, Error> {
        let (record, commit) = {
            let _changing = self.0.changing.lock().expect("no panic while held");
            let record = OfferRecord { disabled: !enabled, ..self.get(offer_id)? };
            let mut batch = Batch::new();
            OFFERS.update(&mut batch, offer_id, &record);
            (record, self.0.store.commit(batch))
        };
        commit.await?;
        Ok(record)
    }

    /// Asks for the money of somebody's refund: sends an invoice to its maker.
    ///
    /// # Errors
    /// [`Error::NotARefund`], [`Error::OtherNetwork`], [`Error::Expired`], [`Error::Unredeemable`],
    /// [`Error::NoPath`], [`Error::NotMade`], [`Error::NotReady`].
    pub fn redeem(&self, refund: &str) -> Result<Redeemed, Error> {
        let refund = Refund::from_str(refund.trim())
            .map_err(|error| Error::NotARefund(format!("{error:?}")))?;
        let network = self.0.node.network;
        if refund.chain() != ChainHash::using_genesis_block(network) {
            return Err(Error::OtherNetwork(network));
        }
        if refund.is_expired_no_std(self.0.clock.since_epoch()) {
            return Err(Error::Expired);
        }
        if refund.features().requires_unknown_bits() {
            return Err(Error::Unredeemable("it needs a feature that is not known here"));
        }
        (self.0.admission)()?;
        let invoice =
            self.0.node.channel_manager.request_refund_payment(&refund).map_err(not_made)?;
        self.0.node.wake();
        let expires_at = invoice.created_at().saturating_add(invoice.relative_expiry());
        Ok(Redeemed {
            payment_hash: invoice.payment_hash().0,
            amount_msat: invoice.amount_msats(),
            description: refund.description().to_string(),
            expires_at: expires_at.as_secs(),
        })
    }

    /// Whether a request for an invoice is answered; LDK itself refuses those for expired offers.
    fn may_answer(&self, offer_id: &[u8; 32]) -> Result<(), &'static str> {
        match OFFERS.get(&self.0.store, offer_id) {
            // Made by a call that a kill cut off: nobody was given it.
            Ok(None) => Err("this offer does not exist"),
            Ok(Some(record)) if record.disabled => Err("this offer is no longer available"),
            Ok(Some(_)) => (self.0.admission)().map_err(|not| not.for_strangers()),
            Err(_) => Err("this node takes on nothing new"),
        }
    }
}

fn not_made(error: Bolt12SemanticError) -> Error {
    match error {
        Bolt12SemanticError::MissingPaths => Error::NoPath,
        Bolt12SemanticError::AlreadyExpired => Error::Expired,
        other => Error::NotMade(format!("{other:?}")),
    }
}
