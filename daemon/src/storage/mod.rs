//! Durable records in sled behind one committer and a write-ahead log; nothing else knows sled.
//!
//! A write is enqueued at once, in call order, and becomes durable in that order: when a write is durable, so are all
//! earlier ones. Reads see enqueued writes, so read-modify-write needs no wait.
//!
//! Inner rooms, top to bottom: `jobs`, `offline`; `table`, `ldk`; `store`; `open`; `care`; `commit`; `rows`; `engine`.

mod care;
mod commit;
mod config;
mod engine;
mod error;
#[doc(hidden)]
pub mod fuzz;
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
pub use engine::progress::{OnProgress, Progress, ignore_progress};
pub use error::Error;
pub use jobs::JobUpdate;
pub use ldk::kv_store::KvStore;
pub use ldk::kv_write::KvWrite;
pub use open::Claim;
pub use rows::codec::{DecodeError, JOURNAL_KIND, Record};
pub use store::Store;
pub use table::history::{History, Page, PruneDecision, Pruned};
pub use table::log::{Log, LogFollower};
pub use table::records::Table;
pub use table::retention::{PruneStep, RetentionClass, prune_daily};
pub use table::subscribe::{Subscription, Subscriptions};

#[cfg(test)]
mod tests;
