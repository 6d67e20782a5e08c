//! Who may do what: macaroons, their caveats, and the permission of each method. It knows no interface.

pub mod bake;
pub mod caveat;
pub mod macaroon;
pub mod permission;

#[cfg(test)]
mod properties;
