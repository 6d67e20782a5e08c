//! The outcomes of probes, between LDK's events and those that await them.

use std::collections::HashMap;
use std::sync::Mutex;

use lightning::ln::channelmanager::PaymentId;
use tokio::sync::Notify;

/// Outcomes kept for a caller that has not asked yet, or has gone; more than probes ever in flight at once.
const KEPT: usize = 10_000;

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The last node refused it, as it had to.
    Reached,
    /// A channel on the way did not carry it, where it is known which.
    Stuck(Option<u64>),
}

/// What background probing has done since its last log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeStats {
    pub sent: u64,
    pub reached: u64,
    pub stuck: u64,
}

/// What probes in the background hold at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbesInFlight {
    pub htlcs: u32,
    pub msat: u64,
}

/// The ends of probes, between LDK's events and those who wait for them.
#[derive(Default)]
pub struct ProbeOutcomes {
    known: Mutex<Known>,
    told: Notify,
}

#[derive(Default)]
struct Known {
    ends: HashMap<PaymentId, ProbeOutcome>,
    /// Probes in the background, for which nobody waits, with what they hold.
    background: HashMap<PaymentId, u64>,
    explored: ProbeStats,
}

impl Known {
    fn explored(&mut self, end: ProbeOutcome) {
        match end {
            ProbeOutcome::Reached => self.explored.reached += 1,
            ProbeOutcome::Stuck(_) => self.explored.stuck += 1,
        }
    }
}

impl ProbeOutcomes {
    pub fn tell(&self, payment_id: PaymentId, end: ProbeOutcome) {
        let mut known = self.known.lock().expect("no panic while held");
        if known.background.remove(&payment_id).is_some() {
            known.explored(end);
            return;
        }
        if known.ends.len() >= KEPT {
            known.ends.clear();
        }
        known.ends.insert(payment_id, end);
        drop(known);
        self.told.notify_waiters();
    }

    /// Takes note of a probe in the background, which may have ended already.
    pub fn begin(&self, payment_id: PaymentId, msat: u64) {
        let mut known = self.known.lock().expect("no panic while held");
        known.explored.sent += 1;
        match known.ends.remove(&payment_id) {
            Some(end) => known.explored(end),
            None => drop(known.background.insert(payment_id, msat)),
        }
    }

    /// What probes in the background hold now.
    pub fn held(&self) -> ProbesInFlight {
        let known = self.known.lock().expect("no panic while held");
        let msat = known.background.values().fold(0u64, |sum, msat| sum.saturating_add(*msat));
        ProbesInFlight { htlcs: known.background.len().try_into().unwrap_or(u32::MAX), msat }
    }

    /// Takes what probes in the background have done since this was last asked.
    pub fn explored(&self) -> ProbeStats {
        std::mem::take(&mut self.known.lock().expect("no panic while held").explored)
    }

    /// Takes the end of one of the probes, as soon as there is one.
    pub async fn next_of(&self, ids: &[PaymentId]) -> (PaymentId, ProbeOutcome) {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            // From here on no notification is missed.
            told.as_mut().enable();
            {
                let mut known = self.known.lock().expect("no panic while held");
                let ends = &mut known.ends;
                if let Some(found) = ids.iter().find_map(|id| Some((*id, ends.remove(id)?))) {
                    return found;
                }
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_is_heard_whether_it_is_told_before_or_after_somebody_waits() {
        let probes = ProbeOutcomes::default();
        let (one, other) = (PaymentId([1; 32]), PaymentId([2; 32]));
        probes.tell(other, ProbeOutcome::Reached);
        assert_eq!(probes.next_of(&[one, other]).await, (other, ProbeOutcome::Reached));
        let waiting = [one];
        let (heard, ()) = tokio::join!(probes.next_of(&waiting), async {
            tokio::task::yield_now().await;
            probes.tell(other, ProbeOutcome::Reached);
            probes.tell(one, ProbeOutcome::Stuck(Some(7)));
        });
        assert_eq!(heard, (one, ProbeOutcome::Stuck(Some(7))));
    }

    #[test]
    fn probes_in_the_background_hold_until_they_end() {
        let probes = ProbeOutcomes::default();
        let id = |byte| PaymentId([byte; 32]);
        probes.begin(id(1), 500);
        // This one was told before anybody could take note of it.
        probes.tell(id(2), ProbeOutcome::Reached);
        probes.begin(id(2), 700);
        assert_eq!(probes.held(), ProbesInFlight { htlcs: 1, msat: 500 });
        probes.tell(id(1), ProbeOutcome::Stuck(None));
        assert_eq!(probes.held(), ProbesInFlight::default());
        assert_eq!(probes.explored(), ProbeStats { sent: 2, reached: 1, stuck: 1 });
        assert_eq!(probes.explored(), ProbeStats::default());
    }
}
