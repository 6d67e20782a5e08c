//! Durable records in sled behind one committer and a write-ahead log; nothing else knows sled.
//!
//! A write is enqueued at once, in call order, and becomes durable in that order: whoever has seen a later
//! write durable may rely on all earlier ones. Reads see enqueued writes, so read-modify-write needs no wait.

mod ahead;
mod applier;
mod aside;
mod backend;
mod batch;
mod check;
mod chunks;
mod codec;
mod commit;
mod compact;
mod config;
mod disk;
mod error;
mod export;
mod group;
mod history;
mod id;
mod keys;
mod kv;
mod lock;
mod log;
#[cfg(test)]
mod memory;
mod mirror;
pub mod offline;
mod open;
mod overlay;
mod retention;
mod schema;
mod seal;
mod seat;
mod sled;
mod space;
mod stats;
mod store;
mod table;
mod tap;
mod times;
mod transfer;
mod wal;
mod watch;
mod witness;
mod writes;

pub use crate::record;
pub use aside::{GoOn, Step, Told, to_the_end};
pub use backend::Direction;
pub use batch::Batch;
pub use check::{CheckReport, Decode, LdkValue};
pub use codec::{DecodeError, JOURNAL_KIND, Record};
pub use compact::CompactReport;
pub use config::Config;
pub use error::Error;
pub use export::ExportReport;
pub use group::Commit;
pub use history::{Fate, History, Page, Pruned};
pub use kv::{KvStore, KvWrite};
pub use log::Log;
pub use mirror::MirrorStatus;
pub use retention::{Class, Forgotten, every_day};
pub use space::LowSpace;
pub use stats::{Growth, StatsReport, TableStats};
pub use store::Store;
pub use table::Table;
pub use times::CommitTimes;
pub use watch::{Watch, Watches};

#[cfg(test)]
mod tests;
