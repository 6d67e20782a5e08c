//! Options that several commands share.
pub mod constraints;
pub mod filter;
pub mod limits;
pub mod paging;
pub mod qr;
