//! The second copy: in step, lost, brought back, restored.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::io::Errno;

use super::faults::Faulty;
use super::*;
use crate::storage::care::mirror::Mirrored;
use crate::storage::engine::memory::Memory;
use crate::storage::{Error, MirrorStatus, offline};

fn mirrored(mirror: &Path) -> Config {
    Config { mirror: Some(mirror.to_owned()), ..Config::default() }
}

#[test]
fn a_mirror_is_brought_in_step_and_restores_the_store() {
    let (main, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = mirrored(mirror.path());
    // The store is older than its mirror, and is written to without it in between.
    fill(&open(main.path()), 0..20);
    fill(&Store::open(main.path(), &config).unwrap(), 20..40);
    fill(&open(main.path()), 40..60);
    let store = Store::open(main.path(), &config).unwrap();
    let caught_up = store.mirror().borrow().clone();
    assert!(
        matches!(caught_up, MirrorStatus::InSync { copied_rows } if copied_rows > 20),
        "{caught_up:?}"
    );
    fill(&store, 60..80);
    let expected = contents(&store);
    assert!(matches!(Store::open(mirror.path(), &Config::default()), Err(Error::Locked { .. })));
    drop(store);

    // The disk dies.
    let refused = offline::restore(mirror.path(), main.path()).unwrap_err();
    assert!(matches!(refused, Error::Exists { .. }), "{refused}");
    std::fs::remove_dir_all(main.path().join("sled")).unwrap();
    let refused = Store::open(main.path(), &config).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::Behind { .. }), "{refused}");
    offline::restore(mirror.path(), main.path()).unwrap();
    let store = Store::open(main.path(), &config).unwrap();
    assert_eq!(contents(&store), expected);
    assert_eq!(*store.mirror().borrow(), MirrorStatus::InSync { copied_rows: 0 });
}

#[test]
fn a_mirror_is_its_owners_alone() {
    let (main, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = mirrored(mirror.path());
    drop(Store::open(main.path(), &config).unwrap());
    let paths = || {
        let inside = |path: &Path| {
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        let own = inside(mirror.path()).into_iter().chain(inside(&mirror.path().join("sled")));
        own.chain([mirror.path().to_owned()]).collect::<Vec<_>>()
    };
    // As an older release, or a careless copy, left it.
    for path in paths() {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let store = Store::open(main.path(), &config).unwrap();
    assert!(matches!(*store.mirror().borrow(), MirrorStatus::InSync { .. }));
    for path in paths() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} is {mode:o}", path.display());
    }
    // Its mode cannot be changed.
    let exposed = mirrored(Path::new("/proc/self"));
    let store = Store::open(&main.path().join("other"), &exposed).unwrap();
    let status = store.mirror().borrow().clone();
    assert!(
        matches!(&status, MirrorStatus::Failed { why } if why.contains("others can read")),
        "{status:?}"
    );
}

#[test]
fn an_older_store_is_refused_by_its_mirror_and_a_foreign_mirror_by_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let config = mirrored(&path("mirror"));
    fill(&Store::open(&path("main"), &config).unwrap(), 0..10);
    // Copied back from yesterday together with its witness: only the mirror knows.
    copy_all(&path("main"), &path("yesterday"));
    fill(&Store::open(&path("main"), &config).unwrap(), 10..20);
    let refused = Store::open(&path("yesterday"), &config).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("has it") && refused.contains("older copy"), "{refused}");

    fill(&open(&path("other")), 0..30);
    let required = Config { stop_without_mirror: true, ..config.clone() };
    let refused = Store::open(&path("other"), &required).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("another store"), "{refused}");
    let store = Store::open(&path("other"), &config).unwrap();
    assert!(matches!(*store.mirror().borrow(), MirrorStatus::Failed { .. }));
    // It is nobody's business here any more.
    let foreign = std::fs::metadata(path("mirror").join("sled")).unwrap();
    store.compact(&ignore_progress).unwrap();
    let after = std::fs::metadata(path("mirror").join("sled")).unwrap();
    assert_eq!(foreign.ino(), after.ino(), "the foreign store was compacted");
}

#[test]
fn a_lost_mirror_ends_the_store_only_where_it_is_required() {
    for required in [false, true] {
        let config = Config { stop_without_mirror: required, ..Config::default() };
        let copy = Ok(Faulty::after(3, Errno::IO, Memory::default()));
        let mirror = Path::new("/mirror");
        let backend = Mirrored::join(Memory::default(), copy, mirror, &config).unwrap();
        let status = backend.status();
        let store = Store::over(std::sync::Arc::new(backend)).unwrap();
        put(&store, b"1", "both have it").wait().unwrap();
        put(&store, b"2", "both have it").wait().unwrap();
        assert_eq!(*status.borrow(), MirrorStatus::InSync { copied_rows: 0 });
        let third = put(&store, b"3", "the mirror is gone").wait();
        match third {
            Ok(()) if !required => {
                assert!(
                    matches!(&*status.borrow(), MirrorStatus::Failed { why } if why.contains("/mirror"))
                );
                put(&store, b"4", "one copy").wait().unwrap();
            }
            Err(error) if required => {
                assert!(error.to_string().contains("stop_without_mirror"), "{error}");
                assert!(put(&store, b"4", "none").wait().is_err());
            }
            other => panic!("required {required}: {other:?}"),
        }
    }
}

/// Copies a directory with all that is in it.
pub(super) fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
