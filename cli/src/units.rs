//! Feerates and spans of time as people write them: `2.5` (sat/vB), `60s`, `7d`.
use std::str::FromStr;

use crate::amount::{Scaled, scale};

/// A feerate on chain, in thousandths of a satoshi per virtual byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feerate {
    /// Thousandths of a satoshi per virtual byte; above zero.
    pub msat_per_vb: u64,
}

impl FromStr for Feerate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let number = lower.strip_suffix("sat/vb").unwrap_or(&lower).trim_end();
        match scale(number, 1_000) {
            Scaled::Exactly(0) => Err("a feerate is above zero".to_owned()),
            Scaled::Exactly(msat_per_vb) => Ok(Self { msat_per_vb }),
            Scaled::Fraction => Err("a feerate has at most three decimals".to_owned()),
            Scaled::NotANumber | Scaled::Overflow => {
                Err(format!("{text:?} is not a feerate in sat/vB: write 2 or 2.5"))
            }
        }
    }
}

/// A span of time in whole seconds, above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Seconds.
    pub secs: u32,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || format!("{text:?} is not a span of time: write 60s, 10m, 24h or 7d");
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u32 = text[..split].parse().map_err(|_| wrong())?;
        let secs_per_unit = match text[split..].trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "" => {
                return Err(format!("a span of time needs its unit: write {number}s or {number}m"));
            }
            _ => return Err(wrong()),
        };
        match number.checked_mul(secs_per_unit) {
            Some(0) => Err("a span of time is above zero".to_owned()),
            Some(secs) => Ok(Self { secs }),
            None => Err(format!("{text:?} is too long")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feerates() {
        let table = [
            ("1", 1_000),
            ("2.5", 2_500),
            ("0.253", 253),
            ("12 sat/vB", 12_000),
            ("3sat/vb", 3_000),
        ];
        for (text, msat_per_vb) in table {
            assert_eq!(Feerate::from_str(text), Ok(Feerate { msat_per_vb }), "{text}");
        }
        for bad in
            ["", "0", "0.000", "-1", "1,5", "1.2345", "fast", "1sat/kw", "99999999999999999999"]
        {
            assert!(Feerate::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans() {
        let table = [("60s", 60), ("10m", 600), ("10min", 600), ("24h", 86_400), ("7d", 604_800)];
        for (text, secs) in table {
            assert_eq!(Span::from_str(text), Ok(Span { secs }), "{text}");
        }
        for bad in ["", "60", "0s", "-1s", "1w", "1.5h", "99999d", "s", "4294967296s"] {
            assert!(Span::from_str(bad).is_err(), "{bad}");
        }
    }
}
