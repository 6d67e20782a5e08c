//! Exact arithmetic on millisatoshis: routing fees and their inverse.

/// All the bitcoin that can ever be, in millisatoshis. Amounts above it are refused at the door.
pub const MAX_MSAT: u64 = 21_000_000 * 100_000_000 * 1_000;

const MILLION: u64 = 1_000_000;

/// Returns the fee in msat for forwarding `amount_msat`, or `None` where it exceeds `u64`.
///
/// `base + amount * ppm / 1,000,000`, rounded down (BOLT 7, HTLC fees).
#[inline]
pub fn fee_msat(amount_msat: u64, base_msat: u32, ppm: u32) -> Option<u64> {
    let ppm = u64::from(ppm);
    let proportional = if amount_msat < 1 << 32 {
        // 32 bits times 32 bits: no overflow, and this is nearly every call.
        amount_msat * ppm / MILLION
    } else {
        // a = q * 10^6 + r, so floor(a * ppm / 10^6) = q * ppm + floor(r * ppm / 10^6).
        let (whole, rest) = (amount_msat / MILLION, amount_msat % MILLION);
        whole.checked_mul(ppm)?.checked_add(rest * ppm / MILLION)?
    };
    proportional.checked_add(u64::from(base_msat))
}

/// Returns the greatest amount in msat whose sum with its own fee does not exceed `total_msat`.
///
/// Zero where even the base fee does not fit.
pub fn amount_within(total_msat: u64, base_msat: u32, ppm: u32) -> u64 {
    let Some(rest) = total_msat.checked_sub(u64::from(base_msat)) else {
        return 0;
    };
    // Least x with x + floor(x * ppm / 10^6) > rest is found from x * (10^6 + ppm) < (rest + 1) * 10^6.
    let bound = (u128::from(rest) + 1) * u128::from(MILLION) - 1;
    u64::try_from(bound / (u128::from(MILLION) + u128::from(ppm))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fees_follow_bolt_7() {
        assert_eq!(fee_msat(4_999_999, 200, 2_000), Some(10_199));
        assert_eq!(fee_msat(0, 1_000, 1), Some(1_000));
        assert_eq!(fee_msat(u64::MAX, u32::MAX, u32::MAX), None);
        assert_eq!(fee_msat(MAX_MSAT, 0, 1_000_000), Some(MAX_MSAT));
    }

    proptest! {
        #[test]
        fn fee_is_the_exact_quotient(amount in 0..=MAX_MSAT, base: u32, ppm: u32) {
            let exact = u128::from(amount) * u128::from(ppm) / 1_000_000 + u128::from(base);
            prop_assert_eq!(fee_msat(amount, base, ppm).map(u128::from), u64::try_from(exact).ok().map(u128::from));
        }

        #[test]
        fn amount_within_is_the_greatest(total in 0..=MAX_MSAT, base in 0..10_000_000u32, ppm: u32) {
            let amount = amount_within(total, base, ppm);
            let sum = |a: u64| u128::from(a) + u128::from(a) * u128::from(ppm) / 1_000_000 + u128::from(base);
            prop_assert!(amount == 0 || sum(amount) <= u128::from(total));
            prop_assert!(sum(amount + 1) > u128::from(total));
        }
    }
}
