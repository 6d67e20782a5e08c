//! The `Events` service: the journal, read by cursor, so that a slow subscriber misses nothing.

use std::collections::VecDeque;

use fulmen_proto::v1;
use fulmen_proto::v1::event::What;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::view;
use super::view::forward::forward;
use super::view::ids::{outpoint, txid_bytes};
use crate::api::status::{internal, malformed};
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::forwards::Forwards;
use crate::journal::{Entry, Journal, Numbered, ReceiptKind};

/// Entries that are read from the store at once.
const READ_AT_ONCE: usize = 256;

/// Serves `fulmen.v1.Events`.
#[derive(Clone)]
pub struct EventsService {
    /// The journal.
    pub journal: Journal,
    /// The records of forwards, which entries name.
    pub forwards: Forwards,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::events_server::Events for EventsService {
    type SubscribeStream = ResponseStream<v1::Event>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeEventsRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let request = request.into_inner();
        let mut head = self.journal.watch();
        let now = *head.borrow_and_update();
        if request.from_now && request.until_now {
            return Err(malformed(
                "until_now",
                "is set together with from_now: no entry would be sent",
            ));
        }
        if !request.from_now && request.after_sequence > now {
            return Err(malformed(
                "after_sequence",
                format!("{} has not happened yet; the last is {now}", request.after_sequence),
            ));
        }
        let reading = Reading {
            journal: self.journal.clone(),
            forwards: self.forwards.clone(),
            seen: if request.from_now { now } else { request.after_sequence },
            last: request.until_now.then_some(now),
            head,
            read: VecDeque::new(),
        };
        Ok(Response::new(stream(reading, self.stopping.clone())))
    }
}

/// One subscriber's position in the journal.
struct Reading {
    journal: Journal,
    forwards: Forwards,
    /// The last entry that was sent.
    seen: u64,
    /// The last entry to send; none for no end.
    last: Option<u64>,
    head: watch::Receiver<u64>,
    read: VecDeque<Numbered>,
}

impl Steps for Reading {
    type Item = v1::Event;

    async fn next(&mut self) -> Result<Option<v1::Event>, Status> {
        loop {
            if let Some(entry) = self.read.pop_front() {
                if self.last.is_some_and(|last| entry.sequence > last) {
                    return Ok(None);
                }
                self.seen = entry.sequence;
                match event(entry, &self.forwards)? {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            if self.last.is_some_and(|last| self.seen >= last) {
                return Ok(None);
            }
            // Marked as seen before reading: an entry that comes meanwhile wakes us again.
            self.head.borrow_and_update();
            let read = self.journal.read(self.seen, READ_AT_ONCE);
            self.read = read.map_err(|error| internal(&error))?.into();
            // The journal lives as long as this reading, so its head does too.
            if self.read.is_empty() && (self.last.is_some() || self.head.changed().await.is_err()) {
                return Ok(None);
            }
        }
    }
}

/// Writes an entry; none for a forward whose record retention has removed.
fn event(numbered: Numbered, forwards: &Forwards) -> Result<Option<v1::Event>, Status> {
    let Numbered { sequence, happened_at, entry } = numbered;
    let settled = |forward_id: &[u8]| match forwards.get(forward_id) {
        Ok(record) => Ok(record.map(|record| What::ForwardSettled(forward(record)))),
        Err(error) => Err(internal(&error)),
    };
    let what = what(entry, settled)?;
    Ok(what.map(|what| v1::Event { sequence, happened_at, what: Some(what) }))
}

fn what(
    entry: Entry,
    forward_settled: impl Fn(&[u8]) -> Result<Option<What>, Status>,
) -> Result<Option<What>, Status> {
    let what = match entry {
        Entry::PaymentStarted { payment_id, payment_hash, amount_msat } => {
            What::PaymentStarted(v1::PaymentStarted {
                payment_id: payment_id.to_vec(),
                payment_hash: payment_hash.to_vec(),
                amount_msat,
            })
        }
        Entry::PaymentFinished {
            payment_id,
            payment_hash,
            succeeded,
            amount_msat,
            fee_msat,
            failure_reason,
        } => What::PaymentFinished(v1::PaymentFinished {
            payment_id: payment_id.to_vec(),
            payment_hash: payment_hash.to_vec(),
            state: match succeeded {
                true => v1::payment::State::Succeeded,
                false => v1::payment::State::Failed,
            }
            .into(),
            amount_msat,
            fee_msat,
            // Stored in lower case.
            failure_reason: failure_reason.to_ascii_uppercase(),
        }),
        Entry::InvoiceCreated { payment_hash, amount_msat } => {
            What::InvoiceCreated(v1::InvoiceCreated {
                payment_hash: payment_hash.to_vec(),
                amount_msat: amount_msat.unwrap_or(0),
            })
        }
        Entry::InvoiceSettled { payment_hash, received_msat, kind } => {
            What::InvoiceSettled(v1::InvoiceSettled {
                payment_hash: payment_hash.to_vec(),
                received_msat,
                kind: match kind {
                    ReceiptKind::Bolt11 => v1::invoice::Kind::Bolt11,
                    ReceiptKind::Keysend => v1::invoice::Kind::Keysend,
                    ReceiptKind::Rebalance => v1::invoice::Kind::Rebalance,
                    ReceiptKind::Hold => v1::invoice::Kind::Hold,
                    ReceiptKind::Bolt12 => v1::invoice::Kind::Bolt12,
                }
                .into(),
            })
        }
        Entry::InvoiceAccepted { payment_hash, received_msat, claim_deadline_height } => {
            What::InvoiceAccepted(v1::InvoiceAccepted {
                payment_hash: payment_hash.to_vec(),
                received_msat,
                claim_deadline_height,
            })
        }
        Entry::InvoiceCancelled { payment_hash, reason } => {
            What::InvoiceCancelled(v1::InvoiceCancelled {
                payment_hash: payment_hash.to_vec(),
                reason: reason.to_ascii_uppercase(),
            })
        }
        Entry::ForwardSettled { forward_id } => return forward_settled(&forward_id),
        Entry::ForwardFailed { inbound_channel_id, outbound_short_channel_id, reason } => {
            What::ForwardFailed(v1::ForwardFailed {
                inbound_channel_id: inbound_channel_id.to_vec(),
                outbound_short_channel_id: outbound_short_channel_id.unwrap_or(0),
                reason: reason.to_ascii_uppercase(),
            })
        }
        Entry::ChannelOpening { channel_id, node_id, funding, capacity_sat, outbound } => {
            What::ChannelOpening(v1::ChannelOpening {
                channel_id: channel_id.to_vec(),
                node_id: node_id.serialize().to_vec(),
                funding: Some(outpoint(&funding)),
                capacity_sat,
                outbound,
            })
        }
        Entry::ChannelReady { channel_id, node_id } => What::ChannelReady(v1::ChannelReady {
            channel_id: channel_id.to_vec(),
            node_id: node_id.serialize().to_vec(),
        }),
        Entry::ChannelClosed { channel_id, node_id, kind, reason } => {
            What::ChannelClosed(v1::ChannelClosed {
                channel_id: channel_id.to_vec(),
                node_id: node_id.map(|id| id.serialize().to_vec()).unwrap_or_default(),
                kind: view::channel::kind(&kind).into(),
                reason,
            })
        }
        Entry::OutputSwept { channel_id, txid, amount_sat } => What::OutputSwept(v1::OutputSwept {
            channel_id: channel_id.map(Vec::from).unwrap_or_default(),
            txid: txid_bytes(&txid),
            amount_sat,
        }),
        Entry::WalletSent { txid, amount_sat, fee_sat } => {
            What::WalletSent(v1::WalletSent { txid: txid_bytes(&txid), amount_sat, fee_sat })
        }
        Entry::WalletReceived { txid, amount_sat } => {
            What::WalletReceived(v1::WalletReceived { txid: txid_bytes(&txid), amount_sat })
        }
        Entry::MirrorFailed { why } => What::MirrorFailed(v1::MirrorFailed { why }),
        Entry::MirrorCaughtUp { rows } => What::MirrorCaughtUp(v1::MirrorCaughtUp { rows }),
    };
    Ok(Some(what))
}
