//! `fulmen channel decide`: accept or reject what peers want to open, one by one.
use clap::Args;
use fulmen_proto::v1::{OpenDecision, OpenProposal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::failure::Failure;
use crate::render::channels;
use crate::session::{Session, next_state};

#[derive(Debug, Args)]
pub struct Decide {
    /// Confirmations before an accepted channel is used [default: the daemon's]
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    confirmations: u32,
    /// End after the first decision
    #[arg(long)]
    once: bool,
}

impl Decide {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let screen = &session.screen;
        let (decisions, request) = mpsc::channel(1);
        let request = ReceiverStream::new(request);
        let mut proposals = session.channels().decide_opens(request).await?.into_inner();
        screen.note("Waiting for peers that want to open a channel; Ctrl-C ends it.");
        let ended = "interrupted; the configuration decides about opens again";
        while let Some(proposal) = next_state(&mut proposals, ended).await? {
            screen.show_next(&proposal, channels::proposal)?;
            screen.note("Accept it? yes, or no and a reason for the peer:");
            let Some(line) = typed().await? else { break };
            let decision = read(&proposal, &line, self.confirmations);
            if decisions.send(decision).await.is_err() || self.once {
                break;
            }
        }
        drop(decisions);
        // The daemon ends the stream once it has read the last decision.
        while next_state(&mut proposals, ended).await?.is_some() {}
        Ok(())
    }
}

/// The next line that somebody types; none at the end of the input.
async fn typed() -> Result<Option<String>, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|length| (length > 0).then_some(line))
    });
    Ok(read.await.map_err(std::io::Error::other)??)
}

/// Anything but yes is no.
fn read(proposal: &OpenProposal, line: &str, confirmations: u32) -> OpenDecision {
    let line = line.trim();
    let (word, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match word.to_ascii_lowercase().as_str() {
        "y" | "yes" => {
            OpenDecision { id: proposal.id, accept: true, reason: String::new(), confirmations }
        }
        _ => {
            let reason = reason.trim().to_owned();
            OpenDecision { id: proposal.id, accept: false, reason, confirmations: 0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_yes_is_no() {
        let proposal = OpenProposal { id: 4, ..Default::default() };
        let of = |line| {
            let decision = read(&proposal, line, 3);
            assert_eq!(decision.id, 4);
            (decision.accept, decision.reason, decision.confirmations)
        };
        assert_eq!(of(" Yes "), (true, String::new(), 3));
        assert_eq!(of("no  too small"), (false, "too small".to_owned(), 0));
        assert_eq!(of(""), (false, String::new(), 0));
        assert_eq!(of("nonsense"), (false, String::new(), 0));
    }
}
