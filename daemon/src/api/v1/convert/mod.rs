//! From the wire: requests, read and bounded.

pub mod channel;
pub mod fields;
pub mod payment;
pub mod route;
