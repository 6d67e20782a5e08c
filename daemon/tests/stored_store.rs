//! A whole store as release 0.1 left it: opened, and every record in it is read.

use fulmen_daemon::journal::{Entry, Journal};
use fulmen_daemon::node::ldk::decode;
use fulmen_daemon::storage::{Config, Store, ignore_progress, offline};

#[test]
fn a_store_of_release_0_1_is_read_for_ever() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("export");
    std::fs::write(&file, include_bytes!("../src/storage/tests/store-0.1.export"))
        .expect("written");
    offline::import(&file, directory.path()).expect("release 0.1 exported it");
    let store = Store::open(directory.path(), &Config::default()).expect("opens");
    let report = store.check(&decode::stored, &ignore_progress).expect("reads");
    assert!(report.is_sound() && report.decoded > 2, "{report:?}");
    let journal = Journal::open(&store, fulmen_daemon::clock::Clock::system()).expect("opens");
    let entries = journal.read(0, 1_000).expect("each entry is known");
    let ready = |entry: &Entry| matches!(entry, Entry::ChannelReady { .. });
    let settled = |entry: &Entry| matches!(entry, Entry::InvoiceSettled { .. });
    assert!(entries.iter().any(|numbered| ready(&numbered.entry)));
    assert!(entries.iter().any(|numbered| settled(&numbered.entry)));
}
