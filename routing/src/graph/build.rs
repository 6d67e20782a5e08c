//! Builds a [`View`] from channels in any order, leaving out what no payment could use.

use std::collections::HashMap;

use super::view::{NONE, Slot, View};
use super::{NodeKey, Policy};

/// Collects channels and turns them into a [`View`].
///
/// Channels with equal ends, no capacity, a short id seen before, or no enabled direction are left out.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    channels: Vec<Draft>,
    keys: Vec<NodeKey>,
    numbers: HashMap<NodeKey, u32>,
}

#[derive(Clone, Debug)]
struct Draft {
    scid: u64,
    ends: [u32; 2],
    capacity_sat: u32,
    policies: [Option<Policy>; 2],
}

impl Builder {
    /// Starts with no channel.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with all channels of a view, so that some can be added to them.
    pub fn from_view(view: &View) -> Self {
        let mut builder = Self::new();
        for channel in view.channels() {
            builder.channel(
                channel.scid,
                channel.nodes,
                u64::from(channel.capacity_sat),
                channel.policies,
            );
        }
        builder
    }

    /// Adds a channel: its two ends, funding in sat, and each end's policy for what it sends (`None` where
    /// that direction is disabled or unknown).
    pub fn channel(
        &mut self,
        scid: u64,
        nodes: [NodeKey; 2],
        capacity_sat: u64,
        policies: [Option<Policy>; 2],
    ) -> &mut Self {
        let policies = policies.map(|p| p.filter(|p| p.htlc_max_msat > 0));
        if nodes[0] == nodes[1] || capacity_sat == 0 || policies == [None, None] {
            return self;
        }
        // BOLT 7: direction 0 belongs to the lesser key, whatever order the caller has.
        let swapped = nodes[0] > nodes[1];
        let (nodes, policies) = if swapped {
            ([nodes[1], nodes[0]], [policies[1], policies[0]])
        } else {
            (nodes, policies)
        };
        let ends = nodes.map(|key| self.intern(key));
        let capacity_sat = u32::try_from(capacity_sat).unwrap_or(u32::MAX);
        self.channels.push(Draft { scid, ends, capacity_sat, policies });
        self
    }

    /// Builds the view. Where a short id was added twice, the first stays.
    pub fn build(mut self) -> View {
        self.channels.sort_by_key(|c| c.scid);
        self.channels.dedup_by_key(|c| c.scid);
        let numbers = self.number_by_degree();

        let mut first = vec![0u32; numbers.len() + 1];
        for channel in &self.channels {
            for end in channel.ends {
                first[numbers.of(end) as usize + 1] += 1;
            }
        }
        for v in 1..first.len() {
            first[v] += first[v - 1];
        }

        let mut view = View {
            slots: vec![EMPTY; self.channels.len() * 2],
            large_min: Vec::new(),
            scids: self.channels.iter().map(|c| c.scid).collect(),
            capacities: self.channels.iter().map(|c| c.capacity_sat).collect(),
            slot_of: vec![[NONE; 2]; self.channels.len()],
            keys: numbers.order.iter().map(|&old| self.keys[old as usize]).collect(),
            by_key: Vec::new(),
            fingerprint: 0,
            first,
        };
        view.by_key = (0..view.keys.len() as u32).collect();
        view.by_key.sort_unstable_by_key(|&n| view.keys[n as usize]);

        let mut next = view.first.clone();
        for (c, channel) in self.channels.iter().enumerate() {
            let ends = channel.ends.map(|end| numbers.of(end));
            for direction in 0..2 {
                let (source, target) = (ends[direction], ends[1 - direction]);
                let place = next[target as usize];
                next[target as usize] += 1;
                let link = (c * 2 + direction) as u32;
                view.slots[place as usize] = Slot { source, link, ..EMPTY };
                view.slot_of[c][direction] = place;
                view.set_policy(link, channel.policies[direction]);
            }
        }
        view.fingerprint = view.digest();
        view
    }

    fn intern(&mut self, key: NodeKey) -> u32 {
        *self.numbers.entry(key).or_insert_with(|| {
            self.keys.push(key);
            (self.keys.len() - 1) as u32
        })
    }

    fn number_by_degree(&self) -> Numbers {
        let mut degree = vec![0u32; self.keys.len()];
        for channel in &self.channels {
            channel.ends.iter().for_each(|&end| degree[end as usize] += 1);
        }
        let mut order: Vec<u32> =
            (0..self.keys.len() as u32).filter(|&n| degree[n as usize] > 0).collect();
        order.sort_by_key(|&n| (std::cmp::Reverse(degree[n as usize]), self.keys[n as usize]));
        let mut number = vec![NONE; self.keys.len()];
        for (new, &old) in order.iter().enumerate() {
            number[old as usize] = new as u32;
        }
        Numbers { order, number }
    }
}

const EMPTY: Slot = Slot {
    htlc_max_msat: 0,
    source: 0,
    base_msat: 0,
    ppm: 0,
    htlc_min_msat: 0,
    link: 0,
    cltv_delta: 0,
};

struct Numbers {
    order: Vec<u32>,
    number: Vec<u32>,
}

impl Numbers {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn of(&self, old: u32) -> u32 {
        self.number[old as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> NodeKey {
        [n; 33]
    }

    fn policy(base_msat: u32) -> Policy {
        Policy { base_msat, ppm: 1, cltv_delta: 40, htlc_min_msat: 1, htlc_max_msat: 500_000_000 }
    }

    #[test]
    fn rows_are_symmetric_and_directions_follow_the_keys() {
        let mut builder = Builder::new();
        builder.channel(7, [key(2), key(1)], 1_000, [Some(policy(21)), Some(policy(12))]).channel(
            5,
            [key(1), key(3)],
            2_000,
            [Some(policy(13)), None],
        );
        let view = builder.build();
        assert_eq!((view.node_count(), view.channel_count()), (3, 2));
        assert_eq!(view.node(&key(1)), Some(0), "the greatest degree comes first");
        let channel = view.channel(7).expect("added");
        assert_eq!(channel.nodes, [key(1), key(2)]);
        assert_eq!(channel.policies[0].map(|p| p.base_msat), Some(12));
        assert_eq!(
            channel.policies[0].map(|p| p.htlc_max_msat),
            Some(1_000_000),
            "capped by capacity"
        );
        for slot in 0..view.slots.len() as u32 {
            assert_eq!(view.twin(view.twin(slot)), slot);
        }
        assert_eq!(view.channel(5).expect("added").policies[1], None);
    }

    #[test]
    fn useless_channels_are_left_out() {
        let mut builder = Builder::new();
        builder
            .channel(1, [key(1), key(1)], 1_000, [Some(policy(0)), None])
            .channel(2, [key(1), key(2)], 0, [Some(policy(0)), None])
            .channel(3, [key(1), key(2)], 1_000, [None, None])
            .channel(4, [key(1), key(2)], 1_000, [Some(policy(1)), None])
            .channel(4, [key(5), key(6)], 1_000, [Some(policy(2)), None]);
        let view = builder.build();
        assert_eq!((view.node_count(), view.channel_count()), (2, 1));
        assert_eq!(view.channel(4).expect("added").nodes, [key(1), key(2)]);
    }

    #[test]
    fn updates_replace_policies_and_change_the_fingerprint() {
        let mut builder = Builder::new();
        builder.channel(9, [key(1), key(2)], 10_000_000_000, [Some(policy(1)), Some(policy(2))]);
        let view = builder.build();
        let large = Policy { htlc_min_msat: 1 << 40, htlc_max_msat: 1 << 41, ..policy(3) };
        let updated =
            view.with_policies(&[(9, 1, Some(large)), (9, 0, None), (8, 0, None), (9, 7, None)]);
        assert_eq!(updated.channel(9).expect("there").policies, [None, Some(large)]);
        assert_ne!(view.fingerprint(), updated.fingerprint());
        let back = updated.with_policies(&[(9, 0, Some(policy(1)))]);
        assert_eq!(Builder::from_view(&back).build().fingerprint(), back.fingerprint());
    }
}
