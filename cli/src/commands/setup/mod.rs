//! Commands that need no running daemon: the seed, and completions for a shell.
pub mod completions;
pub mod create;
mod fulmend;
pub mod seed;
