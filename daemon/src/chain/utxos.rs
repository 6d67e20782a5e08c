//! Proves announced channels against the chain, for LDK's gossip.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::constants::ChainHash;
use bitcoin::{BlockHash, OutPoint, TxOut, Txid};
use lightning::routing::utxo::{UtxoFuture, UtxoLookup, UtxoLookupError, UtxoResult};
use tokio::sync::{OnceCell, Semaphore, mpsc};
use tokio::time::Instant;

use super::{ChainSource, Error, Source};
use crate::tasks::{Stage, Tasks};

/// LDK stops reading from peers while many checks are pending: none may take long.
const LONGEST_CHECK: Duration = Duration::from_secs(10);
/// How long, and how often, an undecided check is repeated: gossip is sent once, and a peer may have seen a block some
/// seconds before us.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);
/// Most checks that repeat at once: few of those after which LDK stops reading (32).
const PATIENT_CHECKS: usize = 8;
/// A channel is announced at six confirmations (BOLT 7); our view may be one block behind.
const LEAST_CONFIRMATIONS: u32 = 5;
/// Peers send channels in the order of blocks, so few blocks are kept.
const BLOCKS_KEPT: usize = 64;

/// What a look-up found, for the owner of the graph to resolve LDK's future with.
pub struct UtxoOutcome {
    /// What LDK's gossip waits for.
    pub future: UtxoFuture,
    /// The funding output, or why there is none to believe in.
    pub output: Result<TxOut, UtxoLookupError>,
}

/// The outcomes of an [`UtxoCheck`], in the order in which its look-ups end; as many as LDK has checks pending.
pub type UtxoOutcomes = mpsc::UnboundedReceiver<UtxoOutcome>;

/// Looks up the funding outputs of announced channels; at most a few at a time.
pub struct UtxoCheck<S = Source> {
    source: S,
    chain: ChainHash,
    tasks: Tasks,
    slots: Arc<Semaphore>,
    patient: Arc<Semaphore>,
    blocks: Arc<Blocks>,
    outcomes: mpsc::UnboundedSender<UtxoOutcome>,
}

/// The transaction ids of one block, fetched once for all checks.
type BlockTxids = Arc<OnceCell<Vec<Txid>>>;
/// The blocks used last, by hash, so that a reorganisation cannot mislead us.
type Blocks = Mutex<VecDeque<(BlockHash, BlockTxids)>>;

impl<S: ChainSource> UtxoCheck<S> {
    /// Makes a check of channels of `chain`, with at most `parallel` look-ups at a time, and the other end of its outcomes.
    pub fn new(source: S, chain: ChainHash, parallel: usize, tasks: Tasks) -> (Self, UtxoOutcomes) {
        let (outcomes, receiver) = mpsc::unbounded_channel();
        let check = Self {
            source,
            chain,
            tasks,
            slots: Arc::new(Semaphore::new(parallel.max(1))),
            patient: Arc::new(Semaphore::new(PATIENT_CHECKS)),
            blocks: Arc::default(),
            outcomes,
        };
        (check, receiver)
    }
}

impl<S: ChainSource> UtxoLookup for UtxoCheck<S> {
    fn get_utxo(&self, chain: &ChainHash, short_channel_id: u64) -> UtxoResult {
        if *chain != self.chain {
            return UtxoResult::Sync(Err(UtxoLookupError::UnknownChain));
        }
        let future = UtxoFuture::new();
        let (answer, outcomes) = (future.clone(), self.outcomes.clone());
        let check = Check {
            source: self.source.clone(),
            slots: self.slots.clone(),
            patient: self.patient.clone(),
            blocks: self.blocks.clone(),
        };
        let stopping = self.tasks.stopping(Stage::Peers);
        self.tasks.spawn_once(Stage::Peers, "utxo check", async move {
            let output = tokio::select! {
                proved = check.run(short_channel_id) => proved,
                () = stopping.cancelled() => None,
            };
            let output = output.ok_or(UtxoLookupError::UnknownTx);
            // Without a receiver the daemon stops, and nobody reads gossip.
            drop(outcomes.send(UtxoOutcome { future: answer, output }));
        });
        UtxoResult::Async(future)
    }
}

/// One check's share of the look-up's parts.
struct Check<S> {
    source: S,
    slots: Arc<Semaphore>,
    patient: Arc<Semaphore>,
    blocks: Arc<Blocks>,
}

/// What bitcoind knows about a funding output.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// It is there, and deep enough.
    Proved(TxOut),
    /// It is not there, or spent.
    Refuted,
    /// Its block is not there yet, or not deep enough yet.
    TooYoung,
}

impl<S: ChainSource> Check<S> {
    /// Looks the output up, and again for a while as long as bitcoind cannot decide.
    async fn run(self, short_channel_id: u64) -> Option<TxOut> {
        let give_up_at = Instant::now() + PATIENCE;
        let mut place = None;
        loop {
            let undecided = match self.once(short_channel_id).await {
                Ok(Finding::Proved(output)) => return Some(output),
                Ok(Finding::Refuted) => return None,
                Ok(Finding::TooYoung) => "too young".to_owned(),
                Err(error) => error,
            };
            place = place.or_else(|| self.patient.clone().try_acquire_owned().ok());
            if place.is_none() || Instant::now() >= give_up_at {
                tracing::debug!(short_channel_id, undecided, "a channel cannot be checked");
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn once(&self, short_channel_id: u64) -> Result<Finding, String> {
        let slot = self.slots.acquire().await;
        let look_up = look_up(&self.source, &self.blocks, Position::of(short_channel_id));
        let found = tokio::time::timeout(LONGEST_CHECK, look_up).await;
        drop(slot);
        found.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
    }
}

/// Where a short channel id points to (BOLT 7, "Definition of `short_channel_id`").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    height: u32,
    transaction: usize,
    output: u32,
}

impl Position {
    fn of(short_channel_id: u64) -> Self {
        Self {
            height: (short_channel_id >> 40) as u32,
            transaction: ((short_channel_id >> 16) & 0xff_ffff) as usize,
            output: (short_channel_id & 0xffff) as u32,
        }
    }
}

async fn look_up(
    source: &impl ChainSource,
    blocks: &Blocks,
    position: Position,
) -> Result<Finding, Error> {
    let hash = source.block_hash(position.height).await?;
    let Some(hash) = hash else { return Ok(Finding::TooYoung) };
    let txids = kept(blocks, hash);
    let txids = txids.get_or_try_init(|| source.block_txids(hash)).await?;
    let Some(txid) = txids.get(position.transaction) else { return Ok(Finding::Refuted) };
    Ok(match source.unspent(OutPoint::new(*txid, position.output)).await? {
        Some(unspent) if unspent.confirmations >= LEAST_CONFIRMATIONS => {
            Finding::Proved(unspent.output)
        }
        Some(_) => Finding::TooYoung,
        None => Finding::Refuted,
    })
}

/// Returns the place for a block's transactions, new or in use, and moves it to the front.
fn kept(blocks: &Blocks, hash: BlockHash) -> BlockTxids {
    let mut blocks = blocks.lock().expect("no panic while held");
    let found = blocks.iter().position(|(other, _)| *other == hash);
    let found = found.and_then(|position| blocks.remove(position));
    let (_, txids) = found.unwrap_or_else(|| (hash, BlockTxids::default()));
    blocks.truncate(BLOCKS_KEPT - 1);
    blocks.push_front((hash, txids.clone()));
    txids
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeChain, transaction};
    use super::*;

    const SCID: u64 = (2 << 40) | (1 << 16);

    /// A chain with a funding transaction in block 2, as its second one.
    fn funded(blocks_above: u32) -> (FakeChain, TxOut) {
        let chain = FakeChain::new();
        let funding = transaction(7, &[]);
        chain.mine(1);
        chain.mine_with(vec![funding.clone()]);
        chain.mine(blocks_above);
        (chain, funding.output[0].clone())
    }

    #[test]
    fn a_short_channel_id_is_a_position() {
        let position = Position { height: 539_268, transaction: 845, output: 1 };
        assert_eq!(Position::of((539_268 << 40) | (845 << 16) | 1), position);
    }

    #[tokio::test]
    async fn finds_what_is_deep_enough_and_unspent() {
        let absent = (2u64 << 40) | (9 << 16);
        let above_tip = 99u64 << 40;
        let (_, output) = funded(0);
        let proved = || Finding::Proved(output.clone());
        for (blocks_above, scid, finding) in [
            (5, SCID, proved()),
            (4, SCID, proved()),
            (3, SCID, Finding::TooYoung),
            (5, SCID | 7, Finding::Refuted),
            (5, absent, Finding::Refuted),
            (5, above_tip, Finding::TooYoung),
        ] {
            let (chain, _) = funded(blocks_above);
            let got = look_up(&chain, &Blocks::default(), Position::of(scid)).await;
            assert_eq!(got, Ok(finding), "{blocks_above} {scid}");
        }
    }

    fn check(chain: &FakeChain) -> Check<FakeChain> {
        Check {
            source: chain.clone(),
            slots: Arc::new(Semaphore::new(1)),
            patient: Arc::new(Semaphore::new(1)),
            blocks: Arc::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_block_that_a_peer_saw_first_is_waited_for() {
        let (chain, output) = funded(3);
        let later = async {
            tokio::time::sleep(PATIENCE / 2).await;
            chain.mine(1);
        };
        let (found, ()) = tokio::join!(check(&chain).run(SCID), later);
        assert_eq!(found, Some(output));
    }

    #[tokio::test(start_paused = true)]
    async fn bitcoind_is_waited_for_but_not_for_ever() {
        let (chain, output) = funded(6);
        chain.go_away();
        let later = async {
            tokio::time::sleep(PATIENCE / 2).await;
            chain.come_back();
        };
        let (found, ()) = tokio::join!(check(&chain).run(SCID), later);
        assert_eq!(found, Some(output));

        chain.go_away();
        assert_eq!(check(&chain).run(SCID).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn few_wait_and_what_is_refuted_does_not() {
        let (chain, _) = funded(3);
        let busy = check(&chain);
        let _taken = busy.patient.clone().try_acquire_owned().expect("a place");
        let began = Instant::now();
        assert_eq!(busy.run(SCID).await, None);
        assert_eq!(check(&chain).run(SCID | 7).await, None);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn each_look_up_has_one_outcome() {
        let (chain, output) = funded(6);
        let hash = ChainHash::REGTEST;
        let (check, mut outcomes) = UtxoCheck::new(chain, hash, 1, Tasks::new());
        for (scid, expected) in [(SCID, Some(output)), (SCID | 7, None)] {
            assert!(matches!(check.get_utxo(&hash, scid), UtxoResult::Async(_)));
            let outcome = outcomes.recv().await.expect("an outcome");
            assert_eq!(outcome.output.ok(), expected);
        }
        let foreign = check.get_utxo(&ChainHash::BITCOIN, SCID);
        assert!(matches!(foreign, UtxoResult::Sync(Err(UtxoLookupError::UnknownChain))));
    }

    #[tokio::test]
    async fn a_block_is_fetched_once_for_many() {
        let (chain, output) = funded(6);
        let blocks = Blocks::default();
        let look_up = || look_up(&chain, &blocks, Position::of(SCID));
        let (one, two, three) = tokio::join!(look_up(), look_up(), look_up());
        for outcome in [one, two, three] {
            assert_eq!(outcome, Ok(Finding::Proved(output.clone())));
        }
        assert_eq!(chain.txid_calls(), 1);
    }

    #[tokio::test]
    async fn what_failed_is_asked_again() {
        let (chain, output) = funded(6);
        let blocks = Blocks::default();
        chain.go_away();
        assert!(look_up(&chain, &blocks, Position::of(SCID)).await.is_err());
        chain.come_back();
        assert_eq!(look_up(&chain, &blocks, Position::of(SCID)).await, Ok(Finding::Proved(output)));
    }

    #[test]
    fn few_blocks_are_kept() {
        use bitcoin::hashes::Hash;
        let blocks = Blocks::default();
        for byte in 0..=255 {
            kept(&blocks, BlockHash::from_byte_array([byte; 32]));
        }
        assert_eq!(blocks.lock().expect("no panic").len(), BLOCKS_KEPT);
    }
}
