//! Real Lightning networks on regtest: bitcoind, daemons and the CLI as processes, driven as users drive them.
//!
//! Everything here knows Fulmen from outside only: its binaries, its files and its gRPC.
//! A scenario is written with [`scenario::run`]: it gets a [`network::Network`], takes
//! [`steps`], and ends with the [`audit`].

pub mod audit;
pub mod binaries;
pub mod bitcoind;
pub mod chaos;
pub mod cli;
pub mod daemon;
pub mod demo;
pub mod load;
pub mod network;
pub mod poll;
pub mod ports;
pub mod process;
pub mod scenario;
pub mod scratch;
pub mod soak;
pub mod steps;
pub mod strangers;
