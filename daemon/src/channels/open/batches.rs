//! Opens that are funded together, until all their peers have answered.
//!
//! Only in memory: LDK forgets channels that are not funded with the daemon's end, and `reconcile` fails their records.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bitcoin::FeeRate;

use super::unfunded::Unfunded;
use crate::wallet::CoinChoice;

/// How a batch is paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Of the funding transaction.
    pub feerate: FeeRate,
    /// Which coins pay.
    pub coins: CoinChoice,
    /// Open none if one of them cannot be opened.
    pub all_or_none: bool,
}

/// What is to be done with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait for the peers that have not answered.
    Wait,
    /// Fund these in one transaction.
    Fund(Vec<Unfunded>, Terms),
    /// Give these up: one of the others cannot be opened.
    GiveUp(Vec<Unfunded>),
    /// There is no such batch any more.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Member {
    /// The peer has not answered.
    Waiting,
    /// The peer has accepted.
    Ready(Unfunded),
    /// It cannot be opened.
    Gone,
}

#[derive(Debug)]
struct Pending {
    members: BTreeMap<u128, Member>,
    terms: Terms,
}

/// Batches whose peers have not all answered.
#[derive(Debug, Default)]
pub struct Batches(Mutex<Vec<Pending>>);

impl Batches {
    /// Begins a batch of these `user_channel_id`s.
    pub fn begin(&self, members: &[u128], terms: Terms) {
        let members = members.iter().map(|id| (*id, Member::Waiting)).collect();
        self.lock().push(Pending { members, terms });
    }

    /// Notes that a peer has accepted.
    pub fn ready(&self, id: u128, channel: Unfunded) -> Verdict {
        self.change(id, Member::Ready(channel))
    }

    /// Notes that a channel cannot be opened.
    pub fn gone(&self, id: u128) -> Verdict {
        self.change(id, Member::Gone)
    }

    /// Returns those of these that wait for their peers.
    pub fn waiting(&self, ids: &[u128]) -> Vec<u128> {
        let batches = self.lock();
        let waits = |id: &&u128| {
            batches.iter().any(|batch| batch.members.get(id) == Some(&Member::Waiting))
        };
        ids.iter().filter(waits).copied().collect()
    }

    fn change(&self, id: u128, member: Member) -> Verdict {
        let mut batches = self.lock();
        let Some(at) = batches.iter().position(|batch| batch.members.contains_key(&id)) else {
            return Verdict::Unknown;
        };
        batches[at].members.insert(id, member);
        let verdict = judge(&batches[at]);
        if verdict != Verdict::Wait {
            batches.swap_remove(at);
        }
        verdict
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.0.lock().expect("no panic while held")
    }
}

fn judge(batch: &Pending) -> Verdict {
    let members = || batch.members.values();
    let ready = || {
        members().filter_map(|member| match member {
            Member::Ready(channel) => Some(channel.clone()),
            Member::Waiting | Member::Gone => None,
        })
    };
    let one_is_gone = members().any(|member| *member == Member::Gone);
    if one_is_gone && batch.terms.all_or_none {
        return Verdict::GiveUp(ready().collect());
    }
    match members().any(|member| *member == Member::Waiting) {
        true => Verdict::Wait,
        false => Verdict::Fund(ready().collect(), batch.terms.clone()),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::ScriptBuf;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning::ln::types::ChannelId;

    use super::*;

    fn channel(id: u128) -> Unfunded {
        let peer = SecretKey::from_slice(&[7; 32]).expect("a key").public_key(&Secp256k1::new());
        Unfunded {
            temporary_channel_id: ChannelId([id as u8; 32]),
            node_id: peer,
            capacity_sat: 100_000,
            script: ScriptBuf::new(),
            user_channel_id: id,
        }
    }

    fn terms(all_or_none: bool) -> Terms {
        let coins = CoinChoice::default();
        Terms { feerate: FeeRate::BROADCAST_MIN, coins, all_or_none }
    }

    #[test]
    fn a_batch_is_funded_when_the_last_peer_has_answered() {
        let batches = Batches::default();
        batches.begin(&[1, 2, 3], terms(false));
        assert_eq!(batches.ready(1, channel(1)), Verdict::Wait);
        assert_eq!(batches.waiting(&[1, 2, 3]), [2, 3]);
        assert_eq!(batches.gone(2), Verdict::Wait, "the others open");
        let last = batches.ready(3, channel(3));
        assert_eq!(last, Verdict::Fund(vec![channel(1), channel(3)], terms(false)));
        assert_eq!(batches.ready(1, channel(1)), Verdict::Unknown, "it is funded once");
    }

    #[test]
    fn all_or_none_gives_up_the_rest_when_one_is_gone() {
        let batches = Batches::default();
        batches.begin(&[1, 2, 3], terms(true));
        assert_eq!(batches.ready(1, channel(1)), Verdict::Wait);
        assert_eq!(batches.gone(2), Verdict::GiveUp(vec![channel(1)]));
        assert_eq!(batches.ready(3, channel(3)), Verdict::Unknown, "too late");
    }

    #[test]
    fn a_batch_without_anybody_funds_nothing() {
        let batches = Batches::default();
        batches.begin(&[1], terms(false));
        assert_eq!(batches.gone(1), Verdict::Fund(Vec::new(), terms(false)));
    }
}
