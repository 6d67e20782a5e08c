//! Whether a peer may open a channel to us.

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
    /// Channels of this peer that are not ready yet.
    pub pending_with_peer: usize,
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
}

/// Decides whether to accept.
pub fn decide(config: &Config, request: &Request) -> Result<(), Rejection> {
    if !config.accept_inbound {
        return Err(Rejection::Closed);
    }
    if let Some(why) = &request.not_ready {
        return Err(Rejection::NotReady(why.clone()));
    }
    if request.push_msat.is_none() {
        return Err(Rejection::DualFunded);
    }
    if request.zero_conf {
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
            pending_with_peer: 0,
            wallet_sat: 25_000,
            needed_reserve_sat: 25_000,
            not_ready: None,
        }
    }

    #[test]
    fn each_rule_refuses_in_its_own_words() {
        let table: [(Request, Result<(), Rejection>); 12] = [
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
            assert_eq!(decide(&Config::default(), &request), expected, "{request:?}");
        }
    }

    #[test]
    fn options_close_the_door_or_leave_out_the_reserve() {
        let closed = Config { accept_inbound: false, ..Config::default() };
        assert_eq!(decide(&closed, &good()), Err(Rejection::Closed));
        let bold = Config { inbound_needs_anchor_reserve: false, ..Config::default() };
        assert_eq!(decide(&bold, &Request { wallet_sat: 0, ..good() }), Ok(()));
    }
}
