//! What goes wrong in the field, on purpose: chance with a seed, kills, disks that fail, copies of old stores.

pub mod chance;
pub mod disks;
pub mod kills;
pub mod stores;

pub use chance::Chance;
