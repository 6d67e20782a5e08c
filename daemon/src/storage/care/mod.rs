//! What keeps a store sound and small: check, sizes, export, compaction, the mirror. Imports engines, rows and commits.

pub(in crate::storage) mod check;
pub(in crate::storage) mod compact;
pub(in crate::storage) mod diff;
pub(in crate::storage) mod export;
pub(in crate::storage) mod mirror;
pub(in crate::storage) mod stats;
