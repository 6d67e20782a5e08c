//! What checkpoints and refusals rely on in LDK beyond its documentation; an upgrade of LDK has to pass this.

mod ldk;

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use ldk::{Network, Node};
use lightning::io;
use lightning::ln::types::ChannelId;
use lightning::util::ser::{Writeable as _, Writer};

/// A manager's bytes and the monitors as they were at its first byte.
struct Snapshot {
    manager: Vec<u8>,
    monitors: HashMap<ChannelId, Vec<u8>>,
}

/// Does something at the first byte, as `commit/checkpoint.rs` does.
struct Encoding<F> {
    bytes: Vec<u8>,
    at_first: Option<F>,
}

impl<F: FnOnce()> Writer for Encoding<F> {
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        if let Some(at_first) = self.at_first.take() {
            at_first();
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

fn snapshot(node: &Node) -> Snapshot {
    let mut monitors = HashMap::new();
    let at_first = Some(|| monitors = node.monitors.newest());
    let mut encoding = Encoding { bytes: Vec::new(), at_first };
    node.manager.write(&mut encoding).expect("memory takes all bytes");
    let manager = encoding.bytes;
    Snapshot { manager, monitors }
}

#[test]
fn the_manager_stands_still_from_its_first_byte_to_its_last() {
    let network = Network::with_channel();
    let [alice, _] = &network.nodes;
    let (done, changed) = mpsc::channel();
    std::thread::scope(|scope| {
        let mut encoding = Encoding {
            bytes: Vec::new(),
            at_first: Some(|| {
                scope.spawn(move || {
                    alice.manager.timer_tick_occurred();
                    done.send(()).expect("somebody waits");
                });
                let waited = changed.recv_timeout(Duration::from_millis(200));
                assert!(waited.is_err(), "the manager changed while it was written");
            }),
        };
        alice.manager.write(&mut encoding).expect("memory takes all bytes");
    });
    changed.recv().expect("the change went on after the last byte");
}

#[test]
fn a_manager_and_the_monitors_of_its_first_byte_close_no_channel() {
    let network = Network::with_channel();
    let mut snapshots = Vec::new();
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            for number in 0..40 {
                network.pay(number);
                if number % 10 == 0 {
                    network.mine(Vec::new());
                }
            }
        });
        while !traffic.is_finished() {
            let [alice, bob] = &network.nodes;
            snapshots.push((alice, snapshot(alice)));
            snapshots.push((bob, snapshot(bob)));
        }
    });
    assert!(snapshots.len() > 40, "{} snapshots of 40 payments", snapshots.len());
    for (node, snapshot) in &snapshots {
        let restored = node.restore(&snapshot.manager, &snapshot.monitors);
        assert_eq!(restored.list_channels().len(), 1, "the channel was closed");
    }
}

#[test]
fn what_ldk_has_done_is_reported_before_its_lock_is_free() {
    let network = Network::with_channel();
    let [alice, _] = &network.nodes;
    alice.manager.get_and_clear_needs_persistence();
    network.pay(1);
    snapshot(alice);
    assert!(alice.manager.get_and_clear_needs_persistence());
    assert!(!alice.manager.get_and_clear_needs_persistence());
}

#[test]
fn an_htlc_that_asks_to_be_held_is_failed_back_and_costs_no_channel() {
    let network = Network::with_channel();
    let [alice, bob] = &network.nodes;
    let before = alice.manager.list_channels()[0].outbound_capacity_msat;
    network.hold_htlcs();
    network.pay(1);
    assert_eq!(network.failed(), 1);
    assert_eq!(alice.manager.list_channels()[0].outbound_capacity_msat, before);
    assert_eq!(bob.manager.list_channels().len(), 1);
    assert_eq!(network.claimed(), 0);
}
