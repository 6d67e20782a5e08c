//! A peer's proof that the node's state is older than what the node has signed, and what becomes of a node that has one.
//!
//! In `channel_reestablish` (BOLT 2) a peer names the last secret that it was given. One that our state has not given
//! away yet can only come from a newer state: ours is a copy from before it. Whatever of it is published, the peer may
//! punish. LDK panics then; here the proof is stored, and nothing of the node acts any more, now or after a restart.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bitcoin::secp256k1::PublicKey;
use lightning::impl_writeable_tlv_based;
use lightning::ln::types::ChannelId;
use lightning::util::ser::Readable;

use super::ldk::slots::{Error, STALE_PROOF};
use crate::storage::{Commit, KvStore};
use crate::tasks::panic_text;

/// How LDK's panic begins.
const LDKS_WORDS: &str = "We have fallen behind";

/// Who proved it, and by which channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleProof {
    /// The peer.
    pub peer: PublicKey,
    /// The channel.
    pub channel_id: ChannelId,
    /// When, in Unix seconds.
    pub unix_secs: u64,
}

impl_writeable_tlv_based!(StaleProof, {
    (0, peer, required),
    (2, channel_id, required),
    (4, unix_secs, required),
});

/// Called when a peer has proved that the state is stale; what it does not stop at once may lose money.
pub type OnStale = Arc<dyn Fn(StaleProof) + Send + Sync>;

impl StaleProof {
    /// Returns whether this is the panic by which LDK refuses to go on with a stale state.
    pub fn is_told_by(panic: &(dyn Any + Send)) -> bool {
        is_ldks_words(&panic_text(panic))
    }

    /// Stores the proof.
    pub fn store(&self, kv: &KvStore) -> Commit {
        STALE_PROOF.write(kv, self)
    }

    /// Reads the proof that the store holds.
    ///
    /// # Errors
    /// When it cannot be read: then it is not known whether the state is stale.
    pub fn stored(kv: &KvStore) -> Result<Option<Self>, Error> {
        let Some(bytes) = STALE_PROOF.read(kv)? else { return Ok(None) };
        Self::read(&mut &bytes[..]).map(Some).map_err(|error| STALE_PROOF.undecodable(error))
    }
}

impl fmt::Display for StaleProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, channel_id, .. } = self;
        write!(
            formatter,
            "peer {peer} has proved, in channel {channel_id}, that this store is an older copy"
        )
    }
}

/// Returns whether a panic's text is LDK's about a stale state.
pub fn is_ldks_words(text: &str) -> bool {
    text.starts_with(LDKS_WORDS)
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;
    use crate::storage::Store;

    #[test]
    fn a_proof_is_read_back_as_it_was_stored() {
        let kv = KvStore::new(Store::temporary());
        assert_eq!(StaleProof::stored(&kv).expect("readable"), None);
        let key = SecretKey::from_slice(&[7; 32]).expect("a key");
        let proof = StaleProof {
            peer: key.public_key(&Secp256k1::new()),
            channel_id: ChannelId([9; 32]),
            unix_secs: 1_700_000_000,
        };
        proof.store(&kv).wait().expect("durable");
        assert_eq!(StaleProof::stored(&kv).expect("readable"), Some(proof));
    }

    #[test]
    fn only_ldks_own_panic_is_a_proof() {
        let ldk = "We have fallen behind - we have received proof that if we broadcast";
        assert!(StaleProof::is_told_by(&ldk));
        assert!(StaleProof::is_told_by(&ldk.to_owned()));
        assert!(!StaleProof::is_told_by(&"called `Result::unwrap()` on an `Err` value"));
    }
}
