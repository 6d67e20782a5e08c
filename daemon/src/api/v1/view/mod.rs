//! Onto the wire: records of the rooms as messages of the API.

pub mod balances;
pub mod channel;
pub mod decoded;
pub mod event;
pub mod features;
pub mod forward;
pub mod ids;
pub mod invoice;
pub mod offer;
pub mod payment;
pub mod policy;
pub mod probe;
pub mod route;
