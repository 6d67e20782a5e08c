//! What is kept of each macaroon that was baked, and where; never the macaroon itself.

use lightning::impl_writeable_tlv_based;

use super::identifier::MacaroonId;
use crate::storage::{History, record};

/// The macaroons by id, newest first.
pub const MACAROONS: History<MacaroonRecord> = History::new("macaroons");

/// A macaroon that was baked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacaroonRecord {
    /// Its id, which all that were attenuated from it share.
    pub id: MacaroonId,
    /// The operator's own word for it.
    pub name: String,
    /// The number of the root key that signed it.
    pub root_key: u32,
    /// Its conditions; those that a bearer has added are not known here.
    pub caveats: Vec<String>,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970; none while it is accepted.
    pub revoked_at: Option<u64>,
}

impl_writeable_tlv_based!(MacaroonRecord, {
    (0, id, required),
    (2, name, required),
    (4, root_key, required),
    (6, caveats, required_vec),
    (8, created_at, required),
    (9, revoked_at, option),
});
record!(MacaroonRecord, kind = 90, version = 1);

#[cfg(test)]
mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;
    use crate::storage::Record;

    /// What the first version writes; never to be edited.
    const VERSION_1: &str = "5a0010070707070707070707070707070707070206000473686f70040400000001062400167065726d69737369\
        6f6e203d20696e666f3a72656164000a6265666f7265203d20350808000000000000000309080000000000000004";

    #[test]
    fn what_was_stored_stays_readable() {
        let record = MacaroonRecord {
            id: MacaroonId([7; 16]),
            name: "shop".to_owned(),
            root_key: 1,
            caveats: vec!["permission = info:read".to_owned(), "before = 5".to_owned()],
            created_at: 3,
            revoked_at: Some(4),
        };
        assert_eq!(Record::encode(&record).to_lower_hex_string(), VERSION_1);
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(MacaroonRecord::decode(1, &stored), Ok(record));
    }
}
