//! Asking for money and taking it.

mod abandoned;
mod arrival;
mod book;
mod claim;
mod config;
mod create;
mod error;
mod expiry;
mod hold;
mod hold_records;
mod keysend;
mod read;
mod received;
mod record;
mod refusal;
mod retain;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash as _;
use lightning::chain::channelmonitor::Balance;
use lightning::events::{ClaimedHTLC, PaymentPurpose};
use lightning::ln::channelmanager::{FailureCode, PaymentId, RecipientOnionFields};
use lightning::ln::types::ChannelId;
use lightning::sign::{NodeSigner as _, Recipient};
use lightning::types::payment::{PaymentHash, PaymentPreimage};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef};

pub use config::Config;
pub use create::{CreateInvoice, Describe, Extras, Hints, MAX_HINTS};
pub use error::Error;
pub use received::{Received, Receiving};
pub use record::{
    CancelReason, CustomRecord, InvoiceKind, InvoiceRecord, InvoiceState, OfferRequest,
};

use crate::admission::{AdmissionCheck, NotReady};
use crate::bolt11;
use crate::clock::Clock;
use crate::idempotency::Key;
use crate::journal::Budget;
use crate::node::Node;
use crate::parts::Parts;
use crate::storage::{self, Subscription};
use crate::tasks::Tasks;
use arrival::{Arrival, arrival, each_once};
use book::InvoiceBook;
use claim::Decision;
use keysend::Bucket;
use record::Stored;
use refusal::ClaimRefusal;

/// The room of incoming payments; a handle.
#[derive(Clone)]
pub struct Invoices(Arc<Inner>);

struct Inner {
    config: Config,
    node: Arc<Node>,
    clock: Clock,
    tasks: Tasks,
    admission: AdmissionCheck,
    book: InvoiceBook,
    keysends: Mutex<Bucket>,
    /// Entries of HTLCs that are given back, by payment hash.
    refusals: Mutex<Budget<[u8; 32]>>,
}

/// What LDK's `PaymentClaimable` says.
#[derive(Clone, Copy, Debug)]
pub struct Claimable<'a> {
    /// What the HTLCs are locked to.
    pub payment_hash: PaymentHash,
    /// What the payer put into their onions (BOLT 4).
    pub onion_fields: Option<&'a RecipientOnionFields>,
    /// What can be claimed.
    pub amount_msat: u64,
    /// How the money was asked for.
    pub purpose: &'a PaymentPurpose,
    /// Which set of HTLCs this is.
    pub payment_id: Option<PaymentId>,
    /// The channel of each HTLC, and the user's id of it.
    pub channels: &'a [(ChannelId, Option<u128>)],
    /// Block height from which LDK fails them back.
    pub claim_deadline_height: Option<u32>,
}

impl Invoices {
    /// Makes the room.
    pub fn new(config: Config, parts: &Parts) -> Self {
        let Parts { node, store, journal, admission, clock, tasks, .. } = parts.clone();
        let book = InvoiceBook::new(store, journal);
        let keysends = Mutex::new(Bucket::new(&config, Instant::now()));
        let refusals = Mutex::new(Budget::new(Instant::now()));
        Self(Arc::new(Inner { config, node, clock, tasks, admission, book, keysends, refusals }))
    }

    /// Returns the time in seconds since 1970 by which [`InvoiceRecord::state`] tells whether an invoice has expired.
    pub fn now(&self) -> u64 {
        self.0.clock.unix_secs()
    }

    /// Makes an invoice; it is durable when it is returned.
    ///
    /// # Errors
    /// [`Error::Bad`], [`Error::HashTaken`], [`Error::KeyReused`], [`Error::NotReady`], [`Error::NotMade`],
    /// [`Error::Store`].
    pub async fn create(&self, request: CreateInvoice) -> Result<InvoiceRecord, Error> {
        let kind =
            if request.hold_hash.is_some() { InvoiceKind::Hold } else { InvoiceKind::Bolt11 };
        self.make(request, kind).await
    }

    /// Makes an invoice that this node itself will pay, to move money between its channels.
    ///
    /// # Errors
    /// As [`Invoices::create`].
    pub async fn ask_ourselves(
        &self,
        amount_msat: u64,
        expiry_secs: u32,
    ) -> Result<InvoiceRecord, Error> {
        let request = CreateInvoice {
            amount_msat: Some(amount_msat),
            describe: Describe::Text("rebalance".to_owned()),
            expiry_secs,
            preimage: None,
            hold_hash: None,
            min_final_cltv_expiry_delta: 0,
            idempotency_key: None,
            extras: Extras::default(),
        };
        self.make(request, InvoiceKind::Rebalance).await
    }

    async fn make(
        &self,
        request: CreateInvoice,
        kind: InvoiceKind,
    ) -> Result<InvoiceRecord, Error> {
        let parameters = request.parameters(&self.0.config)?;
        let fingerprint = request.fingerprint();
        let key = Key::new(request.idempotency_key, fingerprint);
        if let Some(record) = self.0.book.made_before(key.as_ref())? {
            self.0.book.sync().await?;
            return Ok(record);
        }
        // A disk with little room still takes what is due to us; a blind node cannot claim it in time.
        if let Err(blind @ NotReady::NotSynced(_)) = (self.0.admission)() {
            return Err(blind.into());
        }
        let node = &self.0.node;
        let hints = request.extras.route_hints(&node.channel_manager.list_channels())?;
        let invoice = node
            .channel_manager
            .create_bolt11_invoice(parameters)
            .map_err(|error| Error::NotMade(format!("{error:?}")))?;
        let sign = |raw: &_| node.keys.sign_invoice(raw, Recipient::Node);
        let invoice = create::complete(invoice, &request.extras, hints, sign)?;
        let record = InvoiceRecord { kind, ..opened(&invoice, request.preimage) };
        let (record, commit) = self.0.book.open(record, key)?;
        commit.await?;
        Ok(record)
    }

    /// Records that the money of somebody's refund is expected, so that it can be watched; it may be there already.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn expect_refund(
        &self,
        payment_hash: [u8; 32],
        amount_msat: u64,
        description: String,
        expires_at: u64,
    ) -> Result<InvoiceRecord, Error> {
        let record = InvoiceRecord {
            payment_hash,
            stored: Stored::Open,
            kind: InvoiceKind::Bolt12,
            bolt11: None,
            amount_msat: Some(amount_msat),
            received_msat: 0,
            description: Some(description),
            description_hash: None,
            created_at: self.now(),
            expires_at,
            settled_at: None,
            preimage: None,
            custom_records: Vec::new(),
            parts: 0,
            claim_id: None,
            idempotency_key: None,
            claim_deadline_height: None,
            accepted_at: None,
            cancel_reason: None,
            request: None,
            payment_metadata: None,
            channels: Vec::new(),
        };
        match self.0.book.open(record, None) {
            Ok((record, commit)) => {
                commit.await?;
                Ok(record)
            }
            Err(Error::HashTaken) => self.get(&payment_hash),
            Err(error) => Err(error),
        }
    }

    /// Cancels an invoice that is unpaid or held: payments for it are failed back.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::TooLate`], [`Error::Store`].
    pub async fn cancel(&self, payment_hash: &[u8; 32]) -> Result<InvoiceRecord, Error> {
        let by_user = CancelReason::ByUser;
        let (record, commit) = self.0.book.cancel(payment_hash, by_user, self.now())?;
        commit.await?;
        if record.kind == InvoiceKind::Hold {
            self.fail_held(&PaymentHash(*payment_hash));
        }
        Ok(record)
    }

    /// Follows an invoice: its state now, then each change until it ends, also by the clock.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub fn follow(&self, payment_hash: [u8; 32]) -> Result<InvoiceFollower, Error> {
        let watch = self.0.book.watch(payment_hash);
        let record = self.get(&payment_hash)?;
        Ok(InvoiceFollower { watch, last: record, told: None, clock: self.0.clock.clone() })
    }

    /// Takes in LDK's `PaymentClaimable`: claims what was asked for, and gives everything else back.
    ///
    /// # Errors
    /// When the record cannot be read: LDK is to tell it again.
    pub fn claimable(&self, claimable: &Claimable<'_>) -> Result<(), storage::Error> {
        let Claimable { payment_hash, onion_fields, amount_msat, purpose, payment_id, .. } =
            *claimable;
        let arrival = Arrival {
            parts: u32::try_from(claimable.channels.len()).unwrap_or(u32::MAX),
            channels: each_once(claimable.channels.iter().map(|(channel_id, _)| *channel_id)),
            claim_deadline_height: claimable.claim_deadline_height,
            ..arrival(payment_hash, onion_fields, amount_msat, purpose, payment_id)
        };
        let keysend = arrival.kind == InvoiceKind::Keysend;
        let manager = &self.0.node.channel_manager;
        let keysends = self.keysends().look(&self.0.config, Instant::now());
        let decision = self.0.book.arrived(arrival, keysends, self.now())?;
        if keysend && matches!(decision, Decision::Claim(..)) {
            self.keysends().take();
        }
        match decision {
            Decision::Claim(_, preimage) | Decision::ClaimAgain(preimage) if keysend => {
                manager.claim_funds_with_known_custom_tlvs(PaymentPreimage(preimage));
            }
            Decision::Claim(_, preimage) | Decision::ClaimAgain(preimage) => {
                manager.claim_funds(PaymentPreimage(preimage));
            }
            Decision::Hold(record) => self.accept_when_durable(&record),
            Decision::Refuse(refusal) => {
                tracing::info!(%payment_hash, amount_msat, ?refusal, "gave a payment back");
                self.note_refusal(payment_hash, amount_msat, refusal);
                let code = if refusal.is_about_payload() {
                    FailureCode::InvalidOnionPayload(None)
                } else {
                    FailureCode::IncorrectOrUnknownPaymentDetails
                };
                manager.fail_htlc_backwards_with_reason(&payment_hash, code);
            }
        }
        self.0.node.wake();
        Ok(())
    }

    /// LDK's events from before the start are handled: what was being claimed then and is unknown to LDK can be paid again.
    pub fn replay_ended(&self) {
        let known = self.known_to_ldk();
        match self.0.book.reopen_abandoned(|payment_hash| known.contains(payment_hash)) {
            Ok(reopened) => {
                for payment_hash in reopened {
                    let payment_hash = PaymentHash(payment_hash);
                    tracing::info!(%payment_hash, "an invoice can be paid again: its payment never reached a checkpoint");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "could not look for invoices that were being claimed")
            }
        }
    }

    /// The payment hashes of all HTLCs that came to us, on channels and on the chain.
    fn known_to_ldk(&self) -> HashSet<[u8; 32]> {
        let node = &self.0.node;
        let channels = node.channel_manager.list_channels();
        let htlcs = channels.iter().flat_map(|channel| &channel.pending_inbound_htlcs);
        let mut known: HashSet<_> = htlcs.map(|htlc| htlc.payment_hash.0).collect();
        for channel_id in node.chain_monitor.list_monitors() {
            let Ok(monitor) = node.chain_monitor.get_monitor(channel_id) else { continue };
            known.extend(monitor.get_claimable_balances().iter().filter_map(hash_of));
        }
        known
    }

    /// Journals that HTLCs were given back, as often as strangers may cause an entry.
    fn note_refusal(&self, payment_hash: PaymentHash, amount_msat: u64, refusal: ClaimRefusal) {
        let mut refusals = self.0.refusals.lock().expect("no panic while held");
        if refusals.take(payment_hash.0, Instant::now()) {
            self.0.book.refused(payment_hash.0, amount_msat, refusal);
        }
    }

    fn keysends(&self) -> MutexGuard<'_, Bucket> {
        self.0.keysends.lock().expect("no panic while held")
    }

    /// Takes in LDK's `PaymentClaimed`.
    ///
    /// # Errors
    /// When the record cannot be read: LDK is to tell it again.
    pub fn claimed(
        &self,
        payment_hash: PaymentHash,
        onion_fields: Option<&RecipientOnionFields>,
        amount_msat: u64,
        purpose: &PaymentPurpose,
        htlcs: &[ClaimedHTLC],
        payment_id: Option<PaymentId>,
    ) -> Result<(), storage::Error> {
        let height = self.0.node.channel_manager.current_best_block().height;
        let expiries = htlcs.iter().map(|htlc| htlc.cltv_expiry);
        if abandoned::is_forgotten(self.0.book.get(&payment_hash.0)?.as_ref(), expiries, height) {
            return Ok(());
        }
        let arrival = Arrival {
            parts: u32::try_from(htlcs.len()).unwrap_or(u32::MAX),
            channels: each_once(htlcs.iter().map(|htlc| htlc.channel_id)),
            ..arrival(payment_hash, onion_fields, amount_msat, purpose, payment_id)
        };
        self.0.book.settle(arrival, self.now())
    }

    /// Takes in LDK's `HTLCHandlingFailed` of a receipt: what we meant to claim may have gone back.
    ///
    /// # Errors
    /// When the record cannot be read: LDK is to tell it again.
    pub fn receive_failed(&self, payment_hash: PaymentHash) -> Result<(), storage::Error> {
        match self.0.book.get(&payment_hash.0)? {
            Some(record) if record.kind == InvoiceKind::Hold => self.hold_failed(&record),
            Some(_) | None => self.0.book.went_back(&payment_hash.0),
        }
    }
}

/// The payment that a balance of a closed channel belongs to.
fn hash_of(balance: &Balance) -> Option<[u8; 32]> {
    match balance {
        Balance::ContentiousClaimable { payment_hash, .. }
        | Balance::MaybeTimeoutClaimableHTLC { payment_hash, .. }
        | Balance::MaybePreimageClaimableHTLC { payment_hash, .. } => Some(payment_hash.0),
        Balance::ClaimableOnChannelClose { .. }
        | Balance::ClaimableAwaitingConfirmations { .. }
        | Balance::CounterpartyRevokedOutputClaimable { .. } => None,
    }
}

/// Reads any BOLT 11 text.
///
/// # Errors
/// [`Error::NotAnInvoice`].
pub fn decode(text: &str) -> Result<Bolt11Invoice, Error> {
    Ok(bolt11::read(text.trim())?)
}

/// The states of one invoice as they come.
pub struct InvoiceFollower {
    watch: Subscription<InvoiceRecord>,
    last: InvoiceRecord,
    told: Option<InvoiceState>,
    clock: Clock,
}

impl InvoiceFollower {
    /// Returns the time in seconds since 1970 by which states are computed.
    pub fn now(&self) -> u64 {
        self.clock.unix_secs()
    }

    /// Returns the next state, durable; none after the final one.
    ///
    /// # Errors
    /// When the store fails; no state may be shown then.
    pub async fn next(&mut self) -> Result<Option<InvoiceRecord>, storage::Error> {
        if self.told.is_some_and(InvoiceState::is_final) {
            return Ok(None);
        }
        loop {
            let state = self.last.state(self.clock.unix_secs());
            if self.told != Some(state) {
                self.told = Some(state);
                return self.watch.durable(self.last.clone()).await.map(Some);
            }
            let expiry = expires_in(&self.last, state, self.clock.since_epoch());
            tokio::select! {
                changed = self.watch.changed() => self.last = changed?,
                () = tokio::time::sleep(expiry.unwrap_or_default()), if expiry.is_some() => (),
            }
        }
    }
}

/// How long until the clock alone changes an invoice.
fn expires_in(record: &InvoiceRecord, state: InvoiceState, now: Duration) -> Option<Duration> {
    let expired_from = Duration::from_secs(record.expires_at.saturating_add(1));
    match state {
        // HTLCs that have arrived stop the clock, though no follower has seen them yet.
        InvoiceState::Open if record.is_held() => None,
        InvoiceState::Open => Some(expired_from.saturating_sub(now) + Duration::from_millis(1)),
        InvoiceState::Accepted
        | InvoiceState::Claiming
        | InvoiceState::Settled
        | InvoiceState::Cancelled
        | InvoiceState::Expired => None,
    }
}

fn opened(invoice: &Bolt11Invoice, preimage: Option<[u8; 32]>) -> InvoiceRecord {
    let created_at = invoice.duration_since_epoch();
    let (description, description_hash) = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => (Some(text.to_string()), None),
        Bolt11InvoiceDescriptionRef::Hash(hash) => (None, Some(hash.0.to_byte_array())),
    };
    InvoiceRecord {
        payment_hash: invoice.payment_hash().to_byte_array(),
        stored: Stored::Open,
        kind: InvoiceKind::Bolt11,
        bolt11: Some(invoice.to_string()),
        amount_msat: invoice.amount_milli_satoshis(),
        received_msat: 0,
        description,
        description_hash,
        created_at: created_at.as_secs(),
        expires_at: created_at.saturating_add(invoice.expiry_time()).as_secs(),
        settled_at: None,
        preimage,
        custom_records: Vec::new(),
        parts: 0,
        claim_id: None,
        idempotency_key: None,
        claim_deadline_height: None,
        accepted_at: None,
        cancel_reason: None,
        request: None,
        payment_metadata: invoice.payment_metadata().cloned(),
        channels: Vec::new(),
    }
}
