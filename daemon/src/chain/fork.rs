//! Where a listener's chain leaves the best chain, and whether the best chain is to be followed.

use bitcoin::Work;
use lightning::chain::BestBlock;

use super::recent::Recent;
use super::{ChainSource, Error, SourceTip};

/// What to do about the source's tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// The listener has seen it.
    There,
    /// Go to it.
    Follow,
    /// The source is behind what the listener has seen: wait until it has caught up.
    Wait,
}

/// Decides whether a listener whose best block is `best` goes to the source's `tip`.
///
/// Only more work than we have seen moves us. A bitcoind that starts from an old copy, rebuilds
/// its index or lost its last minutes in a crash shows a shorter chain for a while; following it
/// down would tell LDK that funding transactions are no longer confirmed, and LDK would close
/// those channels by force.
///
/// `work` is that of `best`; none when the source does not know that block.
pub(super) fn course(best: BestBlock, work: Option<Work>, tip: &SourceTip) -> Course {
    if best.block_hash == tip.hash {
        return Course::There;
    }
    let more = match work {
        Some(work) => tip.work > work,
        None => tip.height > best.height && !tip.initial_download,
    };
    if more { Course::Follow } else { Course::Wait }
}

/// Decides the course with the source's knowledge of `best`.
pub(super) async fn course_to(
    source: &impl ChainSource,
    best: BestBlock,
    tip: &SourceTip,
) -> Result<Course, Error> {
    if best.block_hash == tip.hash {
        return Ok(Course::There);
    }
    let work = match source.known_block(best.block_hash).await {
        Ok(known) => Some(known.work),
        Err(Error::UnknownBlock { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(course(best, work, tip))
}

/// Walks down from `best` to the first block on the best chain: `best` itself if it is on it.
///
/// Fails with [`Error::UnknownBlock`] where the branch is unknown to the source and to `recent`.
pub(super) async fn fork_point(
    source: &impl ChainSource,
    recent: &Recent,
    best: BestBlock,
) -> Result<BestBlock, Error> {
    let mut at = best;
    while source.block_hash(at.height).await? != Some(at.block_hash) {
        let parent = match recent.parent(&at.block_hash) {
            Some(parent) => parent,
            None => source.known_block(at.block_hash).await?.previous,
        };
        let Some(height) = at.height.checked_sub(1) else {
            return Err(Error::UnknownBlock { hash: at.block_hash });
        };
        at = BestBlock::new(parent, height);
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::BlockHash;
    use bitcoin::hashes::Hash;

    fn work(amount: u8) -> Work {
        let mut bytes = [0; 32];
        bytes[31] = amount;
        Work::from_be_bytes(bytes)
    }

    fn hash(byte: u8) -> BlockHash {
        BlockHash::from_byte_array([byte; 32])
    }

    #[test]
    fn only_more_work_moves_us() {
        let best = BestBlock::new(hash(1), 100);
        for (hash_of_tip, height, tip_work, initial_download, our_work, expected) in [
            (1, 100, 50, false, Some(50), Course::There),
            (2, 101, 51, false, Some(50), Course::Follow),
            // A heavier but lower chain is the better one.
            (2, 99, 51, false, Some(50), Course::Follow),
            (2, 100, 50, false, Some(50), Course::Wait),
            (2, 99, 49, false, Some(50), Course::Wait),
            // A rebuilding bitcoind that knows our header, but not yet the blocks.
            (2, 10, 5, true, Some(50), Course::Wait),
            // Our block is unknown: the height and the state of the download decide.
            (2, 101, 51, false, None, Course::Follow),
            (2, 101, 51, true, None, Course::Wait),
            (2, 100, 50, false, None, Course::Wait),
            (2, 90, 45, false, None, Course::Wait),
        ] {
            let tip = SourceTip {
                hash: hash(hash_of_tip),
                height,
                time: 0,
                median_time: 0,
                work: work(tip_work),
                initial_download,
                peers: 8,
            };
            let got = course(best, our_work.map(work), &tip);
            assert_eq!(got, expected, "{tip:?} {our_work:?}");
        }
    }
}
