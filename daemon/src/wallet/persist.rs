//! The wallet on disk: bdk's changes as appended records, compacted into one when there are many.

use std::collections::BTreeSet;

use bdk_wallet::chain::{Anchor as _, DescriptorExt as _, Merge as _, keychain_txout};
use bdk_wallet::{ChangeSet, KeychainKind, Wallet};

use super::error::Error;
use super::seed::keys::SeedKeys;
use crate::storage::{self, Batch, DecodeError, Direction, Record, Store, Table};

/// How many addresses beyond the last revealed one are watched: a restored seed finds money across gaps
/// up to this size.
pub(super) const LOOKAHEAD: u32 = 200;
/// More appended changes than this are compacted.
const COMPACT_ABOVE: u64 = 2_000;
/// How many of the newest blocks are remembered by hash, besides those that hold our transactions: no
/// reorganisation is deeper, and a wallet years old stays small.
const BLOCKS_KEPT: usize = 2_016;

const CHANGES: Table<Change> = Table::new("wallet-changes");

/// One change of the wallet, or several merged into one.
pub(super) struct Change(ChangeSet);

impl Record for Change {
    const KIND: u8 = 70;
    const VERSION: u8 = 1;

    // JSON, because bdk promises to read the fields of older releases by name, and no binary layout.
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("all keys of a change set are written as strings")
    }

    fn decode(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => serde_json::from_slice(body)
                .map(Self)
                .map_err(|error| DecodeError::Body(error.to_string())),
            version => Err(DecodeError::UnknownVersion(version)),
        }
    }
}

/// Where the next change is appended.
#[derive(Debug)]
pub(super) struct Appender {
    first: u64,
    next: u64,
}

impl Appender {
    /// Puts a change after all earlier ones.
    pub(super) fn append(&mut self, batch: &mut Batch, changes: ChangeSet) {
        CHANGES.put(batch, &self.next.to_be_bytes(), &Change(changes));
        self.next += 1;
    }

    /// Whether there are so many changes that they should become one.
    pub(super) fn is_long(&self) -> bool {
        self.next - self.first > COMPACT_ABOVE
    }

    /// Puts the whole wallet in place of all changes so far.
    pub(super) fn compact(&mut self, batch: &mut Batch, whole: ChangeSet) {
        for key in self.first..self.next {
            CHANGES.delete(batch, &key.to_be_bytes());
        }
        self.first = self.next;
        self.append(batch, whole);
    }
}

/// Reads all changes; none where the wallet is new.
pub(super) fn read(store: &Store) -> Result<(Option<ChangeSet>, Appender), storage::Error> {
    let mut whole = None::<ChangeSet>;
    let mut appender = Appender { first: 0, next: 0 };
    for (key, Change(changes)) in CHANGES.scan(store, None, Direction::Forward, usize::MAX)? {
        let number =
            key.try_into().map(u64::from_be_bytes).map_err(|_| storage::Error::Corrupt {
                place: "wallet-changes".to_owned(),
                why: "a key is not a number".to_owned(),
            })?;
        match &mut whole {
            None => {
                appender.first = number;
                whole = Some(changes);
            }
            Some(whole) => whole.merge(changes),
        }
        appender.next = number + 1;
    }
    Ok((whole, appender))
}

/// Makes the wallet of these keys, which has seen nothing yet.
pub(super) fn create(keys: &SeedKeys) -> Result<Wallet, Error> {
    Wallet::create(keys.descriptor(KeychainKind::External), keys.descriptor(KeychainKind::Internal))
        .network(keys.network())
        .lookahead(LOOKAHEAD)
        .create_wallet_no_persist()
        .map_err(|error| Error::Damaged(error.to_string()))
}

/// Assembles the stored wallet, if it belongs to these keys.
pub(super) fn load(keys: &SeedKeys, whole: ChangeSet) -> Result<Wallet, Error> {
    use bdk_wallet::LoadError;
    let loaded = Wallet::load()
        .descriptor(KeychainKind::External, Some(keys.descriptor(KeychainKind::External)))
        .descriptor(KeychainKind::Internal, Some(keys.descriptor(KeychainKind::Internal)))
        .check_network(keys.network())
        .lookahead(LOOKAHEAD)
        .load_wallet_no_persist(whole)
        .map_err(|error| match error {
            LoadError::Mismatch(mismatch) => Error::OtherSeed(mismatch.to_string()),
            error => Error::Damaged(error.to_string()),
        })?;
    loaded.ok_or_else(|| Error::Damaged("the stored wallet is empty".to_owned()))
}

/// The whole wallet as one change, without the blocks that nobody needs any more.
pub(super) fn whole(bdk: &Wallet) -> ChangeSet {
    let index = bdk.spk_index();
    let last_revealed = index
        .last_revealed_indices()
        .into_iter()
        .map(|(keychain, last)| (bdk.public_descriptor(keychain).descriptor_id(), last))
        .collect();
    let with_transactions: BTreeSet<u32> = bdk
        .tx_graph()
        .all_anchors()
        .values()
        .flatten()
        .map(|anchor| anchor.anchor_block().height)
        .collect();
    let mut local_chain = bdk.local_chain().initial_changeset();
    let oldest_kept = local_chain.blocks.keys().rev().nth(BLOCKS_KEPT).copied().unwrap_or(0);
    local_chain.blocks.retain(|height, _| {
        *height == 0 || *height >= oldest_kept || with_transactions.contains(height)
    });
    ChangeSet {
        descriptor: Some(bdk.public_descriptor(KeychainKind::External).clone()),
        change_descriptor: Some(bdk.public_descriptor(KeychainKind::Internal).clone()),
        network: Some(bdk.network()),
        local_chain,
        tx_graph: bdk.tx_graph().initial_changeset(),
        indexer: keychain_txout::ChangeSet { last_revealed, ..Default::default() },
        locked_outpoints: bdk_wallet::locked_outpoints::ChangeSet {
            outpoints: bdk.list_locked_outpoints().map(|outpoint| (outpoint, true)).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::OutPoint;

    use super::*;

    #[test]
    fn the_first_version_is_read_for_ever() {
        let stored = r#"{"descriptor":null,"change_descriptor":null,"network":"regtest",
            "local_chain":{"blocks":{
                "7":"0000000000000000000000000000000000000000000000000000000000000007","8":null}},
            "tx_graph":{"txs":[],"txouts":{},"anchors":[],"last_seen":{}},
            "indexer":{"last_revealed":{
                "0000000000000000000000000000000000000000000000000000000000000001":3}},
            "locked_outpoints":{"outpoints":{
                "0000000000000000000000000000000000000000000000000000000000000002:4":true}}}"#;
        let Change(read) = Change::decode(1, stored.as_bytes()).expect("reads");
        assert_eq!(read.network, Some(bitcoin::Network::Regtest));
        assert!(read.local_chain.blocks[&7].is_some() && read.local_chain.blocks[&8].is_none());
        assert_eq!(read.indexer.last_revealed.values().copied().collect::<Vec<_>>(), [3]);
        let locked: Vec<OutPoint> = read.locked_outpoints.outpoints.keys().copied().collect();
        assert_eq!(locked[0].vout, 4);
        let Change(again) = Change::decode(1, &Change(read.clone()).encode()).expect("reads");
        assert_eq!(again, read);
        assert!(matches!(Change::decode(2, b"{}"), Err(DecodeError::UnknownVersion(2))));
    }
}
