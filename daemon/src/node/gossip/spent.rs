//! Forgets channels of others whose funding output has been spent (BOLT 7: 72 blocks after the spend).
//!
//! The graph has no outpoints, but an announcement has the two keys of the funding output, and a spend of the
//! funding output shows them: the witness of a 2-of-2 ends with `2 KEY KEY 2 OP_CHECKMULTISIG` (BOLT 3). A taproot channel
//! is not announced by this protocol.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use bitcoin::Transaction;
use bitcoin::block::Header;
use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_PUSHNUM_2};
use bitcoin::script::Instruction;
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BestBlock, Listen};
use lightning::routing::gossip::NodeId;

use crate::node::ldk::types::Graph;

/// Blocks for which a spent channel is kept: the spend may be a splice, whose successor is announced meanwhile.
const KEPT_BLOCKS: u32 = 72;

/// Watches blocks for spends of the graph's channels.
///
/// What it has seen is lost at a restart; channels that were closed shortly before stay until they are stale.
pub struct SpentChannels {
    graph: Arc<Graph>,
    spent: Mutex<BTreeMap<u32, Vec<u64>>>,
}

/// Both funding keys, in the order of the script.
type FundingKeys = [NodeId; 2];

impl SpentChannels {
    /// Watches the channels of `graph`.
    pub fn new(graph: Arc<Graph>) -> Self {
        Self { graph, spent: Mutex::default() }
    }

    fn see_block<'a>(&self, transactions: impl Iterator<Item = &'a Transaction>, height: u32) {
        let multisigs: HashMap<FundingKeys, ()> = transactions
            .flat_map(|transaction| &transaction.input)
            .filter_map(|input| funding_keys(input.witness.last()?))
            .map(|keys| (keys, ()))
            .collect();
        if !multisigs.is_empty() {
            let spent = self.channels_of(&multisigs);
            if !spent.is_empty() {
                tracing::debug!(?spent, height, "announced channels were closed");
                self.spent().insert(height, spent);
            }
        }
        self.forget(height);
    }

    fn channels_of(&self, multisigs: &HashMap<FundingKeys, ()>) -> Vec<u64> {
        let graph = self.graph.read_only();
        let channels = graph.channels().unordered_iter();
        let is_spent = channels.filter(|(_, channel)| {
            channel.announcement_message.as_ref().is_some_and(|announcement| {
                let mut keys =
                    [announcement.contents.bitcoin_key_1, announcement.contents.bitcoin_key_2];
                keys.sort_unstable();
                multisigs.contains_key(&keys)
            })
        });
        is_spent.map(|(short_channel_id, _)| *short_channel_id).collect()
    }

    fn forget(&self, height: u32) {
        let due = {
            let mut spent = self.spent();
            let kept = spent.split_off(&height.saturating_sub(KEPT_BLOCKS - 1));
            std::mem::replace(&mut *spent, kept)
        };
        for short_channel_id in due.into_values().flatten() {
            self.graph.channel_failed_permanent(short_channel_id);
        }
    }

    fn spent(&self) -> MutexGuard<'_, BTreeMap<u32, Vec<u64>>> {
        self.spent.lock().expect("no panic while held")
    }
}

/// Reads the keys of a 2-of-2 witness script; they are in lexicographic order (BOLT 3).
fn funding_keys(script: &[u8]) -> Option<FundingKeys> {
    let script = bitcoin::Script::from_bytes(script);
    let mut instructions = script.instructions();
    let mut next = || instructions.next()?.ok();
    let is = |instruction: Option<Instruction<'_>>, opcode| {
        instruction.is_some_and(|it| it == Instruction::Op(opcode))
    };
    let key = |instruction: Option<Instruction<'_>>| match instruction {
        Some(Instruction::PushBytes(bytes)) => NodeId::from_slice(bytes.as_bytes()).ok(),
        Some(Instruction::Op(_)) | None => None,
    };
    if !is(next(), OP_PUSHNUM_2) {
        return None;
    }
    let keys = [key(next())?, key(next())?];
    let is_whole = is(next(), OP_PUSHNUM_2) && is(next(), OP_CHECKMULTISIG) && next().is_none();
    is_whole.then_some(keys)
}

impl Listen for SpentChannels {
    fn filtered_block_connected(&self, _: &Header, txdata: &TransactionData<'_>, height: u32) {
        self.see_block(txdata.iter().map(|(_, transaction)| *transaction), height);
    }

    fn blocks_disconnected(&self, fork_point: BestBlock) {
        self.spent().retain(|height, _| *height <= fork_point.height);
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;
    use bitcoin::{BlockHash, Witness};
    use lightning::ln::chan_utils::make_funding_redeemscript;

    use super::*;
    use crate::chain::fake::transaction;
    use crate::node::gossip::fake;

    fn graph_with(short_channel_id: u64) -> Arc<Graph> {
        let graph = fake::graph();
        let announcement = fake::announcement(short_channel_id, [1, 2]);
        graph.update_channel_from_announcement_no_lookup(&announcement).expect("well signed");
        graph
    }

    fn spend(keys: [u8; 2]) -> Transaction {
        let [one, two] = keys.map(|number| fake::key(number + 100));
        let script = make_funding_redeemscript(&one, &two);
        let mut spend = transaction(7, &[&transaction(6, &[])]);
        spend.input[0].witness =
            Witness::from_slice(&[vec![], vec![1], vec![2], script.into_bytes()]);
        spend
    }

    fn is_known(graph: &Graph, short_channel_id: u64) -> bool {
        graph.read_only().channel(short_channel_id).is_some()
    }

    #[test]
    fn a_spent_channel_is_forgotten_after_72_blocks() {
        let graph = graph_with(5 << 40);
        let spent = SpentChannels::new(graph.clone());
        spent.see_block([&spend([1, 2])].into_iter(), 1_000);
        for height in 1_001..1_072 {
            spent.see_block([].into_iter(), height);
            assert!(is_known(&graph, 5 << 40), "{height}");
        }
        spent.see_block([].into_iter(), 1_072);
        assert!(!is_known(&graph, 5 << 40));
    }

    #[test]
    fn another_spend_and_a_spend_that_was_reorganised_away_forget_nothing() {
        let graph = graph_with(5 << 40);
        let spent = SpentChannels::new(graph.clone());
        spent.see_block([&spend([1, 3])].into_iter(), 1_000);
        spent.see_block([&spend([1, 2])].into_iter(), 1_001);
        spent.blocks_disconnected(BestBlock::new(BlockHash::all_zeros(), 1_000));
        for height in 1_001..1_200 {
            spent.see_block([].into_iter(), height);
        }
        assert!(is_known(&graph, 5 << 40));
    }
}
