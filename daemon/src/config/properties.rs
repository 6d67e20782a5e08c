//! Properties of configurations as people mistype them. `daemon/fuzz` has the same function as a target.

use proptest::prelude::*;

use super::{Args, load};

/// Text with the letters that configurations are made of, so that some of it is nearly right.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_\\[\\]=\" .0-9\n]{0,80}",
        "\\[(node|storage|peers|channels)\\]\n[a-z_]{1,20} = [a-z0-9\"\\[\\]-]{0,12}\n",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused_in_words(
        file in text(),
        name in "FULMEN_(NODE|STORAGE|PEERS|API)_[A-Z_]{0,12}",
        value in any::<String>(),
        set in "[a-z.=0-9\\[\\]\"]{0,30}",
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("fulmen.toml"), file).expect("written");
        let args = Args { dir: Some(dir.path().to_owned()), set: vec![set], ..Args::default() };
        if let Err(problems) = load(&args, [(name, value)].into_iter()) {
            prop_assert!(!problems.0.is_empty());
            prop_assert!(problems.0.iter().all(|problem| !problem.trim().is_empty()));
        }
    }
}
