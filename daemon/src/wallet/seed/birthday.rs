//! When a seed was made: a wallet that starts anew looks for its money in the blocks from then on.
//!
//! Kept beside the seed in one line: `new` until the first start of a seed that was made here, a height, or
//! a day as `2026-01-31`. Without it all blocks are searched, back to the first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lightning::chain::BestBlock;
use thiserror::Error;

use super::SeedError;
use crate::chain::{self, ChainSource, SourceTip};
use crate::wallet::{self, Wallet};

/// A day holds some 144 blocks; clocks of miners and zones of users differ by hours.
const DAY_S: i64 = 24 * 60 * 60;
/// How far below the tip a new seed's recorded birthday is: a reorganisation may confirm a payment deeper
/// than the tip was when its address was shown.
const REORG_MARGIN: u32 = 144;
/// So many pruned blocks bitcoind is made to fetch back from its peers, one by one; more take too long.
const FETCHED_BACK_AT_MOST: u32 = 288;

const NEW: &str = "new";

/// When a seed was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birthday {
    /// Here, and the daemon has not started with it.
    New,
    /// Nothing was paid to it in blocks below this height.
    Height(u32),
    /// Nothing was paid to it before this day of UTC, counted from 1970.
    Day(i64),
}

/// Why the wallet cannot look for its money.
#[derive(Debug, Error)]
pub enum BirthdayError {
    /// The file, or what it says.
    #[error(transparent)]
    File(#[from] SeedError),
    /// bitcoind did not answer.
    #[error(transparent)]
    Chain(#[from] chain::Error),
    /// The chain does not go so far.
    #[error(
        "the seed's birthday is block {height}, but bitcoind's chain ends at {tip}: \
         correct it in {}", .path.display()
    )]
    Ahead {
        /// The birthday.
        height: u32,
        /// bitcoind's.
        tip: u32,
        /// Where the birthday is kept.
        path: PathBuf,
    },
    /// bitcoind cannot give the blocks any more.
    #[error(
        "the wallet has to look for its money in all blocks from {from} on, but bitcoind has pruned \
         those below {kept_from}: tell when the seed was made, with the same words again and `fulmen \
         create --restore --birthday HEIGHT` or `--birthday YYYY-MM-DD`, or use a bitcoind that is \
         not pruned"
    )]
    Pruned {
        /// The first block that is needed.
        from: u32,
        /// The first block that bitcoind still has.
        kept_from: u32,
    },
    /// The wallet could not be moved forward.
    #[error(transparent)]
    Wallet(#[from] wallet::Error),
}

/// What a person may say; that a seed is new, only its maker knows.
impl FromStr for Birthday {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("a birthday is a block's height, or a day like 2026-01-31, not {text:?}");
        let text = text.trim();
        if let Ok(height) = text.parse() {
            return Ok(Self::Height(height));
        }
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts[..] else { return Err(wrong()) };
        let number = |text: &str| text.parse::<u32>().ok();
        match (number(year), number(month), number(day)) {
            (Some(year @ 2009..=9999), Some(month @ 1..=12), Some(day @ 1..=31)) => {
                Ok(Self::Day(days_since_1970(year.into(), month.into(), day.into())))
            }
            _ => Err(wrong()),
        }
    }
}

impl Birthday {
    /// Reads the birthday of the seed in `seed`; none if it is not known.
    pub fn of(seed: &Path) -> Result<Option<Self>, SeedError> {
        let path = file_of(seed);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| failed("read the seed's birthday", &path, source))?,
        };
        match text.trim() {
            NEW => Ok(Some(Self::New)),
            told => told.parse().map(Some).map_err(|reason| SeedError::Birthday { path, reason }),
        }
    }

    /// Keeps the birthday of the seed in `seed`, durably and in place of an earlier one.
    pub fn store(self, seed: &Path) -> Result<(), SeedError> {
        let text = match self {
            Self::New => NEW.to_owned(),
            Self::Height(height) => height.to_string(),
            Self::Day(days) => day(days),
        };
        let path = file_of(seed);
        let draft = path.with_extension("birthday.new");
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new();
            let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|source| failed("write the seed's birthday", &path, source))
    }

    /// Removes the birthday of the seed in `seed`; a stale birthday would hide the money of the next one.
    pub fn forget(seed: &Path) -> Result<(), SeedError> {
        let path = file_of(seed);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| failed("remove the birthday", &path, source)),
        }
    }

    /// Whether it is a day that is still to come, `now` in seconds since 1970.
    pub fn is_after(self, now: u64) -> bool {
        matches!(self, Self::Day(days) if days.saturating_mul(DAY_S) > now as i64)
    }
}

impl Wallet {
    /// Moves a wallet that knows of no money yet forward to the birthday that is kept beside `seed`, and
    /// makes sure that bitcoind has the blocks from there on.
    pub async fn start_at_birthday(
        &self,
        seed: &Path,
        source: &impl ChainSource,
    ) -> Result<(), BirthdayError> {
        if self.knows_transactions() {
            return Ok(());
        }
        let tip = chain::patient_tip(source).await?;
        if let Some(birthday) = Birthday::of(seed)? {
            let start = match birthday {
                Birthday::New => tip.best_block(),
                Birthday::Height(height) => before_height(source, &tip, height, seed).await?,
                Birthday::Day(days) => {
                    before_time(source, &tip, days.saturating_sub(1).saturating_mul(DAY_S)).await?
                }
            };
            if birthday == Birthday::New {
                // Before any address is shown: a wallet made anew with this seed later looks from here on.
                Birthday::Height(start.height.saturating_sub(REORG_MARGIN)).store(seed)?;
            }
            self.begin_at(start)?;
        }
        let from = self.best_block().height + 1;
        match source.pruned_below().await? {
            Some(kept_from) if from.saturating_add(FETCHED_BACK_AT_MOST) < kept_from => {
                Err(BirthdayError::Pruned { from, kept_from })
            }
            _ => Ok(()),
        }
    }
}

async fn before_height(
    source: &impl ChainSource,
    tip: &SourceTip,
    height: u32,
    seed: &Path,
) -> Result<BestBlock, BirthdayError> {
    // A chain that is still being downloaded is followed from where it ends now.
    if height > tip.height && !tip.initial_download {
        return Err(BirthdayError::Ahead { height, tip: tip.height, path: file_of(seed) });
    }
    let before = height.saturating_sub(1).min(tip.height);
    Ok(match source.block_hash(before).await? {
        Some(hash) => BestBlock::new(hash, before),
        None => tip.best_block(),
    })
}

/// The last block before a time; median times never decrease along a chain (BIP 113).
async fn before_time(
    source: &impl ChainSource,
    tip: &SourceTip,
    time: i64,
) -> Result<BestBlock, chain::Error> {
    let (mut low, mut high) = (0, tip.height);
    let mut found = None;
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match source.block_hash(middle).await? {
            Some(hash) if i64::from(source.known_block(hash).await?.median_time) < time => {
                low = middle;
                found = Some(BestBlock::new(hash, middle));
            }
            // None: the chain has become shorter.
            Some(_) | None => high = middle - 1,
        }
    }
    match found {
        Some(block) => Ok(block),
        None => {
            let genesis = source.block_hash(0).await?;
            Ok(genesis.map_or(tip.best_block(), |hash| BestBlock::new(hash, 0)))
        }
    }
}

fn file_of(seed: &Path) -> PathBuf {
    seed.with_extension("birthday")
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> SeedError {
    SeedError::Io { doing, path: path.to_owned(), source }
}

/// Howard Hinnant's `days_from_civil`, whose years begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse, as `2026-01-31`: the day of the year that is at least as late as its first of March.
fn day(days: i64) -> String {
    let mut year = 1970 + days.div_euclid(366);
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_since_1970(year, *month, 1) <= days).unwrap_or(1);
    format!("{year:04}-{month:02}-{:02}", days - days_since_1970(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::fake::FakeChain;

    #[test]
    fn heights_and_days_are_read_and_nothing_else() {
        for (text, expected) in [
            ("0", Birthday::Height(0)),
            (" 850000\n", Birthday::Height(850_000)),
            ("2009-01-03", Birthday::Day(14_247)),
            ("2024-02-29", Birthday::Day(19_782)),
            ("2026-12-31", Birthday::Day(20_818)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in
            ["", "new", "-1", "yesterday", "2026-13-01", "2026-1", "31-12-2026", "1970-01-01"]
        {
            assert!(text.parse::<Birthday>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_day_is_written_as_it_is_read() {
        for days in 14_247..30_000 {
            assert_eq!(day(days).parse(), Ok(Birthday::Day(days)));
        }
    }

    #[test]
    fn it_is_kept_beside_the_seed_until_it_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let seed = dir.path().join("seed");
        assert_eq!(Birthday::of(&seed).expect("reads"), None);
        for birthday in [Birthday::New, Birthday::Height(7), Birthday::Day(19_782)] {
            birthday.store(&seed).expect("written");
            assert_eq!(Birthday::of(&seed).expect("reads"), Some(birthday));
        }
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1, "no draft is left");
        Birthday::forget(&seed).expect("removed");
        Birthday::forget(&seed).expect("nothing to remove");
        assert_eq!(Birthday::of(&seed).expect("reads"), None);
        fs::write(dir.path().join("seed.birthday"), "soon").expect("written");
        assert!(matches!(Birthday::of(&seed), Err(SeedError::Birthday { .. })));
    }

    #[test]
    fn only_a_day_can_be_still_to_come() {
        assert!(Birthday::Day(20).is_after(20 * DAY_S as u64 - 1));
        assert!(!Birthday::Day(20).is_after(20 * DAY_S as u64));
        assert!(!Birthday::New.is_after(0) && !Birthday::Height(7).is_after(0));
    }

    #[tokio::test]
    async fn the_search_begins_before_the_birthday() {
        let chain = FakeChain::new();
        chain.mine(300);
        let tip = chain.tip().await.expect("answers");
        let seed = Path::new("seed");
        for (height, expected) in [(0, 0), (1, 0), (200, 199), (300, 299)] {
            let start = before_height(&chain, &tip, height, seed).await.expect("found");
            assert_eq!(start, chain.best_at(expected), "{height}");
        }
        let ahead = before_height(&chain, &tip, 301, seed).await;
        assert!(matches!(ahead, Err(BirthdayError::Ahead { height: 301, tip: 300, .. })));
        let downloading = SourceTip { initial_download: true, ..tip };
        let start = before_height(&chain, &downloading, 900, seed).await.expect("found");
        assert_eq!(start, chain.best_at(300));
        // The chain of tests makes a block a second.
        let first = i64::from(
            chain.known_block(chain.best_at(1).block_hash).await.expect("known").median_time,
        );
        for (after_s, expected) in [(-500, 0), (0, 0), (1, 1), (150, 150), (299, 299), (900, 300)] {
            let start = before_time(&chain, &tip, first + after_s).await.expect("found");
            assert_eq!(start, chain.best_at(expected), "{after_s}");
        }
    }
}
