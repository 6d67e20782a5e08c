//! Who may do what: macaroons, their caveats, and the permission that each method asks for.

pub mod bake;
pub mod caveat;
pub mod macaroon;
pub mod permission;
