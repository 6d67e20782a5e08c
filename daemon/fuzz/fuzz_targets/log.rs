//! Any bytes as a file of the write-ahead log, and as the damage of one: no panic, and no frame that was not written.
#![no_main]

use fulmen_daemon::storage::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzz::log_file(bytes);
    fuzz::damaged_log(bytes);
});
