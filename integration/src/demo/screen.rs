//! What a person sees while the demo runs: stages, a progress bar, sample routes. All on standard error.
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::steps::traffic::{Load, Outcome, Until};

/// Standard error, for people; standard output is for the result.
#[derive(Debug)]
pub struct Screen {
    began: Instant,
}

impl Screen {
    /// A screen whose clock starts now.
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }

    /// Announces a stage.
    pub fn stage(&self, what: &str) -> Stage {
        let spinner = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
            spinner.set_style(style);
        }
        spinner.set_message(what.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(100));
        Stage { what: what.to_owned(), began: Instant::now(), spinner }
    }

    /// The bar of the payments.
    pub fn payments(&self, load: &Load) -> Payments {
        let bar = match load.until {
            Until::Payments(count) => ProgressBar::new(u64::try_from(count).unwrap_or(u64::MAX)),
            Until::Elapsed(_) => ProgressBar::no_length(),
        };
        let template = match load.until {
            Until::Payments(_) => {
                "  payments {wide_bar} {pos}/{len}  {per_sec}  {elapsed} (still {eta})"
            }
            Until::Elapsed(_) => "  {spinner} payments {pos}  {per_sec}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Payments { bar }
    }

    /// A few routes with their fees and latencies.
    pub fn samples(&self, lines: &[String]) {
        for line in lines {
            say(&format!("      {line}"));
        }
    }

    /// A line.
    pub fn line(&self, line: &str) {
        say(line);
    }

    /// Since the screen was made.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

/// A stage under way.
pub struct Stage {
    what: String,
    began: Instant,
    spinner: ProgressBar,
}

impl Stage {
    /// It is over, and what came of it.
    pub fn done(self, outcome: &str) {
        self.spinner.finish_and_clear();
        let seconds = self.began.elapsed().as_secs_f64();
        say(&format!("  ✓ {:<30} {seconds:>5.1} s  {outcome}", self.what));
    }
}

/// The bar of the payments.
pub struct Payments {
    bar: ProgressBar,
}

impl Payments {
    /// This many have ended.
    pub fn at(&self, ended: usize) {
        self.bar.set_position(u64::try_from(ended).unwrap_or(u64::MAX));
        if !std::io::stderr().is_terminal() && ended.is_multiple_of(100) {
            say(&format!("    {ended} payments"));
        }
    }

    /// All have.
    pub fn done(self, outcome: &Outcome) {
        self.bar.finish_and_clear();
        let failed = outcome.samples.iter().filter(|sample| !sample.succeeded()).count();
        say(&format!(
            "  {} {:<30} {:>5.1} s  {} payments, {failed} failed",
            if failed == 0 { '✓' } else { '✗' },
            "payments",
            outcome.elapsed.as_secs_f64(),
            outcome.samples.len()
        ));
    }
}

fn say(line: &str) {
    // A closed standard error is ignored.
    let _ = writeln!(std::io::stderr(), "{line}");
}
