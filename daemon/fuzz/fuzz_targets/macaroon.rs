//! Any bytes as a macaroon, and any text as a caveat: read or refused, and what is read is written the same.
#![no_main]

use fulmen_daemon::access::caveat::{Call, Caveat};
use fulmen_daemon::access::macaroon::{Macaroon, RootKey};
use fulmen_daemon::access::permission::{Action, Permission};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let permission = Permission { entity: "payments", action: Action::Write };
    let call = Call { method: "/fulmen.v1.Payments/Pay", permission, now: 1, from: None };
    let _ = Caveat::parse(bytes).map(|caveat| caveat.check(&call));
    let Ok(macaroon) = Macaroon::decode(bytes) else { return };
    assert_eq!(Macaroon::decode(&macaroon.encode()), Ok(macaroon.clone()));
    // Nobody without the key makes a macaroon that is signed by it.
    assert!(!macaroon.is_signed_by(&RootKey::derive(b"a key that the fuzzer does not know")));
});
