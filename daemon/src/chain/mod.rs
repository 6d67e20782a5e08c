//! Blocks, headers and broadcasts through bitcoind.
