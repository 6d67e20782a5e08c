//! Gossip beyond LDK's: ordered, repeated where it was lost, and answered (BOLT 7); imports `ldk` only.

pub mod answer;
pub mod ask;
pub mod order;
pub mod survey;
