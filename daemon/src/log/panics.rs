//! Panics in the log: each cause once, without those that only follow from it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is logged of a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    /// With its place, and its backtrace where `RUST_BACKTRACE` asks for it.
    Whole,
    /// At DEBUG: it says nothing new.
    Echo,
}

/// Decides from what was logged before.
///
/// A thread that panics with a lock poisons it, and every thread that wants the lock then panics: a hundred pages that
/// hide the first one. After an expected panic, which another line reports in better words, all others are its echo.
fn report(text: &str, is_first: bool, after_expected: bool) -> Report {
    match after_expected || (!is_first && text.contains("PoisonError")) {
        true => Report::Echo,
        false => Report::Whole,
    }
}

/// Logs panics from now on, instead of printing them; `is_expected` knows by their text those that another line reports.
pub fn report_panics(is_expected: fn(&str) -> bool) {
    let (is_first, after_expected) = (AtomicBool::new(true), AtomicBool::new(false));
    panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or("without a message");
        if is_expected(text) {
            after_expected.store(true, Ordering::Relaxed);
        }
        let after_expected = after_expected.load(Ordering::Relaxed);
        match report(text, is_first.swap(false, Ordering::Relaxed), after_expected) {
            Report::Whole => log_whole(panic, text),
            Report::Echo => tracing::debug!(text, "a panic that follows from another one"),
        }
    }));
}

fn log_whole(panic: &PanicHookInfo<'_>, text: &str) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => {
            tracing::error!("thread {thread} panicked at {place}: {text}\n{backtrace}");
        }
        _ => tracing::error!("thread {thread} panicked at {place}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_logged_and_its_echoes_are_not() {
        let poison = "called `Result::unwrap()` on an `Err` value: PoisonError { .. }";
        for (text, is_first, after_expected, expected) in [
            ("assertion failed", true, false, Report::Whole),
            ("assertion failed", false, false, Report::Whole),
            (poison, true, false, Report::Whole),
            (poison, false, false, Report::Echo),
            ("assertion failed", false, true, Report::Echo),
            ("We have fallen behind", true, true, Report::Echo),
        ] {
            assert_eq!(report(text, is_first, after_expected), expected, "{text} {is_first}");
        }
    }
}
