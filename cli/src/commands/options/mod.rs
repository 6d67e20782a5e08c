//! Options that several commands share.
pub mod constraints;
pub mod filter;
pub mod limits;
pub mod names;
pub mod paging;
pub mod qr;
