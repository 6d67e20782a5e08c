//! Connections to other nodes, remembered and re-established.

mod backoff;
mod config;
mod reconnect;
mod record;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::SocketAddress;
use lightning::routing::gossip::NodeId;
use lightning::types::features::InitFeatures;

pub use config::Config;

use crate::listing::{Ask, Listed};
use crate::node::run::net::{self, ConnectError};
use crate::node::{Node, address};
use crate::parts::Parts;
use crate::storage::{self, Batch, Store};
use crate::tasks::Tasks;
use record::{PEERS, PeerRecord};

/// Why a peer could not be connected or let go.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("`{0}` is not of the form host:port")]
    Address(String),
    /// A node is no peer of its own.
    #[error("is this node itself")]
    Ourselves,
    /// No address of the node is known.
    #[error("no address of {0} is known: give one as host:port")]
    NoAddress(PublicKey),
    /// Nobody answers, or somebody else.
    #[error(transparent)]
    Unreachable(ConnectError),
    /// Neither connected nor remembered.
    #[error("{0} is neither connected nor remembered")]
    Unknown(PublicKey),
    /// A disconnected channel earns nothing and may be closed by the peer.
    #[error(
        "there are {channels} channels with this peer; it would be reconnected: force it if you want it"
    )]
    HasChannels {
        /// How many.
        channels: usize,
    },
    /// The store failed.
    #[error("could not store a peer")]
    Store(#[from] storage::Error),
}

/// A peer as an operator sees it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who.
    pub node_id: PublicKey,
    /// Where it is connected, or where we look for it.
    pub address: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether it came to us.
    pub inbound: bool,
    /// Open and pending channels with it.
    pub channels: usize,
    /// Whether it is reconnected.
    pub persistent: bool,
    /// What it can do, by BOLT 9 name.
    pub features: InitFeatures,
    /// Why the last attempt to reach it failed.
    pub last_error: Option<String>,
}

impl Listed for Peer {
    const ASKS: &'static [Ask] = &[Ask::Node, Ask::Words];

    fn is_of_node(&self, node_id: &PublicKey) -> bool {
        self.node_id == *node_id
    }

    fn texts(&self) -> Vec<&str> {
        [Some(self.address.as_str()), self.last_error.as_deref()].into_iter().flatten().collect()
    }
}

/// The room of peers; a handle.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    config: Config,
    node: Arc<Node>,
    tasks: Tasks,
    store: Store,
    attempts: Mutex<HashMap<PublicKey, reconnect::Attempts>>,
}

impl Peers {
    /// Makes the room; [`Peers::run`] keeps peers connected.
    pub fn new(config: Config, parts: &Parts) -> Self {
        let Parts { node, tasks, store, .. } = parts.clone();
        Self(Arc::new(Inner { config, node, tasks, store, attempts: Mutex::default() }))
    }

    /// Connects at the given address, or at those that are known; remembers where it worked.
    /// Returns false if the peer had been connected already.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Ourselves`], [`Error::NoAddress`], [`Error::Unreachable`],
    /// [`Error::Store`].
    pub async fn connect(&self, node_id: PublicKey, address: Option<&str>) -> Result<bool, Error> {
        let given = address.map(with_port).transpose()?;
        if node_id == self.0.node.id() {
            return Err(Error::Ourselves);
        }
        if net::is_connected(&self.0.node, &node_id) {
            return Ok(false);
        }
        let candidates = match given {
            Some(address) => vec![address],
            None => self.addresses(&node_id)?,
        };
        let mut last = Error::NoAddress(node_id);
        for address in candidates {
            match net::connect(&self.0.node, &self.0.tasks, node_id, &address).await {
                Ok(()) => {
                    self.remember(node_id, &address).await?;
                    self.attempts().remove(&node_id);
                    return Ok(true);
                }
                Err(ConnectError::Ourselves) => return Err(Error::Ourselves),
                Err(ConnectError::Malformed(text)) => last = Error::Address(text),
                Err(error) => last = Error::Unreachable(error),
            }
        }
        Err(last)
    }

    /// Connects for the moment, as an onion message needs it: the peer is not remembered.
    ///
    /// # Errors
    /// As [`Peers::connect`].
    pub async fn visit(&self, node_id: PublicKey, addresses: &[String]) -> Result<(), Error> {
        let mut last = Error::NoAddress(node_id);
        for address in addresses {
            match net::connect(&self.0.node, &self.0.tasks, node_id, address).await {
                Ok(()) => return Ok(()),
                Err(error) => last = Error::Unreachable(error),
            }
        }
        Err(last)
    }

    /// Disconnects, and forgets the peer unless there are channels with it.
    ///
    /// # Errors
    /// [`Error::HasChannels`] unless forced, [`Error::Unknown`], [`Error::Store`].
    pub async fn disconnect(&self, node_id: PublicKey, force: bool) -> Result<(), Error> {
        let node = &self.0.node;
        let channels = node.channel_manager.list_channels_with_counterparty(&node_id).len();
        let connected = net::is_connected(node, &node_id);
        let remembered = PEERS.contains(&self.0.store, &node_id.serialize())?;
        if !connected && !remembered && channels == 0 {
            return Err(Error::Unknown(node_id));
        }
        if channels > 0 && !force {
            return Err(Error::HasChannels { channels });
        }
        if channels == 0 && remembered {
            let mut batch = Batch::new();
            PEERS.delete(&mut batch, &node_id.serialize());
            self.0.store.commit(batch).await?;
            self.attempts().remove(&node_id);
        }
        node.peer_manager.disconnect_by_node_id(node_id);
        Ok(())
    }

    /// Returns connected and remembered peers, and those with which there are channels.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn list(&self) -> Result<Vec<Peer>, Error> {
        let node = &self.0.node;
        let mut peers = BTreeMap::new();
        let nobody = |node_id| Peer {
            node_id,
            address: String::new(),
            connected: false,
            inbound: false,
            channels: 0,
            persistent: false,
            features: InitFeatures::empty(),
            last_error: None,
        };
        for (node_id, record) in self.remembered()? {
            let peer: &mut Peer = peers.entry(node_id).or_insert_with(|| nobody(node_id));
            peer.address = record.addresses.first().cloned().unwrap_or_default();
            peer.persistent = true;
        }
        for channel in node.channel_manager.list_channels() {
            let node_id = channel.counterparty.node_id;
            let peer = peers.entry(node_id).or_insert_with(|| nobody(node_id));
            peer.channels += 1;
            peer.persistent = true;
        }
        for details in node.peer_manager.list_peers() {
            let node_id = details.counterparty_node_id;
            let peer = peers.entry(node_id).or_insert_with(|| nobody(node_id));
            peer.connected = true;
            peer.inbound = details.is_inbound_connection;
            peer.features = details.init_features;
            if let Some(address) = details.socket_address {
                peer.address = address.to_string();
            }
        }
        let attempts = self.attempts();
        for peer in peers.values_mut().filter(|peer| !peer.connected) {
            let attempts = attempts.get(&peer.node_id);
            peer.last_error = attempts.and_then(|attempts| attempts.last_error.clone());
        }
        Ok(peers.into_values().collect())
    }

    fn remembered(&self) -> Result<Vec<(PublicKey, PeerRecord)>, storage::Error> {
        let all = PEERS.all(&self.0.store)?;
        let known = |(key, record): (Vec<u8>, PeerRecord)| {
            PublicKey::from_slice(&key).ok().map(|node_id| (node_id, record))
        };
        Ok(all.into_iter().filter_map(known).collect())
    }

    /// Where a node may be: what worked before, then what it announces.
    ///
    /// # Errors
    /// The store failed.
    pub fn addresses(&self, node_id: &PublicKey) -> Result<Vec<String>, storage::Error> {
        let record = PEERS.get(&self.0.store, &node_id.serialize())?;
        let mut addresses = record.map(|record| record.addresses).unwrap_or_default();
        let graph = self.0.node.graph.read_only();
        let announced = graph
            .node(&NodeId::from_pubkey(node_id))
            .and_then(|info| info.announcement_info.as_ref())
            .map(|announcement| announcement.addresses().to_vec())
            .unwrap_or_default();
        for address in announced.iter().filter(|address| is_reachable(address)) {
            let text = address.to_string();
            if !addresses.contains(&text) {
                addresses.push(text);
            }
        }
        Ok(addresses)
    }

    /// Remembers a peer that was never connected, so that it is connected as soon as it can be reached.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn expect(&self, node_id: PublicKey, addresses: &[String]) -> Result<(), Error> {
        let key = node_id.serialize();
        let known = PEERS.get(&self.0.store, &key)?;
        let expected = addresses
            .iter()
            .rev()
            .fold(PeerRecord::default(), |record, address| record.with(address));
        // What has worked here comes before what has worked elsewhere.
        let worked = known.iter().flat_map(|record| record.addresses.iter().rev());
        let record = worked.fold(expected, |record, address| record.with(address));
        let mut batch = Batch::new();
        PEERS.put(&mut batch, &key, &record);
        self.0.store.commit(batch).await?;
        Ok(())
    }

    async fn remember(&self, node_id: PublicKey, address: &str) -> Result<(), storage::Error> {
        let key = node_id.serialize();
        let known = PEERS.get(&self.0.store, &key)?;
        let record = known.clone().unwrap_or_default().with(address);
        if known.as_ref() == Some(&record) {
            return Ok(());
        }
        let mut batch = Batch::new();
        PEERS.put(&mut batch, &key, &record);
        self.0.store.commit(batch).await
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<PublicKey, reconnect::Attempts>> {
        self.0.attempts.lock().expect("no panic while held")
    }
}

/// We have no way to onion services yet.
fn is_reachable(address: &SocketAddress) -> bool {
    match address {
        SocketAddress::TcpIpV4 { .. }
        | SocketAddress::TcpIpV6 { .. }
        | SocketAddress::Hostname { .. } => true,
        SocketAddress::OnionV2(_) | SocketAddress::OnionV3 { .. } => false,
    }
}

/// Adds the default port where there is none.
fn with_port(text: &str) -> Result<String, Error> {
    let text = text.trim();
    let port = address::DEFAULT_PORT;
    let is_bare_ipv6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    if text.is_empty() || (text.starts_with(':') && !is_bare_ipv6) {
        return Err(Error::Address(text.to_owned()));
    }
    let whole = if is_bare_ipv6 {
        format!("[{text}]:{port}")
    } else if text.contains(':') {
        text.to_owned()
    } else {
        format!("{text}:{port}")
    };
    match address::parse(&whole) {
        Ok(_) => Ok(whole),
        Err(_) => Err(Error::Address(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        let table = [
            ("127.0.0.1", Some("127.0.0.1:9735")),
            ("127.0.0.1:19735", Some("127.0.0.1:19735")),
            (" node.example ", Some("node.example:9735")),
            ("::1", Some("[::1]:9735")),
            ("[::1]:1000", Some("[::1]:1000")),
            ("", None),
            (":9735", None),
            ("host:port", None),
            ("host:99999", None),
            ("two words", None),
        ];
        for (text, expected) in table {
            assert_eq!(with_port(text).ok().as_deref(), expected, "{text:?}");
        }
    }
}
