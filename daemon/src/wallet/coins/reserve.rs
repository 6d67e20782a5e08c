//! The anchor reserve: how much on-chain money is kept for bumping commitments and HTLC claims, and in which coins.
//!
//! A commitment with anchors, and each HTLC claim of it, pays its fee from the wallet (BOLT 3, "Fee calculation"). A
//! coin that is unconfirmed when a deadline nears may be stuck itself, so the reserve of channels that can close now
//! stays confirmed; that of channels whose funding is on its way may be the change of the funding.

use std::collections::HashSet;

use bitcoin::{FeeRate, OutPoint};
use lightning::util::anchor_channel_reserves::{
    AnchorChannelReserveContext, get_reserve_per_channel,
};

/// Kept for each anchor channel at least, in satoshis: a commitment and its anchor's spend at 50 sat/vB.
pub const PER_CHANNEL_SAT: u64 = 25_000;

/// What must stay in the wallet, in satoshis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnchorReserve {
    /// For channels that can close now: in confirmed coins.
    pub confirmed_sat: u64,
    /// For all channels, those with an unconfirmed funding included: confirmed, or our own change.
    pub total_sat: u64,
}

/// A channel that may need a transaction bumped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtStake {
    /// The channel's capacity, in satoshis: more is never spent to defend it.
    pub capacity_sat: u64,
    /// The amounts of the HTLCs in flight, both ways, in satoshis.
    pub htlcs_sat: Vec<u64>,
    /// Whether its funding is in a block, so that it can close.
    pub confirmed: bool,
}

/// The reserve for these channels, sufficient at feerates up to `feerate`.
///
/// LDK's `anchor_channel_reserves` computes the parts. An HTLC counts for at most what it is worth, a channel for at
/// most its capacity; the node's sum has no cap, since all channels can close in the same hour.
pub fn needed(channels: impl IntoIterator<Item = AtStake>, feerate: FeeRate) -> AnchorReserve {
    let (base_sat, htlc_sat) = (base_sat(feerate), htlc_sat(feerate));
    let mut reserve = AnchorReserve::default();
    for channel in channels {
        let htlcs_sat: u64 = channel.htlcs_sat.iter().map(|sat| htlc_sat.min(*sat)).sum();
        let sat = base_sat.saturating_add(htlcs_sat).min(channel.capacity_sat);
        reserve.total_sat = reserve.total_sat.saturating_add(sat);
        if channel.confirmed {
            reserve.confirmed_sat = reserve.confirmed_sat.saturating_add(sat);
        }
    }
    reserve
}

impl AnchorReserve {
    /// The reserve with one channel more, whose funding is unconfirmed.
    pub fn with_another(self, feerate: FeeRate) -> Self {
        Self { total_sat: self.total_sat.saturating_add(base_sat(feerate)), ..self }
    }
}

/// Returns what may be spent of `available_sat` when `reserve_sat` must stay.
pub fn above_reserve_sat(available_sat: u64, reserve_sat: u64) -> u64 {
    available_sat.saturating_sub(reserve_sat)
}

/// Which of these coins stay so that `need_sat` are left, with as little more as possible; all, if they are too few.
pub(in crate::wallet) fn keep(coins: &[(OutPoint, u64)], need_sat: u64) -> HashSet<OutPoint> {
    if need_sat == 0 {
        return HashSet::new();
    }
    let mut ascending = coins.to_vec();
    ascending.sort_by_key(|(outpoint, sat)| (*sat, *outpoint));
    let single = ascending.iter().find(|(_, sat)| *sat >= need_sat).copied();
    let mut several = Vec::new();
    let mut sum_sat = 0u64;
    for coin in ascending {
        if sum_sat >= need_sat {
            break;
        }
        sum_sat = sum_sat.saturating_add(coin.1);
        several.push(coin);
    }
    several.retain(|(_, sat)| {
        let spare = sum_sat.saturating_sub(*sat) >= need_sat;
        if spare {
            sum_sat -= sat;
        }
        !spare
    });
    match single {
        Some((outpoint, sat)) if sat < sum_sat => HashSet::from([outpoint]),
        Some(_) | None => several.into_iter().map(|(outpoint, _)| outpoint).collect(),
    }
}

/// For a channel without HTLCs.
fn base_sat(feerate: FeeRate) -> u64 {
    ldk_sat(feerate, 0).max(PER_CHANNEL_SAT)
}

/// For one HTLC: LDK counts an incoming and an outgoing one together.
fn htlc_sat(feerate: FeeRate) -> u64 {
    ldk_sat(feerate, 1).saturating_sub(ldk_sat(feerate, 0)).div_ceil(2)
}

fn ldk_sat(feerate: FeeRate, expected_accepted_htlcs: u16) -> u64 {
    get_reserve_per_channel(&AnchorChannelReserveContext {
        upper_bound_fee_rate: feerate,
        expected_accepted_htlcs,
        taproot_wallet: true,
    })
    .to_sat()
}

#[cfg(test)]
mod tests {
    use bitcoin::Txid;
    use bitcoin::hashes::Hash as _;

    use super::*;

    const RATE: FeeRate = FeeRate::from_sat_per_kwu(50 * 250);

    fn channel(capacity_sat: u64, htlcs_sat: &[u64], confirmed: bool) -> AtStake {
        AtStake { capacity_sat, htlcs_sat: htlcs_sat.to_vec(), confirmed }
    }

    #[test]
    fn the_reserve_grows_with_channels_htlcs_and_feerates_and_not_beyond_the_stake() {
        let idle = || channel(10_000_000, &[], true);
        for (channels, feerate, confirmed_sat, total_sat) in [
            (vec![], RATE, 0, 0),
            (vec![idle()], RATE, 25_000, 25_000),
            (vec![idle(); 100], RATE, 2_500_000, 2_500_000),
            (vec![idle(), channel(10_000_000, &[], false)], RATE, 25_000, 50_000),
            // A claim costs 15,750 sat at 50 sat/vB; an HTLC of 1,000 sat is not worth more than that.
            (vec![channel(10_000_000, &[1_000_000, 1_000], true)], RATE, 41_750, 41_750),
            (vec![channel(20_000, &[9_000_000], true)], RATE, 20_000, 20_000),
            (vec![idle()], FeeRate::from_sat_per_kwu(500 * 250), 230_875, 230_875),
        ] {
            let reserve = needed(channels.clone(), feerate);
            assert_eq!(reserve, AnchorReserve { confirmed_sat, total_sat }, "{channels:?}");
        }
        let another = AnchorReserve { confirmed_sat: 1, total_sat: 2 }.with_another(RATE);
        assert_eq!(another, AnchorReserve { confirmed_sat: 1, total_sat: 25_002 });
        assert_eq!(above_reserve_sat(10_000, 25_000), 0);
        assert_eq!(above_reserve_sat(30_000, 25_000), 5_000);
    }

    #[test]
    fn as_little_as_possible_is_kept() {
        for (coins, need_sat, kept_sat) in [
            (&[][..], 10, 0),
            (&[100], 0, 0),
            (&[100], 10, 100),
            (&[100, 30], 10, 30),
            (&[5, 5, 100], 10, 10),
            (&[1, 5, 6, 100], 10, 11),
            (&[9, 8, 12], 10, 12),
            (&[3, 4], 10, 7),
        ] {
            let outpoint = |number: usize| OutPoint::new(Txid::all_zeros(), number as u32);
            let named: Vec<_> =
                coins.iter().enumerate().map(|(number, sat)| (outpoint(number), *sat)).collect();
            let kept = keep(&named, need_sat);
            let sum: u64 = named.iter().filter(|(o, _)| kept.contains(o)).map(|(_, s)| s).sum();
            assert_eq!(sum, kept_sat, "{coins:?}, {need_sat}");
        }
    }
}
