//! The options of `cargo soak`.
use std::time::Duration;

use clap::Args;

/// How long, and in which pieces.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Minutes of the whole soak
    #[arg(long, default_value_t = 30)]
    pub minutes: u64,
    /// Rounds at least
    #[arg(long, default_value_t = 1)]
    pub rounds: usize,
    /// Seconds of payments in each round; opens, closes, stalls and kills fall into them
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    pub round_secs: u64,
}

impl Options {
    /// The whole span.
    pub fn span(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }
}
