//! The conditions that a macaroon can carry, and whether a call meets them.
//!
//! - `permission = payments:write,info:read`: one of these, `*` for any entity or any action;
//! - `method = Payments/Pay,Node/GetInfo`: one of these methods, with or without the package in front;
//! - `before = 1790000000`: until this Unix time;
//! - `ip = 10.0.0.0/8,::1`: from one of these addresses or networks;
//! - `peer = NODE_ID,NODE_ID`: only calls about one of these peers: connect, disconnect, open;
//! - `channel = 539x1x0,CHANNEL_ID`: only calls about one of these channels: get, close, set its policy.
//!
//! lnd's clients add caveats in lnd's words, which mean the same: `time-before 2026-11-28T14:24:22Z`, `ipaddr 10.0.0.1`,
//! `iprange 10.0.0.0/8`.
//!
//! All caveats of a macaroon must hold. An unknown caveat never holds.

use std::net::IpAddr;

use bitcoin::hex::FromHex as _;
use bitcoin::secp256k1::PublicKey;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::permission::{self, Permission};

/// The facts of a call that caveats can restrict.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The method's path, as in [`permission::METHODS`].
    pub method: &'static str,
    /// The permission that the method needs.
    pub permission: Permission,
    /// Unix time in seconds.
    pub now: u64,
    /// The caller's address, if it is known.
    pub from: Option<IpAddr>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caveat {
    /// One of these permissions, as `entity:action`.
    Permission(Vec<String>),
    /// One of these methods.
    Method(Vec<String>),
    /// Until this Unix time in seconds.
    Before(u64),
    /// From one of these addresses or networks.
    Ip(Vec<String>),
    /// About one of these peers.
    Peer(Vec<PublicKey>),
    /// About one of these channels.
    Channel(Vec<ChannelName>),
}

/// A channel as a caveat names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelName {
    /// By its 32-byte id.
    Id([u8; 32]),
    /// By its short id (BOLT 7), which a splice changes.
    Short(u64),
}

/// Why a macaroon does not allow a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaveatRefusal {
    /// It has expired.
    #[error("the macaroon expired at unix time {0}")]
    Expired(u64),
    /// It is restricted to other permissions.
    #[error("the macaroon does not allow {0}")]
    Permission(String),
    /// It is restricted to other methods.
    #[error("the macaroon does not allow the method {0}")]
    Method(&'static str),
    /// It is restricted to other addresses.
    #[error("the macaroon is not for calls from this address")]
    Address,
    /// It is restricted to other peers.
    #[error("the macaroon is not for calls about this peer")]
    Peer,
    /// It is restricted to other channels.
    #[error("the macaroon is not for calls about this channel")]
    Channel,
    /// It has a caveat that this release does not know.
    #[error("the macaroon has a caveat that this daemon does not know: {0}")]
    Unknown(String),
}

impl Caveat {
    /// Reads a condition.
    ///
    /// # Errors
    /// [`CaveatRefusal::Unknown`].
    pub fn parse(caveat: &[u8]) -> Result<Self, CaveatRefusal> {
        let text = std::str::from_utf8(caveat).map_err(|_| unknown("bytes that are no text"))?;
        if let Some(caveat) = parse_lnd(text) {
            return Ok(caveat);
        }
        let (name, value) = text.split_once('=').ok_or_else(|| unknown(text))?;
        let words = || value.split(',').map(str::trim);
        let owned = || words().map(str::to_owned).collect();
        let parsed = match name.trim() {
            "permission" => Some(Self::Permission(owned())),
            "method" => Some(Self::Method(owned())),
            "before" => value.trim().parse().ok().map(Self::Before),
            "ip" => Some(Self::Ip(owned())),
            "peer" => words().map(|id| id.parse().ok()).collect::<Option<_>>().map(Self::Peer),
            "channel" => words().map(channel_name).collect::<Option<_>>().map(Self::Channel),
            _ => None,
        };
        parsed.ok_or_else(|| unknown(text))
    }

    /// Says what in the condition could never be met: a macaroon with it would be worth nothing.
    ///
    /// # Errors
    /// A sentence without subject for the one who writes the condition.
    pub fn check_sense(&self) -> Result<(), String> {
        match self {
            Self::Permission(given) => each(given, |one| {
                let (entity, action) = one.split_once(':').ok_or("is not ENTITY:ACTION")?;
                if entity != "*" && !permission::ENTITIES.contains(&entity) {
                    return Err("names no entity of this daemon");
                }
                if ["*", "read", "write"].contains(&action) {
                    Ok(())
                } else {
                    Err("ends neither in read nor in write")
                }
            }),
            Self::Method(given) => each(given, |one| {
                let known = permission::METHODS.iter().any(|(path, _)| is_method(one, path));
                if known { Ok(()) } else { Err("is not a method of this daemon") }
            }),
            Self::Ip(given) => each(given, |one| {
                if network(one).is_some() {
                    Ok(())
                } else {
                    Err("is neither an address nor a network")
                }
            }),
            Self::Before(_) | Self::Peer(_) | Self::Channel(_) => Ok(()),
        }
    }

    /// Checks whether a call meets the condition, as far as that can be known before its request is read.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, call: &Call) -> Result<(), CaveatRefusal> {
        let (met, refusal) = match self {
            Self::Permission(given) => (
                given.iter().any(|one| grants(one, call.permission)),
                CaveatRefusal::Permission(call.permission.to_string()),
            ),
            Self::Method(given) => (
                given.iter().any(|one| is_method(one, call.method)),
                CaveatRefusal::Method(call.method),
            ),
            Self::Before(end) => (call.now < *end, CaveatRefusal::Expired(*end)),
            Self::Ip(given) => (
                call.from.is_some_and(|from| given.iter().any(|network| contains(network, from))),
                CaveatRefusal::Address,
            ),
            // The room checks which peer or channel it is; a method that does not look is not for this macaroon.
            Self::Peer(_) => {
                (permission::CHECK_PEER.contains(&call.method), CaveatRefusal::Method(call.method))
            }
            Self::Channel(_) => (
                permission::CHECK_CHANNEL.contains(&call.method),
                CaveatRefusal::Method(call.method),
            ),
        };
        if met { Ok(()) } else { Err(refusal) }
    }
}

/// Reads a condition in lnd's words; none where it is not one that this daemon knows.
fn parse_lnd(text: &str) -> Option<Caveat> {
    let (name, value) = text.split_once(' ')?;
    match name {
        // A time before 1970 has passed.
        "time-before" => OffsetDateTime::parse(value.trim(), &Rfc3339)
            .ok()
            .map(|end| Caveat::Before(u64::try_from(end.unix_timestamp()).unwrap_or(0))),
        "ipaddr" | "iprange" => Some(Caveat::Ip(vec![value.trim().to_owned()])),
        _ => None,
    }
}

/// Checks each word of a condition; the sentence names the first one at fault.
fn each(words: &[String], check: impl Fn(&str) -> Result<(), &'static str>) -> Result<(), String> {
    words.iter().try_for_each(|one| check(one).map_err(|why| format!("`{one}` {why}")))
}

/// `Payments/Pay`, `fulmen.v1.Payments/Pay` and `/fulmen.v1.Payments/Pay` are one method.
fn is_method(given: &str, path: &str) -> bool {
    let given = given.strip_prefix('/').unwrap_or(given);
    let path = path.strip_prefix('/').unwrap_or(path);
    given == path || path.strip_prefix("fulmen.v1.") == Some(given)
}

fn channel_name(text: &str) -> Option<ChannelName> {
    if let Ok(id) = <[u8; 32]>::from_hex(text) {
        return Some(ChannelName::Id(id));
    }
    let mut parts = text.split('x').map(|part| part.parse::<u64>().ok());
    let (block, transaction, output) = (parts.next()??, parts.next()??, parts.next()??);
    let fits = block < 1 << 24 && transaction < 1 << 24 && output < 1 << 16;
    let scid = (block << 40) | (transaction << 16) | output;
    (fits && parts.next().is_none()).then_some(ChannelName::Short(scid))
}

fn unknown(text: &str) -> CaveatRefusal {
    CaveatRefusal::Unknown(text.chars().filter(|c| !c.is_control()).take(64).collect())
}

fn grants(given: &str, wanted: Permission) -> bool {
    given.split_once(':').is_some_and(|(entity, action)| {
        (entity == "*" || entity == wanted.entity)
            && (action == "*" || action == wanted.action.name())
    })
}

/// Reads an address, or a network with its length in bits.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    match text.split_once('/') {
        Some((base, length)) => Some((base.parse().ok()?, length.parse().ok()?)),
        None => Some((text.parse().ok()?, 128)),
    }
}

fn contains(text: &str, address: IpAddr) -> bool {
    let Some((base, length)) = network(text) else { return false };
    match (base, address.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let ignored = 32 - length.min(32);
            same_prefix(base.to_bits().into(), address.to_bits().into(), ignored)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            same_prefix(base.to_bits(), address.to_bits(), 128 - length.min(128))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

fn same_prefix(one: u128, other: u128, ignored_bits: u32) -> bool {
    // A shift by all 128 bits would overflow: a network of length 0 has every address.
    (one ^ other).checked_shr(ignored_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::super::permission::Action;
    use super::*;

    const PAY: Permission = Permission { entity: "payments", action: Action::Write };

    fn check(caveat: &[u8], call: &Call) -> Result<(), CaveatRefusal> {
        Caveat::parse(caveat)?.check(call)
    }

    fn call(from: Option<&str>) -> Call {
        let from = from.map(|text| text.parse().expect("an address"));
        Call { method: "/fulmen.v1.Payments/Pay", permission: PAY, now: 1_000, from }
    }

    fn outcome(caveat: &str) -> Result<(), CaveatRefusal> {
        check(caveat.as_bytes(), &call(Some("10.1.2.3")))
    }

    #[test]
    fn permissions_name_entity_and_action_or_a_star() {
        for met in [
            "permission = payments:write",
            "permission=payments:write",
            "permission = info:read, payments:write",
            "permission = *:write",
            "permission = payments:*",
            "permission = *:*",
        ] {
            assert_eq!(outcome(met), Ok(()), "{met}");
        }
        for missed in [
            "permission = payments:read",
            "permission = payment:write",
            "permission = *:read",
            "permission = *",
            "permission = payments",
            "permission = ",
        ] {
            assert_eq!(
                outcome(missed),
                Err(CaveatRefusal::Permission("payments:write".into())),
                "{missed}"
            );
        }
    }

    #[test]
    fn time_ends_at_its_second() {
        assert_eq!(outcome("before = 1001"), Ok(()));
        assert_eq!(outcome("before = 1000"), Err(CaveatRefusal::Expired(1_000)));
        assert!(matches!(outcome("before = soon"), Err(CaveatRefusal::Unknown(_))));
        assert!(matches!(outcome("before = -1"), Err(CaveatRefusal::Unknown(_))));
    }

    #[test]
    fn caveats_that_lnds_clients_add_are_understood() {
        for met in [
            "time-before 1970-01-01T00:16:41Z",
            "time-before 1970-01-01T00:16:41.999999999Z",
            "time-before 1970-01-01T02:16:41+02:00",
            "ipaddr 10.1.2.3",
            "iprange 10.0.0.0/8",
        ] {
            assert_eq!(outcome(met), Ok(()), "{met}");
        }
        let expired = |end| Err(CaveatRefusal::Expired(end));
        assert_eq!(outcome("time-before 1970-01-01T00:16:40Z"), expired(1_000));
        assert_eq!(outcome("time-before 1969-01-01T00:00:00Z"), expired(0));
        assert_eq!(outcome("ipaddr 10.1.2.4"), Err(CaveatRefusal::Address));
        for strange in ["time-before", "time-before soon", "lnd-custom budget 5", "ipaddr"] {
            assert!(matches!(outcome(strange), Err(CaveatRefusal::Unknown(_))), "{strange}");
        }
    }

    #[test]
    fn addresses_match_exactly_or_by_network() {
        for met in ["10.1.2.3", "10.0.0.0/8", "0.0.0.0/0", "::1, 10.1.2.0/24", "10.1.2.3/32"] {
            assert_eq!(outcome(&format!("ip = {met}")), Ok(()), "{met}");
        }
        for missed in ["10.1.2.4", "10.1.3.0/24", "::/0", "10.1.2.3/x", "nowhere", ""] {
            assert_eq!(outcome(&format!("ip = {missed}")), Err(CaveatRefusal::Address), "{missed}");
        }
        let mapped = call(Some("::ffff:10.1.2.3"));
        assert_eq!(check(b"ip = 10.1.2.3", &mapped), Ok(()));
        let nowhere = call(None);
        assert_eq!(check(b"ip = 0.0.0.0/0", &nowhere), Err(CaveatRefusal::Address));
        let six = call(Some("2001:db8::7"));
        assert_eq!(check(b"ip = 2001:db8::/32", &six), Ok(()));
        assert_eq!(check(b"ip = ::/0", &six), Ok(()));
    }

    #[test]
    fn what_is_not_understood_is_not_met() {
        for caveat in ["", "admin", "user = alice", "permissions = *:*"] {
            assert!(matches!(outcome(caveat), Err(CaveatRefusal::Unknown(_))), "{caveat}");
        }
        assert!(matches!(check(&[0xff], &call(None)), Err(CaveatRefusal::Unknown(_))));
    }
}
