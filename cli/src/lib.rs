//! The cli crate of Fulmen.
