//! Streams of channels' and transactions' changes, from the journal.

use bitcoin::hashes::Hash as _;
use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::channel_event_update::{Channel as What, UpdateType};
use lightning::ln::types::ChannelId;
use tonic::Status;

use super::onchain::transaction;
use crate::api::lnd::journal::{JournalFollower, Reader};
use crate::api::lnd::refusal;
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::channel::{channel, channel_point};
use crate::api::lnd::view::closed;
use crate::api::stream::{ResponseStream, stream};
use crate::channels::{ChannelRef, Error, Found};
use crate::journal::{Entry, Numbered};

pub(super) fn channels(rooms: &LndRooms) -> ResponseStream<lnrpc::ChannelEventUpdate> {
    let head = rooms.journal.head();
    let reader = ChannelChanges(rooms.clone());
    stream(JournalFollower::new(&rooms.journal, head, Vec::new(), reader), rooms.stopping.clone())
}

pub(super) fn transactions(rooms: &LndRooms) -> ResponseStream<lnrpc::Transaction> {
    let head = rooms.journal.head();
    let reader = Transactions(rooms.clone());
    stream(JournalFollower::new(&rooms.journal, head, Vec::new(), reader), rooms.stopping.clone())
}

/// Makes messages of the journal's entries about channels.
struct ChannelChanges(LndRooms);

impl Reader for ChannelChanges {
    type Item = lnrpc::ChannelEventUpdate;

    fn read(&mut self, entry: Numbered) -> Result<Vec<lnrpc::ChannelEventUpdate>, Status> {
        let update = |kind: UpdateType, what| lnrpc::ChannelEventUpdate {
            r#type: kind.into(),
            channel: Some(what),
        };
        let found = |id: [u8; 32]| match self.0.channels.get(&ChannelRef::Id(ChannelId(id))) {
            Ok(found) => Ok(Some(found)),
            Err(Error::Unknown) => Ok(None),
            Err(error) => Err(refusal::channels(error)),
        };
        match entry.entry {
            Entry::ChannelOpening { funding, .. } => {
                let what = What::PendingOpenChannel(lnrpc::PendingUpdate {
                    txid: funding.txid.to_byte_array().to_vec(),
                    output_index: funding.vout,
                    ..Default::default()
                });
                Ok(vec![update(UpdateType::PendingOpenChannel, what)])
            }
            Entry::ChannelReady { channel_id, .. } => match found(channel_id)? {
                Some(Found::Open(details)) => {
                    let funding = details.funding_txo.map(|txo| txo.into_bitcoin_outpoint());
                    let open = What::OpenChannel(channel(&details, String::new()));
                    let active = funding.map(|it| What::ActiveChannel(channel_point(&it)));
                    let updates = [Some(update(UpdateType::OpenChannel, open))].into_iter();
                    let active = active.map(|what| update(UpdateType::ActiveChannel, what));
                    Ok(updates.chain([active]).flatten().collect())
                }
                Some(Found::Closed(..)) | None => Ok(Vec::new()),
            },
            Entry::ChannelClosed { channel_id, .. } => match found(channel_id)? {
                Some(Found::Closed(record, closing)) => {
                    let network = self.0.node.network;
                    let what = What::ClosedChannel(closed::summary(&record, closing, network));
                    Ok(vec![update(UpdateType::ClosedChannel, what)])
                }
                Some(Found::Open(_)) | None => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    }
}

/// Makes messages of the journal's entries about on-chain money.
struct Transactions(LndRooms);

impl Reader for Transactions {
    type Item = lnrpc::Transaction;

    fn read(&mut self, entry: Numbered) -> Result<Vec<lnrpc::Transaction>, Status> {
        match entry.entry {
            Entry::WalletSent { txid, .. } | Entry::WalletReceived { txid, .. } => {
                Ok(transaction(&self.0, &txid)?.into_iter().collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}
