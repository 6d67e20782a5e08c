//! The proto crate of Fulmen.
