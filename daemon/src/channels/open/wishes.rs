//! What an open asked for that matters until its channel is funded.
//!
//! Only in memory: LDK forgets a channel that is not funded with the daemon's end, and `reconcile` fails its record.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use crate::wallet::CoinChoice;

/// Who pays for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Money {
    /// These coins of the wallet.
    Wallet(CoinChoice),
    /// A transaction from outside.
    Outside,
    /// The wallet, together with others.
    Batch,
}

/// What an open asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who pays.
    pub money: Money,
    /// Give the channel up unless the peer uses it before its funding is confirmed.
    pub zero_conf: bool,
}

/// Wishes by `user_channel_id`.
#[derive(Debug, Default)]
pub struct Wishes(Mutex<HashMap<u128, Wish>>);

impl Wishes {
    /// Keeps a wish until it is taken or forgotten.
    pub fn keep(&self, user_channel_id: u128, wish: Wish) {
        self.lock().insert(user_channel_id, wish);
    }

    /// Returns a wish; an open that has none asked for nothing particular.
    pub fn of(&self, user_channel_id: u128) -> Wish {
        let plain = Wish { money: Money::Wallet(CoinChoice::default()), zero_conf: false };
        self.lock().get(&user_channel_id).cloned().unwrap_or(plain)
    }

    /// Forgets a wish: the channel is funded, or failed.
    pub fn forget(&self, user_channel_id: u128) {
        self.lock().remove(&user_channel_id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Wish>> {
        self.0.lock().expect("no panic while held")
    }
}
