//! A thousand hold invoices accepted at once and settled in any order, half of them after a kill.
use std::time::Duration;

use anyhow::{Result, ensure};
use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256};
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay};
use fulmen_proto::v1::invoice::State;
use fulmen_proto::v1::{
    CancelInvoiceRequest, CreateInvoiceRequest, ListInvoicesRequest, ListPaymentsRequest,
    PageRequest, PayRequest, PaymentLimits, SettleInvoiceRequest, payment,
};
use tokio::task::JoinSet;

/// A channel carries 483 HTLCs: three carry them all.
const INVOICES: u64 = 1_000;
const AMOUNT_MSAT: u64 = 2_000_000;
/// Calls that are under way at once.
const AT_ONCE: usize = 50;
/// Every so many are cancelled rather than settled.
const CANCELLED_EVERY: u64 = 20;
/// A debug build beside other tests accepts some twenty a second.
const PATIENCE: Duration = Duration::from_secs(180);

fn preimage(number: u64) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[3; 24]].concat()
}

fn hash_of(number: u64) -> Vec<u8> {
    sha256::Hash::hash(&preimage(number)).to_byte_array().to_vec()
}

/// The numbers of all invoices, in an order that has nothing to do with the one in which they were made.
fn shuffled() -> Vec<u64> {
    // 387 and 1,000 have no common divisor.
    (0..INVOICES).map(|number| number * 387 % INVOICES).collect()
}

/// Does something for each number, all at once.
async fn each<F>(numbers: &[u64], deed: impl Fn(u64) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut deeds: JoinSet<Result<()>> = numbers.iter().map(|number| deed(*number)).collect();
    while let Some(done) = deeds.join_next().await {
        done??;
    }
    Ok(())
}

async fn begin(payee: &Node, payer: &Node, numbers: &[u64]) -> Result<()> {
    each(numbers, |number| {
        let (mut invoices, mut payments) = (payee.invoices(), payer.payments());
        async move {
            let request = CreateInvoiceRequest {
                amount_msat: AMOUNT_MSAT,
                payment_hash: hash_of(number),
                ..CreateInvoiceRequest::default()
            };
            let invoice = invoices.create(request).await?.into_inner().invoice.unwrap_or_default();
            let limits =
                PaymentLimits { max_parts: 1, timeout_secs: 600, ..PaymentLimits::default() };
            let request = PayRequest { limits: Some(limits), ..pay::request(&invoice.bolt11) };
            payments.pay(request).await?;
            Ok(())
        }
    })
    .await
}

async fn decide(payee: &Node, numbers: &[u64]) -> Result<()> {
    each(numbers, |number| {
        let mut invoices = payee.invoices();
        async move {
            if number.is_multiple_of(CANCELLED_EVERY) {
                let cancel = CancelInvoiceRequest { payment_hash: hash_of(number) };
                invoices.cancel(cancel).await?;
            } else {
                let preimage = preimage(number);
                let settle = SettleInvoiceRequest { preimage, ..Default::default() };
                invoices.settle(settle).await?;
            }
            Ok(())
        }
    })
    .await
}

async fn count(payee: &Node, state: State) -> Result<u64> {
    let (mut count, mut token) = (0, Vec::new());
    loop {
        let page = PageRequest { page_size: 500, page_token: token };
        let request = ListInvoicesRequest {
            page: Some(page),
            state: state.into(),
            ..ListInvoicesRequest::default()
        };
        let answer = payee.invoices().list(request).await?.into_inner();
        count += u64::try_from(answer.invoices.len())?;
        token = answer.next_page_token;
        if token.is_empty() {
            return Ok(count);
        }
    }
}

async fn until(payee: &Node, state: State, expected: u64) -> Result<()> {
    let what = format!("{expected} invoices are {}", state.as_str_name());
    poll::eventually_within(PATIENCE, &what, async || {
        let count = count(payee, state).await?;
        Ok(if count == expected { Look::Done(()) } else { Look::NotYet(format!("{count}")) })
    })
    .await
}

async fn ended(payer: &Node) -> Result<(u64, u64)> {
    let (mut succeeded, mut failed, mut token) = (0, 0, Vec::new());
    loop {
        let page = PageRequest { page_size: 500, page_token: token };
        let request = ListPaymentsRequest { page: Some(page), ..ListPaymentsRequest::default() };
        let answer = payer.payments().list(request).await?.into_inner();
        for payment in &answer.payments {
            match payment.state() {
                payment::State::Succeeded => succeeded += 1,
                payment::State::Failed => failed += 1,
                payment::State::Pending | payment::State::Unspecified => (),
            }
        }
        token = answer.next_page_token;
        if token.is_empty() {
            return Ok((succeeded, failed));
        }
    }
}

#[test]
fn a_thousand_are_held_and_settled_in_any_order_half_after_a_kill() {
    let settings = Settings::default().with("payments", "max_in_flight", 1_200);
    scenario::run_with("hold-many", settings, async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        for _ in 0..2 {
            network.give_node(0, 11_000_000, 1).await?;
            let request = channel::open_request(&network.nodes[1], 10_000_000, 0);
            channel::open(network, 0, 1, request).await?;
        }
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let order = shuffled();
        for some in order.chunks(AT_ONCE) {
            begin(bob, alice, some).await?;
        }
        until(bob, State::Accepted, INVOICES).await?;

        let (before, after) = order.split_at(order.len() / 2);
        for some in before.chunks(AT_ONCE) {
            decide(bob, some).await?;
        }
        network.nodes[1].kill()?;
        network.nodes[1].launch().await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        until(bob, State::Accepted, INVOICES / 2).await?;
        for some in after.chunks(AT_ONCE).rev() {
            decide(bob, some).await?;
        }
        let cancelled = INVOICES / CANCELLED_EVERY;
        until(bob, State::Settled, INVOICES - cancelled).await?;
        let expected = (INVOICES - cancelled, cancelled);
        poll::eventually_within(PATIENCE, "all payments have ended", async || {
            let ended = ended(alice).await?;
            Ok(if ended == expected { Look::Done(()) } else { Look::NotYet(format!("{ended:?}")) })
        })
        .await?;
        ensure!(count(bob, State::Accepted).await? == 0, "nothing is held any more");
        Ok(())
    });
}
