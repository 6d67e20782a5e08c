//! The witness on another disk: an older copy of the whole data directory is refused.

use super::mirror::copy_all;
use super::*;
use crate::storage::Error;

fn witnessed(witness: &Path) -> Config {
    Config { witness: Some(witness.to_owned()), ..Config::default() }
}

fn refused(directory: &Path, config: &Config) -> Error {
    Store::open(directory, config).map(|_| ()).unwrap_err()
}

#[test]
fn an_older_copy_of_the_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let config = witnessed(&path("witness"));
    fill(&Store::open(&path("main"), &config).unwrap(), 0..10);
    // With the witness file beside the store: what a backup of the whole directory brings back.
    copy_all(&path("main"), &path("yesterday"));
    fill(&Store::open(&path("main"), &config).unwrap(), 10..20);

    let error = refused(&path("yesterday"), &config);
    assert!(matches!(error, Error::Behind { .. }), "{error}");
    let words = error.to_string();
    assert!(
        words.contains(&format!("the witness {} has it", path("witness").display())),
        "{words}"
    );
    assert!(words.contains("older copy"), "{words}");
    assert_eq!(words.lines().count(), 1);
    // Without the second witness nothing tells them apart.
    fill(&open(&path("yesterday")), 10..12);

    // A store that is gone, and a new one in its place.
    let lost = refused(&path("new"), &config);
    assert!(matches!(lost, Error::Behind { found: 0, .. }), "{lost}");
    let store = Store::open(&path("main"), &config).unwrap();
    assert!(store.check(&|_| Ok(()), &ignore_progress).unwrap().is_sound());
}

#[test]
fn a_witness_that_cannot_vouch_is_refused_with_words() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fill(&Store::open(&path("main"), &witnessed(&path("witness"))).unwrap(), 0..10);
    fill(&open(&path("other")), 0..40);
    let foreign = refused(&path("other"), &witnessed(&path("witness"))).to_string();
    assert!(foreign.contains("another store"), "{foreign}");
    let unmounted = refused(&path("main"), &witnessed(&path("gone/witness"))).to_string();
    assert!(unmounted.contains("storage.witness") && unmounted.contains("mount"), "{unmounted}");
}

#[test]
fn a_witness_is_taken_up_by_a_store_that_has_run_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fill(&open(&path("main")), 0..10);
    copy_all(&path("main"), &path("yesterday"));
    // One commit is enough: the last one is noted at the close.
    fill(&Store::open(&path("main"), &witnessed(&path("witness"))).unwrap(), 10..11);
    assert!(matches!(
        refused(&path("yesterday"), &witnessed(&path("witness"))),
        Error::Behind { .. }
    ));
}
