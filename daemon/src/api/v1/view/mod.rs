//! Onto the wire: what the rooms know, as messages of the API.

pub mod channel;
pub mod probe;
pub mod route;
