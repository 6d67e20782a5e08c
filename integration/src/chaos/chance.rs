//! Chance that can be repeated: a small generator and the seed to print when a scenario fails.
use anyhow::{Context as _, Result};

/// SplitMix64: enough for choosing moments and partners, never for secrets.
#[derive(Clone, Debug)]
pub struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    /// The seed of `FULMEN_SEED`, else a fresh one.
    pub fn new() -> Result<Self> {
        let seed = match std::env::var("FULMEN_SEED") {
            Ok(text) => text.parse().context("FULMEN_SEED is not a number")?,
            Err(_) => {
                let mut bytes = [0; 8];
                getrandom::fill(&mut bytes).context("asking the system for chance")?;
                u64::from_le_bytes(bytes)
            }
        };
        Ok(Self::from_seed(seed))
    }

    /// The generator that a seed stands for.
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// What to print.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0. The tiny bias of the remainder does not matter here.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("usize has at most 64 bits");
        usize::try_from(self.number() % bound).expect("below a usize")
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// 32 bytes: a preimage for a test.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        // The first outputs of SplitMix64 for seed 0, as its author published them.
        let mut chance = Chance::from_seed(0);
        assert_eq!(chance.number(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(chance.number(), 0x6e78_9e6a_a1b9_65f4);
        assert!((0..100).all(|_| chance.below(7) < 7));
    }
}
