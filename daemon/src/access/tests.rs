//! The room of macaroons on a store in memory: baked, narrowed, revoked, rotated.

use std::time::Duration;

use super::permission::{Access as Needs, of_method};
use super::*;

struct Room {
    access: Access,
    store: Store,
    dir: tempfile::TempDir,
}

fn room() -> Room {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::temporary();
    Room { access: open(&dir, &store), store, dir }
}

fn open(dir: &tempfile::TempDir, store: &Store) -> Access {
    let journal = Journal::open(store, Clock::system()).expect("an empty journal opens");
    Access::open(dir.path(), store, journal, Clock::system()).expect("writable")
}

fn stored(room: &Room, name: &str) -> Macaroon {
    let bytes = std::fs::read(file_of(room.dir.path(), name)).expect("it is there");
    Macaroon::decode(&bytes).expect("well-formed")
}

fn admit(access: &Access, macaroon: &Macaroon, path: &str) -> Result<Caller, NotAdmitted> {
    let Some((method, Needs::Needs(permission))) = of_method(path) else { panic!("{path}") };
    let from = Some("127.0.0.1".parse().expect("an address"));
    access.admit(macaroon, &Call { method, permission, now: 1_000, from })
}

const PAY: &str = "/fulmen.v1.Payments/Pay";
const INFO: &str = "/fulmen.v1.Node/GetInfo";
const BAKE: &str = "/fulmen.v1.Access/Bake";

#[tokio::test]
async fn a_baked_macaroon_does_no_more_than_its_baker() {
    let room = room();
    let admin = admit(&room.access, &stored(&room, "admin"), BAKE).expect("it may do all");
    let narrow = ["permission = access:write,info:read".to_owned(), "ip = 127.0.0.1".to_owned()];
    let (baker, record) = room.access.bake(&admin, "baker", &narrow).await.expect("baked");
    assert_eq!((record.name.as_str(), &record.caveats[..]), ("baker", &narrow[..]));
    let baker = admit(&room.access, &baker, BAKE).expect("it may bake");
    let (child, record) = room.access.bake(&baker, "child", &[]).await.expect("baked");
    assert_eq!(record.caveats, narrow);
    assert_ne!(record.id, baker.id);
    assert!(admit(&room.access, &child, INFO).is_ok());
    assert!(admit(&room.access, &child, PAY).is_err());
}

#[tokio::test]
async fn a_revoked_macaroon_takes_all_that_came_from_it_along_and_stays_revoked() {
    let room = room();
    let admin = admit(&room.access, &stored(&room, "admin"), BAKE).expect("it may do all");
    let (parent, record) = room.access.bake(&admin, "shop", &[]).await.expect("baked");
    let narrower = vec!["method = Node/GetInfo".to_owned()];
    let child = room.access.attenuate(parent.clone(), &narrower).expect("attenuated");
    assert!(admit(&room.access, &child, INFO).is_ok());
    assert!(admit(&room.access, &child, PAY).is_err());

    let identifier = room.access.verify(&parent).expect("ours");
    let waiting = tokio::time::timeout(
        Duration::from_secs(30),
        room.access.clone().until_revoked(identifier),
    );
    let revoked = async {
        assert!(matches!(room.access.revoke(&admin, admin.id).await, Err(Error::RevokesItself)));
        let nobody = room.access.revoke(&admin, MacaroonId([0; 16])).await;
        assert!(matches!(nobody, Err(Error::Unknown)));
        room.access.revoke(&admin, record.id).await.expect("revoked")
    };
    let (ended, revoked) = tokio::join!(waiting, revoked);
    assert!(ended.is_ok(), "streams end");
    assert!(revoked.revoked_at.is_some());
    let again = room.access.revoke(&admin, record.id).await.expect("no harm");
    assert_eq!(again, revoked);
    let after_restart = open(&room.dir, &room.store);
    for access in [&room.access, &after_restart] {
        for macaroon in [&parent, &child] {
            let refused = admit(access, macaroon, INFO).expect_err("it was revoked");
            assert_eq!(refused, NotAdmitted::Revoked);
        }
        assert!(admit(access, &stored(&room, "admin"), INFO).is_ok());
    }
    let inspected = after_restart.inspect(&child).expect("known");
    assert_eq!((inspected.record, inspected.problem), (Some(again), Some(NotAdmitted::Revoked)));
    assert!(matches!(after_restart.attenuate(child, &narrower), Err(Error::NotAdmitted(_))));
}

#[tokio::test]
async fn a_rotation_leaves_only_the_new_files() {
    let room = room();
    let old = stored(&room, "admin");
    let admin = admit(&room.access, &old, BAKE).expect("it may do all");
    let (shop, _) = room.access.bake(&admin, "shop", &[]).await.expect("baked");
    let identifier = room.access.verify(&shop).expect("ours");
    assert_eq!(room.access.rotate().expect("rotated"), 1);
    room.access.clone().until_revoked(identifier).await;
    for access in [&room.access, &open(&room.dir, &room.store)] {
        for macaroon in [&old, &shop] {
            assert_eq!(admit(access, macaroon, INFO).expect_err("old"), NotAdmitted::NotOurs);
        }
        assert!(admit(access, &stored(&room, "admin"), PAY).is_ok());
        assert!(admit(access, &stored(&room, "readonly"), PAY).is_err());
        // Three of the first key, three of the second, and the shop's.
        assert_eq!(access.page(&[], 100).expect("readable").items.len(), 7);
    }
}

#[tokio::test]
async fn what_could_never_hold_is_not_baked() {
    let room = room();
    let admin = admit(&room.access, &stored(&room, "admin"), BAKE).expect("it may do all");
    for bad in [
        "permission = payment:write",
        "permission = payments",
        "permission = payments:change",
        "method = Payments/Send",
        "ip = localhost",
        "peer = 02ff",
        "channel = 539x1",
        "moon = full",
        "before = tomorrow",
        "",
    ] {
        let refused = room.access.bake(&admin, "", &[bad.to_owned()]).await;
        assert!(matches!(refused, Err(Error::BadCaveat(_))), "{bad}");
    }
    let long = vec![format!("ip = {}", vec!["10.0.0.0/8"; 500].join(","))];
    assert!(matches!(room.access.bake(&admin, "", &long).await, Err(Error::TooLong(_))));
    assert_eq!(room.access.page(&[], 100).expect("readable").items.len(), 3);
}

#[tokio::test]
async fn a_call_that_is_audited_is_in_the_journal() {
    let room = room();
    let caller = admit(&room.access, &stored(&room, "admin"), BAKE).expect("it may do all");
    room.access.audit(&caller);
    room.store.sync().await.expect("durable");
    let read = room.access.0.journal.read(0, 10).expect("readable");
    let entries: Vec<_> = read.into_iter().map(|numbered| numbered.entry).collect();
    assert_eq!(entries, [used(&caller, Vec::new())]);
}
