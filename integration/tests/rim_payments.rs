//! Payments at the rim: what peers let be in flight, permanent failures, strangers' keysends.
use std::time::{Duration, Instant};

use anyhow::ensure;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused, wallet};
use fulmen_proto::v1::route_target::By;
use fulmen_proto::v1::{
    FindRouteRequest, ListInvoicesRequest, PayRequest, PaymentLimits, RouteTarget,
    SummarizeForwardsRequest, payment,
};
use tonic::Code;

/// A refusal needs no network: far less than the minute and more for which a payee holds incomplete parts.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn what_peers_let_be_in_flight_is_never_exceeded() {
    scenario::run("in-flight", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        // Public channels let 45 % be in flight at one moment: 4,500,000 of 10,000,000 sat, of which 5,000,000
        // are alice's.
        let balances = wallet::balances(alice).await?;
        ensure!(balances.outbound_capacity_msat <= 4_500_000_000, "{balances:?}");
        let [one] = &channel::all(alice).await?[..] else { unreachable!("one channel") };
        ensure!(one.outbound_capacity_msat <= 4_500_000_000, "{one:?}");

        let too_much = pay::invoice(carol, 4_700_000_000).await?;
        let begun = Instant::now();
        let mut payments = alice.payments();
        let refusal = payments.pay(pay::request(&too_much.bolt11)).await;
        refused(refusal, Code::FailedPrecondition, "in flight")?;
        let to = RouteTarget { by: Some(By::Bolt11(too_much.bolt11.clone())) };
        let route = FindRouteRequest { to: Some(to), ..FindRouteRequest::default() };
        let route = alice.graph().find_route(route).await;
        refused(route, Code::FailedPrecondition, "4,5")?;
        ensure!(begun.elapsed() < AT_ONCE, "it took {:?}", begun.elapsed());
        pay::transfer(alice, carol, 4_400_000_000).await?;
        pay::transfer(carol, alice, 4_400_000_000).await?;

        // With a second channel to bob it is bob's channel to carol that is too narrow, which nobody sees but by
        // what it announces as its greatest HTLC.
        let request = channel::open_request(bob, 10_000_000, 5_000_000_000);
        channel::open(network, 0, 1, request).await?;
        let begun = Instant::now();
        let payment = pay::fails(alice, pay::request(&too_much.bolt11)).await?;
        ensure!(begun.elapsed() < AT_ONCE, "it took {:?}: {payment:?}", begun.elapsed());
        ensure!(payment.no_route_cause == "PAYEE_INBOUND", "{payment:?}");
        ensure!(payment.parts.is_empty(), "nothing was sent: {payment:?}");
        pay::keysend(alice, carol, 10_000).await?;

        // In one part only one channel carries it, and the words say so.
        let large = pay::invoice(bob, 6_000_000_000).await?;
        let limits = PaymentLimits { max_parts: 1, ..PaymentLimits::default() };
        let whole = PayRequest { limits: Some(limits), ..pay::request(&large.bolt11) };
        refused(payments.pay(whole).await, Code::FailedPrecondition, "single channel")?;
        let split = pay::succeeds(alice, pay::request(&large.bolt11)).await?;
        ensure!(split.state() == payment::State::Succeeded);
        Ok(())
    });
}

#[test]
fn what_strangers_do_for_free_is_bounded_and_counted() {
    scenario::run("free", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        // A payment that nobody asked for and that is worth less than its record is given back.
        let dust = alice.payments().keysend(pay::keysend_request(carol, 999)).await?;
        let dust = pay::finish(dust.into_inner()).await?;
        ensure!(dust.state() == payment::State::Failed, "{dust:?}");
        pay::keysend(alice, carol, 1_000).await?;
        let received = carol.invoices().list(ListInvoicesRequest::default()).await?.into_inner();
        ensure!(received.invoices.len() == 1, "{received:?}");

        // A forward that fails is counted, by reason, and leaves no row of its own.
        let carols = pay::keysend_request(carol, 50_000);
        network.nodes[2].stop().await?;
        let [alice, bob, _] = &network.nodes[..] else { unreachable!("a line of three") };
        let lost = alice.payments().keysend(carols).await?;
        let lost = pay::finish(lost.into_inner()).await?;
        ensure!(lost.state() == payment::State::Failed, "{lost:?}");
        let summary = poll::eventually("bob counts a failed forward", async || {
            let answer = bob.forwards().summarize(SummarizeForwardsRequest {}).await?.into_inner();
            Ok(match answer.failed_count {
                0 => Look::NotYet(format!("{answer:?}")),
                _ => Look::Done(answer),
            })
        })
        .await?;
        let counted: u64 = summary.failures.iter().map(|failed| failed.count).sum();
        ensure!(counted == summary.failed_count, "{summary:?}");
        let is_reason = |reason: &str| reason.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let reasons = summary.failures.iter().map(|failed| failed.reason.as_str());
        ensure!(
            reasons.clone().all(|reason| !reason.is_empty() && is_reason(reason)),
            "{summary:?}"
        );
        network.nodes[2].launch().await?;
        network.wait_usable().await?;
        // What was counted is written when the daemon stops.
        network.nodes[1].restart().await?;
        network.wait_usable().await?;
        let bob = &network.nodes[1];
        let after = bob.forwards().summarize(SummarizeForwardsRequest {}).await?.into_inner();
        ensure!(after.failures == summary.failures, "{after:?} not {summary:?}");
        Ok(())
    });
}

#[test]
fn a_dead_route_hint_is_reported_as_what_it_is() {
    scenario::run("dead-hint", async |network| {
        network.add_nodes(3).await?;
        for node in 0..3 {
            network.give_node(node, 11_000_000, 2).await?;
        }
        let public = channel::open_request(&network.nodes[1], 10_000_000, 5_000_000_000);
        channel::open(network, 0, 1, public).await?;
        let mut private = channel::open_request(&network.nodes[2], 10_000_000, 5_000_000_000);
        private.announce = false;
        let hidden = channel::open(network, 1, 2, private).await?;
        network.wait_for_graph().await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("three were added") };
        let invoice = pay::invoice(carol, 33_000_000).await?;
        channel::close(network, 1, &hidden.channel_id).await?;

        // The first payment learns it, and later ones and questions know it.
        let payment = pay::fails(alice, pay::request(&invoice.bolt11)).await?;
        ensure!(payment.no_route_cause == "CHANNEL_BROKEN", "{payment:?}");
        ensure!(payment.no_route_words.contains("of a route hint"), "{payment:?}");
        let to = RouteTarget { by: Some(By::Bolt11(invoice.bolt11.clone())) };
        let route = FindRouteRequest { to: Some(to), ..FindRouteRequest::default() };
        let route = alice.graph().find_route(route).await;
        refused(route, Code::FailedPrecondition, "is closed, or its node does not know it")?;
        Ok(())
    });
}
