//! Writes the static channel backup after each change of channels.
//!
//! A file that names channels which this node does not know is never overwritten without them: they are lost channels,
//! which are recovered first. A file that does not open is left alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lightning::sign::EntropySource as _;
use tokio_util::sync::CancellationToken;

use super::contents::{BackedUpChannel, Contents};
use super::{Backup, Error, Sealed};
use crate::private_file;
use crate::tasks::Outcome;

/// The name of the backup in the data directory.
pub const FILE: &str = "channels.backup";
/// How long channels may change before the backup is written again.
const GATHERED: Duration = Duration::from_millis(200);
/// How often it is compared without a change: peers move.
const INTERVAL: Duration = Duration::from_secs(600);
/// How often a file is tried again that could not be written.
const RETRY: Duration = Duration::from_secs(30);

impl Backup {
    /// Keeps the backup's files up to date until `stopping`.
    pub async fn keep_writing(self, stopping: CancellationToken) -> Outcome {
        let mut changes = self.0.node.watch_channels();
        self.adopt_files().await?;
        loop {
            self.write_if_changed().await?;
            tokio::select! {
                changed = changes.changed() => if changed.is_ok() {
                    tokio::time::sleep(GATHERED).await;
                },
                () = self.0.lost_changed.notified() => (),
                () = tokio::time::sleep(self.interval()) => (),
                () = stopping.cancelled() => return Ok(()),
            }
        }
    }

    /// Takes over the channels of existing files that this node does not know: it was restored from its words.
    async fn adopt_files(&self) -> Result<(), Error> {
        for path in self.paths() {
            let Ok(Some(sealed)) = private_file::read(&path) else { continue };
            match self.0.sealer.open(&sealed) {
                Ok(contents) => {
                    let lost = self.lose(&contents).await?;
                    if lost > 0 {
                        tracing::warn!(path = %path.display(), channels = lost, "a backup names channels that this node does not have: asking their peers to close them");
                    }
                }
                Err(why) => {
                    tracing::error!(path = %path.display(), %why, "leaving a file alone that is no backup of this node: move it away");
                    self.0
                        .trouble
                        .lock()
                        .expect("no panic while held")
                        .insert(path, why.to_string());
                }
            }
        }
        Ok(())
    }

    pub(super) async fn write_if_changed(&self) -> Result<(), Error> {
        // An export and the writer's own task must not put an older backup in a newer one's place.
        let _alone = self.0.writing.lock().await;
        let mut channels = self.channels()?;
        channels.sort_unstable_by_key(|channel| channel.channel_id.0);
        let last = self.0.newest.borrow().clone();
        if last.is_some_and(|last| last.channels == channels) && !self.is_in_trouble() {
            return Ok(());
        }
        let contents = Contents {
            node_id: self.0.node.id(),
            created_at: self.0.clock.unix_secs(),
            channels: channels.clone(),
        };
        let random = self.0.node.keys.get_secure_random_bytes();
        let nonce = *random.first_chunk().expect("24 of 32 bytes");
        let bytes = self.0.sealer.seal(&contents, nonce);
        for path in self.paths() {
            self.write(&path, &bytes).await;
        }
        let created_at = contents.created_at;
        self.0.newest.send_replace(Some(Sealed { bytes, created_at, channels }));
        Ok(())
    }

    /// Writes one file; a failure is shown until it is mended, and ends nothing.
    async fn write(&self, path: &Path, bytes: &[u8]) {
        if self.is_foreign(path) {
            return;
        }
        let (file, content) = (path.to_owned(), bytes.to_owned());
        let written =
            tokio::task::spawn_blocking(move || private_file::write(&file, &content)).await;
        let failure = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(panic.to_string()),
        };
        let mut trouble = self.0.trouble.lock().expect("no panic while held");
        match failure {
            None => drop(trouble.remove(path)),
            Some(why) => {
                tracing::error!(path = %path.display(), why, "could not write the channel backup");
                trouble.insert(path.to_owned(), why);
            }
        }
    }

    fn is_in_trouble(&self) -> bool {
        !self.0.trouble.lock().expect("no panic while held").is_empty()
    }

    fn interval(&self) -> Duration {
        if self.is_in_trouble() { RETRY } else { INTERVAL }
    }

    /// Whether a file is there that this node's seed does not open.
    fn is_foreign(&self, path: &Path) -> bool {
        let existing = private_file::read(path).ok().flatten();
        existing.is_some_and(|sealed| self.0.sealer.open(&sealed).is_err())
    }

    fn paths(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.0.directory.join(FILE)];
        paths.extend(self.0.config.path.clone());
        paths
    }

    /// The funded channels of this node, and those that it has lost and that are not closed yet.
    fn channels(&self) -> Result<Vec<BackedUpChannel>, Error> {
        let mut channels = self.lost_channels()?;
        for channel in self.0.node.channel_manager.list_channels() {
            let Some(funding) = channel.funding_txo else { continue };
            channels.push(BackedUpChannel {
                channel_id: channel.channel_id,
                funding: funding.into_bitcoin_outpoint(),
                node_id: channel.counterparty.node_id,
                addresses: self.0.peers.addresses(&channel.counterparty.node_id)?,
                capacity_sat: channel.channel_value_satoshis,
                short_channel_id: channel.short_channel_id,
            });
        }
        Ok(channels)
    }

    /// Returns a sentence while a backup cannot be written.
    pub fn warning(&self) -> Option<String> {
        let trouble = self.0.trouble.lock().expect("no panic while held");
        let (path, why) = trouble.iter().next()?;
        Some(format!("the channel backup {} is not written: {why}", path.display()))
    }
}
