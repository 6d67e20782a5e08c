//! What is kept of each channel: while it lives, when it is closed, and which transaction closed it.

use bitcoin::secp256k1::PublicKey;
use bitcoin::{OutPoint, Txid};
use lightning::impl_writeable_tlv_based;
use lightning::ln::types::ChannelId;

use crate::listing::{Ask, ChannelNames, Listed};
use crate::storage::{self, History, Table};

/// Channels that we open, and those of others once they are funded; by LDK's `user_channel_id`.
pub const CHANNELS: Table<ChannelRecord> = Table::new("channels");
/// Which open belongs to an idempotency key.
pub const OPENS_BY_KEY: Table<OpenKey> = Table::new("channel-opens-by-key");
/// Closed channels by channel id.
pub const CLOSED: History<ClosedChannel> = History::new("channels-closed");
/// The confirmed spend of a funding output, by channel id.
pub const SPENDS: Table<Spend> = Table::new("channel-spends");

/// How far a channel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChannelStage {
    /// Recorded, perhaps offered to the peer.
    Negotiating,
    /// The funding transaction is signed and LDK has it; nobody else does.
    Funded,
    /// The funding transaction is broadcast.
    Pending,
    /// Both sides say that it is ready.
    Ready,
    /// It was closed.
    Closed,
    /// It never was funded.
    Failed,
}

lightning::impl_writeable_tlv_based_enum!(ChannelStage,
    (0, Negotiating) => {},
    (1, Funded) => {},
    (2, Pending) => {},
    (3, Ready) => {},
    (4, Closed) => {},
    (5, Failed) => {},
);

/// A channel from our decision to open it, or from its funding by another, until it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Whether we opened it.
    pub outbound: bool,
    /// The peer.
    pub node_id: PublicKey,
    /// The capacity.
    pub capacity_sat: u64,
    /// Given to the peer at the start.
    pub push_msat: u64,
    /// Whether it is to be announced.
    pub announced: bool,
    /// Asked for by the caller, for the funding transaction.
    pub feerate_sat_per_kwu: Option<u64>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
    /// What the caller asked for under that key, to tell a repetition from another wish.
    pub asked: String,
    /// Unix time.
    pub created_at: u64,
    /// How far it has come.
    pub stage: ChannelStage,
    /// LDK's name for it once it is funded.
    pub channel_id: Option<ChannelId>,
    /// Its funding output.
    pub funding: Option<OutPoint>,
    /// Its place in the chain once that is known.
    pub short_channel_id: Option<u64>,
    /// Why it failed, or how it was closed.
    pub ending: Option<String>,
    /// The feerate that its close by agreement is to pay, if the operator asked for one.
    pub close_feerate_sat_per_kwu: Option<u32>,
}

impl_writeable_tlv_based!(ChannelRecord, {
    (0, outbound, required),
    (2, node_id, required),
    (4, capacity_sat, required),
    (6, push_msat, required),
    (8, announced, required),
    (9, feerate_sat_per_kwu, option),
    (11, idempotency_key, option),
    (12, asked, required),
    (14, created_at, required),
    (16, stage, required),
    (17, channel_id, option),
    (19, funding, option),
    (21, short_channel_id, option),
    (23, ending, option),
    (25, close_feerate_sat_per_kwu, option),
});
storage::record!(ChannelRecord, kind = 40, version = 1);

/// A closed channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedChannel {
    /// Its id.
    pub channel_id: ChannelId,
    /// Its place in the chain, where it was ever known.
    pub short_channel_id: Option<u64>,
    /// The peer, where LDK's event names it.
    pub node_id: Option<PublicKey>,
    /// Its funding output, where LDK's event names it.
    pub funding: Option<OutPoint>,
    /// The capacity.
    pub capacity_sat: u64,
    /// Ours when it closed, before fees; at most.
    pub local_msat: u64,
    /// Unix time.
    pub closed_at: u64,
    /// A stable word.
    pub kind: String,
    /// A sentence.
    pub reason: String,
    /// Whether we had opened it.
    pub outbound: bool,
}

impl_writeable_tlv_based!(ClosedChannel, {
    (0, channel_id, required),
    (1, short_channel_id, option),
    (3, node_id, option),
    (5, funding, option),
    (6, capacity_sat, required),
    (8, local_msat, required),
    (10, closed_at, required),
    (12, kind, required),
    (14, reason, required),
    (16, outbound, required),
});
storage::record!(ClosedChannel, kind = 41, version = 1);

impl Listed for ClosedChannel {
    const ASKS: &'static [Ask] = &[Ask::Time, Ask::Amount, Ask::Node, Ask::Channel, Ask::Words];

    fn at(&self) -> u64 {
        self.closed_at
    }

    fn amount_msat(&self) -> u64 {
        self.capacity_sat.saturating_mul(1_000)
    }

    fn is_of_node(&self, node_id: &PublicKey) -> bool {
        self.node_id.as_ref() == Some(node_id)
    }

    fn is_of_channel(&self, channel: &ChannelNames) -> bool {
        self.channel_id.0 == channel.channel_id
    }

    fn texts(&self) -> Vec<&str> {
        vec![&self.reason]
    }
}

/// The transaction in a block that spent a channel's funding output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The funding output.
    pub funding: OutPoint,
    /// The transaction.
    pub txid: Txid,
    /// The block's height.
    pub height: u32,
    /// Its fee in satoshis, without what a child pays for it; none where the capacity was not known.
    pub fee_sat: Option<u64>,
}

impl_writeable_tlv_based!(Spend, {
    (0, funding, required),
    (2, txid, required),
    (4, height, required),
    (5, fee_sat, option),
});
storage::record!(Spend, kind = 42, version = 1);

/// Leads from an idempotency key to its open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenKey {
    /// The open's `user_channel_id`.
    pub user_channel_id: u128,
}

impl_writeable_tlv_based!(OpenKey, { (0, user_channel_id, required) });
storage::record!(OpenKey, kind = 43, version = 1);

/// The key of a channel's record.
pub fn key(user_channel_id: u128) -> [u8; 16] {
    user_channel_id.to_be_bytes()
}

/// An outpoint as LDK has it, in bitcoin's type.
pub fn outpoint(ldk: lightning::chain::transaction::OutPoint) -> OutPoint {
    ldk.into_bitcoin_outpoint()
}

#[cfg(test)]
pub mod tests {
    use bitcoin::hashes::Hash as _;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;
    use crate::storage::Record as _;

    /// A record of an open that has just been asked for.
    pub fn opening() -> ChannelRecord {
        let secret = SecretKey::from_slice(&[1; 32]).expect("a valid key");
        ChannelRecord {
            outbound: true,
            node_id: secret.public_key(&Secp256k1::new()),
            capacity_sat: 100_000,
            push_msat: 0,
            announced: true,
            feerate_sat_per_kwu: Some(250),
            idempotency_key: Some("key".to_owned()),
            asked: "100000".to_owned(),
            created_at: 1,
            stage: ChannelStage::Negotiating,
            channel_id: None,
            funding: None,
            short_channel_id: None,
            ending: None,
            close_feerate_sat_per_kwu: None,
        }
    }

    #[test]
    fn records_survive_the_disk() {
        let record = ChannelRecord {
            stage: ChannelStage::Ready,
            channel_id: Some(ChannelId([2; 32])),
            funding: Some(OutPoint::null()),
            short_channel_id: Some(7),
            ending: Some("gone".to_owned()),
            close_feerate_sat_per_kwu: Some(500),
            ..opening()
        };
        assert_eq!(ChannelRecord::decode(1, &record.encode()), Ok(record));
        let bare = opening();
        assert_eq!(ChannelRecord::decode(1, &bare.encode()), Ok(bare));
        let spend = Spend {
            funding: OutPoint::null(),
            txid: Txid::all_zeros(),
            height: 5,
            fee_sat: Some(7),
        };
        assert_eq!(Spend::decode(1, &spend.encode()), Ok(spend));
    }
}
