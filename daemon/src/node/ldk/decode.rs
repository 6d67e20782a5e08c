//! Decodes LDK's values without using them, for checks of a store.

use bitcoin::BlockHash;
use lightning::chain::channelmonitor::{ChannelMonitor, ChannelMonitorUpdate};
use lightning::routing::gossip::NetworkGraph;
use lightning::sign::{InMemorySigner, KeysManager};
use lightning::util::persist::{
    CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE,
    CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE, NETWORK_GRAPH_PERSISTENCE_KEY,
};
use lightning::util::ser::{Readable, ReadableArgs};

use super::logger::Logger;
use crate::storage::LdkValue;

/// LDK's prefix of a monitor whose updates are stored apart.
const WITH_UPDATES: [u8; 2] = [0xff; 2];

/// Decodes monitors, their updates and the graph; accepts other values unseen.
///
/// # Errors
/// LDK's error for bytes that it cannot decode.
pub fn stored(value: LdkValue<'_>) -> Result<(), String> {
    let bytes = value.value;
    let outcome = if value.primary == CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE {
        monitor(bytes.strip_prefix(&WITH_UPDATES).unwrap_or(bytes))
    } else if value.primary == CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE {
        ChannelMonitorUpdate::read(&mut &bytes[..]).map(drop)
    } else if value.primary.is_empty() && value.key == NETWORK_GRAPH_PERSISTENCE_KEY {
        NetworkGraph::read(&mut &bytes[..], &Logger::default()).map(drop)
    } else {
        Ok(())
    };
    outcome.map_err(|error| format!("{error:?}"))
}

/// Any keys will do: they only derive a signer, which is dropped.
fn monitor(mut bytes: &[u8]) -> Result<(), lightning::ln::msgs::DecodeError> {
    let keys = KeysManager::new(&[0; 32], 0, 0, true);
    <(BlockHash, ChannelMonitor<InMemorySigner>)>::read(&mut bytes, (&keys, &keys)).map(drop)
}
