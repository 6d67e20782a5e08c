//! `fulmen node …`: the daemon itself.
use clap::{Args, Subcommand};
use fulmen_proto::v1::{
    GetBalancesRequest, GetFeeratesRequest, GetInfoRequest, SignMessageRequest, StopRequest,
    VerifyMessageRequest,
};

use crate::failure::Failure;
use crate::render::{node, now};
use crate::session::Session;

/// Commands about the node itself.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Who the node is and how it is doing
    Info(Info),
    /// All money, on chain and in channels
    Balance(Balance),
    /// The fee estimates that the daemon uses now
    Feerates(Feerates),
    /// Sign a text with the node's key (as lnd, CLN and eclair do)
    Sign(Sign),
    /// Verify a signature and show who signed the text
    Verify(Verify),
    /// Stop the daemon
    Stop(Stop),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Info(command) => command.run(session).await,
            Self::Balance(command) => command.run(session).await,
            Self::Feerates(command) => command.run(session).await,
            Self::Sign(command) => command.run(session).await,
            Self::Verify(command) => command.run(session).await,
            Self::Stop(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Info {}

impl Info {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let info = session.node().get_info(GetInfoRequest {}).await?.into_inner();
        session.screen.show(&info, |info, look| node::info(info, now(), look))
    }
}

#[derive(Debug, Args)]
pub struct Balance {}

impl Balance {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let balances = session.node().get_balances(GetBalancesRequest {}).await?.into_inner();
        session.screen.show(&balances, node::balances)
    }
}

#[derive(Debug, Args)]
pub struct Feerates {}

impl Feerates {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let feerates = session.node().get_feerates(GetFeeratesRequest {}).await?.into_inner();
        session.screen.show(&feerates, |feerates, look| node::feerates(feerates, now(), look))
    }
}

#[derive(Debug, Args)]
pub struct Sign {
    /// The text to sign
    text: String,
}

impl Sign {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let message = self.text.into_bytes();
        let signed = session.node().sign_message(SignMessageRequest { message }).await?;
        session.screen.show(&signed.into_inner(), |signed, _| signed.signature.clone())
    }
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The text that was signed
    text: String,
    /// The signature
    signature: String,
}

impl Verify {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request =
            VerifyMessageRequest { message: self.text.into_bytes(), signature: self.signature };
        let verified = session.node().verify_message(request).await?.into_inner();
        session.screen.show(&verified, node::verified)?;
        match verified.in_graph {
            true => Ok(()),
            // Any signature over any text recovers some key: only a known one shows who signed.
            false => Err(Failure::failed("no known node signed this text")),
        }
    }
}

#[derive(Debug, Args)]
pub struct Stop {}

impl Stop {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let stopped = session.node().stop(StopRequest {}).await?.into_inner();
        session.screen.show(&stopped, |_, _| "The daemon is stopping.".to_owned())
    }
}
