//! Where a peer was reached, on disk.

use lightning::impl_writeable_tlv_based;

use crate::storage::{self, Table};

/// Peers to which we connected, by node id (33 bytes).
pub const PEERS: Table<PeerRecord> = Table::new("peers");
/// Addresses remembered of each peer.
const MOST_ADDRESSES: usize = 4;

/// A peer's addresses that have worked, the last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerRecord {
    /// Each as host:port.
    pub addresses: Vec<String>,
}

impl_writeable_tlv_based!(PeerRecord, { (0, addresses, required_vec) });
storage::record!(PeerRecord, kind = 50, version = 1);

impl PeerRecord {
    /// Puts an address that has just worked to the front.
    #[must_use]
    pub fn with(mut self, address: &str) -> Self {
        self.addresses.retain(|known| known != address);
        self.addresses.insert(0, address.to_owned());
        self.addresses.truncate(MOST_ADDRESSES);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Record as _;

    #[test]
    fn the_last_address_that_worked_comes_first() {
        let record = ["a:1", "b:1", "a:1", "c:1", "d:1", "e:1"]
            .into_iter()
            .fold(PeerRecord::default(), PeerRecord::with);
        assert_eq!(record.addresses, ["e:1", "d:1", "c:1", "a:1"]);
        assert_eq!(PeerRecord::decode(1, &record.encode()), Ok(record));
    }
}
