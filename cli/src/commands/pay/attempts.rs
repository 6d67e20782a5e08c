//! `fulmen payment attempts`: which routes a payment tried, when, and what became of each.
use clap::Args;
use fulmen_proto::v1::payment::State;
use fulmen_proto::v1::{WatchPaymentRequest, watch_payment_request};

use crate::commands::payment::{Show, find, not_paid};
use crate::failure::Failure;
use crate::ids::HashOrBolt11;
use crate::render::{payments, routes};
use crate::session::{Session, next_state};

#[derive(Debug, Args)]
pub struct Attempts {
    /// Payment id, payment hash, or the invoice that was paid
    #[arg(value_name = "ID|HASH|INVOICE")]
    payment: HashOrBolt11,
    /// Print each attempt as it ends, until the payment has ended
    #[arg(long)]
    follow: bool,
}

impl Attempts {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        if self.follow {
            return self.follow(session).await;
        }
        if session.screen.json {
            return Show { payment: self.payment }.run(session).await;
        }
        let found = find(session, self.payment).await?.payment.unwrap_or_default();
        session.screen.show(&found, |found, look| routes::attempts(&found.parts, look))
    }

    async fn follow(self, session: &Session) -> Result<(), Failure> {
        let found = find(session, self.payment).await?.payment.unwrap_or_default();
        let by = Some(watch_payment_request::By::PaymentId(found.payment_id));
        let mut stream = session.payments().watch(WatchPaymentRequest { by }).await?.into_inner();
        let mut shown = 0;
        let goes_on = "interrupted; the payment goes on in the daemon";
        while let Some(payment) = next_state(&mut stream, goes_on).await? {
            if session.screen.json {
                session.screen.show_next(&payment, |_, _| String::new())?;
                continue;
            }
            for (number, part) in (1..).zip(&payment.parts).skip(shown) {
                session.screen.show_next(part, |part, _| routes::attempt(number, part) + "\n")?;
            }
            shown = shown.max(payment.parts.len());
            match payment.state() {
                State::Failed => return Err(not_paid("not paid", &payment)),
                State::Succeeded => return session.screen.show_next(&payment, payments::done),
                State::Pending | State::Unspecified => (),
            }
        }
        Ok(())
    }
}
