//! `fulmen payment …`: the commands of the group.
use clap::Subcommand;

use super::attempts::Attempts;
use super::given::SendRoute;
use crate::commands::payment::{Cancel, List, Proof, Show, Watch};
use crate::failure::Failure;
use crate::session::Session;

/// Commands about payments made.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// List the payments made, the newest first
    List(List),
    /// Show a payment with its parts and routes
    Show(Show),
    /// Show which routes a payment tried, when, and what became of each
    Attempts(Attempts),
    /// Show what proves a payment: the invoice that the payee signed, and its preimage
    Proof(Proof),
    /// Pay over a route that you give, and over no other
    SendRoute(SendRoute),
    /// Follow a payment until it has succeeded or failed, also one that another client started
    Watch(Watch),
    /// Make no further attempts; parts under way may still arrive or come back
    Cancel(Cancel),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Attempts(command) => command.run(session).await,
            Self::Proof(command) => command.run(session).await,
            Self::SendRoute(command) => command.run(session).await,
            Self::Watch(command) => command.run(session).await,
            Self::Cancel(command) => command.run(session).await,
        }
    }
}
