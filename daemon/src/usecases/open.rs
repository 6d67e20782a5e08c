//! Opening a channel with a peer that may have to be connected first.

use crate::channels::{self, Channels, Open, OpenFollower};
use crate::peers::{self, Peers};

/// Why a channel is not opened; nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer cannot be reached.
    #[error(transparent)]
    Peers(#[from] peers::Error),
    /// The open is refused.
    #[error(transparent)]
    Channels(#[from] channels::Error),
}

/// Connects to the peer, at `address` (host:port) or where it is known to be, and opens the channel. A request that is
/// repeated under its idempotency key follows the first open and does not connect.
///
/// # Errors
/// See [`Error`].
pub async fn open(
    channels: &Channels,
    peers: &Peers,
    request: Open,
    address: Option<&str>,
) -> Result<OpenFollower, Error> {
    let repeated = match &request.idempotency_key {
        Some(key) => channels.knows_key(key)?,
        None => false,
    };
    if !repeated {
        channels.check_request(&request)?;
        peers.connect(request.node_id, address).await?;
    }
    Ok(channels.open(request).await?)
}
