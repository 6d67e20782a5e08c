//! Amounts as people write them: `50sat`, `0.1btc`, `2500msat`, `all`; always with their unit.
use std::str::FromStr;

/// What all amounts are bounded by: 21 million bitcoin.
const MAX_MSAT: u64 = 21_000_000 * MSAT_PER_BTC;
const MSAT_PER_BTC: u64 = 100_000_000_000;
const MSAT_PER_SAT: u64 = 1_000;

/// Why a text is not an amount; each message says how to write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// `1000`: satoshis or millisatoshis? A wrong guess is wrong by a factor of a thousand.
    #[error("an amount needs its unit: write {0}sat, {0}msat or {0}btc")]
    NoUnit(String),
    /// `5eur`.
    #[error("the unit {0:?} is unknown: use sat, msat or btc")]
    UnknownUnit(String),
    /// `abc`, `1.2.3sat`, `.`.
    #[error("{0:?} is not an amount: write 50sat, 2500msat or 0.1btc")]
    NotANumber(String),
    /// `1,5sat`: a decimal comma in one country is a thousands separator in another.
    #[error("an amount has no comma: write 0.5btc, or 1_000_000sat to group digits")]
    Comma,
    /// `-1sat`.
    #[error("an amount is not negative")]
    Negative,
    /// `0.5msat`, `0.1234sat`.
    #[error("{0:?} has parts of a millisatoshi")]
    BelowMillisatoshi(String),
    /// `1.5sat` where only whole satoshis can be used.
    #[error("{0:?} has parts of a satoshi, which do not exist on chain")]
    BelowSatoshi(String),
    /// More bitcoin than there will ever be.
    #[error("{0:?} is more than the 21 million bitcoin that will exist")]
    TooLarge(String),
    /// `0sat` where something has to move.
    #[error("the amount must be more than zero")]
    Zero,
}

/// An amount in millisatoshis; zero is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Msat(pub u64);

/// An amount in millisatoshis, above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SomeMsat(pub u64);

/// An amount in millisatoshis above zero, or `any`: the payer decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MsatOrAny {
    /// This amount.
    Msat(u64),
    /// Whatever the payer likes.
    Any,
}

/// A whole number of satoshis above zero, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SatOrAll {
    /// This amount.
    Sat(u64),
    /// Everything that is not reserved.
    All,
}

impl FromStr for Msat {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        parse_msat(text).map(Self)
    }
}

impl FromStr for SomeMsat {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        match parse_msat(text)? {
            0 => Err(AmountError::Zero),
            msat => Ok(Self(msat)),
        }
    }
}

impl FromStr for MsatOrAny {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        if text.trim().eq_ignore_ascii_case("any") {
            return Ok(Self::Any);
        }
        SomeMsat::from_str(text).map(|SomeMsat(msat)| Self::Msat(msat))
    }
}

impl FromStr for SatOrAll {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        if text.trim().eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let SomeMsat(msat) = SomeMsat::from_str(text)?;
        if msat % MSAT_PER_SAT != 0 {
            return Err(AmountError::BelowSatoshi(text.to_owned()));
        }
        Ok(Self::Sat(msat / MSAT_PER_SAT))
    }
}

fn parse_msat(text: &str) -> Result<u64, AmountError> {
    let text = text.trim();
    if text.contains(',') {
        return Err(AmountError::Comma);
    }
    if text.starts_with('-') {
        return Err(AmountError::Negative);
    }
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = (text[..split].trim(), text[split..].trim());
    let not_a_number = || AmountError::NotANumber(text.to_owned());
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(not_a_number());
    }
    let msat_per_unit = match unit.to_ascii_lowercase().as_str() {
        "" => return Err(AmountError::NoUnit(number.to_owned())),
        "msat" | "msats" => 1,
        "sat" | "sats" => MSAT_PER_SAT,
        "btc" => MSAT_PER_BTC,
        _ => return Err(AmountError::UnknownUnit(unit.to_owned())),
    };
    let msat = match scale(number, msat_per_unit) {
        Scaled::Exactly(msat) => msat,
        Scaled::NotANumber => return Err(not_a_number()),
        Scaled::Fraction => return Err(AmountError::BelowMillisatoshi(text.to_owned())),
        Scaled::Overflow => return Err(AmountError::TooLarge(text.to_owned())),
    };
    if msat > MAX_MSAT {
        return Err(AmountError::TooLarge(text.to_owned()));
    }
    Ok(msat)
}

/// A decimal number times a power of ten, without ever going through a float.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scaled {
    /// The whole result.
    Exactly(u64),
    /// Not decimal digits with at most one point; `_` may group digits.
    NotANumber,
    /// The result is not whole.
    Fraction,
    /// The result does not fit.
    Overflow,
}

/// Multiplies the decimal `number` by `factor`, which is a power of ten.
pub(crate) fn scale(number: &str, factor: u64) -> Scaled {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if whole.is_empty() || number.ends_with('.') || !digits(whole) || !digits(fraction) {
        return Scaled::NotANumber;
    }
    let (whole, fraction) = (whole.replace('_', ""), fraction.replace('_', ""));
    let Ok(whole) = whole.parse::<u64>() else { return Scaled::Overflow };
    let mut value = match whole.checked_mul(factor) {
        Some(value) => value,
        None => return Scaled::Overflow,
    };
    let mut place = factor;
    for digit in fraction.trim_end_matches('0').bytes().map(|b| u64::from(b - b'0')) {
        if !place.is_multiple_of(10) {
            return Scaled::Fraction;
        }
        place /= 10;
        value = match value.checked_add(digit * place) {
            Some(value) => value,
            None => return Scaled::Overflow,
        };
    }
    Scaled::Exactly(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_millisatoshis() {
        let table = [
            ("50sat", 50_000),
            ("50 sats", 50_000),
            ("1SAT", 1_000),
            ("2500msat", 2_500),
            ("0.1btc", 10_000_000_000),
            ("0.10000000000BTC", 10_000_000_000),
            ("0.00000000001btc", 1),
            ("1.5sat", 1_500),
            ("1.500000sat", 1_500),
            ("1_000_000sat", 1_000_000_000),
            ("0sat", 0),
            ("21000000btc", MAX_MSAT),
            (" 7sat ", 7_000),
        ];
        for (text, msat) in table {
            assert_eq!(Msat::from_str(text), Ok(Msat(msat)), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_amount() {
        use AmountError::*;
        let text = |t: &str| t.to_owned();
        let table = [
            ("1000", NoUnit(text("1000"))),
            ("1.5", NoUnit(text("1.5"))),
            ("5eur", UnknownUnit(text("eur"))),
            ("5mbtc", UnknownUnit(text("mbtc"))),
            ("1sat2", UnknownUnit(text("sat2"))),
            ("", NotANumber(text(""))),
            ("sat", NotANumber(text("sat"))),
            (".5btc", NotANumber(text(".5btc"))),
            ("5.btc", NotANumber(text("5.btc"))),
            ("1.2.3sat", NotANumber(text("1.2.3sat"))),
            ("1 000sat", NotANumber(text("1 000sat"))),
            ("1e3sat", UnknownUnit(text("e3sat"))),
            ("0,1btc", Comma),
            ("1,000sat", Comma),
            ("-1sat", Negative),
            ("0.5msat", BelowMillisatoshi(text("0.5msat"))),
            ("0.0001sat", BelowMillisatoshi(text("0.0001sat"))),
            ("0.000000000001btc", BelowMillisatoshi(text("0.000000000001btc"))),
            ("21000000.00000000001btc", TooLarge(text("21000000.00000000001btc"))),
            ("18446744073709551615msat", TooLarge(text("18446744073709551615msat"))),
            ("18446744073709551616msat", TooLarge(text("18446744073709551616msat"))),
            ("99999999999999999999999btc", TooLarge(text("99999999999999999999999btc"))),
        ];
        for (text, error) in table {
            assert_eq!(Msat::from_str(text), Err(error), "{text}");
        }
    }

    #[test]
    fn all_any_and_what_must_be_more_than_zero() {
        assert_eq!(SatOrAll::from_str("all"), Ok(SatOrAll::All));
        assert_eq!(SatOrAll::from_str("ALL"), Ok(SatOrAll::All));
        assert_eq!(SatOrAll::from_str("50sat"), Ok(SatOrAll::Sat(50)));
        assert_eq!(SatOrAll::from_str("5000msat"), Ok(SatOrAll::Sat(5)));
        assert_eq!(SatOrAll::from_str("0sat"), Err(AmountError::Zero));
        let below = AmountError::BelowSatoshi("1.5sat".to_owned());
        assert_eq!(SatOrAll::from_str("1.5sat"), Err(below));
        assert_eq!(MsatOrAny::from_str("any"), Ok(MsatOrAny::Any));
        assert_eq!(MsatOrAny::from_str("1msat"), Ok(MsatOrAny::Msat(1)));
        assert_eq!(MsatOrAny::from_str("0sat"), Err(AmountError::Zero));
        assert_eq!(SomeMsat::from_str("0btc"), Err(AmountError::Zero));
    }
}
