//! Placeholder while the library grows.
fn main() {}
