//! What the node insists on while it opens and closes channels, where LDK would give in or give up.
//!
//! LDK decides by itself how it answers a peer's `error` to an open, and which fee of a close it takes. These rooms see
//! the messages on their way in and out (see [`held_messages`](super::commit::held_messages)) and narrow them; they
//! import nothing else of `node`.

pub mod closes;
pub mod fees;
pub mod opens;
