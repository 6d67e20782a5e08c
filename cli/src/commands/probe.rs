//! `fulmen probe`: whether a payment would arrive.
use clap::Args;
use fulmen_proto::v1::ProbeRequest;
use fulmen_proto::v1::probe_update::State;

use super::options::constraints::Constraints;
use super::options::limits::Limits;
use super::route::Towards;
use crate::failure::{Failure, advice};
use crate::format::human;
use crate::render::routes;
use crate::session::{Session, next_state};

#[derive(Debug, Args)]
pub struct Probe {
    #[command(flatten)]
    towards: Towards,
    /// Try other ways up to this many times in all [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    attempts: Option<u32>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    constraints: Constraints,
}

impl Probe {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let screen = &session.screen;
        let progress = screen.progress("probing");
        let given = self.constraints.given();
        let request = ProbeRequest {
            amount_msat: self.towards.amount_msat(),
            to: self.towards.target(),
            limits: Some(self.limits.wire()),
            constraints: self.constraints.wire()?,
            max_attempts: self.attempts.unwrap_or(0),
        };
        let stream = session.payments().probe(request).await;
        let mut stream = stream.map_err(|status| given.advise(status.into()))?.into_inner();
        let mut fee_msat = 0;
        while let Some(update) = next_state(&mut stream, "interrupted").await? {
            let state = update.state();
            fee_msat = update.route.as_ref().map_or(fee_msat, |route| route.fee_msat);
            if screen.json {
                screen.show_next(&update, |_, _| String::new())?;
            } else {
                screen.text(&routes::probed(&update, fee_msat))?;
            }
            match state {
                State::Unspecified | State::Sent | State::PartReached | State::PartStuck => (),
                State::WouldArrive => return Ok(()),
                State::Stuck => {
                    drop(progress);
                    let why = match update.no_route_words.as_str() {
                        "" => "all attempts got stuck".to_owned(),
                        why => format!("no other way is left: {}", human::one_line(why)),
                    };
                    return Err(Failure::failed(format!("would not arrive: {why}"))
                        .or_advise(advice(&update.no_route_cause))
                        .or_advise(advice("LIQUIDITY")));
                }
                State::NoAnswer => {
                    drop(progress);
                    return Err(Failure::failed("no answer came in time")
                        .advise("A node on the way may be offline: avoid it with --avoid"));
                }
            }
        }
        Err(Failure::failed("the daemon ended the stream before the probe's end"))
    }
}
