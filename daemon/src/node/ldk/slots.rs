//! LDK's values under their fixed names in the store.

use lightning::io::ErrorKind;
use lightning::util::persist::{
    CHANNEL_MANAGER_PERSISTENCE_KEY, CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
    CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE,
};
use lightning::util::persist::{
    KVStoreSync, NETWORK_GRAPH_PERSISTENCE_KEY, NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE,
    NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE, OUTPUT_SWEEPER_PERSISTENCE_KEY,
    OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE, OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
    SCORER_PERSISTENCE_KEY, SCORER_PERSISTENCE_PRIMARY_NAMESPACE,
    SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
};
use lightning::util::ser::Writeable;

use crate::storage::{Commit, KvStore, KvWrite};

/// Why the node's state could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not answer.
    #[error("could not read {what} from the store: {source}")]
    Read {
        /// Which part of the state.
        what: &'static str,
        /// The store's error.
        source: lightning::io::Error,
    },
    /// The bytes are not what this version writes.
    #[error(
        "{what} in the store cannot be decoded: {reason}; restore a copy of the data directory, and never start from an older one"
    )]
    Decode {
        /// Which part of the state.
        what: &'static str,
        /// LDK's error.
        reason: String,
    },
}

/// One of LDK's values under its fixed name in the store.
#[derive(Clone, Copy)]
pub struct Slot {
    what: &'static str,
    primary: &'static str,
    secondary: &'static str,
    key: &'static str,
}

/// The channel manager.
pub const MANAGER: Slot = Slot {
    what: "the channel manager",
    primary: CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
    secondary: CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE,
    key: CHANNEL_MANAGER_PERSISTENCE_KEY,
};
/// What the channel manager is besides the one in [`MANAGER`]; absent if it is that one.
pub const MANAGER_DIFFERENCE: Slot = Slot {
    what: "the channel manager's difference",
    primary: "",
    secondary: "",
    key: "manager_difference",
};
/// The network graph.
pub const GRAPH: Slot = Slot {
    what: "the network graph",
    primary: NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE,
    secondary: NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE,
    key: NETWORK_GRAPH_PERSISTENCE_KEY,
};
/// LDK's scorer.
pub const SCORER: Slot = Slot {
    what: "the scorer",
    primary: SCORER_PERSISTENCE_PRIMARY_NAMESPACE,
    secondary: SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
    key: SCORER_PERSISTENCE_KEY,
};
/// Our beliefs about the liquidity of other nodes' channels.
pub const BELIEFS: Slot = Slot {
    what: "the beliefs about liquidity",
    primary: "",
    secondary: "",
    key: "liquidity_beliefs",
};
/// A peer's proof that this store is an older copy.
pub const STALE_PROOF: Slot =
    Slot { what: "the proof of a stale state", primary: "", secondary: "", key: "stale_proof" };
/// Present while the peers are to close channels of which only older states are known.
pub const RECOVERY: Slot =
    Slot { what: "the mark of a recovery", primary: "", secondary: "", key: "recovery" };
/// Transactions that bitcoind had perhaps not accepted at the last checkpoint.
pub const BROADCASTS: Slot = Slot {
    what: "the transactions to be broadcast",
    primary: "",
    secondary: "",
    key: "broadcasts",
};
/// The sweeper of closed channels' outputs.
pub const SWEEPER: Slot = Slot {
    what: "the sweeper",
    primary: OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
    secondary: OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
    key: OUTPUT_SWEEPER_PERSISTENCE_KEY,
};

impl Slot {
    /// Enqueues a new value; it becomes durable after everything enqueued before it.
    pub fn write(self, store: &KvStore, value: &impl Writeable) -> Commit {
        store.commit_all([self.holding(value.encode())])
    }

    /// Returns the write of an encoded value, for a batch of several writes.
    pub fn holding(self, value: Vec<u8>) -> KvWrite {
        self.write_of(Some(value))
    }

    /// Returns the write that removes the value, for a batch of several writes.
    pub fn removed(self) -> KvWrite {
        self.write_of(None)
    }

    fn write_of(self, value: Option<Vec<u8>>) -> KvWrite {
        KvWrite {
            primary: self.primary.to_owned(),
            secondary: self.secondary.to_owned(),
            key: self.key.to_owned(),
            value,
        }
    }

    /// Reads the value; none if it was never written.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn read(self, store: &KvStore) -> Result<Option<Vec<u8>>, Error> {
        match KVStoreSync::read(store, self.primary, self.secondary, self.key) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { what: self.what, source }),
        }
    }

    /// Returns the error for bytes that LDK refuses to decode.
    pub fn undecodable(self, reason: impl std::fmt::Debug) -> Error {
        Error::Decode { what: self.what, reason: format!("{reason:?}") }
    }
}
