//! Peers that nobody knows and that do their worst: silence, garbage, floods, and opens that are never funded.
//!
//! They speak the protocol themselves, from TCP to BOLT 2, so that they can break it at every layer.

pub mod messages;
pub mod noise;
pub mod transport;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bitcoincore_rpc::bitcoin::secp256k1::PublicKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::chaos::Chance;
use crate::daemon::Node;
use crate::poll;
use transport::Peer;

/// Connections that one crowd of strangers opens.
const CROWD: usize = 60;
/// Between two connections of a stranger who is turned away: it is noise, not a denial of service of ourselves.
const PAUSE: Duration = Duration::from_millis(20);

/// What a stranger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// Connects, and says nothing.
    Idle,
    /// Sends half of the first act of the handshake.
    HalfOpen,
    /// Sends bytes that are no handshake.
    Garbage,
    /// Announces channels and nodes that do not exist, well signed, and asks for what there is not.
    Gossip,
    /// Sends onion messages that nobody can peel.
    Onions,
    /// Asks for the longest answers to pings, as fast as it can.
    Pings,
    /// Opens channels and never funds them.
    Opens,
}

impl Mischief {
    /// All of them, in the order in which a soak goes through them.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::HalfOpen,
        Self::Garbage,
        Self::Gossip,
        Self::Onions,
        Self::Pings,
        Self::Opens,
    ];
}

/// Whom the strangers come to.
#[derive(Clone, Debug)]
pub struct Target {
    address: String,
    id: PublicKey,
}

impl Target {
    /// A daemon; it may be restarted meanwhile.
    pub fn of(node: &Node) -> Result<Self> {
        let id = PublicKey::from_slice(&node.id()).context("a node id is a public key")?;
        Ok(Self { address: node.address(), id })
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(&self.address).await;
        stream.with_context(|| format!("connecting to {}", self.address))
    }
}

/// Does mischief for a while, and returns how often: connections, or messages once a connection stands.
///
/// Being refused or cut off is what a stranger expects, and no error.
pub async fn bother(
    target: &Target,
    mischief: Mischief,
    span: Duration,
    chance: &mut Chance,
) -> usize {
    let until = Instant::now() + span;
    match mischief {
        Mischief::Idle => crowd(target, until, Vec::new()).await,
        // The version, and a part of what is to be a key.
        Mischief::HalfOpen => crowd(target, until, vec![0; 20]).await,
        Mischief::Garbage => garbage(target, until, chance).await,
        Mischief::Gossip | Mischief::Onions | Mischief::Pings | Mischief::Opens => {
            flood(target, mischief, until, chance).await
        }
    }
}

/// Many connections that say the same little, each held until the target closes it or the time is over.
async fn crowd(target: &Target, until: Instant, said: Vec<u8>) -> usize {
    let mut strangers = JoinSet::new();
    for _ in 0..CROWD {
        let (target, said) = (target.clone(), said.clone());
        strangers.spawn(async move {
            let mut connected = 0;
            while Instant::now() < until {
                if let Ok(mut stream) = target.connect().await
                    && stream.write_all(&said).await.is_ok()
                {
                    connected += 1;
                    drain(&mut stream, until).await;
                }
                poll::pass(PAUSE).await;
            }
            connected
        });
    }
    let mut connected = 0;
    while let Some(stranger) = strangers.join_next().await {
        connected += stranger.unwrap_or_default();
    }
    connected
}

async fn garbage(target: &Target, until: Instant, chance: &mut Chance) -> usize {
    let mut sent = 0;
    while Instant::now() < until {
        if let Ok(mut stream) = target.connect().await {
            // The first act of a handshake has 50 bytes: these are as many, and more.
            let noise: Vec<u8> = (0..4).flat_map(|_| chance.bytes()).collect();
            if stream.write_all(&noise).await.is_ok() {
                sent += 1;
                drain(&mut stream, until.min(Instant::now() + Duration::from_secs(1))).await;
            }
        }
        poll::pass(PAUSE).await;
    }
    sent
}

/// Reads until the other side closes, or the time is over.
async fn drain(stream: &mut TcpStream, until: Instant) {
    let mut buffer = [0; 4_096];
    let reading = async { while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {} };
    let _ = tokio::time::timeout_at(until.into(), reading).await;
}

/// A peer with a handshake and an `init`, who then sends one message after another; cut off, it comes again.
async fn flood(target: &Target, mischief: Mischief, until: Instant, chance: &mut Chance) -> usize {
    let mut sent = 0;
    while Instant::now() < until {
        let flooded = async {
            let mut peer = Peer::connect(&target.address, &target.id, chance).await?;
            peer.greet().await?;
            while Instant::now() < until {
                for message in messages::of(mischief, chance) {
                    peer.send(&message).await?;
                    sent += 1;
                }
                // What comes back must be read, or the other side rightly stops reading us.
                peer.read_what_is_there(Duration::from_millis(5)).await?;
            }
            Ok::<(), anyhow::Error>(())
        };
        let _ = tokio::time::timeout_at(until.into(), flooded).await;
        poll::pass(PAUSE).await;
    }
    sent
}
