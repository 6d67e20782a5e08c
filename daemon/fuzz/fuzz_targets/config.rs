//! Any text as a configuration file: taken, or refused in words.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use fulmen_daemon::config::{Args, load};
use libfuzzer_sys::fuzz_target;

/// Each fuzzer has a file of its own.
static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("fulmen-fuzz-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    dir
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(DIR.join("fulmen.toml"), bytes).expect("written");
    let args = Args { dir: Some(DIR.clone()), ..Args::default() };
    if let Err(problems) = load(&args, std::iter::empty()) {
        assert!(!problems.0.is_empty());
    }
});
