//! Journal entries on the wire, and what a filter can ask of them.

use bitcoin::secp256k1::PublicKey;
use fulmen_proto::v1;
use fulmen_proto::v1::event::{Kind, What};
use tonic::Status;

use super::channel;
use super::forward::forward;
use super::ids::{outpoint, txid_bytes};
use crate::api::status::internal;
use crate::forwards::Forwards;
use crate::journal::{Entry, Numbered, ReceiptKind};
use crate::listing::{Ask, ChannelNames, Listed};

/// Writes an entry; none for a forward whose record retention has removed.
pub fn event(numbered: Numbered, forwards: &Forwards) -> Result<Option<v1::Event>, Status> {
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
                kind: channel::kind(&kind).into(),
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
        Entry::InvoiceExpired { payment_hash, amount_msat } => {
            What::InvoiceExpired(v1::InvoiceExpired {
                payment_hash: payment_hash.to_vec(),
                amount_msat: amount_msat.unwrap_or(0),
            })
        }
        Entry::HtlcRefused { payment_hash, amount_msat, reason } => {
            What::HtlcRefused(v1::HtlcRefused {
                payment_hash: payment_hash.to_vec(),
                amount_msat,
                reason: reason.to_ascii_uppercase(),
            })
        }
        Entry::PeerConnected { node_id } => {
            What::PeerConnected(v1::PeerConnected { node_id: node_id.serialize().to_vec() })
        }
        Entry::PeerDisconnected { node_id } => {
            What::PeerDisconnected(v1::PeerDisconnected { node_id: node_id.serialize().to_vec() })
        }
        Entry::MirrorFailed { why } => What::MirrorFailed(v1::MirrorFailed { why }),
        Entry::MirrorCaughtUp { rows } => What::MirrorCaughtUp(v1::MirrorCaughtUp { rows }),
        Entry::MacaroonUsed { macaroon_id, method, subject } => {
            What::MacaroonUsed(v1::MacaroonUsed {
                macaroon_id: macaroon_id.to_vec(),
                method,
                subject,
            })
        }
    };
    Ok(Some(what))
}

/// What an entry is about.
#[derive(Default)]
struct Subject<'a> {
    amount_msat: u64,
    nodes: [&'a [u8]; 2],
    channels: [&'a [u8]; 2],
    short_channel_id: u64,
    text: &'a str,
}

impl Listed for v1::Event {
    const ASKS: &'static [Ask] = &[Ask::Time, Ask::Amount, Ask::Node, Ask::Channel, Ask::Words];

    fn at(&self) -> u64 {
        self.happened_at
    }

    fn amount_msat(&self) -> u64 {
        subject(self).amount_msat
    }

    fn is_of_node(&self, node_id: &PublicKey) -> bool {
        subject(self).nodes.contains(&&node_id.serialize()[..])
    }

    fn is_of_channel(&self, channel: &ChannelNames) -> bool {
        let Subject { channels, short_channel_id, .. } = subject(self);
        channels.contains(&&channel.channel_id[..]) || channel.short_ids.contains(&short_channel_id)
    }

    fn texts(&self) -> Vec<&str> {
        vec![subject(self).text]
    }
}

fn subject(event: &v1::Event) -> Subject<'_> {
    let none = Subject::default;
    let amount = |amount_msat| Subject { amount_msat, ..none() };
    let sat = |sat: u64| amount(sat.saturating_mul(1_000));
    let Some(what) = &event.what else { return none() };
    match what {
        What::PaymentStarted(it) => amount(it.amount_msat),
        What::PaymentFinished(it) => Subject { text: &it.failure_reason, ..amount(it.amount_msat) },
        What::InvoiceCreated(it) => amount(it.amount_msat),
        What::InvoiceSettled(it) => amount(it.received_msat),
        What::InvoiceAccepted(it) => amount(it.received_msat),
        What::InvoiceCancelled(it) => Subject { text: &it.reason, ..none() },
        What::InvoiceExpired(it) => amount(it.amount_msat),
        What::HtlcRefused(it) => Subject { text: &it.reason, ..amount(it.amount_msat) },
        What::ForwardSettled(it) => Subject {
            nodes: [&it.inbound_node_id, &it.outbound_node_id],
            channels: [&it.inbound_channel_id, &it.outbound_channel_id],
            ..amount(it.outbound_msat)
        },
        What::ForwardFailed(it) => Subject {
            channels: [&it.inbound_channel_id, &[]],
            short_channel_id: it.outbound_short_channel_id,
            text: &it.reason,
            ..none()
        },
        What::ChannelOpening(it) => Subject {
            nodes: [&it.node_id, &[]],
            channels: [&it.channel_id, &[]],
            ..sat(it.capacity_sat)
        },
        What::ChannelReady(it) => {
            Subject { nodes: [&it.node_id, &[]], channels: [&it.channel_id, &[]], ..none() }
        }
        What::ChannelClosed(it) => Subject {
            nodes: [&it.node_id, &[]],
            channels: [&it.channel_id, &[]],
            text: &it.reason,
            ..none()
        },
        What::OutputSwept(it) => Subject { channels: [&it.channel_id, &[]], ..sat(it.amount_sat) },
        What::WalletSent(it) => sat(it.amount_sat),
        What::WalletReceived(it) => sat(it.amount_sat),
        What::PeerConnected(it) => Subject { nodes: [&it.node_id, &[]], ..none() },
        What::PeerDisconnected(it) => Subject { nodes: [&it.node_id, &[]], ..none() },
        What::MirrorFailed(it) => Subject { text: &it.why, ..none() },
        What::MirrorCaughtUp(_) => none(),
        What::MacaroonUsed(it) => Subject { text: &it.method, ..none() },
    }
}

/// The kind of an entry, by which it can be asked for.
pub fn kind(event: &v1::Event) -> Kind {
    let Some(what) = &event.what else { return Kind::Unspecified };
    match what {
        What::PaymentStarted(_) => Kind::PaymentStarted,
        What::PaymentFinished(_) => Kind::PaymentFinished,
        What::InvoiceCreated(_) => Kind::InvoiceCreated,
        What::InvoiceSettled(_) => Kind::InvoiceSettled,
        What::InvoiceAccepted(_) => Kind::InvoiceAccepted,
        What::InvoiceCancelled(_) => Kind::InvoiceCancelled,
        What::InvoiceExpired(_) => Kind::InvoiceExpired,
        What::HtlcRefused(_) => Kind::HtlcRefused,
        What::ForwardSettled(_) => Kind::ForwardSettled,
        What::ForwardFailed(_) => Kind::ForwardFailed,
        What::ChannelOpening(_) => Kind::ChannelOpening,
        What::ChannelReady(_) => Kind::ChannelReady,
        What::ChannelClosed(_) => Kind::ChannelClosed,
        What::OutputSwept(_) => Kind::OutputSwept,
        What::WalletSent(_) => Kind::WalletSent,
        What::WalletReceived(_) => Kind::WalletReceived,
        What::PeerConnected(_) => Kind::PeerConnected,
        What::PeerDisconnected(_) => Kind::PeerDisconnected,
        What::MirrorFailed(_) => Kind::MirrorFailed,
        What::MirrorCaughtUp(_) => Kind::MirrorCaughtUp,
        What::MacaroonUsed(_) => Kind::MacaroonUsed,
    }
}
