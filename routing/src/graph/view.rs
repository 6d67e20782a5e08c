//! The immutable graph that searches read: compressed sparse rows ordered by the target of an edge.
//!
//! A node's row lists one slot per channel of that node: the edge from the neighbour towards the node,
//! because a search walks from the payee backwards. The edge the other way is the slot's twin in the
//! neighbour's row. A direction that is disabled or unknown keeps its slot with `htlc_max_msat == 0`, so
//! that rows are symmetric and forward walks go through twins: no second index is stored.
//!
//! Nodes are numbered by falling degree, channels by rising short id. Directions follow BOLT 7:
//! direction 0 is the policy of the node with the lesser key. A *link* is `channel * 2 + direction`.

use super::{NodeKey, Policy};

/// No slot: the channel does not exist.
pub(crate) const NONE: u32 = u32::MAX;

/// The hot part of a directed edge: what the inner loop of a search reads, half a cache line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// Greatest HTLC, msat; 0 for a disabled direction.
    pub htlc_max_msat: u64,
    /// The node that forwards over this edge and charges for it.
    pub source: u32,
    pub base_msat: u32,
    pub ppm: u32,
    /// Least HTLC, msat, rounded down to what fits; the exact value is then in `View::large_min`.
    pub htlc_min_msat: u32,
    /// Channel and direction.
    pub link: u32,
    pub cltv_delta: u16,
}

/// An immutable channel graph; cheap to share behind an `Arc`, about 3 MiB for all of mainnet.
#[derive(Clone, Debug)]
pub struct View {
    /// Row bounds: the slots of node `v` are `first[v]..first[v + 1]`.
    pub(crate) first: Vec<u32>,
    pub(crate) slots: Vec<Slot>,
    /// Minimal HTLCs that do not fit into a slot: (link, msat), ordered by link.
    pub(crate) large_min: Vec<(u32, u64)>,
    /// Short channel ids, rising.
    pub(crate) scids: Vec<u64>,
    /// Capacity in sat; a channel beyond 42 BTC counts as 42 BTC.
    pub(crate) capacities: Vec<u32>,
    /// The slots of a channel's two directions.
    pub(crate) slot_of: Vec<[u32; 2]>,
    pub(crate) keys: Vec<NodeKey>,
    /// Node numbers in the order of their keys.
    pub(crate) by_key: Vec<u32>,
    pub(crate) fingerprint: u64,
}

/// One channel of a [`View`], as announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Short channel id.
    pub scid: u64,
    /// The two ends, the lesser key first.
    pub nodes: [NodeKey; 2],
    /// Funding amount in sat.
    pub capacity_sat: u32,
    /// Policy of each end for HTLCs it sends over the channel; `None` where it is disabled or unknown.
    pub policies: [Option<Policy>; 2],
}

impl View {
    /// Returns the number of nodes that have a channel.
    pub fn node_count(&self) -> usize {
        self.keys.len()
    }

    /// Returns the number of channels.
    pub fn channel_count(&self) -> usize {
        self.scids.len()
    }

    /// Returns the dense number of a node, if it has a channel.
    pub fn node(&self, key: &NodeKey) -> Option<u32> {
        let place = self.by_key.binary_search_by(|&n| self.keys[n as usize].cmp(key)).ok()?;
        Some(self.by_key[place])
    }

    /// Returns the key of a node by its dense number.
    ///
    /// # Panics
    /// When the number is not one of this view's.
    pub fn key(&self, node: u32) -> &NodeKey {
        &self.keys[node as usize]
    }

    /// Returns how many channels a node has, by its dense number.
    pub fn degree(&self, node: u32) -> usize {
        self.row(node).len()
    }

    /// Returns a channel by its short id.
    pub fn channel(&self, scid: u64) -> Option<Channel> {
        self.channel_index(scid).map(|c| self.channel_at(c))
    }

    /// Iterates over all channels by rising short id.
    pub fn channels(&self) -> impl Iterator<Item = Channel> + '_ {
        (0..self.scids.len() as u32).map(|c| self.channel_at(c))
    }

    /// Iterates over the channels of a node, by its dense number.
    pub fn channels_of(&self, node: u32) -> impl Iterator<Item = Channel> + '_ {
        self.row(node).map(|s| self.channel_at(self.slots[s as usize].link >> 1))
    }

    /// Returns a number that differs, with overwhelming likelihood, between different graphs.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Returns the bytes of memory that this graph takes.
    pub fn memory_bytes(&self) -> usize {
        fn bytes<T>(v: &Vec<T>) -> usize {
            v.capacity() * size_of::<T>()
        }
        size_of::<Self>()
            + bytes(&self.first)
            + bytes(&self.slots)
            + bytes(&self.large_min)
            + bytes(&self.scids)
            + bytes(&self.capacities)
            + bytes(&self.slot_of)
            + bytes(&self.keys)
            + bytes(&self.by_key)
    }

    /// Returns a copy in which the given policies replace those of their channel and direction; unknown
    /// channels are skipped. This is the quick answer to a `channel_update`; a channel that appears or
    /// vanishes needs a [`Builder`](super::build::Builder).
    pub fn with_policies(&self, updates: &[(u64, u8, Option<Policy>)]) -> Self {
        let mut view = self.clone();
        for &(scid, direction, policy) in updates {
            let Some(channel) = view.channel_index(scid) else { continue };
            if direction < 2 {
                view.set_policy(channel * 2 + u32::from(direction), policy);
            }
        }
        view.fingerprint = view.digest();
        view
    }

    pub(crate) fn row(&self, node: u32) -> std::ops::Range<u32> {
        self.first[node as usize]..self.first[node as usize + 1]
    }

    /// Returns the degree of a node of the view, and 0 for any other number.
    pub(crate) fn degree_of(&self, node: u32) -> usize {
        if (node as usize) < self.keys.len() { self.row(node).len() } else { 0 }
    }

    pub(crate) fn slot_of_link(&self, link: u32) -> u32 {
        self.slot_of[(link >> 1) as usize][(link & 1) as usize]
    }

    /// Returns the edge that leads the other way over the same channel.
    pub(crate) fn twin(&self, slot: u32) -> u32 {
        self.slot_of_link(self.slots[slot as usize].link ^ 1)
    }

    pub(crate) fn channel_index(&self, scid: u64) -> Option<u32> {
        self.scids.binary_search(&scid).ok().map(|c| c as u32)
    }

    pub(crate) fn capacity_msat(&self, channel: u32) -> u64 {
        u64::from(self.capacities[channel as usize]) * 1_000
    }

    pub(crate) fn htlc_min_msat(&self, slot: &Slot) -> u64 {
        if slot.htlc_min_msat < u32::MAX {
            return u64::from(slot.htlc_min_msat);
        }
        match self.large_min.binary_search_by_key(&slot.link, |&(link, _)| link) {
            Ok(place) => self.large_min[place].1,
            Err(_) => u64::from(u32::MAX),
        }
    }

    pub(crate) fn set_policy(&mut self, link: u32, policy: Option<Policy>) {
        let capacity = self.capacity_msat(link >> 1);
        let place = self.slot_of_link(link) as usize;
        let slot = &mut self.slots[place];
        let place = self.large_min.binary_search_by_key(&link, |&(l, _)| l);
        let Some(policy) = policy else {
            slot.htlc_max_msat = 0;
            return;
        };
        slot.htlc_max_msat = policy.htlc_max_msat.min(capacity);
        slot.base_msat = policy.base_msat;
        slot.ppm = policy.ppm;
        slot.cltv_delta = policy.cltv_delta;
        slot.htlc_min_msat = u32::try_from(policy.htlc_min_msat).unwrap_or(u32::MAX);
        if slot.htlc_min_msat == u32::MAX {
            match place {
                Ok(at) => self.large_min[at].1 = policy.htlc_min_msat,
                Err(at) => self.large_min.insert(at, (link, policy.htlc_min_msat)),
            }
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut mix = |word: u64| {
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        };
        for slot in &self.slots {
            mix(slot.htlc_max_msat);
            mix(u64::from(slot.source) << 32 | u64::from(slot.base_msat));
            mix(u64::from(slot.ppm) << 32 | u64::from(slot.htlc_min_msat));
            mix(u64::from(slot.link) << 32 | u64::from(slot.cltv_delta));
        }
        self.scids.iter().for_each(|&scid| mix(scid));
        self.capacities.iter().for_each(|&sat| mix(u64::from(sat)));
        self.large_min.iter().for_each(|&(link, min)| mix(min ^ u64::from(link)));
        hash
    }

    fn channel_at(&self, channel: u32) -> Channel {
        let [forward, backward] = self.slot_of[channel as usize];
        Channel {
            scid: self.scids[channel as usize],
            nodes: [
                self.keys[self.slots[forward as usize].source as usize],
                self.keys[self.slots[backward as usize].source as usize],
            ],
            capacity_sat: self.capacities[channel as usize],
            policies: [self.policy(forward), self.policy(backward)],
        }
    }

    fn policy(&self, slot: u32) -> Option<Policy> {
        let slot = &self.slots[slot as usize];
        (slot.htlc_max_msat > 0).then(|| Policy {
            base_msat: slot.base_msat,
            ppm: slot.ppm,
            cltv_delta: slot.cltv_delta,
            htlc_min_msat: self.htlc_min_msat(slot),
            htlc_max_msat: slot.htlc_max_msat,
        })
    }
}
