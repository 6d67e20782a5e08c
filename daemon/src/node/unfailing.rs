//! LDK's `Persist` that does not return where the disk has failed.
//!
//! LDK answers a failed update by a panic that poisons its locks, in the midst of whatever thread it is on. But
//! nothing is lost by never answering: the store has told of its failure before the write returns, and the
//! daemon ends at once, with words. What LDK was about to say to the peer is never said.

use std::sync::Arc;

use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::ChannelMonitorUpdate;
use lightning::sign::InMemorySigner;
use lightning::util::persist::MonitorName;

use super::types::{ChannelMonitor, MonitorPersister};

/// Persists through LDK's own persister.
pub struct Unfailing(pub Arc<MonitorPersister>);

impl Persist<InMemorySigner> for Unfailing {
    fn persist_new_channel(
        &self,
        name: MonitorName,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        durable_or_never(self.0.persist_new_channel(name, monitor))
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        durable_or_never(self.0.update_persisted_channel(name, update, monitor))
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        Persist::<InMemorySigner>::archive_persisted_channel(&*self.0, name);
    }
}

fn durable_or_never(written: ChannelMonitorUpdateStatus) -> ChannelMonitorUpdateStatus {
    match written {
        ChannelMonitorUpdateStatus::UnrecoverableError => wait_for_the_end(),
        ChannelMonitorUpdateStatus::Completed | ChannelMonitorUpdateStatus::InProgress => written,
    }
}

fn wait_for_the_end() -> ! {
    tracing::warn!("a monitor update is not durable; its channel waits for the end of the daemon");
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_durable_is_told() {
        for written in
            [ChannelMonitorUpdateStatus::Completed, ChannelMonitorUpdateStatus::InProgress]
        {
            assert_eq!(durable_or_never(written), written);
        }
    }
}
