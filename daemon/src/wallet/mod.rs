//! On-chain money on bdk_wallet.
//!
//! Every change is enqueued in the store under the same lock under which it was made, so the store's order
//! is the wallet's; it is durable before it leaves the daemon: an address before it is shown, a
//! transaction and the lock on its inputs before it is broadcast or handed to LDK.

mod bump;
mod coins;
mod error;
mod funding;
mod history;
mod ldk;
mod lease;
mod leases;
mod ledger;
mod persist;
mod psbt;
pub mod seed;
mod send;
mod sync;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};

use bdk_wallet::chain::BlockId;
use bdk_wallet::signer::SignersContainer;
use bdk_wallet::{KeychainKind, SignOptions, Update};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Network, OutPoint, Psbt, Transaction};
use lightning::chain::BestBlock;
use lightning::chain::chaininterface::BroadcasterInterface;
use tokio::sync::{Notify, watch};

pub use self::bump::{Bump, BumpRequest, Bumped};
pub use self::coins::build::{CoinChoice, Value};
pub use self::error::Error;
pub use self::history::labels::{Imported, Labelled};
pub use self::history::{TransactionPage, WalletTransaction};
pub use self::ldk::{RecordingBroadcaster, TransactionObserver};
pub use self::lease::Lease;
pub use self::psbt::{Finalized, FundedPsbt, SignedPsbt};
pub use self::seed::birthday::{Birthday, BirthdayError};
pub use self::seed::file::SeedFile;
pub use self::seed::keys::SeedKeys;
pub use self::seed::passphrase::{Config, Passphrase};
pub use self::seed::{Seed, SeedError};
pub use self::send::{SendRequest, Sent};

use self::coins::build::Available;
pub use self::coins::reserve;
use self::coins::reserve::AnchorReserve;
use self::ledger::Ledger;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::listing::{Ask, Listed};
use crate::storage::{Batch, Store};

/// Sends transactions to the network without blocking.
pub type Broadcaster = Arc<dyn BroadcasterInterface + Send + Sync>;

/// The node's on-chain money; a handle.
#[derive(Clone)]
pub struct Wallet(Arc<Inner>);

struct Inner {
    store: Store,
    journal: Journal,
    keys: SeedKeys,
    signers: [SignersContainer; 2],
    ledger: Mutex<Ledger>,
    clock: Clock,
    broadcaster: Broadcaster,
    reserve: watch::Receiver<Option<AnchorReserve>>,
    /// A payment was refused since the reserve is in one large coin.
    split_wanted: Notify,
}

/// What the wallet holds, in satoshis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// In blocks.
    pub confirmed_sat: u64,
    /// Seen, not yet in a block.
    pub unconfirmed_sat: u64,
    /// Coinbase outputs with fewer than 100 confirmations.
    pub immature_sat: u64,
    /// Kept for bumping anchors; part of confirmed and unconfirmed.
    pub reserved_sat: u64,
    /// What [`Wallet::send`] and [`Wallet::fund`] can spend now, fees included.
    pub spendable_sat: u64,
}

/// An output that nothing spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unspent {
    /// Its name.
    pub outpoint: OutPoint,
    /// How much it holds.
    pub amount_sat: u64,
    /// Whom it pays: one of our addresses.
    pub address: Address,
    /// 0 while unconfirmed.
    pub confirmations: u32,
}

impl Listed for Unspent {
    const ASKS: &'static [Ask] = &[Ask::Amount];

    fn amount_msat(&self) -> u64 {
        self.amount_sat.saturating_mul(1_000)
    }
}

impl Wallet {
    /// Opens the wallet of these keys, making it where there is none yet.
    ///
    /// `reserve` is the anchor reserve as the node publishes it; the wallet spends nothing until a
    /// value is published.
    ///
    /// # Errors
    /// [`Error::OtherSeed`], [`Error::Damaged`], [`Error::Store`].
    pub fn open(
        store: &Store,
        journal: &Journal,
        clock: Clock,
        keys: SeedKeys,
        broadcaster: Broadcaster,
        reserve: watch::Receiver<Option<AnchorReserve>>,
    ) -> Result<Self, Error> {
        let (stored, appender) = persist::read(store)?;
        let (bdk, is_new) = match stored {
            Some(whole) => (persist::load(&keys, whole)?, false),
            None => (persist::create(&keys)?, true),
        };
        let wallet = Self(Arc::new(Inner {
            store: store.clone(),
            journal: journal.clone(),
            signers: keys.signers(&Secp256k1::new()),
            keys,
            ledger: Mutex::new(Ledger::new(bdk, appender, leases::read(store)?)),
            clock,
            broadcaster,
            reserve,
            split_wanted: Notify::new(),
        }));
        let mut ledger = wallet.ledger();
        if is_new {
            wallet.keep(&mut ledger, Batch::new(), &[])?.wait()?;
        }
        wallet.compact_if_long(&mut ledger)?;
        drop(ledger);
        Ok(wallet)
    }

    /// Passes over all blocks up to `start`, if the wallet has not come so far and knows of no money.
    fn begin_at(&self, start: BestBlock) -> Result<(), Error> {
        let mut ledger = self.ledger();
        if ledger.best_block().height >= start.height || ledger.bdk.transactions().next().is_some()
        {
            return Ok(());
        }
        let block = BlockId { height: start.height, hash: start.block_hash };
        let chain = Some(ledger.bdk.latest_checkpoint().insert(block));
        ledger
            .bdk
            .apply_update(Update { chain, ..Update::default() })
            .map_err(|error| Error::Damaged(error.to_string()))?;
        self.keep(&mut ledger, Batch::new(), &[])?.wait()?;
        Ok(())
    }

    /// Whether a transaction is in a block, or waits and nothing has taken its place.
    pub fn has_seen(&self, txid: bitcoin::Txid) -> bool {
        self.ledger().bdk.get_tx(txid).is_some()
    }

    fn knows_transactions(&self) -> bool {
        self.ledger().bdk.transactions().next().is_some()
    }

    /// The last block that the wallet has seen; it may be on a stale branch after a restart.
    pub fn best_block(&self) -> BestBlock {
        self.ledger().best_block()
    }

    /// The network of its addresses.
    pub fn network(&self) -> Network {
        self.keys().network()
    }

    /// A fresh receiving address, which is known to be ours after any crash.
    pub async fn new_address(&self) -> Result<Address, Error> {
        let (address, commit) = {
            let mut ledger = self.ledger();
            let address = ledger.bdk.reveal_next_address(KeychainKind::External).address;
            (address, self.keep(&mut ledger, Batch::new(), &[])?)
        };
        commit.await?;
        Ok(address)
    }

    /// What the wallet holds.
    pub fn balance(&self) -> Balance {
        // Nothing can be spent before the node has published how much must stay.
        let unknown = AnchorReserve { confirmed_sat: u64::MAX, total_sat: u64::MAX };
        let reserve = self.reserve().unwrap_or(unknown);
        let ledger = self.ledger();
        let leased = ledger.leased(self.now());
        let total = ledger.bdk.balance();
        let confirmed_sat = total.confirmed.to_sat();
        let unconfirmed_sat = (total.trusted_pending + total.untrusted_pending).to_sat();
        Balance {
            confirmed_sat,
            unconfirmed_sat,
            immature_sat: total.immature.to_sat(),
            reserved_sat: reserve.total_sat.min(confirmed_sat + unconfirmed_sat),
            spendable_sat: Available::of(&ledger.bdk, reserve, &leased).spendable_sat(),
        }
    }

    /// Lists what is unspent, confirmed or not.
    pub fn unspent(&self) -> Vec<Unspent> {
        let ledger = self.ledger();
        let tip = ledger.bdk.latest_checkpoint().height();
        let view = |coin: bdk_wallet::LocalOutput| {
            let height = coin.chain_position.confirmation_height_upper_bound();
            Some(Unspent {
                outpoint: coin.outpoint,
                amount_sat: coin.txout.value.to_sat(),
                address: Address::from_script(&coin.txout.script_pubkey, self.network()).ok()?,
                confirmations: height.map_or(0, |height| (tip + 1).saturating_sub(height)),
            })
        };
        ledger.bdk.list_unspent().filter_map(view).collect()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().expect("a panic with the ledger in hand has ended the daemon")
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn journal(&self) -> &Journal {
        &self.0.journal
    }

    fn keys(&self) -> &SeedKeys {
        &self.0.keys
    }

    /// Broadcasts each transaction by itself: none of them is a package.
    fn broadcast(&self, transactions: &[Transaction]) {
        for transaction in transactions {
            self.0.broadcaster.broadcast_transactions(&[transaction]);
        }
    }

    fn reserve(&self) -> Result<AnchorReserve, Error> {
        self.0.reserve.borrow().ok_or(Error::Starting)
    }

    /// Unix time, in seconds.
    fn now(&self) -> u64 {
        self.0.clock.unix_secs()
    }

    /// Signs all inputs of `psbt` that are ours.
    fn sign(
        &self,
        bdk: &bdk_wallet::Wallet,
        psbt: &mut Psbt,
        options: SignOptions,
    ) -> Result<bool, Error> {
        let [external, internal] = &self.0.signers;
        bdk.sign_with_signers(psbt, &[external, internal], options)
            .map_err(|error| Error::Sign(error.to_string()))
    }

    /// Signs a transaction all of whose inputs are ours.
    fn sign_whole(&self, bdk: &bdk_wallet::Wallet, mut psbt: Psbt) -> Result<Transaction, Error> {
        if !self.sign(bdk, &mut psbt, SignOptions::default())? {
            return Err(Error::Sign("not all inputs could be signed".to_owned()));
        }
        psbt.extract_tx().map_err(|error| Error::Sign(error.to_string()))
    }
}
