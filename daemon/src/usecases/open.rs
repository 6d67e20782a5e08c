//! Opening channels with peers that may have to be connected first.

use crate::channels::{self, Channels, Open, OpenBatch, OpenFollower};
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

/// [`open`] for several channels with one funding transaction; `addresses` are those of the peers, in order. A peer that
/// cannot be reached refuses the whole: nothing is recorded.
///
/// # Errors
/// See [`Error`].
pub async fn open_batch(
    channels: &Channels,
    peers: &Peers,
    batch: OpenBatch,
    addresses: &[Option<String>],
) -> Result<Vec<OpenFollower>, Error> {
    let repeated = match &batch.idempotency_key {
        Some(key) => channels.knows_batch_key(key)?,
        None => false,
    };
    if !repeated {
        for (open, address) in batch.opens.iter().zip(addresses) {
            channels.check_request(open)?;
            peers.connect(open.node_id, address.as_deref()).await?;
        }
    }
    Ok(channels.open_batch(batch).await?)
}
