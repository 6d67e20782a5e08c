//! The wallet on a faked chain: a store in memory, blocks made by hand, a network that only remembers.

mod bumping;
mod chain;
mod funding;
mod mempool;
mod sending;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash as _;
use bitcoin::{
    Address, Amount, Block, BlockHash, CompactTarget, FeeRate, Network, OutPoint, ScriptBuf,
    Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness, absolute, transaction,
};
use lightning::chain::chaininterface::BroadcasterInterface;
use lightning::chain::{BestBlock, Listen as _};
use tokio::sync::watch;

use super::*;
use crate::journal::Entry;
use crate::listing::Filter;

const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon art";
const OTHER_WORDS: &str = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo \
    zoo zoo zoo zoo vote";

/// A wallet with its surroundings.
struct Bench {
    store: Store,
    wallet: Wallet,
    reserve_sat: watch::Sender<Option<AnchorReserve>>,
    broadcast: Arc<Sink>,
    /// Makes each foreign payment another transaction, and each block another block.
    serial: AtomicU64,
}

impl Bench {
    fn new() -> Self {
        let store = Store::temporary();
        let (reserve_sat, broadcast) =
            (watch::Sender::new(Some(AnchorReserve::default())), Arc::default());
        let wallet = open(&store, &reserve_sat, &broadcast);
        Self { store, wallet, reserve_sat, broadcast, serial: AtomicU64::new(1) }
    }

    /// A bench whose wallet has one confirmed coin of each of these amounts.
    async fn with_coins(amounts_sat: &[u64]) -> Self {
        let bench = Self::new();
        let mut txs = Vec::new();
        for amount_sat in amounts_sat {
            txs.push(bench.payment(*amount_sat).await);
        }
        bench.mine(txs);
        bench
    }

    /// What a restart does: all that is only in memory is gone.
    fn restart(&mut self) {
        self.wallet = open(&self.store, &self.reserve_sat, &self.broadcast);
    }

    fn reserve(&self, sat: u64) {
        self.reserve_sat.send_replace(Some(both(sat)));
    }

    /// Somebody else's transaction that pays us.
    async fn payment(&self, amount_sat: u64) -> Transaction {
        let address = self.wallet.new_address().await.expect("stored");
        self.foreign(vec![self.foreign_outpoint()], address.script_pubkey(), amount_sat)
    }

    fn foreign(&self, inputs: Vec<OutPoint>, script: ScriptBuf, amount_sat: u64) -> Transaction {
        transaction_of(inputs, vec![(script, amount_sat)])
    }

    fn foreign_outpoint(&self) -> OutPoint {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        OutPoint::new(Txid::hash(&serial.to_le_bytes()), 0)
    }

    /// Connects a block on the wallet's tip and returns it.
    fn mine(&self, txs: Vec<Transaction>) -> Block {
        let tip = self.wallet.best_block();
        let block = self.block_on(tip.block_hash, txs);
        self.wallet.block_connected(&block, tip.height + 1);
        block
    }

    fn block_on(&self, prev_blockhash: BlockHash, txdata: Vec<Transaction>) -> Block {
        let header = Header {
            version: Version::TWO,
            prev_blockhash,
            merkle_root: TxMerkleNode::all_zeros(),
            time: 1_700_000_000,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: self.serial.fetch_add(1, Ordering::Relaxed) as u32,
        };
        Block { header, txdata }
    }

    fn broadcast_txids(&self) -> Vec<Txid> {
        let mut broadcast = self.broadcast.0.lock().expect("no panic");
        std::mem::take(&mut *broadcast).iter().map(Transaction::compute_txid).collect()
    }

    async fn entries(&self) -> Vec<Entry> {
        self.store.sync().await.expect("stored");
        let entries = self.wallet.journal().read(0, 100).expect("reads");
        entries.into_iter().map(|numbered| numbered.entry).collect()
    }

    fn labels(&self) -> Vec<String> {
        let page = self.wallet.transactions(&[], 100, &Filter::default(), |_| true).expect("lists");
        page.transactions.into_iter().map(|tx| tx.label).collect()
    }
}

fn open(
    store: &Store,
    reserve_sat: &watch::Sender<Option<AnchorReserve>>,
    broadcast: &Arc<Sink>,
) -> Wallet {
    open_with(keys(WORDS), store, reserve_sat, broadcast).expect("opens")
}

fn open_with(
    keys: SeedKeys,
    store: &Store,
    reserve_sat: &watch::Sender<Option<AnchorReserve>>,
    broadcast: &Arc<Sink>,
) -> Result<Wallet, Error> {
    let (clock, reserve_sat) = (Clock::system(), reserve_sat.subscribe());
    Wallet::open(store, &journal(store), clock, keys, broadcast.clone(), reserve_sat)
}

/// Opens a wallet that will never spend.
fn open_idle(keys: SeedKeys, store: &Store) -> Result<Wallet, Error> {
    open_with(keys, store, &watch::Sender::new(None), &Arc::default())
}

/// A network that only remembers.
#[derive(Default)]
struct Sink(Mutex<Vec<Transaction>>);

impl BroadcasterInterface for Sink {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        self.0.lock().expect("no panic").extend(txs.iter().map(|tx| (*tx).clone()));
    }
}

/// A reserve for channels that can all close now.
fn both(sat: u64) -> AnchorReserve {
    AnchorReserve { confirmed_sat: sat, total_sat: sat }
}

fn journal(store: &Store) -> Journal {
    Journal::open(store, crate::clock::Clock::system()).expect("opens")
}

fn keys(words: &str) -> SeedKeys {
    SeedKeys::new(&Seed::parse(words).expect("valid words"), Network::Regtest)
}

/// An address of somebody else.
fn stranger() -> Address {
    let script = ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::hash(b"stranger"));
    Address::from_script(&script, Network::Regtest).expect("a standard script")
}

fn transaction_of(inputs: Vec<OutPoint>, outputs: Vec<(ScriptBuf, u64)>) -> Transaction {
    let input = |previous_output| TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output = |(script_pubkey, sat)| TxOut { value: Amount::from_sat(sat), script_pubkey };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: inputs.into_iter().map(input).collect(),
        output: outputs.into_iter().map(output).collect(),
    }
}

fn request(value: Value) -> SendRequest {
    SendRequest {
        address: stranger(),
        value,
        feerate: rate(2),
        idempotency_key: None,
        label: String::new(),
    }
}

fn rate(sat_per_vb: u64) -> FeeRate {
    FeeRate::from_sat_per_vb(sat_per_vb).expect("small")
}

/// Checks each taproot key spend of `tx` against the outputs that it spends.
fn assert_signed(tx: &Transaction, spent: &[TxOut], inputs: &[usize]) {
    use bitcoin::secp256k1::{Message, Secp256k1, XOnlyPublicKey, schnorr::Signature};
    use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
    let secp = Secp256k1::verification_only();
    for &input in inputs {
        let hash = SighashCache::new(tx)
            .taproot_key_spend_signature_hash(input, &Prevouts::All(spent), TapSighashType::Default)
            .expect("all spent outputs are given");
        let witness = tx.input[input].witness.to_vec();
        let signature = Signature::from_slice(&witness[0]).expect("64 bytes");
        let key = XOnlyPublicKey::from_slice(&spent[input].script_pubkey.as_bytes()[2..])
            .expect("a taproot output");
        secp.verify_schnorr(&signature, &Message::from(hash), &key).expect("a valid signature");
    }
}
