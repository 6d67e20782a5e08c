//! LDK's ground traits, one file each, and its generics over them; imports nothing else of `node`.

pub mod decode;
pub mod keys;
pub mod limits;
pub mod log_budget;
pub mod logger;
pub mod offer_requests;
pub mod shutdown;
pub mod slots;
pub mod types;
