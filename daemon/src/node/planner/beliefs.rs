//! What LDK's payment events teach about the liquidity of channels.

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::Beliefs;
use lightning::routing::gossip::NodeId;
use lightning::routing::router::Path;

/// What became of an HTLC along a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was settled: the amounts moved.
    Settled,
    /// It reached the end, and came back from there: a probe, or a payee that refused.
    Reached,
    /// It got stuck at this channel.
    FailedAt(u64),
}

/// An HTLC's way and fate.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Who sent it: we.
    pub payer: PublicKey,
    /// The way.
    pub path: Path,
    /// The fate.
    pub fate: Fate,
}

/// Learns hop by hop; our own channels, at the start and at the end of a way back to us, teach nothing
/// that we do not know exactly.
pub(super) fn learn(beliefs: &mut Beliefs, lesson: &Lesson, now: u64) {
    let amounts = amounts_msat(&lesson.path);
    let sources =
        std::iter::once(&lesson.payer).chain(lesson.path.hops.iter().map(|hop| &hop.pubkey));
    for (index, ((source, hop), amount_msat)) in
        sources.zip(&lesson.path.hops).zip(amounts).enumerate()
    {
        let from = NodeId::from_pubkey(source);
        let direction = u8::from(from > NodeId::from_pubkey(&hop.pubkey));
        let ours = index == 0 || hop.pubkey == lesson.payer;
        if lesson.fate == Fate::FailedAt(hop.short_channel_id) {
            if !ours {
                beliefs.failed(hop.short_channel_id, direction, amount_msat, now);
            }
            return;
        }
        if ours {
            continue;
        }
        beliefs.passed(hop.short_channel_id, direction, amount_msat, now);
        if lesson.fate == Fate::Settled {
            beliefs.settled(hop.short_channel_id, direction, amount_msat);
        }
    }
}

/// What each hop of the path carries, first hop first.
fn amounts_msat(path: &Path) -> Vec<u64> {
    let tail = path.blinded_tail.as_ref().map_or(0, |tail| tail.final_value_msat);
    let mut carried = tail;
    let mut amounts: Vec<u64> = path
        .hops
        .iter()
        .rev()
        .map(|hop| {
            carried = carried.saturating_add(hop.fee_msat);
            carried
        })
        .collect();
    amounts.reverse();
    amounts
}
