//! Any bytes as a stored row and as a witness: no panic, and what is read encodes to the same.
#![no_main]

use fulmen_daemon::storage::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzz::row(bytes);
    fuzz::witness_slot(bytes);
});
