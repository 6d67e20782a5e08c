//! The process entry of `fulmend`.
fn main() {}
