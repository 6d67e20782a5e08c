//! Who may call what: macaroons, their caveats, and the permission of each method.

pub mod bake;
pub mod caveat;
pub mod layer;
pub mod macaroon;
pub mod permission;
