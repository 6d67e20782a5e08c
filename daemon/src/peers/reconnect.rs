//! Keeps peers connected: those with which there are channels, and those that were connected by hand.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use lightning::sign::EntropySource as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::backoff::delay;
use super::{Error, Peers};
use crate::node::run::net;
use crate::storage::Batch;
use crate::tasks::{Outcome, Stage};

/// How often lost connections are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks between two counts of channels, which cost more than a look.
const LOOKS_PER_COUNT: u32 = 10;
/// A connection that held so long was a good one: the next loss begins anew with short waits.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// What was tried to reach a peer.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    /// Failures in a row.
    failures: u32,
    /// Not before this.
    next: Option<Instant>,
    /// One is under way.
    dialling: bool,
    /// Since when it is connected, as far as the looks tell.
    connected_since: Option<Instant>,
    /// Why the last one failed.
    pub last_error: Option<String>,
}

impl Attempts {
    /// Takes in what a look saw; tells whether to dial now.
    fn see(&mut self, connected: bool, now: Instant, wait: impl FnOnce(u32) -> Duration) -> bool {
        if connected {
            let since = *self.connected_since.get_or_insert(now);
            if now.duration_since(since) >= GOOD_AFTER {
                self.failures = 0;
            }
            self.last_error = None;
            self.next = None;
            return false;
        }
        if self.connected_since.take().is_some() {
            // Just lost. The wait grows if connections do not hold.
            self.next = Some(now + wait(self.failures));
            self.failures = self.failures.saturating_add(1);
        }
        !self.dialling && self.next.is_none_or(|next| next <= now)
    }
}

impl Peers {
    /// Reconnects lost peers until `stopping`; at the start all of them at once.
    pub async fn run(self, stopping: CancellationToken) -> Outcome {
        let permits = Arc::new(Semaphore::new(self.0.config.concurrent_attempts));
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut with_channels = HashSet::new();
        for look in 0u32.. {
            tokio::select! {
                _ = ticks.tick() => (),
                () = stopping.cancelled() => break,
            }
            if look % LOOKS_PER_COUNT == 0 {
                with_channels = self.with_channels();
            }
            self.look(&with_channels, &permits)?;
        }
        Ok(())
    }

    fn with_channels(&self) -> HashSet<PublicKey> {
        let channels = self.0.node.channel_manager.list_channels();
        channels.into_iter().map(|channel| channel.counterparty.node_id).collect()
    }

    fn look(
        &self,
        with_channels: &HashSet<PublicKey>,
        permits: &Arc<Semaphore>,
    ) -> Result<(), Error> {
        let connected: HashSet<PublicKey> = self
            .0
            .node
            .peer_manager
            .list_peers()
            .into_iter()
            .map(|peer| peer.counterparty_node_id)
            .collect();
        let mut wanted = with_channels.clone();
        wanted.extend(self.remembered()?.into_iter().map(|(node_id, _)| node_id));
        let now = Instant::now();
        self.journal_changes(&wanted, &connected, now);
        let mut due = Vec::new();
        {
            let mut attempts = self.attempts();
            attempts.retain(|node_id, _| wanted.contains(node_id));
            for node_id in wanted {
                let of_peer = attempts.entry(node_id).or_default();
                if of_peer.see(connected.contains(&node_id), now, |failures| self.wait(failures)) {
                    of_peer.dialling = true;
                    due.push(node_id);
                }
            }
        }
        for node_id in due {
            let (peers, permits) = (self.clone(), permits.clone());
            self.0.tasks.spawn_once(Stage::Peers, "reconnect", async move {
                let stopping = peers.0.tasks.stopping(Stage::Peers);
                stopping.run_until_cancelled(peers.dial(node_id, permits)).await;
            });
        }
        Ok(())
    }

    /// Journals which peers have come and gone since the look before; nobody waits for it.
    fn journal_changes(
        &self,
        wanted: &HashSet<PublicKey>,
        connected: &HashSet<PublicKey>,
        now: Instant,
    ) {
        let mut presence = self.0.presence.lock().expect("no panic while held");
        let entries = presence.see(wanted, connected, now);
        if entries.is_empty() {
            return;
        }
        let mut batch = Batch::new();
        entries.into_iter().for_each(|entry| self.0.journal.append(&mut batch, entry));
        drop(self.0.store.commit(batch));
    }

    async fn dial(&self, node_id: PublicKey, permits: Arc<Semaphore>) {
        // Never closed.
        let Ok(_permit) = permits.acquire_owned().await else { return };
        let outcome = self.try_addresses(node_id).await;
        let now = Instant::now();
        let mut attempts = self.attempts();
        let of_peer = attempts.entry(node_id).or_default();
        of_peer.dialling = false;
        match outcome {
            Ok(()) => of_peer.last_error = None,
            Err(error) => {
                let wait = self.wait(of_peer.failures);
                of_peer.failures = of_peer.failures.saturating_add(1);
                of_peer.next = Some(now + wait);
                of_peer.last_error = Some(error.to_string());
                tracing::debug!(peer = %node_id, %error, ?wait, "could not reconnect");
            }
        }
    }

    async fn try_addresses(&self, node_id: PublicKey) -> Result<(), Error> {
        let mut last = Error::NoAddress(node_id);
        for address in self.addresses(&node_id)? {
            match net::connect(&self.0.node, &self.0.tasks, node_id, &address).await {
                Ok(()) => {
                    tracing::info!(peer = %node_id, address, "reconnected");
                    return Ok(());
                }
                Err(error) => last = Error::Unreachable(error),
            }
        }
        Err(last)
    }

    fn wait(&self, failures: u32) -> Duration {
        let chance = self.0.node.keys.get_secure_random_bytes()[0];
        delay(&self.0.config, failures, chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(failures: u32) -> Duration {
        Duration::from_secs(1 << failures)
    }

    #[test]
    fn an_unknown_peer_is_dialled_at_once_and_a_lost_one_after_a_wait() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut attempts = Attempts::default();
        assert!(attempts.see(false, at(0), wait));
        assert!(!attempts.see(true, at(1), wait));
        assert!(!attempts.see(false, at(2), wait), "just lost");
        assert!(attempts.see(false, at(3), wait));
        attempts.dialling = true;
        assert!(!attempts.see(false, at(4), wait), "one attempt at a time");
    }

    #[test]
    fn connections_that_do_not_hold_are_tried_ever_less_often() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut attempts = Attempts::default();
        let mut now = 0;
        for expected in [1, 2, 4, 8] {
            assert!(!attempts.see(true, at(now), wait));
            assert!(!attempts.see(false, at(now), wait));
            assert!(!attempts.see(false, at(now + expected - 1), wait));
            now += expected;
            assert!(attempts.see(false, at(now), wait), "after {expected} s");
        }
        attempts.see(true, at(now), wait);
        attempts.see(true, at(now + 60), wait);
        assert_eq!(attempts.failures, 0, "a connection that held for a minute is a good one");
    }
}
