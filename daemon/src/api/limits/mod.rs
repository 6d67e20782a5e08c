//! What strangers can occupy at the API port: connections, calls and bytes of requests are bounded, each in all.

pub mod calls;
pub mod connections;
