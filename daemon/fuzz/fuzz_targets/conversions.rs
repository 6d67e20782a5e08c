//! Any bytes as a request: converted, or refused as malformed; never a panic.
#![no_main]

use fulmen_daemon::api::v1::convert::requests;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for outcome in requests(bytes) {
        if let Err(status) = outcome {
            assert!(!status.message().is_empty());
        }
    }
});
