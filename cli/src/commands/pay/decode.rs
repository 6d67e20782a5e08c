//! `fulmen decode WHAT`: anything that can be paid, read and not paid.
use clap::Args;
use fulmen_proto::v1::{DecodeRequest, DecodeResponse};

use crate::failure::Failure;
use crate::ids::payable;
use crate::render::{now, payable as render};
use crate::session::Session;

/// What the daemon understands of a text.
pub async fn decode(session: &Session, text: &str) -> Result<DecodeResponse, Failure> {
    let request = DecodeRequest { text: text.to_owned() };
    Ok(session.payments().decode(request).await?.into_inner())
}

#[derive(Debug, Args)]
pub struct Decode {
    /// An invoice, an offer, a refund, a bitcoin: URI, user@domain, an address, or a node id
    #[arg(value_name = "WHAT", value_parser = payable)]
    what: String,
}

impl Decode {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let read = decode(session, &self.what).await?;
        session.screen.show(&read, |read, look| render::read(read, now(), look))
    }
}
