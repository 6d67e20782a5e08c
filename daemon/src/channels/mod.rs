//! Opening, accepting, closing and pricing channels.

use lightning::ln::types::ChannelId;

/// How a caller names a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelRef {
    /// By its 32-byte id.
    Id(ChannelId),
    /// By its announced short id or by our alias (BOLT 7).
    Short(u64),
    /// By its funding output.
    Funding(bitcoin::OutPoint),
}
