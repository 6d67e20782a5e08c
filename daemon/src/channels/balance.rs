//! What of a channel is ours and what is the peer's, to the millisatoshi.

use lightning::ln::channel_state::ChannelDetails;

/// Two anchor outputs of 330 satoshis, which the opener pays for (BOLT 3).
const ANCHORS_MSAT: u64 = 660_000;

/// A channel's money; the four add up to its capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Ours if it closed now, before fees.
    pub local_msat: u64,
    /// The peer's.
    pub remote_msat: u64,
    /// In HTLCs that we offered: the peer's once it shows the preimage, else ours again.
    pub in_flight_outbound_msat: u64,
    /// In HTLCs that the peer offered: ours once we show the preimage, else the peer's again.
    pub in_flight_inbound_msat: u64,
}

/// The numbers of `ChannelDetails` that the split follows from.
#[derive(Clone, Copy, Debug)]
struct BalanceFacts {
    capacity_msat: u64,
    outbound_capacity_msat: u64,
    inbound_capacity_msat: u64,
    local_reserve_msat: u64,
    remote_reserve_msat: u64,
    outbound: bool,
    anchors: bool,
    in_flight_outbound_msat: u64,
    in_flight_inbound_msat: u64,
}

/// Returns the parts that LDK does not show as such.
pub fn split(details: &ChannelDetails) -> Split {
    let inbound = details.pending_inbound_htlcs.iter().map(|htlc| htlc.amount_msat);
    let outbound = details.pending_outbound_htlcs.iter().map(|htlc| htlc.amount_msat);
    let channel_type = details.channel_type.as_ref();
    calculate(BalanceFacts {
        capacity_msat: details.channel_value_satoshis.saturating_mul(1_000),
        outbound_capacity_msat: details.outbound_capacity_msat,
        inbound_capacity_msat: details.inbound_capacity_msat,
        local_reserve_msat: details.unspendable_punishment_reserve.unwrap_or(0) * 1_000,
        remote_reserve_msat: details.counterparty.unspendable_punishment_reserve * 1_000,
        outbound: details.is_outbound,
        anchors: channel_type.is_some_and(|kind| kind.supports_anchors_zero_fee_htlc_tx()),
        in_flight_outbound_msat: outbound.sum(),
        in_flight_inbound_msat: inbound.sum(),
    })
}

/// A capacity is a balance less the reserve and, for the opener, less the anchors, but never below 0.
/// So the side that has a capacity tells its balance, and what is left is the other's.
fn calculate(facts: BalanceFacts) -> Split {
    let anchors = |pays: bool| if pays && facts.anchors { ANCHORS_MSAT } else { 0 };
    let (in_flight_outbound_msat, in_flight_inbound_msat) =
        (facts.in_flight_outbound_msat, facts.in_flight_inbound_msat);
    let in_flight_msat = in_flight_outbound_msat.saturating_add(in_flight_inbound_msat);
    let settled_msat = facts.capacity_msat.saturating_sub(in_flight_msat);
    let of = |local_msat: u64| Split {
        local_msat,
        remote_msat: settled_msat - local_msat,
        in_flight_outbound_msat,
        in_flight_inbound_msat,
    };
    if facts.outbound_capacity_msat > 0 {
        let withheld_msat = facts.local_reserve_msat + anchors(facts.outbound);
        let local_msat = (facts.outbound_capacity_msat + withheld_msat).min(settled_msat);
        return of(local_msat);
    }
    let withheld_msat = facts.remote_reserve_msat + anchors(!facts.outbound);
    let remote_msat = (facts.inbound_capacity_msat + withheld_msat).min(settled_msat);
    of(settled_msat - remote_msat)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000,000 sat with 1 % reserve on each side, opened by us.
    const OURS: BalanceFacts = BalanceFacts {
        capacity_msat: 1_000_000_000,
        outbound_capacity_msat: 0,
        inbound_capacity_msat: 0,
        local_reserve_msat: 10_000_000,
        remote_reserve_msat: 10_000_000,
        outbound: true,
        anchors: true,
        in_flight_outbound_msat: 0,
        in_flight_inbound_msat: 0,
    };

    fn of(facts: BalanceFacts) -> (u64, u64) {
        let split = calculate(facts);
        (split.local_msat, split.remote_msat)
    }

    #[test]
    fn all_is_ours_after_we_opened() {
        let facts = BalanceFacts { outbound_capacity_msat: 989_340_000, ..OURS };
        assert_eq!(of(facts), (1_000_000_000, 0));
    }

    #[test]
    fn nothing_is_ours_after_the_peer_opened() {
        let facts = BalanceFacts { outbound: false, inbound_capacity_msat: 989_340_000, ..OURS };
        assert_eq!(of(facts), (0, 1_000_000_000));
    }

    #[test]
    fn odd_amounts_and_what_is_in_flight_are_exact() {
        let facts = BalanceFacts {
            outbound_capacity_msat: 489_340_000 - 1_001,
            inbound_capacity_msat: 490_000_000 - 3,
            in_flight_outbound_msat: 1_000,
            in_flight_inbound_msat: 4,
            ..OURS
        };
        assert_eq!(of(facts), (499_998_999, 499_999_997));
    }

    #[test]
    fn a_balance_below_the_reserve_follows_from_the_other_side() {
        let facts = BalanceFacts { inbound_capacity_msat: 984_999_993, ..OURS };
        assert_eq!(of(facts), (5_000_007, 994_999_993));
    }

    #[test]
    fn the_parts_add_up_to_the_capacity() {
        let facts = BalanceFacts {
            outbound_capacity_msat: 480_000_000,
            in_flight_outbound_msat: 5_000_000,
            in_flight_inbound_msat: 7_000_000,
            ..OURS
        };
        let Split { local_msat, remote_msat, in_flight_outbound_msat, in_flight_inbound_msat } =
            calculate(facts);
        assert_eq!((in_flight_outbound_msat, in_flight_inbound_msat), (5_000_000, 7_000_000));
        let parts = [local_msat, remote_msat, in_flight_outbound_msat, in_flight_inbound_msat];
        assert_eq!(parts.iter().sum::<u64>(), OURS.capacity_msat);
    }
}
