//! From the wire: what requests say, read and bounded.

pub mod fields;
