//! Searches blocks for outputs that pay to the seed's static keys: our balance in channels that peers forced closed.
//!
//! A channel that this node knows has a monitor, which claims such an output itself; `claim` leaves it to that.
//! The search stands on its own: a store without any channel, made from the words of a lost one, finds the outputs from
//! the seed's birthday on. A block is seen again after a crash, and writes the same records again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bitcoin::block::Header;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{OutPoint, ScriptBuf};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BestBlock, Listen};
use lightning::sign::KeysManager;
use tokio::sync::Notify;

use super::records::{self, Fate, OUTPUTS, SCRIPTS, SEARCHED, StaticOutput, StaticScripts};
use crate::storage::{self, Batch, Store};

/// Blocks between two records of how far the search has come.
const RECORD_EVERY: u32 = 100;

/// The search for static outputs.
pub struct StaticOutputs {
    store: Store,
    scripts: HashSet<ScriptBuf>,
    best: Mutex<BestBlock>,
    /// A block held one.
    pub(super) found: Notify,
}

impl StaticOutputs {
    /// Continues the search where it stood; the first start begins at `birth`.
    ///
    /// # Errors
    /// The store failed.
    pub fn load(
        store: &Store,
        node_seed: &[u8; 32],
        birth: BestBlock,
    ) -> Result<Arc<Self>, storage::Error> {
        let scripts = match SCRIPTS.get(store, &[])? {
            Some(StaticScripts { scripts }) => scripts,
            None => {
                let scripts = derive(node_seed);
                let mut batch = Batch::new();
                SCRIPTS.put(&mut batch, &[], &StaticScripts { scripts: scripts.clone() });
                SEARCHED.put(&mut batch, &[], &birth.into());
                drop(store.commit(batch));
                scripts
            }
        };
        let best = SEARCHED.get(store, &[])?.map_or(birth, |searched| searched.best_block());
        Ok(Arc::new(Self {
            store: store.clone(),
            scripts: scripts.into_iter().collect(),
            best: Mutex::new(best),
            found: Notify::new(),
        }))
    }

    /// Returns the last block that was searched.
    pub fn best_block(&self) -> BestBlock {
        *self.best.lock().expect("no panic while held")
    }

    fn advance(&self, best: BestBlock) {
        *self.best.lock().expect("no panic while held") = best;
    }
}

/// Derives the scripts from the 32 bytes of the node's seed.
fn derive(node_seed: &[u8; 32]) -> Vec<ScriptBuf> {
    // The time only makes random bytes unique, and none are drawn.
    let keys = KeysManager::new(node_seed, 0, 0, true);
    keys.possible_v2_counterparty_closed_balance_spks(&Secp256k1::signing_only())
}

impl Listen for StaticOutputs {
    fn filtered_block_connected(&self, header: &Header, txdata: &TransactionData<'_>, height: u32) {
        let mut batch = Batch::new();
        for (_, transaction) in txdata {
            for (vout, output) in (0..).zip(&transaction.output) {
                if !self.scripts.contains(&output.script_pubkey) {
                    continue;
                }
                let outpoint = OutPoint { txid: transaction.compute_txid(), vout };
                let funding = transaction.input.first().map(|input| input.previous_output);
                let found = StaticOutput {
                    output: output.clone(),
                    funding: funding.unwrap_or_default(),
                    height,
                    fate: Fate::Found,
                };
                // Delivered again after a crash: what became of it meanwhile stays.
                match OUTPUTS.contains(&self.store, &records::key(&outpoint)) {
                    Ok(true) => (),
                    Ok(false) | Err(_) => {
                        OUTPUTS.put(&mut batch, &records::key(&outpoint), &found);
                    }
                }
            }
        }
        let best = BestBlock::new(header.block_hash(), height);
        self.advance(best);
        let found = !batch.is_empty();
        if found || height.is_multiple_of(RECORD_EVERY) {
            SEARCHED.put(&mut batch, &[], &best.into());
            // Not waited for: the blocks are delivered again if this is lost.
            drop(self.store.commit(batch));
        }
        if found {
            self.found.notify_one();
        }
    }

    fn blocks_disconnected(&self, fork_point: BestBlock) {
        let mut batch = Batch::new();
        match OUTPUTS.all(&self.store) {
            Ok(outputs) => {
                for (key, output) in outputs {
                    // What the sweeper has, it follows through a reorganisation by itself.
                    if output.height > fork_point.height && output.fate != Fate::Swept {
                        OUTPUTS.delete(&mut batch, &key);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot take back outputs of closed channels after a reorg");
            }
        }
        self.advance(fork_point);
        SEARCHED.put(&mut batch, &[], &fork_point.into());
        drop(self.store.commit(batch));
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::constants::genesis_block;
    use bitcoin::hashes::Hash as _;
    use bitcoin::{Amount, BlockHash, Network, TxOut};

    use super::*;
    use crate::chain::fake;

    #[test]
    fn outputs_are_found_once_and_taken_back_by_a_reorganisation() {
        let (store, seed) = (Store::temporary(), [7; 32]);
        let birth = BestBlock::new(BlockHash::all_zeros(), 10);
        let search = StaticOutputs::load(&store, &seed, birth).expect("loaded");
        assert_eq!(search.best_block().height, 10);
        let mut closing = fake::transaction(1, &[]);
        closing.output.push(TxOut {
            value: Amount::from_sat(77_000),
            script_pubkey: derive(&seed)[501].clone(),
        });
        let other = fake::transaction(2, &[]);
        let header = genesis_block(Network::Regtest).header;
        let txdata = [(0, &other), (1, &closing)];
        search.filtered_block_connected(&header, &txdata, 11);
        search.filtered_block_connected(&header, &txdata, 11);
        let all = OUTPUTS.all(&store).expect("read");
        assert_eq!(all.len(), 1);
        let outpoint = records::outpoint(&all[0].0).expect("an outpoint");
        assert_eq!(outpoint.txid, closing.compute_txid());
        assert_eq!(all[0].1.output.value, Amount::from_sat(77_000));
        assert_eq!(all[0].1.fate, Fate::Found);

        let again = StaticOutputs::load(&store, &seed, birth).expect("loaded");
        assert_eq!(again.best_block().height, 11, "a restart goes on behind what was found");
        again.blocks_disconnected(birth);
        assert!(OUTPUTS.all(&store).expect("read").is_empty());
        assert_eq!(again.best_block().height, 10);
    }
}
