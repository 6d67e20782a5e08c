//! Finished payments leave LDK's table as soon as nothing depends on them any more.
//!
//! LDK keeps a fulfilled payment for seven of its ticks, so that a caller who asks for the same [`PaymentId`] a
//! moment too late does not pay twice. Each checkpoint encodes all of them: at hundreds of payments a second that
//! is hundreds of thousands. Stock LDK has no call for it; `.patches/README.md` says what ours adds.
//!
//! Why it is sound:
//! - *No payment is sent twice.* A [`PaymentId`] is drawn at random for each payment, and the payment's record,
//!   durable before LDK hears of it, guards its hash and the caller's idempotency key.
//! - *No end is lost.* LDK lets an entry go only if it is fulfilled, has no HTLC left in any channel, and no event
//!   about it is in LDK's queue. An event leaves that queue after its handler has put the record of the end into
//!   the store's queue, so that the record is durable no later than the first checkpoint without the entry.
//! - *A kill between the two* leaves a checkpoint that still has the entry, with or without its events: LDK tells
//!   the events again and the entry is forgotten again, or the entry goes with [`Finished::at_start`].
//! - *A channel that closes later* knows no HTLC of it: an entry goes only after the peer has revoked the last
//!   commitment that held one, or after the chain has resolved it and the monitor has written that down.

use std::sync::{Mutex, MutexGuard};

use lightning::events::Event;
use lightning::ln::channelmanager::{PaymentId, RecentPaymentDetails};

use super::types::ChannelManager;

/// Whether LDK is built with the patch that lets finished payments go.
pub const IS_LDK_PATCHED: bool = cfg!(feature = "patched-ldk");

/// The payments that may have finished since LDK was last asked to forget some.
#[derive(Default)]
pub struct Finished(Mutex<Vec<PaymentId>>);

impl Finished {
    /// Starts with what the stored state holds of finished payments.
    pub fn at_start(manager: &ChannelManager) -> Self {
        let fulfilled = |payment| match payment {
            RecentPaymentDetails::Fulfilled { payment_id, .. } => Some(payment_id),
            RecentPaymentDetails::AwaitingInvoice { .. }
            | RecentPaymentDetails::Pending { .. }
            | RecentPaymentDetails::Abandoned { .. } => None,
        };
        let recent = if IS_LDK_PATCHED { manager.list_recent_payments() } else { Vec::new() };
        Self(Mutex::new(recent.into_iter().filter_map(fulfilled).collect()))
    }

    /// Notes the payment that `event` may finish; each of its last events comes here.
    pub fn note(&self, event: &Event) {
        if let Some(payment_id) = may_finish(event).filter(|_| IS_LDK_PATCHED) {
            self.noted().push(payment_id);
        }
    }

    /// Lets LDK forget the noted payments; one that is not finished stays, and is noted again with its next event.
    ///
    /// Called after LDK has taken the handled events out of its queue.
    pub fn forget(&self, manager: &ChannelManager) {
        let noted = std::mem::take(&mut *self.noted());
        if !noted.is_empty() {
            forget(manager, &noted);
        }
    }

    fn noted(&self) -> MutexGuard<'_, Vec<PaymentId>> {
        self.0.lock().expect("no panic while held")
    }
}

#[cfg(feature = "patched-ldk")]
fn forget(manager: &ChannelManager, payments: &[PaymentId]) {
    manager.forget_fulfilled_payments(payments);
}

#[cfg(not(feature = "patched-ldk"))]
fn forget(_: &ChannelManager, _: &[PaymentId]) {}

/// The payment that may be finished with this event: LDK tells its success first, then the end of each part.
fn may_finish(event: &Event) -> Option<PaymentId> {
    match event {
        Event::PaymentPathSuccessful { payment_id, .. } => Some(*payment_id),
        Event::PaymentSent { payment_id, .. } | Event::PaymentPathFailed { payment_id, .. } => {
            *payment_id
        }
        _ => None,
    }
}
