//! Which peers a shutdown script of ours must be plain for.
//!
//! BOLT 2 allows witness programs of version 1 and above, such as P2TR, only where both sides know
//! `option_shutdown_anysegwit`. LDK asks for a script without naming the peer, so the peer is set around the call.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::script::ShutdownScript;
use lightning::types::features::InitFeatures;

thread_local! {
    /// Whether the peer that this thread works for takes only P2WPKH.
    static PLAIN: Cell<bool> = const { Cell::new(false) };
    /// The script that the channel which this thread opens is to close to.
    static FIXED: RefCell<Option<ShutdownScript>> = const { RefCell::new(None) };
}

/// The connected peers that lack `option_shutdown_anysegwit`.
#[derive(Debug, Default)]
pub struct ShutdownScripts {
    plain: Mutex<HashSet<PublicKey>>,
}

impl ShutdownScripts {
    /// Learns the features of a peer that has connected.
    pub fn learn(&self, peer: PublicKey, features: &InitFeatures) {
        match features.supports_shutdown_anysegwit() {
            true => self.peers().remove(&peer),
            false => self.peers().insert(peer),
        };
    }

    /// Runs what may ask for a shutdown script on behalf of a peer.
    pub fn for_peer<T>(&self, peer: &PublicKey, work: impl FnOnce() -> T) -> T {
        let before = PLAIN.replace(self.peers().contains(peer));
        let done = work();
        PLAIN.set(before);
        done
    }

    /// [`ShutdownScripts::for_peer`] with the script that is to be given where there is one.
    pub fn for_peer_with<T>(
        &self,
        peer: &PublicKey,
        script: Option<ShutdownScript>,
        work: impl FnOnce() -> T,
    ) -> T {
        FIXED.set(script);
        let done = self.for_peer(peer, work);
        FIXED.set(None);
        done
    }

    /// Returns the script that is to be given now, if the operator has named one.
    pub fn fixed(&self) -> Option<ShutdownScript> {
        FIXED.with_borrow(Clone::clone)
    }

    /// Returns whether the script that is asked for now must be P2WPKH.
    pub fn is_plain(&self) -> bool {
        PLAIN.get()
    }

    fn peers(&self) -> MutexGuard<'_, HashSet<PublicKey>> {
        self.plain.lock().expect("no panic while held")
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;

    #[test]
    fn a_peer_without_the_feature_gets_a_plain_script() {
        let key = |byte| {
            let secret = SecretKey::from_slice(&[byte; 32]).expect("a key");
            secret.public_key(&Secp256k1::new())
        };
        let (old, new) = (key(1), key(2));
        let scripts = ShutdownScripts::default();
        let mut knows = InitFeatures::empty();
        knows.set_shutdown_any_segwit_optional();
        scripts.learn(old, &InitFeatures::empty());
        scripts.learn(new, &knows);
        let is_plain = || scripts.is_plain();
        assert!(scripts.for_peer(&old, is_plain));
        assert!(!scripts.for_peer(&new, is_plain));
        assert!(!is_plain());
        // The peer was updated, and says so when it connects again.
        scripts.learn(old, &knows);
        assert!(!scripts.for_peer(&old, is_plain));
    }
}
