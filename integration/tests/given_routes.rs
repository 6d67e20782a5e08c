//! Routes that the payer names: built over given nodes, taken as they are, refused with one sentence, killed under way.
use anyhow::{Context as _, Result, ensure};
use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused};
use fulmen_proto::v1::invoice::State as InvoiceState;
use fulmen_proto::v1::payment::State;
use fulmen_proto::v1::route_target::By;
use fulmen_proto::v1::{
    BuildRouteRequest, CreateInvoiceRequest, ForwardPolicy, GetInvoiceRequest, Payment,
    PaymentLimits, Route, RouteTarget, SendToRouteRequest, SettleInvoiceRequest,
    get_invoice_request,
};
use serde_json::Value;
use tonic::Code;

const SOME_MSAT: u64 = 50_000_000;
/// What a channel charges by default.
const POLICY: ForwardPolicy =
    ForwardPolicy { base_fee_msat: 1_000, proportional_millionths: 100, cltv_expiry_delta: 72 };

async fn built(node: &Node, nodes: &[&Node], bolt11: &str) -> Result<Route> {
    let request = BuildRouteRequest {
        node_ids: nodes.iter().map(|node| node.id()).collect(),
        amount_msat: if bolt11.is_empty() { SOME_MSAT } else { 0 },
        bolt11: bolt11.to_owned(),
        ..BuildRouteRequest::default()
    };
    let answer = node.graph().build_route(request).await.context("building a route")?;
    answer.into_inner().route.context("a route in the answer")
}

fn along(bolt11: &str, route: Route) -> SendToRouteRequest {
    let by = Some(By::Bolt11(bolt11.to_owned()));
    SendToRouteRequest {
        to: Some(RouteTarget { by }),
        route: Some(route),
        ..SendToRouteRequest::default()
    }
}

async fn send(node: &Node, request: SendToRouteRequest) -> Result<Payment> {
    pay::finish(node.payments().send_to_route(request).await?.into_inner()).await
}

#[test]
fn a_route_is_built_taken_and_refused() {
    scenario::run("given-route", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("a diamond") };

        // The dearer or the cheaper way: the payment takes the route that it is given.
        let fee_msat: u64 = pay::exact_fees_msat(SOME_MSAT, &[POLICY]).iter().sum();
        for over in [bob, carol] {
            let invoice = pay::invoice(dave, SOME_MSAT).await?;
            let route = built(alice, &[over, dave], &invoice.bolt11).await?;
            ensure!(route.fee_msat == fee_msat && route.parts.len() == 1, "{route:?}");
            let request = SendToRouteRequest {
                idempotency_key: hex(&over.id()[..8]),
                ..along(&invoice.bolt11, route)
            };
            let payment = send(alice, request.clone()).await?;
            ensure!(payment.state() == State::Succeeded, "{payment:?}");
            ensure!(payment.fee_msat == fee_msat, "{payment:?}");
            ensure!(payment.parts[0].hops[0].node_id == over.id(), "{payment:?}");
            let again = send(alice, request).await?;
            ensure!(again.payment_id == payment.payment_id, "the key stands for the payment");
        }
        // Without an invoice, and in two parts with one.
        let route = built(alice, &[carol, dave], "").await?;
        let to = Some(RouteTarget { by: Some(By::NodeId(dave.id())) });
        let keysend = SendToRouteRequest { to, amount_msat: SOME_MSAT, ..along("", route) };
        ensure!(send(alice, keysend).await?.state() == State::Succeeded);
        let invoice = pay::invoice(dave, 2 * SOME_MSAT).await?;
        let mut both = built(alice, &[bob, dave], "").await?;
        both.parts.extend(built(alice, &[carol, dave], "").await?.parts);
        for hop in both.parts.iter_mut().flat_map(|part| &mut part.hops) {
            // A keysend asks for fewer blocks than this invoice.
            hop.total_cltv_delta += 144;
        }
        let payment = send(alice, along(&invoice.bolt11, both)).await?;
        ensure!(payment.state() == State::Succeeded, "{payment:?}");
        ensure!(pay::with_parts(alice, &invoice.payment_hash).await?.parts.len() == 2);

        let invoice = pay::invoice(dave, SOME_MSAT).await?;
        let good = built(alice, &[carol, dave], &invoice.bolt11).await?;
        let but = |change: fn(&mut Route)| {
            let mut route = good.clone();
            change(&mut route);
            along(&invoice.bolt11, route)
        };
        for (request, code, words) in [
            (
                but(|it| it.parts[0].hops[0].amount_msat -= 1),
                Code::FailedPrecondition,
                "are the fee for",
            ),
            (
                but(|it| it.parts[0].hops[0].total_cltv_delta -= 1),
                Code::FailedPrecondition,
                "72 blocks more",
            ),
            (
                but(|it| it.parts[0].hops[1].short_channel_id += 1),
                Code::FailedPrecondition,
                "no channel",
            ),
            (
                but(|it| it.parts[0].hops[1].amount_msat -= 1),
                Code::InvalidArgument,
                "are to be paid",
            ),
            (but(|it| it.parts[0].hops.truncate(1)), Code::InvalidArgument, "not the payee"),
            (but(|it| it.parts.clear()), Code::InvalidArgument, "leads nowhere"),
            (
                but(|it| it.parts[0].hops.iter_mut().for_each(|hop| hop.total_cltv_delta -= 1)),
                Code::FailedPrecondition,
                "the payee asks for",
            ),
            (
                SendToRouteRequest {
                    limits: Some(PaymentLimits { max_fee_msat: Some(1), ..Default::default() }),
                    ..but(|_| ())
                },
                Code::FailedPrecondition,
                "the limit is 1 msat",
            ),
        ] {
            refused(alice.payments().send_to_route(request).await, code, words)?;
        }
        let far = BuildRouteRequest {
            node_ids: vec![dave.id()],
            amount_msat: SOME_MSAT,
            ..BuildRouteRequest::default()
        };
        let unconnected = alice.graph().build_route(far).await;
        refused(unconnected, Code::FailedPrecondition, "no known channel leads")?;

        // At the command line; and the refusals above have left the invoice to be paid.
        let cli = alice.cli()?;
        let nodes = [hex(&carol.id()), hex(&dave.id())];
        let build = ["graph", "build-route", &nodes[0], &nodes[1], "--invoice", &invoice.bolt11];
        let printed: Value = cli.json(&build).await?;
        let shown = cli.ok(&build).await?;
        ensure!(shown.contains("Part 1") && !shown.contains('%'), "{shown}");
        let file = network.folder("routes")?.join("route.json");
        std::fs::write(&file, printed.to_string())?;
        let file = file.to_str().context("a path in UTF-8")?;
        cli.ok(&["payment", "send-route", &invoice.bolt11, file, "-y"]).await?;
        pay::settled(dave, &invoice.payment_hash, SOME_MSAT).await?;
        cli.fails(2, &["payment", "send-route", &invoice.bolt11, "/dev/null", "-y"]).await?;

        Ok(())
    });
}

#[test]
fn a_route_that_fails_fails_the_payment_and_no_other_is_tried() {
    scenario::run("given-route-fails", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        // So deep that LDK puts no hint with an alias into the invoice of a node with public channels.
        network.mine(1).await?;
        network.wait_synced().await?;
        let [alice, bob, _, dave] = &network.nodes[..] else { unreachable!("a diamond") };
        // Bob sends away what he has towards dave, and nobody can see that.
        for _ in 0..2 {
            pay::transfer(bob, dave, 2_200_000_000).await?;
        }
        let channel = channel::between(bob, dave).await?;
        let invoice = pay::invoice(dave, 1_000_000_000).await?;
        let route = built(alice, &[bob, dave], &invoice.bolt11).await?;
        let payment = send(alice, along(&invoice.bolt11, route)).await?;
        ensure!(payment.state() == State::Failed, "{payment:?}");
        ensure!(payment.parts.len() == 1, "no other route is tried: {payment:?}");
        let failed = &payment.parts[0];
        ensure!(failed.failed_short_channel_id == channel.short_channel_id, "{failed:?}");
        ensure!(failed.failed_at_hop == 2 && failed.began_at_ms > 0, "{failed:?}");
        ensure!(failed.ended_at_ms >= failed.began_at_ms, "{failed:?}");
        let name = hex(&invoice.payment_hash);
        let shown = alice.cli()?.ok(&["payment", "attempts", &name, "--wide"]).await?;
        ensure!(shown.contains("failed at hop 2") && shown.contains("could not carry"), "{shown}");
        alice.cli()?.fails(1, &["payment", "attempts", &name, "--follow"]).await?;
        // The invoice can still be paid: carol's way is free.
        pay::succeeds(alice, pay::request(&invoice.bolt11)).await?;
        Ok(())
    });
}

#[test]
fn a_payment_on_a_given_route_survives_a_kill() {
    scenario::run("given-route-kill", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let preimage = [7; 32];
        let payment_hash = sha256::Hash::hash(&preimage).to_byte_array().to_vec();
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let request = CreateInvoiceRequest {
            amount_msat: SOME_MSAT,
            payment_hash: payment_hash.clone(),
            ..CreateInvoiceRequest::default()
        };
        let invoice = carol.invoices().create(request).await?.into_inner().invoice;
        let bolt11 = invoice.context("an invoice in the answer")?.bolt11;
        let route = built(alice, &[bob, carol], &bolt11).await?;
        alice.payments().send_to_route(along(&bolt11, route)).await?;
        poll::eventually("the payment is held", async || {
            let by = Some(get_invoice_request::By::PaymentHash(payment_hash.clone()));
            let found = carol.invoices().get(GetInvoiceRequest { by }).await?.into_inner().invoice;
            let state = found.unwrap_or_default().state();
            Ok(match state {
                InvoiceState::Accepted => Look::Done(()),
                other => Look::NotYet(other.as_str_name().to_owned()),
            })
        })
        .await?;
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        let (alice, carol) = (&network.nodes[0], &network.nodes[2]);
        ensure!(pay::recorded(alice, &payment_hash).await?.state() == State::Pending);
        let settle =
            SettleInvoiceRequest { preimage: preimage.to_vec(), ..SettleInvoiceRequest::default() };
        carol.invoices().settle(settle).await?;
        pay::finished(alice, &payment_hash).await?;
        let payment = pay::with_parts(alice, &payment_hash).await?;
        ensure!(payment.state() == State::Succeeded && payment.preimage == preimage, "{payment:?}");
        Ok(())
    });
}
