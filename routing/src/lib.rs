//! The routing crate of Fulmen.
