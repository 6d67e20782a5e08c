//! Feerates and spans of time as people write them: `2.5` (sat/vB), `60s`, `7d`.
use std::str::FromStr;

use crate::amount::{Scaled, scale};
use crate::format::human;

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

/// A moment: a date or a time of day in UTC, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A Unix time.
    At(u64),
    /// Seconds before now.
    Ago(u32),
}

impl Moment {
    /// As a Unix time of at least one second, as 0 is none.
    pub fn unix(self, now: u64) -> u64 {
        match self {
            Self::At(unix) => unix.max(1),
            Self::Ago(secs) => now.saturating_sub(secs.into()).max(1),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(Span { secs }) = text.parse() {
            return Ok(Self::Ago(secs));
        }
        let wrong = || {
            format!(
                "{text:?} is not a time: write 2026-11-22, 2026-11-22T13:02, or 7d for a week ago"
            )
        };
        let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
        let numbers = |text: &str, separator: char| -> Option<Vec<u64>> {
            let digits =
                |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok());
            text.split(separator).map(|part| digits(part).flatten()).collect()
        };
        let (Some(date), Some(time)) = (numbers(date, '-'), numbers(time, ':')) else {
            return Err(wrong());
        };
        let (&[year, month, day], &[hour, minute, ref second @ ..]) = (&date[..], &time[..]) else {
            return Err(wrong());
        };
        let second = match second {
            [] => 0,
            [second] => *second,
            _ => return Err(wrong()),
        };
        let days = human::days(year, month, day).ok_or_else(wrong)?;
        if hour > 23 || minute > 59 || second > 59 {
            return Err(wrong());
        }
        Ok(Self::At(days * 86_400 + hour * 3_600 + minute * 60 + second))
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
    fn moments() {
        let table = [
            ("1970-01-01", Moment::At(0)),
            ("2000-02-29", Moment::At(951_782_400)),
            ("2009-01-03T18:15:05", Moment::At(1_231_006_505)),
            ("2009-01-03 18:15", Moment::At(1_231_006_500)),
            ("7d", Moment::Ago(604_800)),
        ];
        for (text, moment) in table {
            assert_eq!(Moment::from_str(text), Ok(moment), "{text}");
        }
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-00-01",
            "2026-01-01T24:00",
            "tomorrow",
            "2026-01-01T1",
            "1969-12-31",
            "2026-01-01T1:2:3:4",
            "+2026-1-1",
        ] {
            assert!(Moment::from_str(bad).is_err(), "{bad}");
        }
        assert_eq!(
            (Moment::At(0).unix(9), Moment::Ago(5).unix(9), Moment::Ago(10).unix(9)),
            (1, 4, 1)
        );
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
