//! Durable records in sled behind one committer; nothing else knows sled.
//!
//! A write is enqueued at once, in call order, and becomes durable in that order: whoever has seen a later
//! write durable may rely on all earlier ones. Reads see enqueued writes, so read-modify-write needs no wait.

mod backend;
mod batch;
mod chunks;
mod codec;
mod commit;
mod config;
mod error;
mod group;
mod history;
mod keys;
mod kv;
mod lock;
mod log;
mod memory;
mod overlay;
mod schema;
mod sled;
mod store;
mod table;
mod watch;
mod witness;

pub use crate::record;
pub use backend::Direction;
pub use batch::Batch;
pub use codec::{DecodeError, JOURNAL_KIND, Record};
pub use config::Config;
pub use error::Error;
pub use group::Commit;
pub use history::{History, Page};
pub use kv::KvStore;
pub use log::Log;
pub use store::Store;
pub use table::Table;
pub use watch::{Watch, Watches};

#[cfg(test)]
mod conformance;
