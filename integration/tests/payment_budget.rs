//! What one payment may be and cost by configuration, and large payments that are probed first.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{pay, refused};
use fulmen_proto::v1::set_policy_request::Which;
use fulmen_proto::v1::{
    BuildRouteRequest, FindRouteRequest, GiveRefundRequest, PayRequest, PaymentLimits, RouteTarget,
    SendToRouteRequest, SetPolicyRequest, route_target,
};
use tonic::Code;

#[test]
fn no_call_goes_beyond_the_configured_budget() {
    let settings = Settings::default().with("payments", "max_amount_sat", 50_000).with(
        "payments",
        "max_fee_sat",
        2,
    );
    scenario::run_with("budget", settings, async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let invoice = pay::invoice(carol, 50_001_000).await?;
        let refusal = alice.payments().pay(pay::request(&invoice.bolt11)).await;
        refused(refusal, Code::ResourceExhausted, "payments.max_amount_sat")?;
        let keysend = alice.payments().keysend(pay::keysend_request(carol, 50_001_000)).await;
        refused(keysend, Code::ResourceExhausted, "payments.max_amount_sat")?;
        let refund = GiveRefundRequest {
            amount_msat: 50_001_000,
            description: "too much".to_owned(),
            ..GiveRefundRequest::default()
        };
        let refund = alice.offers().give_refund(refund).await;
        refused(refund, Code::ResourceExhausted, "payments.max_amount_sat")?;
        let route = BuildRouteRequest {
            node_ids: vec![bob.id(), carol.id()],
            bolt11: invoice.bolt11.clone(),
            ..BuildRouteRequest::default()
        };
        let route = alice.graph().build_route(route).await?.into_inner().route;
        let by = Some(route_target::By::Bolt11(invoice.bolt11));
        let to = Some(RouteTarget { by });
        let along = SendToRouteRequest { to, route, ..SendToRouteRequest::default() };
        let along = alice.payments().send_to_route(along).await;
        refused(along, Code::ResourceExhausted, "payments.max_amount_sat")?;

        // The default limit would let it cost 10 sat, and the route costs 6.
        let invoice = pay::invoice(carol, 50_000_000).await?;
        let dear = pay::fails(alice, pay::request(&invoice.bolt11)).await?;
        ensure!(dear.no_route_cause == "FEE_LIMIT", "{dear:?}");
        let more = PaymentLimits { max_fee_msat: Some(2_001), ..PaymentLimits::default() };
        let request = PayRequest { limits: Some(more), ..pay::request(&invoice.bolt11) };
        refused(
            alice.payments().pay(request).await,
            Code::InvalidArgument,
            "payments.max_fee_sat",
        )?;
        pay::transfer(alice, carol, 5_000_000).await?;
        alice
            .cli()?
            .fails(1, &["pay", &pay::invoice(carol, 60_000_000).await?.bolt11, "-y"])
            .await?;
        Ok(())
    });
}

async fn first_node(payer: &Node, payee: &Node, amount_msat: u64) -> Result<Vec<u8>> {
    let to = Some(RouteTarget { by: Some(route_target::By::NodeId(payee.id())) });
    let request = FindRouteRequest { to, amount_msat, ..FindRouteRequest::default() };
    let route = payer.graph().find_route(request).await?.into_inner().route;
    let parts = route.context("a route in the answer")?.parts;
    let hop = parts.first().and_then(|part| part.hops.first()).context("a hop")?;
    Ok(hop.node_id.clone())
}

#[test]
fn a_large_payment_is_probed_before_it_is_sent() {
    let settings = Settings::default().with("payments", "probe_above_sat", 1_000_000);
    scenario::run_with("probe-first", settings, async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("a diamond") };
        // Bob is cheap, but has sent away what he had towards dave, and nobody can see that.
        let dear = SetPolicyRequest {
            which: Some(Which::All(true)),
            base_fee_msat: Some(50_000),
            proportional_millionths: Some(3_000),
            ..SetPolicyRequest::default()
        };
        carol.channels().set_policy(dear).await?;
        let amount_msat = 2_000_000_000;
        poll::eventually("alice would go over bob", async || {
            let first = first_node(alice, dave, amount_msat).await?;
            Ok(if first == bob.id() {
                Look::Done(())
            } else {
                Look::NotYet("over carol".to_owned())
            })
        })
        .await?;
        for _ in 0..2 {
            pay::transfer(bob, dave, 2_200_000_000).await?;
        }

        let invoice = pay::invoice(dave, amount_msat).await?;
        let limits =
            PaymentLimits { max_fee_msat: Some(30_000_000), max_parts: 1, ..Default::default() };
        let request = PayRequest { limits: Some(limits), ..pay::request(&invoice.bolt11) };
        pay::succeeds(alice, request).await?;
        let payment = pay::with_parts(alice, &invoice.payment_hash).await?;
        ensure!(payment.parts.len() == 1, "the probe found out before the payment: {payment:?}");
        ensure!(payment.parts[0].hops[0].node_id == carol.id(), "{payment:?}");
        Ok(())
    });
}
