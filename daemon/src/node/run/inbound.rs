//! Decides which inbound connections stay: who is evicted for whom, from counts and times alone.
//!
//! Who connects is known only after the handshake, and a peer with a channel must always get in. So a new connection is
//! never refused: where a limit is reached, it takes the place of the oldest one in the same group that has not
//! completed its handshake. Once a connection is identified, one without a channel has to go if it is one too many.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Bounds of inbound connections.
#[derive(Clone, Copy, Debug)]
pub struct InboundLimits {
    /// Most peers without a channel.
    pub strangers: usize,
    /// Most connections that have not sent `init`.
    pub handshakes: usize,
    /// Most connections without a channel from one address; an IPv6 address counts with its /64.
    pub per_address: usize,
    /// Most connections without a channel from one subnet: /24 of IPv4, /48 of IPv6.
    pub per_subnet: usize,
    /// How long a connection may take until it has sent `init`.
    pub handshake_timeout: Duration,
}

/// Identifies a connection; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshaking,
    Stranger,
    ChannelPeer,
}

struct Connection {
    ip: IpAddr,
    began: Instant,
    state: State,
}

/// All inbound connections, in the order in which they came.
pub struct Connections {
    limits: InboundLimits,
    all: BTreeMap<ConnectionId, Connection>,
    last_id: u64,
}

impl Connections {
    /// Returns an empty table.
    pub fn new(limits: InboundLimits) -> Self {
        Self { limits, all: BTreeMap::new(), last_id: 0 }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a connection; returns its id, and the connection to close for it.
    pub fn admit(&mut self, ip: IpAddr, now: Instant) -> (ConnectionId, Option<ConnectionId>) {
        let evicted = self.eviction_due(ip);
        if let Some(evicted) = evicted {
            self.all.remove(&evicted);
        }
        self.last_id += 1;
        let id = ConnectionId(self.last_id);
        self.all.insert(id, Connection { ip, began: now, state: State::Handshaking });
        (id, evicted)
    }

    /// Returns the connection that a new one from an address would take the place of.
    pub fn eviction_due(&self, ip: IpAddr) -> Option<ConnectionId> {
        if let Some((address, subnet)) = groups(ip) {
            for (group, limit) in
                [(address, self.limits.per_address), (subnet, self.limits.per_subnet)]
            {
                let is_in = |other| group.contains(other);
                let without_channel =
                    self.count(State::Handshaking, &is_in) + self.count(State::Stranger, &is_in);
                if without_channel >= limit
                    && let Some(oldest) = self.oldest_handshaking(&is_in)
                {
                    return Some(oldest);
                }
            }
        }
        let is_full = self.count(State::Handshaking, &|_| true) >= self.limits.handshakes;
        is_full.then(|| self.oldest_handshaking(&|_| true)).flatten()
    }

    /// Forgets a connection that has ended.
    pub fn remove(&mut self, id: ConnectionId) {
        self.all.remove(&id);
    }

    /// Removes and returns the connections that take too long for their handshake.
    pub fn expired(&mut self, now: Instant) -> Vec<ConnectionId> {
        let timeout = self.limits.handshake_timeout;
        let is_late = |connection: &Connection| {
            connection.state == State::Handshaking && now - connection.began >= timeout
        };
        let late = self.all.iter().filter(|(_, connection)| is_late(connection));
        let late: Vec<_> = late.map(|(id, _)| *id).collect();
        for id in &late {
            self.all.remove(id);
        }
        late
    }

    /// Records who a connection belongs to; returns whether it may stay.
    pub fn identified(&mut self, id: ConnectionId, has_channel: bool) -> bool {
        let Some(connection) = self.all.get_mut(&id) else { return true };
        let was = connection.state;
        connection.state = if has_channel { State::ChannelPeer } else { State::Stranger };
        if has_channel || was != State::Handshaking {
            // A peer whose last channel was closed may stay as well.
            return true;
        }
        let ip = connection.ip;
        let strangers = |is_in: &dyn Fn(IpAddr) -> bool| self.count(State::Stranger, is_in);
        let is_too_many = strangers(&|_| true) > self.limits.strangers
            || groups(ip).is_some_and(|(address, subnet)| {
                strangers(&|other| address.contains(other)) > self.limits.per_address
                    || strangers(&|other| subnet.contains(other)) > self.limits.per_subnet
            });
        !is_too_many
    }

    fn count(&self, state: State, is_in: &dyn Fn(IpAddr) -> bool) -> usize {
        self.all.values().filter(|it| it.state == state && is_in(it.ip)).count()
    }

    fn oldest_handshaking(&self, is_in: &dyn Fn(IpAddr) -> bool) -> Option<ConnectionId> {
        let mut all = self.all.iter();
        all.find(|(_, it)| it.state == State::Handshaking && is_in(it.ip)).map(|(id, _)| *id)
    }
}

/// A prefix of addresses that one operator is likely to hold.
#[derive(Clone, Copy)]
struct Group {
    prefix: u128,
    bits: u32,
}

impl Group {
    fn of(ip: IpAddr, bits: u32) -> Self {
        Self { prefix: as_v6(ip) >> (128 - bits), bits }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        as_v6(ip) >> (128 - self.bits) == self.prefix
    }
}

/// Returns the address and the subnet of an IP address; none for loopback, where a Tor daemon or a proxy connects for
/// everybody.
fn groups(ip: IpAddr) -> Option<(Group, Group)> {
    match ip.to_canonical() {
        ip if ip.is_loopback() => None,
        ip @ IpAddr::V4(_) => Some((Group::of(ip, 128), Group::of(ip, 96 + 24))),
        ip @ IpAddr::V6(_) => Some((Group::of(ip, 64), Group::of(ip, 48))),
    }
}

fn as_v6(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: InboundLimits = InboundLimits {
        strangers: 6,
        handshakes: 8,
        per_address: 2,
        per_subnet: 4,
        handshake_timeout: Duration::from_secs(10),
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn connections() -> Connections {
        Connections::new(LIMITS)
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_evicts_only_its_own_handshakes() {
        let mut all = connections();
        let now = Instant::now();
        let (honest, _) = all.admit(ip("192.0.2.1"), now);
        let mut evicted = Vec::new();
        for _ in 0..1_000 {
            evicted.extend(all.admit(ip("198.51.100.7"), now).1);
        }
        assert_eq!(evicted.len(), 998);
        assert!(!evicted.contains(&honest));
        assert_eq!(all.all.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_subnet_and_all_together_are_bounded() {
        let mut all = connections();
        let now = Instant::now();
        for host in 0..100 {
            all.admit(ip(&format!("198.51.100.{host}")), now);
        }
        assert_eq!(all.all.len(), LIMITS.per_subnet);
        for net in 0..100 {
            all.admit(ip(&format!("203.0.{net}.1")), now);
        }
        assert_eq!(all.all.len(), LIMITS.handshakes);
        let mut all = connections();
        for host in 0..100 {
            all.admit(ip(&format!("2001:db8:1:2::{host}")), now);
        }
        assert_eq!(all.all.len(), LIMITS.per_address, "a /64 counts as one address");
        for net in 0..100 {
            all.admit(ip(&format!("2001:db8:1:{net:x}::1")), now);
        }
        assert_eq!(all.all.len(), LIMITS.per_subnet, "a /48 as one subnet");
    }

    #[tokio::test(start_paused = true)]
    async fn loopback_has_no_limit_but_that_of_all_handshakes() {
        let mut all = connections();
        for _ in 0..100 {
            all.admit(ip("127.0.0.1"), Instant::now());
        }
        assert_eq!(all.all.len(), LIMITS.handshakes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_expires_and_an_identified_one_does_not() {
        let mut all = connections();
        let began = Instant::now();
        let (silent, _) = all.admit(ip("192.0.2.1"), began);
        let (peer, _) = all.admit(ip("192.0.2.2"), began);
        assert!(all.identified(peer, false));
        assert_eq!(all.expired(began + Duration::from_secs(9)), []);
        assert_eq!(all.expired(began + Duration::from_secs(10)), [silent]);
        assert_eq!(all.expired(began + Duration::from_secs(99)), []);
    }

    #[tokio::test(start_paused = true)]
    async fn peers_with_channels_get_in_however_many_strangers_there_are() {
        let mut all = connections();
        let now = Instant::now();
        for net in 0..6 {
            let (id, evicted) = all.admit(ip(&format!("203.0.{net}.1")), now);
            assert!(evicted.is_none() && all.identified(id, false));
        }
        let (stranger, _) = all.admit(ip("203.0.9.1"), now);
        assert!(!all.identified(stranger, false), "one too many");
        all.remove(stranger);
        let (peer, _) = all.admit(ip("203.0.9.1"), now);
        assert!(all.identified(peer, true));
        assert!(all.identified(peer, false), "its channel was closed: it may stay");
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_of_one_address_are_bounded_and_a_channel_peer_behind_it_is_not() {
        let mut all = connections();
        let now = Instant::now();
        let mut admitted = Vec::new();
        for _ in 0..3 {
            let (id, evicted) = all.admit(ip("192.0.2.1"), now);
            assert!(evicted.is_none(), "no handshake is pending");
            admitted.push(all.identified(id, false));
        }
        assert_eq!(admitted, [true, true, false]);
        let (peer, _) = all.admit(ip("192.0.2.1"), now);
        assert!(all.identified(peer, true));
    }
}
