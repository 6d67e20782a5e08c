//! What makes the node live: restored, assembled, brought to the tip, and driven; imports everything else of `node`.

pub mod announce;
pub mod assemble;
pub mod catch_up;
pub mod heal;
pub mod inbound;
pub mod learn;
pub mod listen;
pub mod net;
pub mod process;
pub mod pruning;
pub mod replay;
pub mod reserve;
pub mod restore;
pub mod sweep;
