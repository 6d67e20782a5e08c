//! The stream on which a program decides about channels that peers want to open.

use fulmen_proto::v1;
use tonic::{Code, Status, Streaming};

use crate::api::status::{malformed, refuse};
use crate::api::stream::Steps;
use crate::channels::{Channels, Decision, Proposal, Seated};

/// The longest reason, in bytes: BOLT 1's error message has room for more, a log line not.
const MAX_REASON_BYTES: usize = 200;
/// As `channels.confirmations`: more than any peer waits for.
const MAX_CONFIRMATIONS: u32 = 144;

/// Proposals out, decisions in, until the program closes its side.
pub struct Deciding {
    seated: Seated,
    decisions: Streaming<v1::OpenDecision>,
}

impl Deciding {
    /// Takes the seat of the program that decides.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` while another program has it.
    pub fn begin(
        channels: &Channels,
        decisions: Streaming<v1::OpenDecision>,
    ) -> Result<Self, Status> {
        let seated = channels.decide_opens().ok_or_else(|| {
            let words = "another program decides about opens already";
            refuse(Code::FailedPrecondition, "DECIDER_TAKEN", words)
        })?;
        Ok(Self { seated, decisions })
    }
}

impl Steps for Deciding {
    type Item = v1::OpenProposal;

    async fn next(&mut self) -> Result<Option<v1::OpenProposal>, Status> {
        loop {
            tokio::select! {
                proposal = self.seated.next() => return Ok(proposal.map(view)),
                decision = self.decisions.message() => match decision? {
                    None => return Ok(None),
                    Some(decision) => {
                        let (id, decision) = read(decision)?;
                        if !self.seated.decide(id, decision) {
                            tracing::info!(id, "a decision about an open came too late");
                        }
                    }
                },
            }
        }
    }
}

fn view(proposal: Proposal) -> v1::OpenProposal {
    v1::OpenProposal {
        id: proposal.id,
        node_id: proposal.node_id.serialize().to_vec(),
        capacity_sat: proposal.capacity_sat,
        push_msat: proposal.push_msat,
        announced: proposal.announced,
        zero_conf: proposal.zero_conf,
        channels_with_peer: u32::try_from(proposal.channels_with_peer).unwrap_or(u32::MAX),
        peer_channels: u32::try_from(proposal.peer_channels).unwrap_or(u32::MAX),
        peer_capacity_sat: proposal.peer_capacity_sat,
    }
}

fn read(decision: v1::OpenDecision) -> Result<(u64, Decision), Status> {
    if decision.reason.len() > MAX_REASON_BYTES {
        let words =
            format!("has {} bytes, at most {MAX_REASON_BYTES} are sent", decision.reason.len());
        return Err(malformed("reason", words));
    }
    let confirmations = match decision.confirmations {
        0 => None,
        1..=MAX_CONFIRMATIONS => Some(decision.confirmations),
        many => {
            let words = format!("{many} is more than any peer waits for ({MAX_CONFIRMATIONS})");
            return Err(malformed("confirmations", words));
        }
    };
    let v1::OpenDecision { id, accept, reason, .. } = decision;
    Ok((id, Decision { accept, reason, confirmations }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_bounded() {
        let of = |reason: &str, confirmations| {
            read(v1::OpenDecision { id: 3, accept: true, reason: reason.to_owned(), confirmations })
        };
        let (id, decision) = of("no", 0).expect("sound");
        assert_eq!((id, decision.confirmations), (3, None));
        assert_eq!(of("", 144).expect("sound").1.confirmations, Some(144));
        assert!(of("", 145).expect_err("refused").message().starts_with("confirmations: "));
        assert!(of(&"x".repeat(201), 0).expect_err("refused").message().starts_with("reason: "));
    }
}
