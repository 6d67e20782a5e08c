//! Brings every listener to the tip and keeps it there.
//!
//! One step: ask for the tip; find for each listener where its own chain leaves the best chain;
//! disconnect each that is on a stale branch; fetch the missing blocks, a few ahead; connect
//! them one by one to all; publish the tip. A block is delivered only if it builds on what each
//! listener has seen; where it does not, the chain moved meanwhile and the step begins anew. So
//! a step may be cut short anywhere, by an error or at the daemon's end, and nothing is lost.

use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use bitcoin::{Block, BlockHash};
use futures_util::StreamExt;
use lightning::chain::BestBlock;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deliver::{self, Listener};
use super::fork::{self, Course};
use super::patience::Backoff;
use super::recent::{self, Recent};
use super::{ChainSource, Config, Error, Source, SourceTip};
use crate::storage::Store;
use crate::tasks::Outcome;

/// How long to wait when the chain moved during a step; it seldom moves twice.
const PAUSE_AFTER_MOVE: Duration = Duration::from_millis(50);

/// The best block that every listener has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// The time in its header, in seconds since 1970.
    pub time: u32,
    /// When the source last confirmed that this is the tip, by the wall clock; old when bitcoind is away.
    pub confirmed_at: SystemTime,
    /// The same by the clock that nobody sets.
    pub confirmed: Instant,
    /// When the source last was connected to the Bitcoin network; at the start if it has not been since.
    pub connected: Instant,
    /// Whether the source is still downloading old blocks.
    pub initial_download: bool,
}

impl Tip {
    /// Returns it in LDK's form.
    pub fn best_block(&self) -> BestBlock {
        BestBlock::new(self.hash, self.height)
    }
}

/// Keeps listeners at the tip.
pub struct Sync<S = Source> {
    source: S,
    recent: Recent,
    prefetch: usize,
    poll_interval: Duration,
    tip: watch::Sender<Tip>,
}

impl<S: ChainSource> Sync<S> {
    /// Brings each listener from its own best block, on a stale branch or not, to the tip.
    ///
    /// Patient while bitcoind is away or behind. May be followed by [`Sync::catch_up_more`] for
    /// others, and then by [`Sync::run`]; the listeners given here are not kept.
    pub async fn catch_up(
        source: S,
        store: &Store,
        config: &Config,
        listeners: &mut [Listener],
    ) -> Result<Self, Error> {
        let source_tip = patient_tip(&source).await?;
        let mut sync = Self {
            source,
            recent: Recent::open(store.clone())?,
            prefetch: config.prefetch_blocks.max(1),
            poll_interval: Duration::from_secs(config.poll_interval_secs.max(1)),
            tip: watch::Sender::new(tip_of(&source_tip, Instant::now())),
        };
        sync.catch_up_more(listeners).await?;
        Ok(sync)
    }

    /// Brings further listeners to the tip.
    pub async fn catch_up_more(&mut self, listeners: &mut [Listener]) -> Result<(), Error> {
        let mut backoff = Backoff::new(self.source.health());
        let mut hints = self.source.tip_hints();
        loop {
            match self.step(listeners).await {
                Ok(SyncStep::AtTip) => return Ok(()),
                Ok(SyncStep::Moved) => tokio::time::sleep(PAUSE_AFTER_MOVE).await,
                Err(error @ Error::Behind { .. }) => tokio::select! {
                    () = backoff.wait("following the chain", &error) => (),
                    () = changed(&mut hints) => (),
                },
                Err(error) if error.heals() => backoff.wait("following the chain", &error).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the tip, which changes only after all listeners have seen the new one.
    pub fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// Keeps `listeners` at the tip until `stopping`.
    pub async fn run(
        mut self,
        mut listeners: Vec<Listener>,
        stopping: CancellationToken,
    ) -> Outcome {
        // A step may be dropped at any of its awaits; see above.
        stopping.run_until_cancelled(self.follow(&mut listeners)).await.unwrap_or(Ok(()))
    }

    async fn follow(&mut self, listeners: &mut [Listener]) -> Outcome {
        let mut hints = self.source.tip_hints();
        loop {
            self.catch_up_more(listeners).await?;
            let poll = tokio::time::sleep(self.poll_interval);
            tokio::select! {
                () = poll => (),
                () = changed(&mut hints) => (),
            }
        }
    }

    async fn step(&mut self, listeners: &mut [Listener]) -> Result<SyncStep, Error> {
        let source_tip = self.source.tip().await?;
        self.disconnect(listeners, &source_tip).await?;
        let lowest = listeners.iter().map(|listener| listener.best.height).min();
        let from = lowest.unwrap_or(source_tip.height) + 1;
        self.connect(listeners, from, &source_tip).await?;
        if listeners.iter().any(|listener| listener.best.block_hash != source_tip.hash) {
            return Ok(SyncStep::Moved);
        }
        let connected = self.tip.borrow().connected;
        self.publish(tip_of(&source_tip, connected));
        Ok(SyncStep::AtTip)
    }

    /// Takes each listener that is on a stale branch back to where the branch began.
    async fn disconnect(&self, listeners: &mut [Listener], tip: &SourceTip) -> Result<(), Error> {
        // Most listeners stand at the same block: each block is asked for once.
        let mut forks = HashMap::new();
        for Listener { name, best, .. } in listeners.iter() {
            if forks.contains_key(&best.block_hash) {
                continue;
            }
            if fork::course_to(&self.source, *best, tip).await? == Course::Wait {
                return Err(Error::Behind { ours: best.height, theirs: tip.height });
            }
            let fork = match fork::fork_point(&self.source, &self.recent, *best).await {
                Err(Error::UnknownBlock { .. }) => {
                    let BestBlock { block_hash: hash, height, .. } = *best;
                    return Err(Error::LostBranch { listener: name, hash, height });
                }
                fork => fork?,
            };
            forks.insert(best.block_hash, fork);
        }
        for listener in listeners.iter_mut() {
            if let Some(fork) = forks.get(&listener.best.block_hash) {
                listener.disconnect_to(*fork);
            }
        }
        Ok(())
    }

    /// Connects the blocks from height `from` to `tip`, or to where the chain moved.
    async fn connect(
        &mut self,
        listeners: &mut [Listener],
        from: u32,
        tip: &SourceTip,
    ) -> Result<(), Error> {
        let source = self.source.clone();
        let fetch = |height| fetch(&source, height, tip);
        let blocks = futures_util::stream::iter(from..=tip.height).map(fetch);
        let mut blocks = pin!(blocks.buffered(self.prefetch));
        let mut progress = Progress::new(from, tip.height);
        while let Some(fetched) = blocks.next().await {
            let Some((height, block)) = fetched? else { return Ok(()) };
            let hash = block.block_hash();
            if height + recent::HEIGHTS > tip.height {
                self.recent.remember(hash, height, block.header.prev_blockhash);
            }
            if deliver::connect(listeners, &block, height).is_err() {
                return Ok(());
            }
            let source_tip = tip_of(tip, self.tip.borrow().connected);
            self.publish(Tip { height, hash, time: block.header.time, ..source_tip });
            progress.tell(height);
            // Processing a block may take long: let others have the thread in between.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn publish(&self, tip: Tip) {
        self.tip.send_if_modified(|last| {
            let new = last.hash != tip.hash;
            *last = tip;
            new
        });
    }
}

/// How a step ended.
enum SyncStep {
    /// All listeners have seen the source's tip.
    AtTip,
    /// The chain moved on, to the side or up, while blocks were fetched.
    Moved,
}

/// Returns the block at a height of the best chain; none if the chain is shorter by now.
async fn fetch(
    source: &impl ChainSource,
    height: u32,
    tip: &SourceTip,
) -> Result<Option<(u32, Block)>, Error> {
    let hash = match height == tip.height {
        true => Some(tip.hash),
        false => source.block_hash(height).await?,
    };
    match hash {
        Some(hash) => Ok(Some((height, source.block(hash).await?))),
        None => Ok(None),
    }
}

/// Asks for the tip until there is an answer; says once that it waits.
pub async fn patient_tip(source: &impl ChainSource) -> Result<SourceTip, Error> {
    let mut backoff = Backoff::new(source.health());
    loop {
        match source.tip().await {
            Err(error) if error.heals() => backoff.wait("asking for the tip", &error).await,
            outcome => return outcome,
        }
    }
}

/// Returns what the source says now; `connected` is when it last was connected before.
fn tip_of(tip: &SourceTip, connected: Instant) -> Tip {
    let now = Instant::now();
    Tip {
        height: tip.height,
        hash: tip.hash,
        time: tip.time,
        confirmed_at: SystemTime::now(),
        confirmed: now,
        connected: if tip.peers > 0 { now } else { connected },
        initial_download: tip.initial_download,
    }
}

async fn changed(hints: &mut watch::Receiver<Option<BlockHash>>) {
    if hints.changed().await.is_err() {
        // The thread that waits for blocks has ended: only polling is left.
        std::future::pending::<()>().await;
    }
}

/// Tells every ten seconds how far a long way has come.
struct Progress {
    first: u32,
    last: u32,
    told: Instant,
}

impl Progress {
    fn new(first: u32, last: u32) -> Self {
        if last.saturating_sub(first) >= 10 {
            tracing::info!(from = first, to = last, "catching up with the chain");
        }
        Self { first, last, told: Instant::now() }
    }

    fn tell(&mut self, height: u32) {
        if self.told.elapsed() < Duration::from_secs(10) {
            return;
        }
        self.told = Instant::now();
        let percent = (height - self.first + 1) * 100 / (self.last - self.first + 1).max(1);
        tracing::info!(height, to = self.last, percent, "catching up with the chain");
    }
}
