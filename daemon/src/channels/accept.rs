//! Whether a peer may open a channel to us.

mod answer;
pub mod decider;
pub mod rules;

pub use answer::OpenRequest;

use super::config::Config;
use crate::admission::NotReady;

/// What is known when a peer asks.
#[derive(Clone, Debug)]
pub struct Request {
    /// The capacity.
    pub capacity_sat: u64,
    /// What the peer gives us at the start; none for a dual-funded channel.
    pub push_msat: Option<u64>,
    /// Its commitment transactions pay no fee for HTLCs and are bumped by anchors.
    pub anchors: bool,
    /// It is to be used before its funding is confirmed.
    pub zero_conf: bool,
    /// Whether the network is to hear of it.
    pub announced: bool,
    /// Whether the operator's rules admit the peer at all.
    pub admitted: bool,
    /// Whether the operator trusts the peer with channels that are used before their funding is confirmed.
    pub trusted: bool,
    /// Channels of this peer that are not ready yet.
    pub pending_with_peer: usize,
    /// Channels with this peer, open and pending, whichever side opened them.
    pub with_peer: usize,
    /// The peer's announced channels, and what they hold together, in satoshis.
    pub size_of_peer: (usize, u64),
    /// What the wallet holds in confirmed coins, in satoshis, the reserve included.
    pub wallet_sat: u64,
    /// What the wallet must hold for bumping anchors with this channel, in satoshis.
    pub needed_reserve_sat: u64,
    /// Why nothing new may be taken on now, if so.
    pub not_ready: Option<NotReady>,
}

/// Why a channel is not accepted; sent to the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The configuration says so.
    #[error("this node accepts no channels")]
    Closed,
    /// We are behind the chain, or out of space; a stranger does not learn about our disks.
    #[error("no new channels now: {}", .0.for_strangers())]
    NotReady(NotReady),
    /// The operator's rules name the peer, or others.
    #[error("this node does not accept your channels")]
    NotAdmitted,
    /// The operator's rules.
    #[error("this node accepts no public channels")]
    Public,
    /// The operator's rules.
    #[error("this node accepts no private channels")]
    Private,
    /// The operator's rules.
    #[error("you have {0} channels with this node, at most {1} may be")]
    TooManyWithPeer(usize, usize),
    /// The operator's rules.
    #[error("this node accepts channels of nodes with {0} announced channels of {1} sat, or more")]
    PeerTooSmall(usize, u64),
    /// Capacity out of bounds.
    #[error("a channel of {0} sat is too small, the least is {1} sat")]
    TooSmall(u64, u64),
    /// Capacity out of bounds.
    #[error("a channel of {0} sat is too large, the most is {1} sat")]
    TooLarge(u64, u64),
    /// We cannot do it yet.
    #[error("this node does not do dual-funded channels")]
    DualFunded,
    /// A peer that we do not trust could take our money back.
    #[error("this node does not use channels before their funding is confirmed")]
    ZeroConf,
    /// Fees of old channel types are guesses about the future.
    #[error("only channels with anchor outputs (option_anchors) are accepted")]
    NoAnchors,
    /// Filling us with unfunded channels is cheap.
    #[error("{0} channels of yours are pending already, at most {1} may be")]
    TooManyPending(usize, usize),
    /// We could not bump our commitment.
    #[error("this node has too little on-chain money to bump another channel's commitment")]
    NoReserve,
    /// The operator wants to decide, and nobody is there to do it.
    #[error("this node accepts no channels now")]
    Undecided,
    /// The operator's program said so.
    #[error("{0}")]
    Decided(String),
}

/// Decides whether to accept.
///
/// # Errors
/// The first rule that the request breaks.
pub fn decide(config: &Config, rules: &rules::Config, request: &Request) -> Result<(), Rejection> {
    if !config.accept_inbound {
        return Err(Rejection::Closed);
    }
    if let Some(why) = &request.not_ready {
        return Err(Rejection::NotReady(why.clone()));
    }
    if !request.admitted {
        return Err(Rejection::NotAdmitted);
    }
    if request.push_msat.is_none() {
        return Err(Rejection::DualFunded);
    }
    match request.announced {
        true if !rules.public => return Err(Rejection::Public),
        false if !rules.private => return Err(Rejection::Private),
        true | false => (),
    }
    if request.zero_conf && !request.trusted {
        return Err(Rejection::ZeroConf);
    }
    if !request.anchors {
        return Err(Rejection::NoAnchors);
    }
    if request.capacity_sat < config.min_capacity_sat {
        return Err(Rejection::TooSmall(request.capacity_sat, config.min_capacity_sat));
    }
    if request.capacity_sat > config.max_capacity_sat {
        return Err(Rejection::TooLarge(request.capacity_sat, config.max_capacity_sat));
    }
    if request.pending_with_peer >= config.max_pending_per_peer {
        let most = config.max_pending_per_peer;
        return Err(Rejection::TooManyPending(request.pending_with_peer, most));
    }
    if rules.max_per_peer > 0 && request.with_peer >= rules.max_per_peer {
        return Err(Rejection::TooManyWithPeer(request.with_peer, rules.max_per_peer));
    }
    let (channels, capacity_sat) = request.size_of_peer;
    if channels < rules.min_peer_channels || capacity_sat < rules.min_peer_capacity_sat {
        return Err(Rejection::PeerTooSmall(rules.min_peer_channels, rules.min_peer_capacity_sat));
    }
    if config.inbound_needs_anchor_reserve && request.wallet_sat < request.needed_reserve_sat {
        return Err(Rejection::NoReserve);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Unsynced;

    fn good() -> Request {
        Request {
            capacity_sat: 100_000,
            push_msat: Some(0),
            anchors: true,
            zero_conf: false,
            announced: true,
            admitted: true,
            trusted: false,
            pending_with_peer: 0,
            with_peer: 0,
            size_of_peer: (0, 0),
            wallet_sat: 25_000,
            needed_reserve_sat: 25_000,
            not_ready: None,
        }
    }

    #[test]
    fn each_rule_refuses_in_its_own_words() {
        let table: [(Request, Result<(), Rejection>); 14] = [
            (good(), Ok(())),
            (Request { capacity_sat: 20_000, ..good() }, Ok(())),
            (Request { capacity_sat: 19_999, ..good() }, Err(Rejection::TooSmall(19_999, 20_000))),
            (Request { capacity_sat: 1_000_000_000, ..good() }, Ok(())),
            (
                Request { capacity_sat: 1_000_000_001, ..good() },
                Err(Rejection::TooLarge(1_000_000_001, 1_000_000_000)),
            ),
            (Request { push_msat: None, ..good() }, Err(Rejection::DualFunded)),
            (Request { zero_conf: true, ..good() }, Err(Rejection::ZeroConf)),
            (Request { zero_conf: true, trusted: true, ..good() }, Ok(())),
            (Request { admitted: false, ..good() }, Err(Rejection::NotAdmitted)),
            (Request { anchors: false, ..good() }, Err(Rejection::NoAnchors)),
            (Request { pending_with_peer: 1, ..good() }, Ok(())),
            (Request { pending_with_peer: 2, ..good() }, Err(Rejection::TooManyPending(2, 2))),
            (Request { wallet_sat: 24_999, ..good() }, Err(Rejection::NoReserve)),
            (
                Request { not_ready: Some(NotReady::NotSynced(Unsynced::NoPeers)), ..good() },
                Err(Rejection::NotReady(NotReady::NotSynced(Unsynced::NoPeers))),
            ),
        ];
        for (request, expected) in table {
            let decision = decide(&Config::default(), &rules::Config::default(), &request);
            assert_eq!(decision, expected, "{request:?}");
        }
    }

    #[test]
    fn the_operators_rules_refuse_in_their_own_words() {
        let rules = || rules::Config::default();
        let private = Request { announced: false, ..good() };
        let large = Request { size_of_peer: (3, 50_000), ..good() };
        for (rules, request, expected) in [
            (rules::Config { public: false, ..rules() }, good(), Err(Rejection::Public)),
            (rules::Config { public: false, ..rules() }, private.clone(), Ok(())),
            (rules::Config { private: false, ..rules() }, private, Err(Rejection::Private)),
            (rules::Config { private: false, ..rules() }, good(), Ok(())),
            (
                rules::Config { max_per_peer: 2, ..rules() },
                Request { with_peer: 2, ..good() },
                Err(Rejection::TooManyWithPeer(2, 2)),
            ),
            (
                rules::Config { max_per_peer: 2, ..rules() },
                Request { with_peer: 1, ..good() },
                Ok(()),
            ),
            (
                rules::Config { min_peer_channels: 4, ..rules() },
                large.clone(),
                Err(Rejection::PeerTooSmall(4, 0)),
            ),
            (
                rules::Config { min_peer_capacity_sat: 50_001, ..rules() },
                large.clone(),
                Err(Rejection::PeerTooSmall(0, 50_001)),
            ),
            (
                rules::Config { min_peer_channels: 3, min_peer_capacity_sat: 50_000, ..rules() },
                large,
                Ok(()),
            ),
        ] {
            assert_eq!(decide(&Config::default(), &rules, &request), expected, "{rules:?}");
        }
    }

    #[test]
    fn options_close_the_door_or_leave_out_the_reserve() {
        let closed = Config { accept_inbound: false, ..Config::default() };
        let rules = rules::Config::default();
        assert_eq!(decide(&closed, &rules, &good()), Err(Rejection::Closed));
        let bold = Config { inbound_needs_anchor_reserve: false, ..Config::default() };
        assert_eq!(decide(&bold, &rules, &Request { wallet_sat: 0, ..good() }), Ok(()));
    }
}
