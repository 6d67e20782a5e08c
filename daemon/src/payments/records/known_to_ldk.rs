//! Which payments LDK still holds.

use std::collections::HashSet;

use lightning::ln::channelmanager::{PaymentId, RecentPaymentDetails};

use super::record::PaymentRecord;
use crate::node::Node;

/// The payments that LDK may still say something about, however old they are.
#[derive(Debug, Default)]
pub struct KnownToLdk {
    /// By the id that LDK knows them by.
    pub ids: HashSet<[u8; 32]>,
    /// By the hash of an HTLC that is pending in one of our channels.
    pub hashes: HashSet<[u8; 32]>,
}

impl KnownToLdk {
    /// Asks LDK.
    ///
    /// A fulfilled payment stays in LDK's list for some minutes; what LDK may still say about it comes with an HTLC,
    /// so only its HTLCs count here.
    pub fn of(node: &Node) -> Self {
        let manager = &node.channel_manager;
        let channels = manager.list_channels();
        let htlcs = channels.iter().flat_map(|channel| &channel.pending_outbound_htlcs);
        let recent = manager.list_recent_payments();
        let unresolved =
            recent.iter().filter(|it| !matches!(it, RecentPaymentDetails::Fulfilled { .. }));
        Self {
            ids: unresolved.map(|payment| id_of(payment).0).collect(),
            hashes: htlcs.map(|htlc| htlc.payment_hash.0).collect(),
        }
    }

    /// Returns whether a payment is among them.
    pub fn contains(&self, record: &PaymentRecord) -> bool {
        self.ids.contains(&record.payment_id) || self.hashes.contains(&record.payment_hash)
    }
}

/// Returns the id of a payment in LDK's list.
pub fn id_of(payment: &RecentPaymentDetails) -> PaymentId {
    match payment {
        RecentPaymentDetails::AwaitingInvoice { payment_id }
        | RecentPaymentDetails::Pending { payment_id, .. }
        | RecentPaymentDetails::Fulfilled { payment_id, .. }
        | RecentPaymentDetails::Abandoned { payment_id, .. } => *payment_id,
    }
}
