//! Our records as lnd's messages.

pub mod channel;
pub mod closed;
pub mod features;
pub mod graph;
pub mod invoice;
pub mod payment;
pub mod route;
pub mod wallet;
