//! Output commit: nothing leaves the node before the checkpoint that it follows from is durable.
//!
//! [`checkpoint`] writes LDK's state; [`held_messages`] and [`held_broadcaster`] wait for it at the [`gate`].
//! Imports `planner`, `gossip` and `ldk`.

pub mod buckets;
pub mod checkpoint;
pub mod costs;
pub mod deferred_persister;
pub mod difference;
pub mod finished;
pub mod gate;
pub mod held_broadcaster;
pub mod held_messages;
pub mod manager_rows;
pub mod monitor_weights;
pub mod rebroadcast;
pub mod types;
