//! The integration crate of Fulmen.
