//! `fulmen events`: what happens, as it happens or from any point of the past.
use clap::Args;
use fulmen_proto::v1::SubscribeEventsRequest;

use crate::failure::Failure;
use crate::render::events;
use crate::session::Session;

#[derive(Debug, Args)]
pub struct Events {
    /// Begin after this event's number; 0 for all that is kept
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// End where the journal ends instead of waiting (from the beginning, without --after)
    #[arg(long)]
    until_now: bool,
}

impl Events {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = SubscribeEventsRequest {
            after_sequence: self.after.unwrap_or(0),
            from_now: self.after.is_none() && !self.until_now,
            until_now: self.until_now,
        };
        let mut stream = session.events().subscribe(request).await?.into_inner();
        while let Some(event) = stream.message().await? {
            session.screen.show_next(&event, events::line)?;
        }
        Ok(())
    }
}
