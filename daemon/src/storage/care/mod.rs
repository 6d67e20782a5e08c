//! Maintenance: check, sizes, export, compaction, the mirror.
//!
//! Imports `commit`, `rows` and `engine`.

pub(in crate::storage) mod check;
pub(in crate::storage) mod compact;
pub(in crate::storage) mod compactor;
pub(in crate::storage) mod diff;
pub(in crate::storage) mod export;
pub(in crate::storage) mod mirror;
pub(in crate::storage) mod stats;
