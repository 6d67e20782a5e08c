//! Gossip beyond LDK's: ordered, repeated where it was lost, and answered (BOLT 7); imports `ldk` only.

pub mod answer;
pub mod ask;
pub mod clocks;
#[cfg(test)]
pub(crate) mod fake;
pub mod first_update;
pub mod order;
pub mod resolve;
pub mod spent;
pub mod survey;
#[cfg(test)]
mod tests;
