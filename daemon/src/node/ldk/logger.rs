//! LDK's `Logger` over `tracing`.

use lightning::util::logger::{Level, Logger as LdkLogger, Record};

/// Hands LDK's records to `tracing` under the target `ldk`.
///
/// LDK says `Error` also of what a peer did wrong; an error of ours is a thing that an operator has to
/// act on, so LDK's errors become warnings.
pub struct Logger;

macro_rules! hand_on {
    ($level:ident, $record:ident) => {
        tracing::$level!(
            target: "ldk",
            peer = $record.peer_id.map(tracing::field::display),
            channel = $record.channel_id.map(tracing::field::display),
            payment = $record.payment_hash.map(tracing::field::display),
            module = $record.module_path,
            "{}",
            $record.args
        )
    };
}

impl LdkLogger for Logger {
    fn log(&self, record: Record<'_>) {
        match record.level {
            Level::Gossip | Level::Trace => hand_on!(trace, record),
            Level::Debug => hand_on!(debug, record),
            Level::Info => hand_on!(info, record),
            Level::Warn | Level::Error => hand_on!(warn, record),
        }
    }
}
