//! The rooms of `fulmend`, top to bottom; a room uses only what stands below it.

pub mod daemon;
pub mod offline;

pub mod config;

pub mod collectors;

pub mod api;

pub mod events;

pub mod usecases;

pub mod channels;
pub mod forwards;
pub mod invoices;
pub mod payments;
pub mod peers;

pub mod idempotency;
pub mod parts;

pub mod access;

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

pub mod private_file;

pub mod clock;

pub mod tasks;
