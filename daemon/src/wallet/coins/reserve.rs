//! How much on-chain money is kept for bumping the commitments of anchor channels.

/// Kept for each anchor channel, in satoshis: FIELD.md section 3, and what ldk-node keeps.
pub const PER_CHANNEL_SAT: u64 = 25_000;
/// Kept at most, in satoshis: not all channels close by force in the same hour.
pub const CAP_SAT: u64 = 250_000;

/// Returns the reserve for that many anchor channels, in satoshis.
///
/// Without it a commitment with too low a fee could not be bumped, and its HTLCs would be lost to
/// their deadlines.
pub fn reserve_sat(anchor_channels: usize) -> u64 {
    u64::try_from(anchor_channels).unwrap_or(u64::MAX).saturating_mul(PER_CHANNEL_SAT).min(CAP_SAT)
}

/// Returns what may be spent of `available_sat` when `reserve_sat` must stay.
pub fn above_reserve_sat(available_sat: u64, reserve_sat: u64) -> u64 {
    available_sat.saturating_sub(reserve_sat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_grows_with_channels_up_to_its_cap() {
        for (channels, sat) in
            [(0, 0), (1, 25_000), (9, 225_000), (10, 250_000), (11, 250_000), (usize::MAX, 250_000)]
        {
            assert_eq!(reserve_sat(channels), sat, "{channels} channels");
        }
        assert_eq!(above_reserve_sat(10_000, 25_000), 0);
        assert_eq!(above_reserve_sat(30_000, 25_000), 5_000);
    }
}
