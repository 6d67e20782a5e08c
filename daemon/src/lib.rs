//! The rooms of `fulmend`, top to bottom; a room uses only what stands below it.

pub mod config;
pub mod daemon;
pub mod events;
pub mod figures;
pub mod grpc;
pub mod offline;

pub mod channels;
pub mod forwards;
pub mod invoices;
pub mod payments;
pub mod peers;

pub mod parts;

pub mod node;

pub mod admission;

pub mod wallet;

pub mod feerates;

pub mod chain;

pub mod journal;

pub mod metrics;

pub mod storage;

pub mod log;

pub mod ports;

pub mod clock;

pub mod tasks;
