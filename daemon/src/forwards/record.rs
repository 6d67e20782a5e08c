//! What is kept of forwards: each settled one, and the totals.

use bitcoin::secp256k1::PublicKey;
use lightning::impl_writeable_tlv_based;

use crate::listing::{Ask, ChannelNames, Listed};
use crate::storage::{History, Table, record};

/// Settled forwards, newest first.
pub(super) const FORWARDS: History<ForwardRecord> = History::new("forwards");
/// What all forwards come to, under one key.
pub(super) const TOTALS: Table<Totals> = Table::new("forward_totals");
/// What the forwards of each channel come to.
pub(super) const BY_CHANNEL: Table<ChannelTotals> = Table::new("forward_totals_by_channel");
/// From which forward on LDK may tell again, under one key.
pub(super) const FLOOR: Table<Floor> = Table::new("forward_floor");

/// The key of a table with one record.
pub(super) const ONLY: &[u8] = b"all";

/// What LDK's event says about a settled forward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The channel it came by.
    pub inbound_channel_id: Option<[u8; 32]>,
    /// The channel it left by.
    pub outbound_channel_id: Option<[u8; 32]>,
    /// Who sent it to us.
    pub inbound_node_id: Option<PublicKey>,
    /// Whom we sent it to.
    pub outbound_node_id: Option<PublicKey>,
    /// What left; not known where the inbound channel went on chain.
    pub outbound_msat: Option<u64>,
    /// What stayed; not known where the inbound channel went on chain.
    pub fee_msat: Option<u64>,
    /// The outgoing HTLC was claimed on chain.
    pub claimed_onchain: bool,
}
impl_writeable_tlv_based!(Settled, {
    (1, inbound_channel_id, option),
    (3, outbound_channel_id, option),
    (5, inbound_node_id, option),
    (7, outbound_node_id, option),
    (9, outbound_msat, option),
    (11, fee_msat, option),
    (12, claimed_onchain, required),
});

impl Settled {
    /// What came, as far as it is known.
    pub fn inbound_msat(&self) -> u64 {
        self.outbound_msat.unwrap_or(0).saturating_add(self.fee_msat.unwrap_or(0))
    }
}

/// All that is kept of a settled forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardRecord {
    /// Its number, which grows.
    pub id: u64,
    /// Seconds since 1970.
    pub settled_at: u64,
    /// From LDK's event.
    pub settled: Settled,
}
impl_writeable_tlv_based!(ForwardRecord, {
    (0, id, required),
    (2, settled_at, required),
    (4, settled, required),
});
record!(ForwardRecord, kind = 60, version = 1);

impl Listed for ForwardRecord {
    const ASKS: &'static [Ask] = &[Ask::Time, Ask::Amount, Ask::Node, Ask::Channel];

    fn at(&self) -> u64 {
        self.settled_at
    }

    fn amount_msat(&self) -> u64 {
        self.settled.outbound_msat.unwrap_or(0)
    }

    fn is_of_node(&self, node_id: &PublicKey) -> bool {
        let Settled { inbound_node_id, outbound_node_id, .. } = &self.settled;
        [inbound_node_id, outbound_node_id].into_iter().flatten().any(|it| it == node_id)
    }

    fn is_of_channel(&self, channel: &ChannelNames) -> bool {
        let Settled { inbound_channel_id, outbound_channel_id, .. } = &self.settled;
        let mut ids = [inbound_channel_id, outbound_channel_id].into_iter().flatten();
        ids.any(|id| *id == channel.channel_id)
    }
}

/// What all forwards come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Settled forwards.
    pub count: u64,
    /// What came.
    pub inbound_msat: u64,
    /// What left.
    pub outbound_msat: u64,
    /// What stayed.
    pub fee_msat: u64,
    /// Forwards that did not go through.
    pub failed_count: u64,
}
impl_writeable_tlv_based!(Totals, {
    (0, count, required),
    (2, inbound_msat, required),
    (4, outbound_msat, required),
    (6, fee_msat, required),
    (8, failed_count, required),
});
record!(Totals, kind = 61, version = 1);

/// What the forwards of one channel come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelTotals {
    /// Forwards that came by it.
    pub inbound_count: u64,
    /// What came by it.
    pub inbound_msat: u64,
    /// Forwards that left by it.
    pub outbound_count: u64,
    /// What left by it.
    pub outbound_msat: u64,
    /// What was earned by forwards that left by it.
    pub fee_msat: u64,
}
impl_writeable_tlv_based!(ChannelTotals, {
    (0, inbound_count, required),
    (2, inbound_msat, required),
    (4, outbound_count, required),
    (6, outbound_msat, required),
    (8, fee_msat, required),
});
record!(ChannelTotals, kind = 62, version = 1);

/// From which forward on LDK may tell again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// LDK has forgotten all forwards with a smaller number.
    pub first_remembered: u64,
}
impl_writeable_tlv_based!(Floor, { (0, first_remembered, required) });
record!(Floor, kind = 63, version = 1);

impl Totals {
    /// With one more settled forward.
    pub fn with(self, settled: &Settled) -> Self {
        Self {
            count: self.count.saturating_add(1),
            inbound_msat: self.inbound_msat.saturating_add(settled.inbound_msat()),
            outbound_msat: self.outbound_msat.saturating_add(settled.outbound_msat.unwrap_or(0)),
            fee_msat: self.fee_msat.saturating_add(settled.fee_msat.unwrap_or(0)),
            ..self
        }
    }
}

impl ChannelTotals {
    /// With one more forward that came by the channel.
    pub fn with_inbound(self, settled: &Settled) -> Self {
        Self {
            inbound_count: self.inbound_count.saturating_add(1),
            inbound_msat: self.inbound_msat.saturating_add(settled.inbound_msat()),
            ..self
        }
    }

    /// With one more forward that left by the channel.
    pub fn with_outbound(self, settled: &Settled) -> Self {
        Self {
            outbound_count: self.outbound_count.saturating_add(1),
            outbound_msat: self.outbound_msat.saturating_add(settled.outbound_msat.unwrap_or(0)),
            fee_msat: self.fee_msat.saturating_add(settled.fee_msat.unwrap_or(0)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;
    use crate::storage::Record;

    /// What release 0.1 writes; never to be edited, only joined by what later versions write.
    const VERSION_1: &str = "720008000000000000000102080000000000000002045c5b0120030303030303030303030303030303030303\
        0303030303030303030303030303032004040404040404040404040404040404040404040404040404040404\
        04040404090800000000000000050b0800000000000000060c0101";

    #[test]
    fn what_was_stored_stays_readable() {
        let whole = ForwardRecord {
            id: 1,
            settled_at: 2,
            settled: Settled {
                inbound_channel_id: Some([3; 32]),
                outbound_channel_id: Some([4; 32]),
                inbound_node_id: None,
                outbound_node_id: None,
                outbound_msat: Some(5),
                fee_msat: Some(6),
                claimed_onchain: true,
            },
        };
        assert_eq!(Record::encode(&whole).to_lower_hex_string(), VERSION_1);
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(ForwardRecord::decode(1, &stored), Ok(whole));
    }
}
