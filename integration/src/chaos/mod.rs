//! What goes wrong in the field, on purpose: chance with a seed, kills, disks that fail, copies of old stores,
//! clocks that are ahead; and what a daemon asks of its disk, counted.

pub mod chance;
pub mod clocks;
pub mod counts;
pub mod disks;
pub mod faults;
pub mod kills;
mod preload;
pub mod stores;

pub use chance::Chance;
