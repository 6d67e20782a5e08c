//! What recovery has found and what it still looks for, on disk.

use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, TxOut};
use lightning::chain::BestBlock;
use lightning::impl_writeable_tlv_based;
use lightning::ln::types::ChannelId;

use crate::storage::{self, Table};

/// The seed's static scripts, under the empty key: deriving a thousand keys takes longer than reading them.
pub const SCRIPTS: Table<StaticScripts> = Table::new("backup-scripts");
/// How far the chain has been searched for them, under the empty key.
pub const SEARCHED: Table<Searched> = Table::new("backup-searched");
/// Outputs that pay to a static script, by outpoint (32 bytes of txid, 4 of index).
pub const OUTPUTS: Table<StaticOutput> = Table::new("backup-outputs");
/// Channels that a peer, a backup or gossip knows and this node does not, by funding outpoint.
pub const LOST: Table<LostChannel> = Table::new("backup-lost-channels");

/// Scripts to which counterparties pay our balance when they force a channel closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticScripts {
    /// All of them.
    pub scripts: Vec<ScriptBuf>,
}

impl_writeable_tlv_based!(StaticScripts, { (0, scripts, required_vec) });
storage::record!(StaticScripts, kind = 95, version = 1);

/// The last block that was searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Searched {
    hash: BlockHash,
    height: u32,
}

impl_writeable_tlv_based!(Searched, { (0, hash, required), (2, height, required) });
storage::record!(Searched, kind = 96, version = 1);

impl From<BestBlock> for Searched {
    fn from(best: BestBlock) -> Self {
        Self { hash: best.block_hash, height: best.height }
    }
}

impl Searched {
    /// Returns it in LDK's form.
    pub fn best_block(&self) -> BestBlock {
        BestBlock::new(self.hash, self.height)
    }
}

/// What became of a static output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was found in a block.
    Found,
    /// The sweeper has it.
    Swept,
    /// It was spent before the sweeper could have it: by a sweep of an earlier life of this seed.
    Spent,
}

lightning::impl_writeable_tlv_based_enum!(Fate,
    (0, Found) => {},
    (1, Swept) => {},
    (2, Spent) => {},
);

/// An output that pays to a static script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticOutput {
    /// Value and script.
    pub output: TxOut,
    /// What its transaction spends: the channel's funding output.
    pub funding: OutPoint,
    /// The height of its block.
    pub height: u32,
    /// What became of it.
    pub fate: Fate,
}

impl_writeable_tlv_based!(StaticOutput, {
    (0, output, required),
    (2, funding, required),
    (4, height, required),
    (6, fate, required),
});
storage::record!(StaticOutput, kind = 97, version = 1);

/// Where a lost channel is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownFrom {
    /// A static channel backup.
    Backup,
    /// The announcements of the network.
    Gossip,
}

lightning::impl_writeable_tlv_based_enum!(KnownFrom,
    (0, Backup) => {},
    (1, Gossip) => {},
);

/// A channel whose state this node has lost; its peer is asked to force it closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostChannel {
    /// The peer.
    pub node_id: PublicKey,
    /// LDK's name for it, where a backup tells.
    pub channel_id: Option<ChannelId>,
    /// Its place in the chain, if known.
    pub short_channel_id: Option<u64>,
    /// The capacity.
    pub capacity_sat: u64,
    /// Where it is known from.
    pub known_from: KnownFrom,
    /// Unix time in seconds at which it was noticed.
    pub noticed_at: u64,
    /// Whether a block has spent its funding output.
    pub closed: bool,
}

impl_writeable_tlv_based!(LostChannel, {
    (0, node_id, required),
    (1, channel_id, option),
    (3, short_channel_id, option),
    (4, capacity_sat, required),
    (6, known_from, required),
    (8, noticed_at, required),
    (10, closed, required),
});
storage::record!(LostChannel, kind = 98, version = 1);

/// Returns the key of an outpoint's row.
pub fn key(outpoint: &OutPoint) -> [u8; 36] {
    let mut key = [0; 36];
    key[..32].copy_from_slice(outpoint.txid.as_byte_array());
    key[32..].copy_from_slice(&outpoint.vout.to_be_bytes());
    key
}

/// Returns the outpoint of a row's key.
pub fn outpoint(key: &[u8]) -> Option<OutPoint> {
    let (txid, vout) = key.split_first_chunk::<32>()?;
    let vout = u32::from_be_bytes(vout.try_into().ok()?);
    Some(OutPoint { txid: bitcoin::Txid::from_byte_array(*txid), vout })
}

#[cfg(test)]
mod tests {
    use bitcoin::Txid;

    use super::*;

    #[test]
    fn an_outpoint_comes_back_from_its_key() {
        let funding = OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 258 };
        assert_eq!(outpoint(&key(&funding)), Some(funding));
        assert_eq!(outpoint(&[0; 35]), None);
    }
}
