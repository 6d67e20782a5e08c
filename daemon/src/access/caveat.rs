//! The conditions that a macaroon can carry, and whether a call meets them.
//!
//! - `permission = payments:write,info:read`: one of these, `*` for any entity or any action;
//! - `before = 1790000000`: until this Unix time;
//! - `ip = 10.0.0.0/8,::1`: from one of these addresses or networks.
//!
//! All caveats of a macaroon must hold. An unknown caveat never holds.

use std::net::IpAddr;

use super::permission::Permission;

/// The facts of a call that caveats can restrict.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The permission that the method needs.
    pub permission: Permission,
    /// Unix time in seconds.
    pub now: u64,
    /// The caller's address, if it is known.
    pub from: Option<IpAddr>,
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
    /// It is restricted to other addresses.
    #[error("the macaroon is not for calls from this address")]
    Address,
    /// It has a caveat that this release does not know.
    #[error("the macaroon has a caveat that this daemon does not know: {0}")]
    Unknown(String),
}

/// Checks whether a call meets one caveat.
pub fn check(caveat: &[u8], call: &Call) -> Result<(), CaveatRefusal> {
    let text = std::str::from_utf8(caveat).map_err(|_| unknown("bytes that are no text"))?;
    let (name, value) = text.split_once('=').ok_or_else(|| unknown(text))?;
    let value = value.trim();
    match name.trim() {
        "permission" => match value.split(',').any(|one| grants(one.trim(), call.permission)) {
            true => Ok(()),
            false => Err(CaveatRefusal::Permission(call.permission.to_string())),
        },
        "before" => match value.parse::<u64>() {
            Ok(end) if call.now < end => Ok(()),
            Ok(end) => Err(CaveatRefusal::Expired(end)),
            Err(_) => Err(unknown(text)),
        },
        "ip" => {
            let from = call.from.ok_or(CaveatRefusal::Address)?;
            match value.split(',').any(|network| contains(network.trim(), from)) {
                true => Ok(()),
                false => Err(CaveatRefusal::Address),
            }
        }
        _ => Err(unknown(text)),
    }
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

fn contains(network: &str, address: IpAddr) -> bool {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, length.parse::<u32>().ok()),
        None => (network, Some(128)),
    };
    let (Ok(base), Some(length)) = (base.parse::<IpAddr>(), length) else { return false };
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

    fn outcome(caveat: &str) -> Result<(), CaveatRefusal> {
        let from = Some("10.1.2.3".parse().expect("an address"));
        check(caveat.as_bytes(), &Call { permission: PAY, now: 1_000, from })
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
    fn addresses_match_exactly_or_by_network() {
        for met in ["10.1.2.3", "10.0.0.0/8", "0.0.0.0/0", "::1, 10.1.2.0/24", "10.1.2.3/32"] {
            assert_eq!(outcome(&format!("ip = {met}")), Ok(()), "{met}");
        }
        for missed in ["10.1.2.4", "10.1.3.0/24", "::/0", "10.1.2.3/x", "nowhere", ""] {
            assert_eq!(outcome(&format!("ip = {missed}")), Err(CaveatRefusal::Address), "{missed}");
        }
        let mapped = Some("::ffff:10.1.2.3".parse().expect("an address"));
        let call = Call { permission: PAY, now: 0, from: mapped };
        assert_eq!(check(b"ip = 10.1.2.3", &call), Ok(()));
        let call = Call { permission: PAY, now: 0, from: None };
        assert_eq!(check(b"ip = 0.0.0.0/0", &call), Err(CaveatRefusal::Address));
        let six = Some("2001:db8::7".parse().expect("an address"));
        let call = Call { permission: PAY, now: 0, from: six };
        assert_eq!(check(b"ip = 2001:db8::/32", &call), Ok(()));
        assert_eq!(check(b"ip = ::/0", &call), Ok(()));
    }

    #[test]
    fn what_is_not_understood_is_not_met() {
        for caveat in ["", "admin", "user = alice", "permissions = *:*"] {
            assert!(matches!(outcome(caveat), Err(CaveatRefusal::Unknown(_))), "{caveat}");
        }
        assert!(matches!(
            check(&[0xff], &Call { permission: PAY, now: 0, from: None }),
            Err(CaveatRefusal::Unknown(_))
        ));
    }
}
