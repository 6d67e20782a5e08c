//! LDK's `Logger` over `tracing`: a level for each kind of line, and a budget for what peers can cause.
//!
//! LDK logs what a peer did wrong as warnings and errors, and each monitor update at INFO: a stranger could fill the
//! disk with lines, and the evidence of anything else would be rotated away. Here an ERROR is what an operator has to
//! act on, routine is DEBUG, and of each peer only [some lines a minute](super::log_budget) are above DEBUG.

use std::sync::{Mutex, MutexGuard};

use lightning::util::logger::{Level, Logger as LdkLogger, Record};

use super::log_budget::Budget;

/// Passes LDK's records to `tracing` under the target `ldk`.
#[derive(Default)]
pub struct Logger {
    budget: Mutex<Budget>,
}

/// Lines about the network and about messages of anybody.
const CHATTER: [&str; 3] =
    ["lightning::ln::peer_handler", "lightning::routing::", "lightning::onion_message::"];
/// Lines about each payment or update, which rooms of ours record themselves.
const ROUTINE: [(&str, &str); 5] = [
    ("lightning::chain::channelmonitor", "Applying update to monitor "),
    ("lightning::chain::chainmonitor", "Persistence of new ChannelMonitor "),
    ("lightning::ln::outbound_payment", ""),
    ("lightning::ln::channelmanager", "Failed to accept/forward incoming HTLC"),
    // The last line of the daemon tells it: see `node::stale`.
    ("lightning::ln::channel", "We have fallen behind"),
];

/// The level that a line gets while its peer has a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    Trace,
    Debug,
    Info,
    Warn,
}

fn treatment(level: Level, module: &str, text: &str) -> Treatment {
    let is_demoted = || {
        CHATTER.iter().any(|chatter| module.starts_with(chatter))
            || ROUTINE
                .iter()
                .any(|(routine, prefix)| module == *routine && text.starts_with(prefix))
    };
    match level {
        Level::Gossip | Level::Trace => Treatment::Trace,
        Level::Debug => Treatment::Debug,
        Level::Info | Level::Warn | Level::Error if is_demoted() => Treatment::Debug,
        Level::Info => Treatment::Info,
        Level::Warn | Level::Error => Treatment::Warn,
    }
}

macro_rules! hand_on {
    ($level:ident, $record:ident, $text:expr) => {
        tracing::$level!(
            target: "ldk",
            peer = $record.peer_id.map(tracing::field::display),
            channel = $record.channel_id.map(tracing::field::display),
            payment = $record.payment_hash.map(tracing::field::display),
            module = $record.module_path,
            "{}",
            $text
        )
    };
}

impl Logger {
    /// Logs how many lines each peer has caused beyond its budget, and begins a new one; call it once a minute.
    pub fn report_suppressed(&self) {
        let suppressed = self.budget().take_suppressed();
        for (peer, lines) in suppressed {
            let peer = peer.map(tracing::field::display);
            tracing::info!(peer, lines, "suppressed log lines of LDK in the last minute");
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().expect("no panic while held")
    }
}

impl LdkLogger for Logger {
    fn log(&self, record: Record<'_>) {
        if matches!(record.level, Level::Gossip | Level::Trace) {
            return hand_on!(trace, record, record.args);
        }
        if record.level == Level::Debug {
            return hand_on!(debug, record, record.args);
        }
        let text = record.args.to_string();
        let treatment = treatment(record.level, record.module_path, &text);
        let is_loud = matches!(treatment, Treatment::Info | Treatment::Warn);
        let is_affordable = !is_loud || self.budget().take(record.peer_id);
        match treatment {
            Treatment::Trace => hand_on!(trace, record, text),
            Treatment::Info if is_affordable => hand_on!(info, record, text),
            Treatment::Warn if is_affordable => hand_on!(warn, record, text),
            Treatment::Debug | Treatment::Info | Treatment::Warn => hand_on!(debug, record, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_ldk_are_warnings_and_routine_and_chatter_are_debug() {
        let monitor = "lightning::chain::channelmonitor";
        for (level, module, text, expected) in [
            (Level::Error, "lightning::ln::channelmanager", "Closing channel", Treatment::Warn),
            (Level::Warn, "lightning::ln::channelmanager", "Got a warning", Treatment::Warn),
            (Level::Info, "lightning::ln::channel", "Received channel_ready", Treatment::Info),
            (Level::Info, monitor, "Channel 7 closed by funding output spend", Treatment::Info),
            (Level::Info, monitor, "Applying update to monitor 7, bringing", Treatment::Debug),
            (Level::Warn, "lightning::ln::peer_handler", "Got message", Treatment::Debug),
            (Level::Error, "lightning::onion_message::messenger", "Failed", Treatment::Debug),
            (
                Level::Error,
                "lightning::ln::channel",
                "We have fallen behind - we",
                Treatment::Debug,
            ),
            (Level::Info, "lightning::ln::outbound_payment", "anything", Treatment::Debug),
            (Level::Debug, "lightning::ln::channel", "anything", Treatment::Debug),
            (Level::Gossip, "lightning::ln::channel", "anything", Treatment::Trace),
        ] {
            assert_eq!(treatment(level, module, text), expected, "{level} {module} {text}");
        }
    }
}
