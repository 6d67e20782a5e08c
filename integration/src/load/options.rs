//! The options of `cargo load`.
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::demo::options::parse_amount;
use crate::network::Topology;
use crate::steps::traffic::Until;

/// What is built, and how it is loaded.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The shape: who has channels with whom
    #[arg(long, value_enum, default_value_t = Shape::Pair)]
    pub topology: Shape,
    /// How many daemons (a pair has two)
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=32))]
    pub nodes: u8,
    /// Channels between each two neighbours that carry the payments
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub channels: u16,
    /// Small channels beside them, between the first two nodes, that carry nothing
    #[arg(long, default_value_t = 0)]
    pub idle_channels: u16,
    /// Payments under way at once
    #[arg(long, default_value_t = 64)]
    pub in_flight: usize,
    /// Of each payment: 10sat, 2500msat, 0.0001btc
    #[arg(long = "amount", default_value = "10sat", value_parser = parse_amount)]
    pub amount_msat: u64,
    /// How payments are asked for
    #[arg(long, value_enum, default_value_t = Paid::Bolt11)]
    pub paid: Paid,
    /// Pay in both directions by turns, so that the money lasts; a star always does
    #[arg(long)]
    pub both_ways: bool,
    /// Measure for so long
    #[arg(long, default_value_t = 60, conflicts_with = "payments")]
    pub seconds: u64,
    /// Measure so many payments
    #[arg(long)]
    pub payments: Option<usize>,
    /// Payments made before the measurement
    #[arg(long, default_value_t = 0)]
    pub history: usize,
    /// Seconds of an interval
    #[arg(long = "every", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub every_secs: u64,
    /// An option of all daemons, as TOML writes it; may be given again
    #[arg(long = "set", value_name = "SECTION.OPTION=VALUE", value_parser = parse_setting)]
    pub settings: Vec<Setting>,
    /// Where the plot is written [default: load.svg beside this program]
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// An option of the daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its section.
    pub section: String,
    /// Its name there.
    pub option: String,
    /// Its value, as TOML writes it.
    pub value: String,
}

fn parse_setting(text: &str) -> Result<Setting, String> {
    let parts = text.split_once('=').and_then(|(name, value)| {
        let (section, option) = name.split_once('.')?;
        Some((section, option, value))
    });
    let (section, option, value) =
        parts.ok_or_else(|| format!("`{text}` is not of the form section.option=value"))?;
    let [section, option, value] = [section, option, value].map(str::to_owned);
    Ok(Setting { section, option, value })
}

/// Shapes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Two nodes.
    Pair,
    /// Each node with the next; the first pays the last.
    Line,
    /// The first node with every other; these pay each other through it.
    Star,
}

/// How a payment is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Paid {
    /// By an invoice; making it is not in the latency.
    Bolt11,
    /// Without one.
    Keysend,
}

impl Options {
    /// The shape with its size.
    pub fn topology(&self) -> Topology {
        let nodes = usize::from(self.nodes);
        match self.topology {
            Shape::Pair => Topology::Pair,
            Shape::Line => Topology::Line(nodes),
            Shape::Star => Topology::Star(nodes),
        }
    }

    /// When the measurement ends.
    pub fn until(&self) -> Until {
        match self.payments {
            Some(count) => Until::Payments(count),
            None => Until::Elapsed(Duration::from_secs(self.seconds)),
        }
    }

    /// Who pays whom, by their places.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let last = self.topology().nodes() - 1;
        match self.topology {
            // Each leaf pays the next: what one pays another pays back.
            Shape::Star if last > 1 => (1..=last).map(|leaf| (leaf, leaf % last + 1)).collect(),
            Shape::Star => vec![(0, 1), (1, 0)],
            Shape::Pair | Shape::Line if self.both_ways => vec![(0, last), (last, 0)],
            Shape::Pair | Shape::Line => vec![(0, last)],
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn pairs(line: &str) -> Vec<(usize, usize)> {
        Program::parse_from(line.split(' ')).options.pairs()
    }

    #[test]
    fn a_setting_has_a_section_an_option_and_a_value() {
        let options = Program::parse_from(["load", "--set", "storage.cache_mib=16"]).options;
        let [setting] = &options.settings[..] else { panic!("one is given") };
        let named = [&setting.section, &setting.option, &setting.value];
        assert_eq!(named, ["storage", "cache_mib", "16"]);
        assert!(Program::try_parse_from(["load", "--set", "cache_mib=16"]).is_err());
    }

    #[test]
    fn each_shape_has_its_payers() {
        assert_eq!(pairs("load"), [(0, 1)]);
        assert_eq!(pairs("load --both-ways"), [(0, 1), (1, 0)]);
        assert_eq!(pairs("load --topology line --nodes 4"), [(0, 3)]);
        assert_eq!(pairs("load --topology star --nodes 4"), [(1, 2), (2, 3), (3, 1)]);
        assert_eq!(pairs("load --topology star --nodes 2"), [(0, 1), (1, 0)]);
    }
}
