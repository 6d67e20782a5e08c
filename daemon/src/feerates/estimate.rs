//! From what the mempool and the estimator say to a feerate for each of LDK's purposes.
//!
//! All feerates are in sat per 1000 weight units (253 of them are 1 sat per vbyte, rounded up).

use lightning::chain::chaininterface::{ConfirmationTarget, FEERATE_FLOOR_SATS_PER_KW};

use super::Config;

/// What the chain source said, once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RawEstimates {
    /// To confirm within 2 blocks, conservatively.
    pub(super) two_blocks: Option<u32>,
    /// Within 6 blocks.
    pub(super) six_blocks: Option<u32>,
    /// Within 12 blocks.
    pub(super) twelve_blocks: Option<u32>,
    /// Within 144 blocks.
    pub(super) day: Option<u32>,
    /// The lowest feerate that enters the mempool.
    pub(super) mempool_minimum: u32,
}

/// Feerates for every horizon, with no gaps, none below the floor, no faster one below a slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimates {
    /// To confirm within 2 blocks.
    pub(super) two_blocks: u32,
    /// Within 6 blocks.
    pub(super) six_blocks: u32,
    /// Within 12 blocks.
    pub(super) twelve_blocks: u32,
    /// Within 144 blocks.
    pub(super) day: u32,
    /// For claims that somebody else takes after some tens of blocks.
    pub(super) urgent: u32,
    /// The lowest feerate that is used: the mempool's minimum with a margin.
    pub(super) mempool_minimum: u32,
    /// The same of the recent past: follows a rise at once and a fall slowly.
    pub(super) smooth_minimum: u32,
    /// `six_blocks` of the recent past, in the same way.
    pub(super) smooth_six_blocks: u32,
    /// Whether the estimator said nothing, so that these are the configured fallbacks.
    pub(super) fallback: bool,
}

/// A fall is followed by this part at each refresh: half of it in ten refreshes.
const SMOOTHING: u32 = 16;

/// What a peer's estimator may lose by rounding: 1 sat/vB.
const ROUNDING: u32 = 250;

/// Turns answers into estimates; `before` are the last ones.
pub(super) fn estimate(
    config: &Config,
    answers: RawEstimates,
    before: Option<&Estimates>,
) -> Estimates {
    let minimum = above_floor(answers.mempool_minimum);
    let fallback = |sat_per_vb: u32| sat_per_kw(sat_per_vb);
    let known = [answers.two_blocks, answers.six_blocks, answers.twelve_blocks, answers.day];
    // A gap is filled with its fallback, but not above what is known to confirm sooner.
    let two_blocks = answers.two_blocks.unwrap_or(fallback(config.fallback_2_sat_per_vb));
    let cap = |fallback: u32, sooner: Option<u32>| sooner.map_or(fallback, |s| s.min(fallback));
    let six_blocks = answers.six_blocks;
    let six_blocks = six_blocks
        .unwrap_or_else(|| cap(fallback(config.fallback_6_sat_per_vb), answers.two_blocks));
    let sooner = answers.six_blocks.or(answers.two_blocks);
    let twelve_blocks = answers
        .twelve_blocks
        .unwrap_or_else(|| cap(fallback(config.fallback_12_sat_per_vb), sooner));
    let sooner = answers.twelve_blocks.or(sooner);
    let day = answers.day.unwrap_or_else(|| cap(fallback(config.fallback_144_sat_per_vb), sooner));

    let day = day.max(minimum);
    let twelve_blocks = twelve_blocks.max(day);
    let six_blocks = six_blocks.max(twelve_blocks);
    let two_blocks = two_blocks.max(six_blocks);
    let fixed = config.fixed_sat_per_vb.map(|rate| sat_per_kw(rate).max(minimum));
    Estimates {
        two_blocks: fixed.unwrap_or(two_blocks),
        six_blocks: fixed.unwrap_or(six_blocks),
        twelve_blocks: fixed.unwrap_or(twelve_blocks),
        day: fixed.unwrap_or(day),
        mempool_minimum: minimum,
        urgent: fixed.unwrap_or(match (answers.six_blocks, answers.two_blocks) {
            (None, None) => six_blocks.max(sat_per_kw(config.fallback_urgent_sat_per_vb)),
            (Some(_), _) | (_, Some(_)) => six_blocks,
        }),
        smooth_minimum: smooth(before.map(|before| before.smooth_minimum), minimum),
        smooth_six_blocks: smooth(
            before.map(|before| before.smooth_six_blocks),
            fixed.unwrap_or(six_blocks),
        ),
        fallback: fixed.is_none() && known.iter().all(Option::is_none),
    }
}

/// The mempool's minimum with what rounding may lose: fees are computed by weight, and the mempool divides them by
/// whole virtual bytes. One virtual byte of the smallest claim, 110, is a hundredth; a package has several.
fn above_floor(mempool_minimum: u32) -> u32 {
    match mempool_minimum {
        // LDK's floor has its margin.
        0..=250 => FEERATE_FLOOR_SATS_PER_KW,
        minimum => minimum.saturating_add(minimum.div_ceil(50)),
    }
}

/// Follows a rise at once and a fall slowly.
///
/// For feerates of commitment transactions: one that is too low cannot enter the mempool on the
/// day it is needed, and each change costs a round trip with the peer, which a feerate that
/// jumps up and down with every block would cause all day.
fn smooth(before: Option<u32>, now: u32) -> u32 {
    match before {
        Some(before) if before > now => before - (before - now).div_ceil(SMOOTHING),
        _ => now,
    }
}

impl Estimates {
    /// Returns the feerate for one of LDK's purposes.
    pub(super) fn for_target(&self, config: &Config, target: ConfirmationTarget) -> u32 {
        let sat_per_kw = match target {
            // Only judges others: far above anything that an honest estimator may say.
            ConfirmationTarget::MaximumFeeEstimate => {
                self.two_blocks.saturating_mul(2).saturating_add(sat_per_kw(10))
            }
            // Somebody may take this money after some tens of blocks.
            ConfirmationTarget::UrgentOnChainSweep => self.urgent,
            // A child pays for such a commitment, in a package. Refusing a peer's feerate
            // closes the channel, so nothing above the floor is asked for.
            ConfirmationTarget::MinAllowedAnchorChannelRemoteFee => FEERATE_FLOOR_SATS_PER_KW,
            // Nothing pays for it later; but estimators differ by their rounding to 1 sat/vB.
            ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee => {
                self.day.min(self.smooth_six_blocks).saturating_sub(ROUNDING)
            }
            // Must enter the mempool on an unknown day; a child then pays for its haste.
            ConfirmationTarget::AnchorChannelFee => self.smooth_minimum.saturating_mul(3) / 2,
            ConfirmationTarget::NonAnchorChannelFee => self.smooth_six_blocks,
            // The least that is accepted in a close by agreement: what the mempool takes. More would keep channels
            // open that the peer pays to close. LDK's weight is a byte or two off, so a fiftieth is added.
            ConfirmationTarget::ChannelCloseMinimum => {
                self.mempool_minimum.saturating_add(self.mempool_minimum / 50)
            }
            ConfirmationTarget::OutputSpendingFee => {
                let most = sat_per_kw(config.max_sweep_sat_per_vb).max(self.mempool_minimum);
                self.twelve_blocks.min(most)
            }
        };
        sat_per_kw.max(FEERATE_FLOOR_SATS_PER_KW)
    }

    /// Returns the feerate for a transaction that shall confirm within `blocks`: that of the
    /// longest known horizon which is not longer.
    pub(super) fn for_blocks(&self, blocks: u16) -> u32 {
        match blocks {
            0..6 => self.two_blocks,
            6..12 => self.six_blocks,
            12..144 => self.twelve_blocks,
            144.. => self.day,
        }
    }
}

/// Converts from sat per vbyte; 1 sat per vbyte is LDK's floor, which survives rounding.
pub(super) fn sat_per_kw(sat_per_vb: u32) -> u32 {
    match sat_per_vb {
        1 => FEERATE_FLOOR_SATS_PER_KW,
        more => more.saturating_mul(250),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: [ConfirmationTarget; 8] = [
        ConfirmationTarget::MaximumFeeEstimate,
        ConfirmationTarget::UrgentOnChainSweep,
        ConfirmationTarget::MinAllowedAnchorChannelRemoteFee,
        ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee,
        ConfirmationTarget::AnchorChannelFee,
        ConfirmationTarget::NonAnchorChannelFee,
        ConfirmationTarget::ChannelCloseMinimum,
        ConfirmationTarget::OutputSpendingFee,
    ];

    fn answers(horizons: [Option<u32>; 4], mempool_minimum: u32) -> RawEstimates {
        let [two_blocks, six_blocks, twelve_blocks, day] = horizons;
        RawEstimates { two_blocks, six_blocks, twelve_blocks, day, mempool_minimum }
    }

    fn all(horizons: [u32; 4], mempool_minimum: u32) -> RawEstimates {
        answers(horizons.map(Some), mempool_minimum)
    }

    fn rates(config: &Config, answers: RawEstimates) -> [u32; 8] {
        let estimates = estimate(config, answers, None);
        TARGETS.map(|target| estimates.for_target(config, target))
    }

    #[test]
    fn each_purpose_has_its_feerate() {
        let config = Config::default();
        // In the order of TARGETS.
        for (answers, expected) in [
            // A usual day: 40, 20, 12, 4 sat/vB over an empty mempool.
            (
                all([10_000, 5_000, 3_000, 1_000], 250),
                [22_500, 5_000, 253, 750, 379, 5_000, 258, 3_000],
            ),
            // A full mempool lifts what the estimator has forgotten.
            (
                all([10_000, 5_000, 3_000, 1_000], 4_000),
                [22_500, 5_000, 253, 3_830, 6_120, 5_000, 4_161, 4_080],
            ),
            // A storm: what is not urgent is capped at 200 sat/vB.
            (
                all([400_000, 300_000, 200_000, 100_000], 2_500),
                [802_500, 300_000, 253, 99_750, 3_825, 300_000, 2_601, 50_000],
            ),
            // Below LDK's floor: bitcoind 30 relays from 0.1 sat/vB.
            (all([30, 30, 30, 25], 25), [3_006, 253, 253, 253, 379, 253, 258, 253]),
            // Regtest: nothing is known.
            (answers([None; 4], 250), [12_500, 12_500, 253, 253, 379, 2_500, 258, 1_250]),
        ] {
            assert_eq!(rates(&config, answers), expected, "{answers:?}");
        }
    }

    #[test]
    fn every_purpose_clears_the_mempools_floor_in_whole_virtual_bytes() {
        let config = Config::default();
        for minimum in [0, 25, 250, 251, 300, 1_000, 12_500, 100_000] {
            let estimates = estimate(&config, all([minimum; 4], minimum), None);
            // What others do is only judged.
            for target in TARGETS.into_iter().filter(|target| {
                !matches!(
                    target,
                    ConfirmationTarget::MinAllowedAnchorChannelRemoteFee
                        | ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee
                )
            }) {
                let rate = u64::from(estimates.for_target(&config, target));
                for weight in 330..1_300 {
                    let fee = rate * weight / 1_000;
                    let needed = (u64::from(minimum) * 4 * weight.div_ceil(4)).div_ceil(1_000);
                    assert!(fee >= needed, "{target:?} {minimum} {weight}: {fee} < {needed}");
                }
            }
        }
    }

    #[test]
    fn an_urgent_claim_does_not_begin_low_where_nothing_is_known() {
        let config = Config::default();
        let urgent = |answers| {
            let estimates = estimate(&config, answers, None);
            estimates.for_target(&config, ConfirmationTarget::UrgentOnChainSweep)
        };
        assert_eq!(urgent(answers([None; 4], 250)), 12_500);
        assert_eq!(urgent(answers([None, None, Some(400), Some(300)], 250)), 12_500);
        assert_eq!(urgent(answers([Some(900), None, None, None], 250)), 900);
        assert_eq!(urgent(all([900, 800, 700, 600], 250)), 800);
        assert_eq!(urgent(answers([None; 4], 20_000)), 20_400);
    }

    #[test]
    fn gaps_are_filled_and_sooner_is_never_cheaper() {
        let config = Config::default();
        for (horizons, expected) in [
            ([None, None, None, None], [5_000, 2_500, 1_250, 500]),
            ([Some(9_000), None, None, None], [9_000, 2_500, 1_250, 500]),
            ([Some(600), None, None, None], [600, 600, 600, 500]),
            ([None, Some(300), Some(300), Some(300)], [5_000, 300, 300, 300]),
            ([None, Some(9_000), None, None], [9_000, 9_000, 1_250, 500]),
            ([Some(300), Some(400), Some(500), Some(600)], [600, 600, 600, 600]),
        ] {
            let estimates = estimate(&config, answers(horizons, 250), None);
            let got = [
                estimates.two_blocks,
                estimates.six_blocks,
                estimates.twelve_blocks,
                estimates.day,
            ];
            assert_eq!(got, expected, "{horizons:?}");
            assert_eq!(estimates.fallback, horizons == [None; 4]);
        }
    }

    #[test]
    fn a_rise_is_followed_at_once_and_a_fall_slowly() {
        let config = Config::default();
        let low = all([300; 4], 300);
        let high = all([8_000; 4], 1_900);
        let before = estimate(&config, low, None);
        let risen = estimate(&config, high, Some(&before));
        assert_eq!((risen.smooth_minimum, risen.smooth_six_blocks), (1_938, 8_000));
        let mut falling = estimate(&config, low, Some(&risen));
        assert_eq!((falling.smooth_minimum, falling.six_blocks), (1_836, 306));
        let mut refreshes = 1;
        while falling.smooth_minimum > 306 {
            let next = estimate(&config, low, Some(&falling));
            assert!(next.smooth_minimum < falling.smooth_minimum);
            (falling, refreshes) = (next, refreshes + 1);
        }
        assert!((30..200).contains(&refreshes), "{refreshes}");
    }

    #[test]
    fn a_fixed_feerate_answers_every_horizon() {
        let config = Config { fixed_sat_per_vb: Some(5), ..Config::default() };
        let estimates = estimate(&config, all([9_000, 8_000, 7_000, 6_000], 250), None);
        for blocks in [0, 1, 6, 12, 143, 144, u16::MAX] {
            assert_eq!(estimates.for_blocks(blocks), 1_250);
        }
        assert_eq!(estimates.for_target(&config, ConfirmationTarget::OutputSpendingFee), 1_250);
    }

    #[test]
    fn a_wallet_gets_the_longest_horizon_that_is_not_too_long() {
        let estimates = estimate(&Config::default(), all([4_000, 3_000, 2_000, 1_000], 250), None);
        for (blocks, expected) in [
            (0, 4_000),
            (1, 4_000),
            (5, 4_000),
            (6, 3_000),
            (11, 3_000),
            (12, 2_000),
            (143, 2_000),
            (144, 1_000),
            (1_008, 1_000),
        ] {
            assert_eq!(estimates.for_blocks(blocks), expected, "{blocks}");
        }
    }
}
