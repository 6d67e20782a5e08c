//! The options of the demo and the load generator.
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::network::Topology;

/// Options of both programs.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The shape of the network; a ring of four or more has a chord
    #[arg(long, value_enum, default_value_t = Shape::Ring)]
    pub topology: Shape,
    /// How many daemons (a pair has two, a diamond four)
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=32))]
    pub nodes: u8,
    /// How many payments
    #[arg(long, default_value_t = 1_000)]
    pub payments: usize,
    /// Payments under way at once
    #[arg(long, default_value_t = 16)]
    pub in_flight: usize,
    /// Of each payment: 1000sat, 2500msat, 0.0001btc
    #[arg(long = "amount", default_value = "1000sat", value_parser = parse_amount)]
    pub amount_msat: u64,
    /// Leave channels open and everything running, and print how to explore it
    #[arg(long)]
    pub keep: bool,
}

/// Shapes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Two nodes, one channel.
    Pair,
    /// Each with the next.
    Line,
    /// A line whose ends meet, and a chord.
    Ring,
    /// The first with every other.
    Star,
    /// Four nodes: the first and the last over either of the two between.
    Diamond,
}

impl Options {
    /// The shape with its size.
    pub fn topology(&self) -> Topology {
        let nodes = usize::from(self.nodes);
        match self.topology {
            Shape::Pair => Topology::Pair,
            Shape::Line => Topology::Line(nodes),
            Shape::Ring => Topology::ChordedRing(nodes),
            Shape::Star => Topology::Star(nodes),
            Shape::Diamond => Topology::Diamond,
        }
    }
}

/// An amount with its unit, in millisatoshis.
pub fn parse_amount(text: &str) -> Result<u64> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).context("no unit, as in 1000sat")?;
    let (number, unit) = text.split_at(digits);
    // Decimal places of the unit in millisatoshis.
    let places = match unit {
        "msat" => 0,
        "sat" => 3,
        "btc" => 11,
        _ => bail!("the unit is msat, sat or btc, not {unit}"),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > places {
        bail!("finer than a millisatoshi");
    }
    let padded = format!("{whole}{fraction:0<places$}");
    let amount_msat: u64 = padded.parse().with_context(|| format!("{number} is not a number"))?;
    if amount_msat == 0 {
        bail!("nothing to pay");
    }
    Ok(amount_msat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        for (text, amount_msat) in [
            ("1000sat", 1_000_000),
            ("2500msat", 2_500),
            ("0.1btc", 10_000_000_000),
            ("1.5sat", 1_500),
        ] {
            assert_eq!(parse_amount(text).ok(), Some(amount_msat), "{text}");
        }
        for text in ["", "1000", "sat", "0sat", "1.5msat", "1.0001sat", "-5sat", "1 sat", "5 eur"] {
            assert!(parse_amount(text).is_err(), "{text}");
        }
    }
}
