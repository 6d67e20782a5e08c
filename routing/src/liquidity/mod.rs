//! What we believe of the liquidity of other nodes' channels: bounds per channel and direction.
//!
//! A channel of capacity `c` holds `x` on one side and `c - x` on the other; nobody publishes `x`. Every
//! HTLC of ours that passes or fails bounds it. Bounds are kept for each direction with the time they
//! were learnt, [`decay`] computes how far they still hold, [`probability`] turns them into a chance of success.

pub mod bounds;
pub mod decay;
pub mod evidence;
pub mod learn;
pub mod probability;
pub mod snapshot;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use decay::Cases;
use evidence::Family;

pub use bounds::{Bounds, Range};

/// Default time in seconds after which a bound holds as likely as not: six hours.
pub const HALF_LIFE_SECS: u64 = 6 * 3600;

/// All that we believe, by short channel id and direction (0 is from the lesser key).
#[derive(Clone, Debug)]
pub struct Beliefs {
    pub(crate) channels: BTreeMap<u64, [Bounds; 2]>,
    pub(crate) family: Arc<Family>,
    half_life_secs: u64,
}

impl Default for Beliefs {
    fn default() -> Self {
        Self::new()
    }
}

impl Beliefs {
    /// Starts with no knowledge, the default family of priors and [`HALF_LIFE_SECS`].
    pub fn new() -> Self {
        static FAMILY: LazyLock<Arc<Family>> = LazyLock::new(Arc::default);
        Self::with_family(Arc::clone(&FAMILY), HALF_LIFE_SECS)
    }

    /// Starts with no knowledge, a family of priors and a half-life of knowledge in seconds.
    pub fn with(family: Family, half_life_secs: u64) -> Self {
        Self::with_family(Arc::new(family), half_life_secs)
    }

    fn with_family(family: Arc<Family>, half_life_secs: u64) -> Self {
        Self { channels: BTreeMap::new(), family, half_life_secs: half_life_secs.max(1) }
    }

    /// Returns how many channels something is known of.
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Returns whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Returns what a direction of a channel can carry more likely than not, given its capacity in msat and
    /// the time in seconds.
    ///
    /// The two directions share the capacity, so each bounds the other.
    pub fn range(&self, scid: u64, direction: u8, capacity_msat: u64, now: u64) -> Range {
        let both = self.channels.get(&scid);
        let cases = both.and_then(|both| self.cases_of(both, direction, capacity_msat, now));
        let nothing = Range { least_msat: 0, most_msat: capacity_msat };
        cases.map_or(nothing, |cases| cases.likely(0.5))
    }

    /// Returns for how many seconds after an amount failed over a direction no plan sends as much there.
    pub fn rest_secs(&self) -> u64 {
        decay::rest_secs(self.half_life_secs)
    }

    /// Returns whether anything is known of a channel.
    pub fn knows(&self, scid: u64) -> bool {
        self.channels.contains_key(&scid)
    }

    /// Forgets all that is known of a channel, as when it is closed.
    pub fn forget(&mut self, scid: u64) {
        self.channels.remove(&scid);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.channels.clear();
    }

    pub(crate) fn cases_of(
        &self,
        both: &[Bounds; 2],
        direction: u8,
        capacity_msat: u64,
        now: u64,
    ) -> Option<Cases> {
        let (here, there) = (&both[usize::from(direction & 1)], &both[usize::from(!direction & 1)]);
        decay::cases(here, there, capacity_msat, self.half_life_secs, now)
    }

    /// What is known of both directions of a channel; `None` where that is nothing.
    pub(crate) fn cases_of_both(
        &self,
        both: &[Bounds; 2],
        capacity_msat: u64,
        now: u64,
    ) -> Option<[Cases; 2]> {
        let first = self.cases_of(both, 0, capacity_msat, now)?;
        let [one, other] = both;
        let second = if decay::both_failed(one, other, capacity_msat, self.half_life_secs, now) {
            self.cases_of(both, 1, capacity_msat, now)?
        } else {
            first.mirrored(capacity_msat)
        };
        Some([first, second])
    }
}
