//! `fulmen channel rebalance`: money from one of our channels to another.
use clap::Args;
use fulmen_proto::v1::RebalanceRequest;
use fulmen_proto::v1::payment::State;

use super::options::limits::Limits;
use super::options::names;
use super::payment::{Handling, not_paid};
use crate::amount::SomeMsat;
use crate::failure::{Exit, Failure};
use crate::format::human;
use crate::ids::ShortChannelId;
use crate::render::{payments, routes};
use crate::session::{Session, next_state};

#[derive(Debug, Args)]
pub struct Rebalance {
    /// The channel that gets less: 539x1x0
    from: ShortChannelId,
    /// The channel that gets more
    to: ShortChannelId,
    /// How much more
    amount: SomeMsat,
    /// Only show the route and its cost; send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    handling: Handling,
}

impl Rebalance {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let SomeMsat(amount_msat) = self.amount;
        let Some(max_fee_msat) = self.limits.bounds.max_fee_msat() else {
            return Err(Failure::new(Exit::Usage, "say what it may cost")
                .advise("Give it with --max-fee: --max-fee 10sat"));
        };
        let screen = &session.screen;
        if !self.dry_run && !self.handling.yes && screen.has_someone_to_ask() {
            screen.confirm(&format!(
                "Move {} from {} to {} for at most {}?",
                human::msat(amount_msat),
                self.from,
                self.to,
                human::msat(max_fee_msat)
            ))?;
        }
        let progress = screen.progress("looking for a way around");
        let request = RebalanceRequest {
            from_short_channel_id: self.from.0,
            to_short_channel_id: self.to.0,
            amount_msat,
            limits: Some(self.limits.wire()),
            dry_run: self.dry_run,
            idempotency_key: self.handling.idempotency_key,
            label: self.handling.label,
        };
        let mut stream = session.payments().rebalance(request).await?.into_inner();
        let goes_on = "interrupted; it goes on in the daemon: see `fulmen payments`, or stop it \
                       with `fulmen payment cancel`";
        while let Some(update) = next_state(&mut stream, goes_on).await? {
            if screen.json {
                screen.show_next(&update, |_, _| String::new())?;
            }
            match update.route {
                Some(route) if self.dry_run && !screen.json => {
                    let names = names::names(session, routes::nodes(&route)).await;
                    screen.show_next(&route, |route, look| routes::route(route, &names, look))?;
                }
                Some(route) => {
                    progress.doing(format!("moving it for {}", human::msat(route.fee_msat)));
                }
                None => (),
            }
            let Some(payment) = update.payment else { continue };
            match payment.state() {
                State::Unspecified | State::Pending => {
                    progress.doing(payments::under_way(&payment));
                }
                State::Succeeded if screen.json => return Ok(()),
                State::Succeeded => {
                    drop(progress);
                    return screen.show_next(&payment, payments::moved);
                }
                State::Failed => return Err(not_paid("not moved", &payment)),
            }
        }
        match self.dry_run {
            true => Ok(()),
            false => Err(Failure::failed("the daemon ended the stream before the payment's end")
                .advise("See `fulmen payments`: it may go on")),
        }
    }
}
