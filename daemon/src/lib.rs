//! The daemon crate of Fulmen.
