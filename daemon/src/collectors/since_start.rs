//! Counters of events since the daemon started, from the journal.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::journal::{Entry, Journal, ReceiptKind};
use crate::metrics::Metric;

/// Entries read at a time.
const STEP_ENTRIES: usize = 1_000;

/// Counts the journal's entries.
pub struct Counted {
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    /// The last entry that is counted.
    counted: u64,
    tally: Tally,
}

impl Counted {
    /// Counts entries from now on.
    pub fn from_now(journal: Journal) -> Self {
        let counted = journal.head();
        Self { journal, state: Mutex::new(State { counted, tally: Tally::default() }) }
    }

    /// Counts the entries that have become durable meanwhile.
    pub fn catch_up(&self) {
        let mut state = self.lock();
        loop {
            let entries = match self.journal.read(state.counted, STEP_ENTRIES) {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(%error, "could not read the journal to count events");
                    return;
                }
            };
            for numbered in &entries {
                state.tally.add(&numbered.entry);
                state.counted = numbered.sequence;
            }
            if entries.len() < STEP_ENTRIES {
                return;
            }
        }
    }

    /// Returns the counters.
    pub fn metrics(&self) -> Vec<Metric> {
        self.lock().tally.metrics()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

#[derive(Debug, Default)]
struct Tally {
    payments_succeeded: u64,
    payments_failed: u64,
    sent_msat: u64,
    fees_msat: u64,
    /// Settled invoices of each kind, and what was received by them.
    settled: [(u64, u64); KINDS.len()],
    /// Closed channels by kind.
    closed: BTreeMap<String, u64>,
    swept: u64,
}

/// The kind of a close without trouble.
const COOPERATIVE: &str = "cooperative";

const KINDS: [(ReceiptKind, &str); 5] = [
    (ReceiptKind::Bolt11, "bolt11"),
    (ReceiptKind::Bolt12, "bolt12"),
    (ReceiptKind::Keysend, "keysend"),
    (ReceiptKind::Rebalance, "rebalance"),
    (ReceiptKind::Hold, "hold"),
];

impl Tally {
    fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::PaymentFinished { succeeded: true, amount_msat, fee_msat, .. } => {
                self.payments_succeeded += 1;
                self.sent_msat += amount_msat;
                self.fees_msat += fee_msat;
            }
            Entry::PaymentFinished { succeeded: false, .. } => self.payments_failed += 1,
            Entry::InvoiceSettled { received_msat, kind, .. } => {
                let of_kind = KINDS.iter().zip(&mut self.settled).find(|((one, _), _)| one == kind);
                if let Some((_, (count, msat))) = of_kind {
                    *count += 1;
                    *msat += received_msat;
                }
            }
            Entry::ChannelClosed { kind, .. } => {
                *self.closed.entry(kind.clone()).or_default() += 1;
            }
            Entry::OutputSwept { .. } => self.swept += 1,
            // Forwards have totals of their own; the others are covered by gauges.
            Entry::PaymentStarted { .. }
            | Entry::InvoiceCreated { .. }
            | Entry::InvoiceAccepted { .. }
            | Entry::InvoiceCancelled { .. }
            | Entry::ForwardSettled { .. }
            | Entry::ForwardFailed { .. }
            | Entry::ChannelOpening { .. }
            | Entry::ChannelReady { .. }
            | Entry::WalletSent { .. }
            | Entry::WalletReceived { .. }
            | Entry::MirrorFailed { .. }
            | Entry::MirrorCaughtUp { .. } => (),
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut payments =
            Metric::counter("fulmen_payments_total", "Payments that ended since the start.");
        payments = payments
            .of(&[("outcome", "succeeded")], self.payments_succeeded)
            .of(&[("outcome", "failed")], self.payments_failed);
        let mut settled = Metric::counter(
            "fulmen_invoices_settled_total",
            "Invoices and keysends that were paid since the start, by kind; `rebalance` is our own money.",
        );
        let mut received =
            Metric::counter("fulmen_invoices_received_msat_total", "What was received by them.");
        for ((_, kind), (count, msat)) in KINDS.iter().zip(self.settled) {
            settled = settled.of(&[("kind", kind)], count);
            received = received.of(&[("kind", kind)], msat);
        }
        let mut closed = Metric::counter(
            "fulmen_channels_closed_total",
            "Channels that closed since the start, by kind; investigate any other than `cooperative`.",
        )
        .of(&[("kind", COOPERATIVE)], self.closed.get(COOPERATIVE).copied().unwrap_or(0));
        for (kind, count) in self.closed.iter().filter(|(kind, _)| *kind != COOPERATIVE) {
            closed = closed.of(&[("kind", kind)], *count);
        }
        vec![
            payments,
            Metric::counter(
                "fulmen_payments_sent_msat_total",
                "What payees received by payments that succeeded since the start.",
            )
            .is(self.sent_msat),
            Metric::counter(
                "fulmen_payments_fees_msat_total",
                "Fees of payments that succeeded since the start.",
            )
            .is(self.fees_msat),
            settled,
            received,
            closed,
            Metric::counter(
                "fulmen_outputs_swept_total",
                "Outputs of closed channels that came back to the wallet since the start.",
            )
            .is(self.swept),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Registry;
    use crate::storage::{Batch, Store};

    fn paid(succeeded: bool, amount_msat: u64, fee_msat: u64) -> Entry {
        let (payment_id, payment_hash) = ([1; 32], [2; 32]);
        let failure_reason = String::new();
        Entry::PaymentFinished {
            payment_id,
            payment_hash,
            succeeded,
            amount_msat,
            fee_msat,
            failure_reason,
        }
    }

    fn received(kind: ReceiptKind, received_msat: u64) -> Entry {
        Entry::InvoiceSettled { payment_hash: [3; 32], received_msat, kind }
    }

    fn closed(kind: &str) -> Entry {
        let (kind, reason) = (kind.to_owned(), String::new());
        Entry::ChannelClosed { channel_id: [4; 32], node_id: None, kind, reason }
    }

    async fn happened(store: &Store, journal: &Journal, entries: &[Entry]) {
        let mut batch = Batch::new();
        entries.iter().for_each(|entry| journal.append(&mut batch, entry.clone()));
        store.commit(batch).await.expect("the store works");
    }

    #[tokio::test]
    async fn entries_after_the_start_are_counted_once() {
        let store = Store::temporary();
        let journal =
            Journal::open(&store, crate::clock::Clock::system()).expect("an empty journal");
        happened(&store, &journal, &[paid(true, 1, 1), closed("cooperative")]).await;
        let counted = Counted::from_now(journal.clone());
        let many = vec![received(ReceiptKind::Keysend, 7); STEP_ENTRIES];
        happened(&store, &journal, &many).await;
        let entries = [
            paid(true, 1_000, 5),
            paid(true, 2_000, 6),
            paid(false, 4_000, 0),
            received(ReceiptKind::Bolt11, 3),
            closed("holder_force_closed"),
        ];
        happened(&store, &journal, &entries).await;
        counted.catch_up();
        counted.catch_up();
        let registry = Registry::default();
        registry.register(move || counted.metrics());
        let text = registry.text_for_tests();
        for line in [
            "fulmen_payments_total{outcome=\"succeeded\"} 2",
            "fulmen_payments_total{outcome=\"failed\"} 1",
            "fulmen_payments_sent_msat_total 3000",
            "fulmen_payments_fees_msat_total 11",
            "fulmen_invoices_settled_total{kind=\"bolt11\"} 1",
            "fulmen_invoices_settled_total{kind=\"keysend\"} 1000",
            "fulmen_invoices_received_msat_total{kind=\"keysend\"} 7000",
            "fulmen_channels_closed_total{kind=\"cooperative\"} 0",
            "fulmen_channels_closed_total{kind=\"holder_force_closed\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in {text}");
        }
    }
}
