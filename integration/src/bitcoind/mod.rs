//! A real bitcoind on regtest: where the program comes from, a running node, and its miner.

mod build;
pub mod miner;
pub mod node;
pub mod provision;

pub use miner::Faucet;
pub use node::Bitcoind;
