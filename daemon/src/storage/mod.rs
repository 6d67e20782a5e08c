//! Durable records in sled behind one committer and a write-ahead log; nothing else knows sled.
//!
//! A write is enqueued at once, in call order, and becomes durable in that order: whoever has seen a later
//! write durable may rely on all earlier ones. Reads see enqueued writes, so read-modify-write needs no wait.

mod care;
mod commit;
mod config;
mod engine;
mod error;
mod jobs;
mod ldk;
pub mod offline;
mod open;
mod rows;
mod store;
mod table;

pub use crate::record;
pub use care::check::{CheckReport, Decode, LdkValue};
pub use care::compact::CompactReport;
pub use care::export::ExportReport;
pub use care::mirror::MirrorStatus;
pub use care::stats::{StatsReport, TableStats};
pub use commit::batch::Batch;
pub use commit::group::Commit;
pub use commit::space::LowSpace;
pub use commit::times::{CommitTimes, Growth};
pub use config::Config;
pub use engine::backend::Direction;
pub use engine::progress::{GoOn, Step, to_the_end};
pub use error::Error;
pub use jobs::Told;
pub use ldk::kv_store::KvStore;
pub use ldk::kv_write::KvWrite;
pub use rows::codec::{DecodeError, JOURNAL_KIND, Record};
pub use store::Store;
pub use table::history::{Fate, History, Page, Pruned};
pub use table::log::Log;
pub use table::records::Table;
pub use table::retention::{Class, Forgotten, every_day};
pub use table::subscribe::{Watch, Watches};

#[cfg(test)]
mod tests;
