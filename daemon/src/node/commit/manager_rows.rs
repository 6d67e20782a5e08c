//! The rows that hold LDK's manager: whole now and then, and in between as its difference from the last whole one.
//!
//! A checkpoint then writes what has changed since that whole one. A busy channel changes always; an idle one costs
//! nothing but the encoding. Both rows change in one batch with the monitors, so that they always belong together,
//! and each difference names its base by length and sum.

use crate::node::commit::difference::{self, Base};
use crate::node::ldk::slots::{Error, MANAGER, MANAGER_DIFFERENCE};
use crate::storage::{KvStore, KvWrite};

/// A shorter manager is always written whole: one page of the store takes as long as a few.
const LEAST_BASE_BYTES: usize = 8 * 1024;

/// Decides for each checkpoint how the manager is written.
#[derive(Default)]
pub struct ManagerRows {
    base: Option<Base>,
    /// The stored difference; none after a whole manager, and before the first write.
    difference: Option<Vec<u8>>,
    /// The shortest difference from this base.
    least: Option<usize>,
    /// By how much the differences from this base exceeded the shortest one, all together.
    excess: usize,
}

impl ManagerRows {
    /// Returns the writes that make `manager` the stored one, none if it is; leaves the buffer empty.
    pub fn writes(&mut self, manager: &mut Vec<u8>) -> Vec<KvWrite> {
        if let Some(base) = &self.base {
            let difference = base.difference(manager);
            if self.difference.as_ref() == Some(&difference) {
                manager.clear();
                return Vec::new();
            }
            if !self.is_base_outweighed(base.bytes(), difference.len()) {
                manager.clear();
                let write = MANAGER_DIFFERENCE.holding(difference.clone());
                self.difference = Some(difference);
                return vec![write];
            }
        }
        let whole = MANAGER.holding(manager.clone());
        let is_base = manager.len() >= LEAST_BASE_BYTES;
        *self =
            Self { base: is_base.then(|| Base::new(std::mem::take(manager))), ..Self::default() };
        manager.clear();
        vec![whole, MANAGER_DIFFERENCE.removed()]
    }

    /// A new base costs its length once. It is written when the old one's differences have cost as much beyond what
    /// differences cost at least: so both together cost at most twice as much as the best choice in hindsight.
    fn is_base_outweighed(&mut self, base: usize, difference: usize) -> bool {
        let least = self.least.map_or(difference, |least| least.min(difference));
        self.least = Some(least);
        self.excess += difference - least;
        2 * difference >= base || self.excess >= base
    }
}

/// Reads the manager's bytes from its rows; `None` before the first checkpoint.
///
/// # Errors
/// When the rows cannot be read, or do not belong together.
pub fn read(store: &KvStore) -> Result<Option<Vec<u8>>, Error> {
    let Some(whole) = MANAGER.read(store)? else { return Ok(None) };
    match MANAGER_DIFFERENCE.read(store)? {
        None => Ok(Some(whole)),
        Some(difference) => difference::apply(&whole, &difference)
            .map(Some)
            .map_err(|error| MANAGER.undecodable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Store;

    fn store(kv: &KvStore, rows: &mut ManagerRows, manager: &[u8]) -> usize {
        let writes = rows.writes(&mut manager.to_vec());
        let bytes = writes.iter().filter_map(|write| write.value.as_ref()).map(Vec::len).sum();
        kv.commit_all(writes).wait().expect("durable");
        assert_eq!(read(kv).expect("readable").as_deref(), Some(manager));
        bytes
    }

    /// A manager of channels that differ from each other, with bytes of one of them changed.
    fn manager(change: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let changed = format!("change {change:06}").repeat(100);
        bytes[200_000..200_000 + changed.len()].copy_from_slice(changed.as_bytes());
        bytes
    }

    #[test]
    fn an_unchanged_part_is_not_written_again() {
        let kv = KvStore::new(Store::temporary());
        let mut rows = ManagerRows::default();
        let whole = manager(0).len();
        assert_eq!(store(&kv, &mut rows, &manager(0)), whole);
        for change in 1..20 {
            assert!(store(&kv, &mut rows, &manager(change)) < 2_000);
        }
        assert_eq!(store(&kv, &mut rows, &manager(19)), 0, "it is stored already");
        let other: Vec<u8> = manager(0).iter().map(|byte| !byte).collect();
        assert_eq!(store(&kv, &mut rows, &other), whole, "nothing is the same");
    }

    #[test]
    fn a_restart_begins_with_a_whole_manager() {
        let kv = KvStore::new(Store::temporary());
        let mut rows = ManagerRows::default();
        store(&kv, &mut rows, &manager(0));
        store(&kv, &mut rows, &manager(1));
        assert_eq!(store(&kv, &mut ManagerRows::default(), &manager(2)), manager(2).len());
    }

    #[test]
    fn differences_that_grow_bring_a_new_base() {
        let kv = KvStore::new(Store::temporary());
        let mut rows = ManagerRows::default();
        let mut bytes = manager(0);
        let whole = bytes.len();
        let mut written = Vec::new();
        for channel in 0..100 {
            bytes[channel * 4_000..][..2_000].iter_mut().for_each(|byte| *byte ^= 0x5a);
            written.push(store(&kv, &mut rows, &bytes));
        }
        let bases = written.iter().filter(|bytes| **bytes == whole).count();
        assert!((2..20).contains(&bases), "{written:?}");
    }

    #[test]
    fn a_difference_without_its_base_is_refused() {
        let kv = KvStore::new(Store::temporary());
        let mut rows = ManagerRows::default();
        store(&kv, &mut rows, &manager(0));
        store(&kv, &mut rows, &manager(1));
        kv.commit_all([MANAGER.holding(manager(2))]).wait().expect("durable");
        assert!(read(&kv).is_err());
    }

    #[test]
    fn a_whole_manager_of_release_0_1_is_read() {
        let kv = KvStore::new(Store::temporary());
        assert_eq!(read(&kv).expect("readable"), None);
        kv.commit_all([MANAGER.holding(vec![1, 2, 3])]).wait().expect("durable");
        assert_eq!(read(&kv).expect("readable"), Some(vec![1, 2, 3]));
    }
}
