//! The state of an open or pending channel, in one word.

use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};

/// Where a channel stands that LDK runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// Being negotiated; it has no funding output yet.
    PendingOpen,
    /// Funded; the funding transaction waits for its confirmations.
    PendingConfirmation,
    /// Both sides have sent `channel_ready` (BOLT 2).
    Ready,
    /// Closing in agreement: no new HTLCs.
    ShuttingDown,
}

impl ChannelState {
    /// All states.
    pub const ALL: [Self; 4] =
        [Self::PendingOpen, Self::PendingConfirmation, Self::Ready, Self::ShuttingDown];

    /// Returns the state of a channel.
    pub fn of(details: &ChannelDetails) -> Self {
        match details.channel_shutdown_state {
            Some(
                ChannelShutdownState::ShutdownInitiated
                | ChannelShutdownState::ResolvingHTLCs
                | ChannelShutdownState::NegotiatingClosingFee
                | ChannelShutdownState::ShutdownComplete,
            ) => Self::ShuttingDown,
            None | Some(ChannelShutdownState::NotShuttingDown) => {
                match (details.is_channel_ready, details.funding_txo) {
                    (true, _) => Self::Ready,
                    (false, Some(_)) => Self::PendingConfirmation,
                    (false, None) => Self::PendingOpen,
                }
            }
        }
    }

    /// Returns the state's name in snake case; stable across releases.
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingOpen => "pending_open",
            Self::PendingConfirmation => "pending_confirmation",
            Self::Ready => "ready",
            Self::ShuttingDown => "shutting_down",
        }
    }
}
