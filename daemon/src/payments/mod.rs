//! Sending money: recorded first, then sent, reconciled after a restart.
//!
//! A payment is in LDK's hands only after its record is durable, and LDK forgets it only after the record of
//! its end is durable. So at a kill between any two steps a payment is either unknown to LDK and then was never
//! sent ([`Payments::reconcile`] fails it), or LDK knows it and will tell its end.

mod check;
mod config;
mod error;
mod named;
mod offer_terms;
mod payable;
mod probe;
mod records;
mod route;
mod send;
mod sendable;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lightning::events::{PathFailure, PaymentFailureReason};
use lightning::ln::channelmanager::PaymentId;
use lightning::routing::router::Path;
use lightning::types::payment::{PaymentHash, PaymentPreimage};
use tokio::sync::{Notify, Semaphore};

pub use check::AskedLimits;
pub use config::Config;
pub use error::Error;
pub use named::{BuildRoute, Fault, NamedHop};
pub use payable::{NotUnderstood, Payable, Understood};
pub use probe::{Probe, ProbeOutcome, ProbeUpdate, probed_path};
pub use records::record::{
    FailureReason, Hop, Part, PartEnd, PaymentKind, PaymentRecord, PaymentState,
};
pub use route::{Estimate, Inquiry, Payee};
pub use send::{GiveRefund, Keysend, Pay, PayOffer, Rebalance, SendToRoute};

use crate::admission::AdmissionCheck;
use crate::clock::Clock;
use crate::listing::Filter;
use crate::node::Node;
use crate::parts::Parts;
use crate::storage::{self, Page, Subscription};
use crate::tasks::Tasks;
use records::book::PaymentBook;
use records::known_to_ldk;
use records::transition::{PaymentIds, PaymentUpdate};
use records::translate;
use send::PaymentInFlight;

/// The room of outgoing payments; a handle.
#[derive(Clone)]
pub struct Payments(Arc<Inner>);

struct Inner {
    config: Config,
    node: Arc<Node>,
    tasks: Tasks,
    admission: AdmissionCheck,
    clock: Clock,
    book: PaymentBook,
    /// One for each payment that may be under way at once.
    slots: Arc<Semaphore>,
    /// The payments of this run that have a slot.
    under_way: Mutex<HashMap<[u8; 32], PaymentInFlight>>,
    /// A payment has ended: another one may find its way now.
    freed: Notify,
    /// How probes ended.
    probes: probe::ProbeOutcomes,
    /// Payments that wait for their turn.
    waiting: std::sync::atomic::AtomicU32,
}

impl Payments {
    /// Makes the room; call [`Payments::reconcile`] before anybody can ask for a payment.
    pub fn new(config: Config, parts: &Parts) -> Self {
        let Parts { node, store, journal, tasks, admission, clock, .. } = parts.clone();
        let slots = Arc::new(Semaphore::new(config.max_in_flight.max(1) as usize));
        Self(Arc::new(Inner {
            config,
            node,
            tasks,
            admission,
            clock,
            book: PaymentBook::new(store, journal),
            slots,
            under_way: Mutex::default(),
            freed: Notify::new(),
            probes: Default::default(),
            waiting: Default::default(),
        }))
    }

    /// Returns the time in seconds since 1970 by which this room decides what has expired.
    pub fn now(&self) -> u64 {
        self.0.clock.unix_secs()
    }

    /// Reads anything that can be paid; names are resolved with the configured resolver.
    ///
    /// # Errors
    /// See [`NotUnderstood`].
    pub async fn understand(&self, text: &str) -> Result<Understood, NotUnderstood> {
        payable::understand(text, self.0.node.network, self.0.config.dns_resolver).await
    }

    /// Returns one payment.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub fn get(&self, payment_id: &[u8; 32]) -> Result<PaymentRecord, Error> {
        self.0.book.get(payment_id)?.ok_or(Error::Unknown)
    }

    /// Returns the newest attempt at a payment hash.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub fn get_by_hash(&self, payment_hash: &[u8; 32]) -> Result<PaymentRecord, Error> {
        self.0.book.last_attempt(payment_hash)?.ok_or(Error::Unknown)
    }

    /// Returns a page of the payments that are wanted, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn page(
        &self,
        token: &[u8],
        limit: usize,
        state: Option<PaymentState>,
        wanted: &Filter,
    ) -> Result<Page<PaymentRecord>, Error> {
        Ok(self.0.book.page(token, limit, state, wanted)?)
    }

    /// Returns at most `limit` payments above position `after` that pass the filter, oldest first, with their positions.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn after(
        &self,
        after: u64,
        limit: usize,
        filter: impl Fn(&PaymentRecord) -> bool,
    ) -> Result<Vec<(u64, PaymentRecord)>, Error> {
        Ok(self.0.book.after(after, limit, filter)?)
    }

    /// Returns at most `limit` payments below position `before` that pass the filter, newest first, with their positions.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn before(
        &self,
        before: Option<u64>,
        limit: usize,
        filter: impl Fn(&PaymentRecord) -> bool,
    ) -> Result<Vec<(u64, PaymentRecord)>, Error> {
        Ok(self.0.book.before(before, limit, filter)?)
    }

    /// Returns how many payments have not ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn pending_count(&self) -> Result<usize, storage::Error> {
        self.0.book.pending_count()
    }

    /// Follows a payment: its state now, then each change until it ends.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub fn follow(&self, payment_id: [u8; 32]) -> Result<PaymentFollower, Error> {
        let watch = self.0.book.watch(payment_id);
        let now = self.get(&payment_id)?;
        let clock = self.0.clock.clone();
        Ok(PaymentFollower { watch, next: Some(now), ended: false, clock })
    }

    /// Gives up a payment: no further attempts; parts under way may still arrive or come back.
    ///
    /// Returns the record as it is then, durable; cancelling again does no harm.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Ended`], [`Error::Store`].
    pub async fn cancel(&self, payment_id: [u8; 32]) -> Result<PaymentRecord, Error> {
        let record = self.get(&payment_id)?;
        if record.state.is_final() {
            return Err(Error::Ended(record.state));
        }
        let name = PaymentIds { payment_id, payment_hash: record.payment_hash };
        let changed =
            self.0.book.apply(name, PaymentUpdate::Cancelled, self.0.clock.unix_millis())?;
        if let Some((_, commit)) = changed {
            commit.await?;
        }
        // The mark is set before this call and the sender looks at it after its own call, so that one of
        // the two reaches LDK after the other, whichever comes first.
        self.0.node.channel_manager.abandon_payment(PaymentId(payment_id));
        self.0.node.wake();
        let record = self.get(&payment_id)?;
        match record.state {
            PaymentState::Succeeded => Err(Error::Ended(PaymentState::Succeeded)),
            PaymentState::Pending | PaymentState::Failed => Ok(record),
        }
    }

    /// Takes in LDK's `PaymentSent`.
    ///
    /// # Errors
    /// When the record cannot be read: LDK is to tell it again.
    pub fn sent(
        &self,
        payment_id: Option<PaymentId>,
        payment_hash: PaymentHash,
        preimage: PaymentPreimage,
        amount_msat: Option<u64>,
        fee_paid_msat: Option<u64>,
    ) -> Result<(), storage::Error> {
        let name = self.name(payment_id, payment_hash)?;
        let paths = self.0.node.router.take_paths(&PaymentId(name.payment_id));
        let found = paths.iter().map(|found| Part {
            began_at_ms: Some(found.found_at_ms),
            ..translate::part(&found.path, PartEnd::Succeeded)
        });
        let found = found.collect();
        let news = PaymentUpdate::Sent {
            preimage: preimage.0,
            amount_msat,
            fee_msat: fee_paid_msat,
            found,
        };
        self.apply(name, news)
    }

    /// Takes in LDK's `PaymentFailed`.
    ///
    /// # Errors
    /// When the record cannot be read: LDK is to tell it again.
    pub fn failed(
        &self,
        payment_id: PaymentId,
        payment_hash: Option<PaymentHash>,
        reason: Option<PaymentFailureReason>,
    ) -> Result<(), storage::Error> {
        let name = named(payment_id, payment_hash);
        let reason = translate::failure_reason(reason);
        if self.is_known_to_ldk(payment_id) || self.try_again(name, reason) {
            return Ok(());
        }
        self.apply(name, self.has_failed(payment_id, reason))
    }

    /// The update of a payment that has failed, with the router's explanation where there is one.
    fn has_failed(&self, payment_id: PaymentId, reason: FailureReason) -> PaymentUpdate {
        let explanation = self.0.node.router.take_explanation(&payment_id);
        PaymentUpdate::Failed(
            reason,
            explanation.filter(|_| reason == FailureReason::RouteNotFound),
        )
    }

    /// Whether LDK still lists a payment whose failure it reports: then an earlier round failed, LDK repeats its event after
    /// a kill, and the event of this round's end is still to come.
    fn is_known_to_ldk(&self, payment_id: PaymentId) -> bool {
        let recent = self.0.node.channel_manager.list_recent_payments();
        recent.iter().any(|payment| known_to_ldk::id_of(payment) == payment_id)
    }

    /// Takes in LDK's `PaymentPathSuccessful`.
    ///
    /// # Errors
    /// When the record cannot be read: LDK is to tell it again.
    pub fn path_succeeded(
        &self,
        payment_id: PaymentId,
        payment_hash: Option<PaymentHash>,
        path: &Path,
        hold_times: &[u32],
    ) -> Result<(), storage::Error> {
        let hold_times_ms = translate::hold_times_ms(hold_times);
        let part = Part { hold_times_ms, ..translate::part(path, PartEnd::Succeeded) };
        self.apply(named(payment_id, payment_hash), PaymentUpdate::PartEnded(part))
    }

    /// Takes in LDK's `PaymentPathFailed`.
    ///
    /// # Errors
    /// When the record cannot be read: LDK is to tell it again.
    #[allow(clippy::too_many_arguments, reason = "the fields of LDK's event")]
    pub fn path_failed(
        &self,
        payment_id: Option<PaymentId>,
        payment_hash: PaymentHash,
        payment_failed_permanently: bool,
        failure: &PathFailure,
        path: &Path,
        short_channel_id: Option<u64>,
        hold_times: &[u32],
    ) -> Result<(), storage::Error> {
        let why = translate::why_part_failed(payment_failed_permanently, failure);
        let name = self.name(payment_id, payment_hash)?;
        let part = Part {
            began_at_ms: self.0.node.router.found_at_ms(&PaymentId(name.payment_id), path),
            hold_times_ms: translate::hold_times_ms(hold_times),
            ..translate::part(path, PartEnd::Failed { short_channel_id, why })
        };
        self.apply(name, PaymentUpdate::PartEnded(part))
    }

    fn apply(&self, name: PaymentIds, news: PaymentUpdate) -> Result<(), storage::Error> {
        // Nobody waits for the commit: LDK forgets the event in a write that comes after this one.
        let changed = self.0.book.apply(name, news, self.0.clock.unix_millis())?;
        if let Some((record, _)) = changed {
            self.free_if_ended(&record);
        }
        Ok(())
    }

    /// Lets another payment have the slot of one that has ended.
    fn free_if_ended(&self, record: &PaymentRecord) {
        if !record.state.is_final() {
            return;
        }
        self.0.node.router.release(&PaymentId(record.payment_id));
        let ended =
            self.0.under_way.lock().expect("no panic while held").remove(&record.payment_id);
        if ended.is_some() {
            drop(ended);
            self.0.freed.notify_one();
        }
    }

    /// The payment that news are about; LDK before 0.0.103 did not tell the id.
    fn name(
        &self,
        payment_id: Option<PaymentId>,
        payment_hash: PaymentHash,
    ) -> Result<PaymentIds, storage::Error> {
        if let Some(payment_id) = payment_id {
            return Ok(named(payment_id, Some(payment_hash)));
        }
        let last = self.0.book.last_attempt(&payment_hash.0)?;
        let payment_id = last.map_or(payment_hash.0, |record| record.payment_id);
        Ok(PaymentIds { payment_id, payment_hash: payment_hash.0 })
    }
}

fn named(payment_id: PaymentId, payment_hash: Option<PaymentHash>) -> PaymentIds {
    // A payment without an invoice yet has no hash: its id stands for it.
    PaymentIds {
        payment_id: payment_id.0,
        payment_hash: payment_hash.map_or(payment_id.0, |hash| hash.0),
    }
}

/// The states of one payment as they come.
pub struct PaymentFollower {
    watch: Subscription<PaymentRecord>,
    next: Option<PaymentRecord>,
    ended: bool,
    clock: Clock,
}

impl PaymentFollower {
    /// Returns the next state, durable; none after the final one.
    ///
    /// # Errors
    /// When the store fails; no state may be shown then.
    pub async fn next(&mut self) -> Result<Option<PaymentRecord>, storage::Error> {
        if self.ended {
            return Ok(None);
        }
        let mut record = match self.next.take() {
            Some(record) => self.watch.durable(record).await?,
            None => self.watch.changed().await?,
        };
        while let Some(patience) = patience_for_parts(&record, self.clock.unix_millis()) {
            // If this future is dropped meanwhile, the next call returns the record.
            self.next = Some(record.clone());
            match tokio::time::timeout(patience, self.watch.changed()).await {
                Ok(changed) => record = changed?,
                Err(_) => break,
            }
        }
        self.next = None;
        self.ended = record.state.is_final();
        Ok(Some(record))
    }
}

/// How long the final update is delayed so that it can include the successful parts: LDK tells them when the
/// channels have settled, a moment after the payment; or never, where a peer is gone.
fn patience_for_parts(record: &PaymentRecord, now_ms: u64) -> Option<Duration> {
    let told_msat = record.arrived_msat();
    if record.state != PaymentState::Succeeded || told_msat >= record.amount_msat {
        return None;
    }
    let until_ms = record.finished_at_ms?.saturating_add(PATIENCE_FOR_PARTS_MS);
    let left_ms = until_ms.checked_sub(now_ms).filter(|left_ms| *left_ms > 0)?;
    // A clock that was set back is no reason to wait longer.
    Some(Duration::from_millis(left_ms.min(PATIENCE_FOR_PARTS_MS)))
}

const PATIENCE_FOR_PARTS_MS: u64 = 300;

/// Runs what may block without holding up the other tasks of this worker.
pub(super) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}
