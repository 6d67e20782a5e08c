//! A long value as its difference from an earlier one: runs copied from that base, and bytes of its own.
//!
//! LDK's manager is mostly what it was a moment ago, but its maps are hash tables, so that a channel's bytes move when
//! another channel comes or goes. Runs are therefore found by content, as rsync finds them (Tridgell 1999, chapter
//! 3): the base is indexed by its aligned blocks, and where the value departs from the base, a rolling hash over the
//! value looks for the next block that the base has.

/// The length of an indexed block, in bytes: a changed byte costs at most two of them.
const BLOCK: usize = 32;
/// A copy of fewer bytes takes more room as a run than as bytes.
const LEAST_RUN: usize = 16;
/// The multiplier of the rolling hash: odd, so that it has an inverse modulo 2^64.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 2 * 12;
const RUN_BYTES: usize = 12;

/// Why a difference cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was written by a release that this one does not know.
    #[error("its difference has format {0}")]
    Version(u8),
    /// It was made from another base.
    #[error("its difference does not belong to its base")]
    OtherBase,
    /// It does not yield the value that it was made of.
    #[error("its difference is damaged")]
    Damaged,
}

/// The value that differences are taken from.
pub struct Base {
    bytes: Vec<u8>,
    print: Print,
    /// Offsets of blocks by their hashes, one more than the offset; zero where there is none.
    blocks: Vec<u32>,
}

/// What a value is recognised by: its length and its CRC32C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    bytes: u64,
    sum: u32,
}

impl Print {
    /// The print of a value.
    pub fn of(value: &[u8]) -> Self {
        Self { bytes: value.len() as u64, sum: crc32c::crc32c(value) }
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.extend(self.bytes.to_be_bytes());
        out.extend(self.sum.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, sum) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            bytes: u64::from_be_bytes(*length),
            sum: u32::from_be_bytes(sum.try_into().ok()?),
        })
    }
}

impl Base {
    /// Indexes a value of less than 4 GiB.
    pub fn new(bytes: Vec<u8>) -> Self {
        let count = bytes.len() / BLOCK;
        let mut blocks = vec![0; (2 * count).next_power_of_two()];
        // From the end, so that the first of equal blocks is found.
        for (number, block) in bytes.chunks_exact(BLOCK).enumerate().rev() {
            let offset = u32::try_from(number * BLOCK + 1);
            let place = place(hash(block), blocks.len());
            blocks[place] = offset.expect("the value has less than 4 GiB");
        }
        Self { print: Print::of(&bytes), bytes, blocks }
    }

    /// The length of the value.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What `value` is besides this base; [`apply`] gives it back.
    pub fn difference(&self, value: &[u8]) -> Vec<u8> {
        let mut out = vec![VERSION];
        self.print.encode(&mut out);
        Print::of(value).encode(&mut out);
        let (mut at, mut from) = (0, 0);
        while at < value.len() {
            let run = common(&self.bytes[from..], &value[at..]);
            let run = if run < LEAST_RUN && at + run < value.len() { 0 } else { run };
            let own = at + run;
            let (next, next_from) = self.next_run(value, own);
            for number in [from, run, next - own] {
                let number = u32::try_from(number).expect("values have less than 4 GiB");
                out.extend(number.to_be_bytes());
            }
            out.extend(&value[own..next]);
            (at, from) = (next, next_from);
        }
        out
    }

    /// Where, from `at` on, `value` has bytes of the base again, and where the base has them.
    fn next_run(&self, value: &[u8], at: usize) -> (usize, usize) {
        let mut place_of = at;
        let Some(first) = value.get(at..at + BLOCK) else { return (value.len(), 0) };
        let mut rolling = hash(first);
        loop {
            if let Some(found) = self.block(rolling, &value[place_of..place_of + BLOCK]) {
                let back = (1..=(place_of - at).min(found))
                    .take_while(|back| value[place_of - back] == self.bytes[found - back])
                    .count();
                return (place_of - back, found - back);
            }
            let Some(entering) = value.get(place_of + BLOCK) else { return (value.len(), 0) };
            rolling = roll(rolling, value[place_of], *entering);
            place_of += 1;
        }
    }

    fn block(&self, hash: u64, block: &[u8]) -> Option<usize> {
        let offset = self.blocks.get(place(hash, self.blocks.len()))?.checked_sub(1)? as usize;
        (self.bytes[offset..offset + BLOCK] == *block).then_some(offset)
    }
}

/// Makes a value out of a base and the difference from it.
///
/// # Errors
/// When the difference is not one from this base, or yields something else than it was made of.
pub fn apply(base: &[u8], difference: &[u8]) -> Result<Vec<u8>, Error> {
    let (header, mut rest) = difference.split_at_checked(HEADER_BYTES).ok_or(Error::Damaged)?;
    if header[0] != VERSION {
        return Err(Error::Version(header[0]));
    }
    let (of_base, of_value) = header[1..].split_at(12);
    if Print::decode(of_base) != Some(Print::of(base)) {
        return Err(Error::OtherBase);
    }
    let print = Print::decode(of_value).ok_or(Error::Damaged)?;
    let mut value = Vec::with_capacity(usize::try_from(print.bytes).unwrap_or(0).min(64 << 20));
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(RUN_BYTES).ok_or(Error::Damaged)?;
        let number = |place: usize| {
            let bytes = head[place * 4..place * 4 + 4].try_into().expect("four of twelve bytes");
            u32::from_be_bytes(bytes) as usize
        };
        let (from, run, own) = (number(0), number(1), number(2));
        value.extend(base.get(from..from + run).ok_or(Error::Damaged)?);
        let (own, after) = after.split_at_checked(own).ok_or(Error::Damaged)?;
        value.extend(own);
        rest = after;
    }
    if Print::of(&value) == print { Ok(value) } else { Err(Error::Damaged) }
}

/// How many bytes two values have in common at their beginnings.
fn common(one: &[u8], other: &[u8]) -> usize {
    let words = one.chunks_exact(64).zip(other.chunks_exact(64));
    let same = 64 * words.take_while(|(one, other)| one == other).count();
    let bytes = one[same..].iter().zip(&other[same..]);
    same + bytes.take_while(|(one, other)| one == other).count()
}

fn hash(block: &[u8]) -> u64 {
    block
        .iter()
        .fold(0, |hash: u64, byte| hash.wrapping_mul(FACTOR).wrapping_add(u64::from(*byte) + 1))
}

/// The hash of the block one byte further on.
fn roll(hash: u64, leaving: u8, entering: u8) -> u64 {
    const LEAVES: u64 = FACTOR.wrapping_pow(BLOCK as u32);
    hash.wrapping_mul(FACTOR)
        .wrapping_add(u64::from(entering) + 1)
        .wrapping_sub((u64::from(leaving) + 1).wrapping_mul(LEAVES))
}

fn place(hash: u64, places: usize) -> usize {
    // The upper bits depend on all bytes of the block.
    (hash >> 32) as usize & places.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes without any order, the same for the same seed.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn what_has_changed_is_what_a_difference_holds() {
        let channels: Vec<_> = (0..300).map(|number| noise(number, 3_500)).collect();
        let base = Base::new(channels.concat());
        assert_eq!(base.difference(&channels.concat()).len(), HEADER_BYTES + RUN_BYTES);

        let mut busy = channels.clone();
        busy[150].splice(1_000..1_010, noise(9_000, 2_000));
        let value = busy.concat();
        let difference = base.difference(&value);
        assert!(difference.len() < 2_000 + 200, "{} bytes", difference.len());
        assert_eq!(apply(&base.bytes, &difference), Ok(value));

        // The table of channels is dealt anew where it grows.
        let mut moved = channels.clone();
        moved.reverse();
        moved.push(noise(9_001, 3_500));
        let value = moved.concat();
        let difference = base.difference(&value);
        assert!(difference.len() < 3_500 + 301 * 4 * BLOCK, "{} bytes", difference.len());
        assert_eq!(apply(&base.bytes, &difference), Ok(value));
    }

    #[test]
    fn a_difference_yields_its_value_or_an_error() {
        let base = noise(1, 10_000);
        let value = [&base[..4_000], &noise(2, 100), &base[5_000..]].concat();
        let difference = Base::new(base.clone()).difference(&value);
        assert_eq!(apply(&value, &difference), Err(Error::OtherBase));
        assert_eq!(apply(&base, &[]), Err(Error::Damaged));
        for place in 0..difference.len() {
            let mut damaged = difference.clone();
            damaged[place] ^= 0x10;
            assert!(apply(&base, &damaged).is_err(), "byte {place}");
            assert!(apply(&base, &difference[..place]).is_err(), "cut at {place}");
        }
        let mut newer = difference;
        newer[0] = 2;
        assert_eq!(apply(&base, &newer), Err(Error::Version(2)));
    }

    /// What release 0.1 writes; it must be read for ever.
    #[test]
    fn a_stored_difference_is_read_for_ever() {
        let base = noise(3, 64);
        let value = [&base[..40], b"new", &base[44..]].concat();
        let difference = Base::new(base.clone()).difference(&value);
        assert_eq!(difference, STORED);
        assert_eq!(apply(&base, &STORED), Ok(value));
    }

    const STORED: [u8; 60] = [
        1, 0, 0, 0, 0, 0, 0, 0, 64, 88, 255, 31, 68, 0, 0, 0, 0, 0, 0, 0, 63, 137, 157, 200, 157,
        0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 23, 110, 101, 119, 155, 168, 184, 27, 219, 109, 192, 82,
        190, 130, 219, 116, 241, 94, 182, 245, 140, 113, 127, 130,
    ];

    proptest! {
        #[test]
        fn every_value_comes_back(
            base in prop::collection::vec(0u8..4, 0..400),
            pieces in prop::collection::vec((any::<prop::sample::Index>(), 0usize..200, prop::collection::vec(0u8..4, 0..40)), 0..6),
        ) {
            let mut value = Vec::new();
            for (from, length, own) in pieces {
                let from = if base.is_empty() { 0 } else { from.index(base.len()) };
                value.extend(&base[from..(from + length).min(base.len())]);
                value.extend(own);
            }
            let difference = Base::new(base.clone()).difference(&value);
            prop_assert_eq!(apply(&base, &difference), Ok(value));
        }
    }
}
