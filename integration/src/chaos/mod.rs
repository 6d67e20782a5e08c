//! What goes wrong in the field, on purpose: chance with a seed, kills, deafness, copies of old stores.

pub mod chance;
pub mod stores;

pub use chance::Chance;
