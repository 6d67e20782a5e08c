//! Follows an open to its readiness or failure.

use tokio::sync::watch;

use super::unfunded::Unfunded;
use crate::channels::Channels;
use crate::channels::record::{self, CHANNELS, ChannelRecord, ChannelStage};
use crate::storage;

/// Follows a channel from its record to its readiness or failure.
pub struct OpenFollower {
    channels: Channels,
    user_channel_id: u128,
    changes: watch::Receiver<u64>,
    told: Option<ChannelStage>,
    asked_for_funding: bool,
}

/// How far an open has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenUpdate {
    /// It has reached another stage.
    Stage(ChannelRecord),
    /// The peer has accepted, and a transaction from outside is waited for.
    AwaitsFunding(Unfunded),
}

impl OpenFollower {
    /// Returns the next update: the present stage at first; none after the last.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub async fn next(&mut self) -> Result<Option<OpenUpdate>, storage::Error> {
        while !self.has_ended() {
            if let Some(update) = self.look()? {
                return Ok(Some(update));
            }
            self.changed().await;
        }
        Ok(None)
    }

    /// Waits until something has changed about any channel.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            self.told = Some(ChannelStage::Failed);
        }
    }

    /// Whether the last update was returned.
    pub fn has_ended(&self) -> bool {
        self.told.is_some_and(|told| told >= ChannelStage::Ready)
    }

    /// Returns what is new, without waiting.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn look(&mut self) -> Result<Option<OpenUpdate>, storage::Error> {
        if self.has_ended() {
            return Ok(None);
        }
        let inner = &self.channels.0;
        let Some(record) = CHANNELS.get(&inner.store, &record::key(self.user_channel_id))? else {
            self.told = Some(ChannelStage::Failed);
            return Ok(None);
        };
        if self.told != Some(record.stage) {
            self.told = Some(record.stage);
            return Ok(Some(OpenUpdate::Stage(record)));
        }
        let waiting = inner.outside.of(self.user_channel_id).filter(|_| !self.asked_for_funding);
        self.asked_for_funding |= waiting.is_some();
        Ok(waiting.map(OpenUpdate::AwaitsFunding))
    }
}

impl Channels {
    pub(super) fn follow_open(&self, user_channel_id: u128) -> OpenFollower {
        let changes = self.0.spends.changes.subscribe();
        OpenFollower {
            channels: self.clone(),
            user_channel_id,
            changes,
            told: None,
            asked_for_funding: false,
        }
    }
}
