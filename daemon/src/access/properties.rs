//! Properties of what strangers may send as macaroons. `daemon/fuzz` has the same functions as targets.

use std::net::IpAddr;

use proptest::prelude::*;

use super::caveat::{Call, Caveat};
use super::macaroon::{Macaroon, RootKey};
use super::permission::{Action, Permission};

fn signed(caveats: &[String]) -> (RootKey, Macaroon) {
    let key = RootKey::derive(b"a secret of this daemon");
    let fresh = Macaroon::new(&key, "fulmen", b"admin");
    let macaroon = caveats.iter().fold(fresh, |macaroon, caveat| macaroon.with_caveat(caveat));
    (key, macaroon)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(macaroon) = Macaroon::decode(&bytes) {
            prop_assert_eq!(Macaroon::decode(&macaroon.encode()), Ok(macaroon));
        }
    }

    #[test]
    fn what_is_baked_comes_back_signed(caveats in prop::collection::vec("[ -~]{1,40}", 0..5)) {
        let (key, macaroon) = signed(&caveats);
        let read = Macaroon::decode(&macaroon.encode()).expect("our own form");
        prop_assert!(read.is_signed_by(&key));
        prop_assert_eq!(read.caveats.len(), caveats.len());
    }

    #[test]
    fn a_changed_byte_widens_nothing(
        caveats in prop::collection::vec("[ -~]{1,40}", 1..4),
        place in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let (key, macaroon) = signed(&caveats);
        let mut bytes = macaroon.encode();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(changed) = Macaroon::decode(&bytes) && changed.is_signed_by(&key) {
            // The location is a hint, and not signed.
            prop_assert_eq!((changed.identifier, changed.caveats), (macaroon.identifier, macaroon.caveats));
        }
    }

    #[test]
    fn only_known_caveats_hold(caveat in "[ -~]{0,60}", now in any::<u64>(), from in any::<Option<[u8; 4]>>()) {
        let permission = Permission { entity: "payments", action: Action::Write };
        let from = from.map(IpAddr::from);
        let call = Call { method: "/fulmen.v1.Payments/Pay", permission, now, from };
        let name = caveat.split('=').next().unwrap_or_default().trim();
        if Caveat::parse(caveat.as_bytes()).is_ok_and(|caveat| caveat.check(&call).is_ok()) {
            prop_assert!(["permission", "method", "before", "ip"].contains(&name), "{}", caveat);
        }
    }
}
