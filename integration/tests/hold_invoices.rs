//! Hold invoices: accepted, settled, cancelled, cancelled in time; killed in each of these states; nothing is lost.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused};
use fulmen_proto::v1::event::What;
use fulmen_proto::v1::invoice::{Kind, State};
use fulmen_proto::v1::{
    CancelInvoiceRequest, CreateInvoiceRequest, GetInvoiceRequest, Invoice, ListInvoicesRequest,
    PageRequest, PaymentLimits, SettleInvoiceRequest, SubscribeEventsRequest, WatchInvoiceRequest,
    get_invoice_request, payment,
};
use tonic::Code;

const AMOUNT_MSAT: u64 = 20_000_000;

fn hash_of(preimage: &[u8; 32]) -> Vec<u8> {
    sha256::Hash::hash(preimage).to_byte_array().to_vec()
}

async fn hold_invoice(node: &Node, preimage: &[u8; 32], amount_msat: u64) -> Result<Invoice> {
    let request = CreateInvoiceRequest {
        amount_msat,
        payment_hash: hash_of(preimage),
        ..CreateInvoiceRequest::default()
    };
    let answer = node.invoices().create(request).await?.into_inner();
    answer.invoice.context("no invoice in the answer")
}

/// Begins a payment in one part and leaves it to the daemon.
async fn begin(payer: &Node, invoice: &Invoice) -> Result<()> {
    let limits = PaymentLimits { max_parts: 1, ..PaymentLimits::default() };
    let request =
        fulmen_proto::v1::PayRequest { limits: Some(limits), ..pay::request(&invoice.bolt11) };
    payer.payments().pay(request).await?;
    Ok(())
}

async fn get(node: &Node, payment_hash: &[u8]) -> Result<Invoice> {
    let by = Some(get_invoice_request::By::PaymentHash(payment_hash.to_vec()));
    let answer = node.invoices().get(GetInvoiceRequest { by }).await?.into_inner();
    answer.invoice.context("no invoice in the answer")
}

async fn until(node: &Node, payment_hash: &[u8], state: State) -> Result<Invoice> {
    let what = format!("{}'s invoice is {}", node.name(), state.as_str_name());
    poll::eventually(&what, async || {
        let invoice = get(node, payment_hash).await?;
        Ok(match invoice.state() == state {
            true => Look::Done(invoice),
            false => Look::NotYet(invoice.state().as_str_name().to_owned()),
        })
    })
    .await
}

fn settle(preimage: &[u8; 32]) -> SettleInvoiceRequest {
    SettleInvoiceRequest { preimage: preimage.to_vec(), payment_hash: Vec::new() }
}

async fn paid(payer: &Node, preimage: &[u8; 32]) -> Result<()> {
    let payment = pay::finished(payer, &hash_of(preimage)).await?;
    ensure!(payment.state() == payment::State::Succeeded, "{payment:?}");
    ensure!(payment.preimage == preimage, "{payment:?}");
    Ok(())
}

async fn came_back(payer: &Node, preimage: &[u8; 32]) -> Result<()> {
    let payment = pay::finished(payer, &hash_of(preimage)).await?;
    ensure!(payment.state() == payment::State::Failed, "{payment:?}");
    Ok(())
}

#[test]
fn accepted_then_settled_or_cancelled() {
    scenario::run("hold", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let (first, second) = ([1; 32], [2; 32]);

        let invoice = hold_invoice(carol, &first, AMOUNT_MSAT).await?;
        ensure!(invoice.kind() == Kind::Hold && invoice.state() == State::Open, "{invoice:?}");
        let early = carol.invoices().settle(settle(&first)).await;
        refused(early, Code::FailedPrecondition, "accepted yet")?;
        let hash = invoice.payment_hash.clone();
        let watched = WatchInvoiceRequest { payment_hash: hash.clone() };
        let mut states = carol.invoices().watch(watched).await?.into_inner();
        begin(alice, &invoice).await?;
        let accepted = until(carol, &hash, State::Accepted).await?;
        ensure!(accepted.received_msat == AMOUNT_MSAT && accepted.parts == 1, "{accepted:?}");
        let height = carol.info().await?.block_height;
        let blocks = accepted.claim_deadline_height.saturating_sub(height);
        ensure!((100..144).contains(&blocks), "{blocks} blocks to settle");
        ensure!(pay::recorded(alice, &hash).await?.state() == payment::State::Pending);

        let waiting =
            ListInvoicesRequest { state: State::Accepted.into(), ..ListInvoicesRequest::default() };
        let waiting = carol.invoices().list(waiting).await?.into_inner().invoices;
        ensure!(waiting.len() == 1 && waiting[0].payment_hash == hash, "{waiting:?}");
        let listed = carol.cli()?.ok(&["invoices", "--state", "accepted"]).await?;
        ensure!(listed.contains("accepted") && listed.contains("20,000"), "{listed}");
        let shown = carol.cli()?.ok(&["invoice", "show", &hex(&hash)]).await?;
        ensure!(shown.contains("settle before"), "{shown}");

        let other = SettleInvoiceRequest { preimage: vec![9; 32], payment_hash: hash.clone() };
        refused(carol.invoices().settle(other).await, Code::InvalidArgument, "does not fit")?;
        refused(
            carol.invoices().settle(settle(&[9; 32])).await,
            Code::NotFound,
            "no such invoice",
        )?;
        let wrong = ["invoice", "settle", &hex(&[9; 32]), "--hash", &hex(&hash)];
        carol.cli()?.fails(2, &wrong).await?;
        let answer = carol.invoices().settle(settle(&first)).await?.into_inner();
        ensure!(answer.invoice.is_some_and(|it| it.state() != State::Accepted));
        until(carol, &hash, State::Settled).await?;
        paid(alice, &first).await?;
        // The same preimage again is the same settlement.
        carol.cli()?.ok(&["invoice", "settle", &hex(&first)]).await?;
        let cancel = CancelInvoiceRequest { payment_hash: hash.clone() };
        refused(carol.invoices().cancel(cancel).await, Code::FailedPrecondition, "has been paid")?;
        let again = hold_invoice(carol, &first, AMOUNT_MSAT).await;
        ensure!(again.is_err_and(|error| format!("{error:#}").contains("exists already")));
        let mut seen = Vec::new();
        while let Some(invoice) = states.message().await? {
            seen.push(invoice.state());
        }
        ensure!(seen.first() == Some(&State::Open) && seen.contains(&State::Accepted), "{seen:?}");
        ensure!(seen.last() == Some(&State::Settled), "{seen:?}");

        let invoice = hold_invoice(carol, &second, AMOUNT_MSAT).await?;
        let hash = invoice.payment_hash.clone();
        begin(alice, &invoice).await?;
        until(carol, &hash, State::Accepted).await?;
        carol.cli()?.ok(&["invoice", "cancel", &hex(&hash)]).await?;
        came_back(alice, &second).await?;
        let cancelled = get(carol, &hash).await?;
        ensure!(cancelled.cancel_reason == "BY_USER", "{cancelled:?}");
        refused(
            carol.invoices().settle(settle(&second)).await,
            Code::FailedPrecondition,
            "was cancelled",
        )?;
        let ordinary = pay::invoice(carol, 1_000).await?;
        let preimage =
            SettleInvoiceRequest { preimage: first.to_vec(), payment_hash: ordinary.payment_hash };
        refused(
            carol.invoices().settle(preimage).await,
            Code::FailedPrecondition,
            "not a hold invoice",
        )?;
        let both = CreateInvoiceRequest {
            payment_hash: hash,
            preimage: vec![3; 32],
            ..CreateInvoiceRequest::default()
        };
        refused(carol.invoices().create(both).await, Code::InvalidArgument, "payment_hash")?;

        let until_now = SubscribeEventsRequest { until_now: true, ..Default::default() };
        let mut events = carol.events().subscribe(until_now).await?.into_inner();
        let (mut accepted, mut cancelled) = (0, 0);
        while let Some(event) = events.message().await? {
            match event.what {
                Some(What::InvoiceAccepted(it)) if it.received_msat == AMOUNT_MSAT => accepted += 1,
                Some(What::InvoiceCancelled(it)) if it.reason == "BY_USER" => cancelled += 1,
                _ => (),
            }
        }
        ensure!((accepted, cancelled) == (2, 1), "{accepted} accepted, {cancelled} cancelled");
        Ok(())
    });
}

#[test]
fn an_accepted_invoice_is_cancelled_before_its_deadline_and_no_channel_closes() {
    scenario::run("hold-deadline", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let preimage = [1; 32];
        let request = CreateInvoiceRequest {
            amount_msat: AMOUNT_MSAT,
            payment_hash: hash_of(&preimage),
            min_final_cltv_expiry_delta: 60,
            ..CreateInvoiceRequest::default()
        };
        let invoice = bob.invoices().create(request).await?.into_inner().invoice;
        let invoice = invoice.context("no invoice in the answer")?;
        begin(alice, &invoice).await?;
        let accepted = until(bob, &invoice.payment_hash, State::Accepted).await?;
        let deadline = u64::from(accepted.claim_deadline_height);
        let height = network.bitcoind.tip()?.0;
        network.mine(deadline - 3 - height).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        ensure!(get(bob, &invoice.payment_hash).await?.state() == State::Accepted);
        network.mine(1).await?;
        let cancelled = until(bob, &invoice.payment_hash, State::Cancelled).await?;
        ensure!(cancelled.cancel_reason == "DEADLINE", "{cancelled:?}");
        came_back(alice, &preimage).await?;
        refused(
            bob.invoices().settle(settle(&preimage)).await,
            Code::FailedPrecondition,
            "was cancelled",
        )?;
        // Past the expiry of the HTLC: a channel that still had it would be closed by force.
        network.mine(60).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        ensure!(channel::all(bob).await?.len() == 1 && channel::all(alice).await?.len() == 1);
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn the_payee_dies_in_each_state_of_a_hold_invoice() {
    scenario::run("hold-kill-payee", async |network| killed(network, 2).await);
}

#[test]
fn the_forwarder_dies_in_each_state_of_a_hold_invoice() {
    scenario::run("hold-kill-forwarder", async |network| killed(network, 1).await);
}

/// The moments after which a node is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    OnItsWay(u64),
    Accepted,
    Settling(u64),
    Cancelling(u64),
}

async fn killed(network: &mut fulmen_integration::network::Network, victim: usize) -> Result<()> {
    use Moment::{Accepted, Cancelling, OnItsWay, Settling};
    network.build(&Plan::balanced(Topology::Line(3))).await?;
    let moments = [
        OnItsWay(5),
        OnItsWay(20),
        OnItsWay(40),
        Accepted,
        Settling(0),
        Settling(4),
        Settling(15),
        Cancelling(0),
        Cancelling(6),
    ];
    for (number, moment) in (1..).zip(moments) {
        let preimage = [number; 32];
        let hash = hash_of(&preimage);
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let invoice = hold_invoice(carol, &preimage, AMOUNT_MSAT).await?;
        begin(alice, &invoice).await?;
        if let OnItsWay(ms) = moment {
            poll::pass(Duration::from_millis(ms)).await;
        } else {
            until(carol, &hash, State::Accepted).await?;
        }
        if let Settling(ms) = moment {
            carol.invoices().settle(settle(&preimage)).await?;
            poll::pass(Duration::from_millis(ms)).await;
        }
        if let Cancelling(ms) = moment {
            let cancel = CancelInvoiceRequest { payment_hash: hash.clone() };
            carol.invoices().cancel(cancel).await?;
            poll::pass(Duration::from_millis(ms)).await;
        }
        network.nodes[victim].kill()?;
        network.nodes[victim].launch().await?;
        network.wait_synced().await?;
        network.wait_usable().await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let ended = match moment {
            Settling(_) => paid(alice, &preimage).await.map(|()| true),
            Cancelling(_) => came_back(alice, &preimage).await.map(|()| false),
            Accepted => {
                let invoice = get(carol, &hash).await?;
                ensure!(invoice.state() == State::Accepted, "{moment:?}: {invoice:?}");
                carol.invoices().settle(settle(&preimage)).await?;
                paid(alice, &preimage).await.map(|()| true)
            }
            OnItsWay(_) => {
                // It arrives, or the forwarder that died gave it back.
                let what = format!("{moment:?}: the payment is accepted or has failed");
                let arrived = poll::eventually(&what, async || {
                    let state = get(carol, &hash).await?.state();
                    let payment = pay::recorded(alice, &hash).await?;
                    Ok(match (state, payment.state()) {
                        (State::Accepted, _) => Look::Done(true),
                        (_, payment::State::Failed) => Look::Done(false),
                        (state, _) => Look::NotYet(state.as_str_name().to_owned()),
                    })
                })
                .await?;
                if arrived {
                    carol.invoices().settle(settle(&preimage)).await?;
                    paid(alice, &preimage).await?;
                }
                Ok(arrived)
            }
        };
        let settled = ended.with_context(|| format!("killed at {moment:?}"))?;
        if settled {
            until(carol, &hash, State::Settled).await?;
        }
    }
    let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
    ensure!(channel::all(bob).await?.len() == 2, "a channel was closed");
    pay::transfer(alice, carol, 5_000_000).await?;
    Ok(())
}

#[test]
fn a_thousand_are_accepted_at_once_and_settled_across_a_restart() {
    const COUNT: usize = 1_000;
    const EACH_MSAT: u64 = 5_000;
    let mut settings = Settings::default();
    settings.set("payments", "max_in_flight", "1_000".to_owned());
    scenario::run_with("hold-thousand", settings, async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        // A channel carries at most 483 HTLCs in one direction (BOLT 2).
        for _ in 0..2 {
            let request = channel::open_request(&network.nodes[1], 1_000_000, 0);
            channel::open(network, 0, 1, request).await?;
        }
        let preimage = |number: usize| -> [u8; 32] {
            let mut preimage = [7; 32];
            preimage[..8].copy_from_slice(&(number as u64).to_be_bytes());
            preimage
        };
        {
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            for number in 0..COUNT {
                let invoice = hold_invoice(bob, &preimage(number), EACH_MSAT).await?;
                begin(alice, &invoice).await?;
            }
            accepted(bob, COUNT).await?;
            // Every other one, from the last to the first.
            for number in (0..COUNT).rev().filter(|number| number % 2 == 0) {
                bob.invoices().settle(settle(&preimage(number))).await?;
            }
        }
        network.nodes[1].kill()?;
        network.nodes[1].launch().await?;
        network.wait_synced().await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        accepted(bob, COUNT / 2).await?;
        for number in (0..COUNT).filter(|number| number % 2 == 1) {
            bob.invoices().settle(settle(&preimage(number))).await?;
        }
        for number in 0..COUNT {
            paid(alice, &preimage(number)).await.with_context(|| format!("number {number}"))?;
        }
        accepted(bob, 0).await
    });
}

/// Waits until exactly so many invoices are accepted.
async fn accepted(node: &Node, count: usize) -> Result<()> {
    let what = format!("{} has accepted {count} invoices", node.name());
    poll::eventually_within(Duration::from_secs(120), &what, async || {
        let page = Some(PageRequest { page_size: 1_000, page_token: Vec::new() });
        let request = ListInvoicesRequest {
            page,
            state: State::Accepted.into(),
            ..ListInvoicesRequest::default()
        };
        let found = node.invoices().list(request).await?.into_inner().invoices.len();
        Ok(if found == count { Look::Done(()) } else { Look::NotYet(found.to_string()) })
    })
    .await
}
