//! The layout of rows: keys, checksums, chunks of long values, the seal over LDK's rows, the schema.
//!
//! Imports `engine`.

pub(in crate::storage) mod chunks;
pub(in crate::storage) mod codec;
pub(in crate::storage) mod damage;
pub(in crate::storage) mod keys;
pub(in crate::storage) mod meta;
pub(in crate::storage) mod schema;
pub(in crate::storage) mod seal;
