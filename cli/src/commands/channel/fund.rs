//! `fulmen channel fund`: hands over the transaction by which another wallet pays for a channel.
use clap::Args;
use fulmen_proto::v1::FundOpenRequest;
use fulmen_proto::v1::fund_open_request::By;

use crate::failure::Failure;
use crate::format::human;
use crate::ids::{Bytes, Id32};
use crate::session::Session;

#[derive(Debug, Args)]
pub struct Fund {
    /// The channel's id, as `fulmen channel open --psbt` shows it
    channel: Id32,
    /// The PSBT with all signatures, in hexadecimal digits
    #[arg(required_unless_present_any = ["transaction", "cancel"])]
    psbt: Option<Bytes>,
    /// A signed transaction instead, in hexadecimal digits
    #[arg(long, value_name = "HEX", conflicts_with_all = ["psbt", "cancel"])]
    transaction: Option<Bytes>,
    /// Give the channel up instead
    #[arg(long, conflicts_with = "psbt")]
    cancel: bool,
}

impl Fund {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let by = match (self.psbt, self.transaction) {
            (Some(Bytes(psbt)), _) => By::Psbt(psbt),
            (None, Some(Bytes(transaction))) => By::Transaction(transaction),
            (None, None) => By::Cancel(self.cancel),
        };
        let request = FundOpenRequest { channel_id: self.channel.0, by: Some(by) };
        let funded = session.channels().fund_open(request).await?.into_inner();
        session.screen.show(&funded, |funded, _| match &funded.funding {
            Some(funding) => format!("Funded by {}\n", human::outpoint(Some(funding))),
            None => "The channel is given up; nothing was spent.\n".to_owned(),
        })
    }
}
