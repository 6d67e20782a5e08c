//! The program that decides, case by case, about channels that the rules would accept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use tokio::sync::{mpsc, oneshot};

/// Opens that may wait for the program at once; more are decided by the configured default.
const MAX_WAITING: usize = 64;

/// A channel that a peer wants to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Names the proposal in its decision.
    pub id: u64,
    /// Who asks.
    pub node_id: PublicKey,
    /// How large.
    pub capacity_sat: u64,
    /// What the peer gives us at the start.
    pub push_msat: u64,
    /// Whether it is to be public.
    pub announced: bool,
    /// Whether it would be used before its funding is confirmed.
    pub zero_conf: bool,
    /// Channels, open and pending, with this peer.
    pub channels_with_peer: usize,
    /// Announced channels of the peer, as gossip has it.
    pub peer_channels: usize,
    /// What they hold together, in satoshis.
    pub peer_capacity_sat: u64,
}

/// What the program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the channel is accepted.
    pub accept: bool,
    /// Why not; sent to the peer.
    pub reason: String,
    /// Confirmations of the funding before the channel is used; none for what is configured.
    pub confirmations: Option<u32>,
}

/// How a question to the program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The program has decided.
    Decided(Decision),
    /// The program did not decide in time, has left, or has too much to decide.
    Undecided,
}

/// Where the program sits while its stream is open.
#[derive(Debug, Default)]
pub struct Decider {
    seat: Arc<Mutex<Option<Seat>>>,
}

#[derive(Debug)]
struct Seat {
    number: u64,
    next_id: u64,
    proposals: mpsc::Sender<Proposal>,
    waiting: HashMap<u64, oneshot::Sender<Decision>>,
}

/// The program's end: proposals come, decisions go; dropped, it leaves the seat, and what waits is undecided.
#[derive(Debug)]
pub struct Seated {
    number: u64,
    proposals: mpsc::Receiver<Proposal>,
    seat: Arc<Mutex<Option<Seat>>>,
}

impl Decider {
    /// Takes the seat; none while another program has it.
    pub fn sit(&self) -> Option<Seated> {
        let mut seat = lock(&self.seat);
        if seat.as_ref().is_some_and(|seat| !seat.proposals.is_closed()) {
            return None;
        }
        let number = seat.as_ref().map_or(0, |seat| seat.number + 1);
        let (sender, proposals) = mpsc::channel(MAX_WAITING);
        *seat = Some(Seat { number, next_id: 1, proposals: sender, waiting: HashMap::new() });
        Some(Seated { number, proposals, seat: self.seat.clone() })
    }

    /// Whether a program decides now.
    pub fn is_seated(&self) -> bool {
        lock(&self.seat).as_ref().is_some_and(|seat| !seat.proposals.is_closed())
    }

    /// Asks the program, and waits for its decision no longer than `patience`.
    pub async fn ask(&self, proposal: Proposal, patience: Duration) -> Answer {
        let Some((id, decision)) = self.propose(proposal) else { return Answer::Undecided };
        match tokio::time::timeout(patience, decision).await {
            Ok(Ok(decision)) => Answer::Decided(decision),
            Ok(Err(_)) | Err(_) => {
                if let Some(seat) = lock(&self.seat).as_mut() {
                    seat.waiting.remove(&id);
                }
                Answer::Undecided
            }
        }
    }

    fn propose(&self, proposal: Proposal) -> Option<(u64, oneshot::Receiver<Decision>)> {
        let mut seat = lock(&self.seat);
        let seat = seat.as_mut()?;
        let id = seat.next_id;
        seat.proposals.try_send(Proposal { id, ..proposal }).ok()?;
        seat.next_id += 1;
        let (sender, decision) = oneshot::channel();
        seat.waiting.insert(id, sender);
        Some((id, decision))
    }
}

impl Seated {
    /// Returns the next proposal; dropping the future loses none.
    pub async fn next(&mut self) -> Option<Proposal> {
        self.proposals.recv().await
    }

    /// Hands a decision on; returns false if its proposal is unknown or was decided by the default.
    pub fn decide(&self, id: u64, decision: Decision) -> bool {
        let mut seat = lock(&self.seat);
        let own = seat.as_mut().filter(|seat| seat.number == self.number);
        own.and_then(|seat| seat.waiting.remove(&id))
            .is_some_and(|waiting| waiting.send(decision).is_ok())
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut seat = lock(&self.seat);
        if seat.as_ref().is_some_and(|seat| seat.number == self.number) {
            *seat = None;
        }
    }
}

fn lock(seat: &Mutex<Option<Seat>>) -> MutexGuard<'_, Option<Seat>> {
    seat.lock().expect("no panic while held")
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn proposal() -> Proposal {
        let peer = SecretKey::from_slice(&[7; 32]).expect("a key").public_key(&Secp256k1::new());
        Proposal {
            id: 0,
            node_id: peer,
            capacity_sat: 100_000,
            push_msat: 0,
            announced: true,
            zero_conf: false,
            channels_with_peer: 0,
            peer_channels: 0,
            peer_capacity_sat: 0,
        }
    }

    fn yes() -> Decision {
        Decision { accept: true, reason: String::new(), confirmations: Some(2) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_reaches_its_proposal_and_a_late_one_nobody() {
        let decider = Decider::default();
        let mut seated = decider.sit().expect("free");
        assert!(decider.sit().is_none(), "one program at a time");
        let program = async {
            let first = seated.next().await.expect("asked");
            assert!(!seated.decide(first.id + 1, yes()), "nobody asked that");
            assert!(seated.decide(first.id, yes()));
        };
        let (answer, ()) = tokio::join!(decider.ask(proposal(), PATIENCE), program);
        assert_eq!(answer, Answer::Decided(yes()));
        // The program sleeps: time runs by itself while all wait.
        assert_eq!(decider.ask(proposal(), PATIENCE).await, Answer::Undecided);
        let late = seated.next().await.expect("asked");
        assert!(!seated.decide(late.id, yes()));
    }

    #[tokio::test]
    async fn a_program_that_leaves_decides_nothing_and_frees_the_seat() {
        let decider = Decider::default();
        assert_eq!(decider.ask(proposal(), PATIENCE).await, Answer::Undecided);
        let seated = decider.sit().expect("free");
        let leave = async { drop(seated) };
        let (answer, ()) = tokio::join!(decider.ask(proposal(), PATIENCE), leave);
        assert_eq!(answer, Answer::Undecided);
        assert!(!decider.is_seated());
        assert!(decider.sit().is_some());
    }
}
