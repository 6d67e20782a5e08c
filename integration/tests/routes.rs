//! Routes that are asked for, explained, and bound to certain ways.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused};
use fulmen_proto::v1::route_target::By;
use fulmen_proto::v1::{
    EstimateFeeRequest, FindRouteRequest, ForwardPolicy, KeysendRequest, ListPaymentsRequest,
    PayRequest, Payment, PaymentLimits, Route, RouteConstraints, RouteTarget,
};
use tonic::Code;

const SOME_MSAT: u64 = 50_000_000;
/// What a channel charges by default.
const POLICY: ForwardPolicy =
    ForwardPolicy { base_fee_msat: 1_000, proportional_millionths: 100, cltv_expiry_delta: 72 };

fn to(node: &Node, amount_msat: u64) -> FindRouteRequest {
    let to = Some(RouteTarget { by: Some(By::NodeId(node.id())) });
    FindRouteRequest { to, amount_msat, ..FindRouteRequest::default() }
}

fn with(constraints: RouteConstraints, request: FindRouteRequest) -> FindRouteRequest {
    FindRouteRequest { constraints: Some(constraints), ..request }
}

async fn found(node: &Node, request: FindRouteRequest) -> Result<Route> {
    let answer = node.graph().find_route(request).await.context("finding a route")?;
    answer.into_inner().route.context("a route in the answer")
}

fn channels_of(route: &Route) -> Vec<u64> {
    let hops = route.parts.iter().flat_map(|part| &part.hops);
    hops.map(|hop| hop.short_channel_id).collect()
}

fn arrived_over(payment: &Payment) -> Vec<u64> {
    use fulmen_proto::v1::payment_part::State;
    let parts = payment.parts.iter().filter(|part| part.state() == State::Succeeded);
    parts.flat_map(|part| &part.hops).map(|hop| hop.short_channel_id).collect()
}

#[test]
fn a_route_is_found_with_exact_fees_and_within_its_constraints() {
    scenario::run("find-route", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("a diamond") };
        let scid = async |one: &Node, other: &Node| -> Result<u64> {
            Ok(channel::between(one, other).await?.short_channel_id)
        };
        let (over_bob, over_carol) = (scid(alice, bob).await?, scid(alice, carol).await?);
        let (bob_dave, carol_dave) = (scid(bob, dave).await?, scid(carol, dave).await?);

        let route = found(alice, to(dave, SOME_MSAT)).await?;
        let [part] = &route.parts[..] else { anyhow::bail!("one part is enough: {route:?}") };
        let fee_msat: u64 = pay::exact_fees_msat(SOME_MSAT, &[POLICY]).iter().sum();
        ensure!(route.fee_msat == fee_msat && route.amount_msat == SOME_MSAT, "{route:?}");
        let [first, last] = &part.hops[..] else { anyhow::bail!("two hops: {part:?}") };
        ensure!(first.fee_msat == fee_msat && first.amount_msat == SOME_MSAT + fee_msat);
        ensure!(last.fee_msat == 0 && last.amount_msat == SOME_MSAT && last.node_id == dave.id());
        ensure!(first.total_cltv_delta == last.total_cltv_delta + POLICY.cltv_expiry_delta);
        ensure!(route.success_millionths > 0 && route.success_millionths <= 1_000_000);

        let none = RouteConstraints::default;
        for (constraints, expected) in [
            (RouteConstraints { out_through: vec![over_bob], ..none() }, [over_bob, bob_dave]),
            (
                RouteConstraints { out_through: vec![over_carol], ..none() },
                [over_carol, carol_dave],
            ),
            (RouteConstraints { in_through: vec![carol_dave], ..none() }, [over_carol, carol_dave]),
            (RouteConstraints { last_hop: bob.id(), ..none() }, [over_bob, bob_dave]),
            (RouteConstraints { avoid_nodes: vec![bob.id()], ..none() }, [over_carol, carol_dave]),
            (RouteConstraints { avoid_channels: vec![carol_dave], ..none() }, [over_bob, bob_dave]),
            (
                RouteConstraints { avoid_channels: vec![over_bob], ..none() },
                [over_carol, carol_dave],
            ),
        ] {
            let route = found(alice, with(constraints.clone(), to(dave, SOME_MSAT))).await?;
            ensure!(channels_of(&route) == expected, "{constraints:?}: {route:?}");
        }

        // Somebody else's route, and the way round back to oneself.
        let others = FindRouteRequest { source: bob.id(), ..to(carol, SOME_MSAT) };
        ensure!(found(alice, others).await?.parts[0].hops.len() == 2);
        let loops = RouteConstraints {
            out_through: vec![over_bob],
            in_through: vec![over_carol],
            ..none()
        };
        let around = found(alice, with(loops, to(alice, SOME_MSAT))).await?;
        ensure!(channels_of(&around) == [over_bob, bob_dave, carol_dave, over_carol], "{around:?}");

        // An invoice says itself how much; an estimate spans what is possible.
        let invoice = pay::invoice(dave, SOME_MSAT).await?;
        let by = Some(By::Bolt11(invoice.bolt11.clone()));
        let of_invoice = FindRouteRequest { to: Some(RouteTarget { by }), ..Default::default() };
        ensure!(found(alice, of_invoice).await?.amount_msat == SOME_MSAT);
        let request = EstimateFeeRequest {
            to: to(dave, 0).to,
            amount_msat: SOME_MSAT,
            ..EstimateFeeRequest::default()
        };
        let estimate = alice.graph().estimate_fee(request).await?.into_inner();
        let [cheapest, usual, surest] =
            [estimate.cheapest, estimate.usual, estimate.surest].map(Option::unwrap_or_default);
        ensure!(usual.fee_msat == fee_msat && usual.parts == 1, "{usual:?}");
        ensure!(cheapest.fee_msat <= usual.fee_msat);
        ensure!(surest.success_millionths >= usual.success_millionths);
        ensure!(usual.total_cltv_delta == route.total_cltv_delta);

        let cli = alice.cli()?;
        let (to_dave, to_bob) = (hex(&dave.id()), hex(&bob.id()));
        let shown = cli.json(&["graph", "route", &to_dave, "50000sat", "--avoid", &to_bob]).await?;
        ensure!(shown.to_string().contains(&to_dave), "{shown}");
        ensure!(cli.ok(&["graph", "route", &to_dave, "50000sat"]).await?.contains("6 sat"));
        cli.json(&["graph", "estimate", &invoice.bolt11]).await?;
        ensure!(cli.ok(&["graph", "estimate", &to_dave, "50000sat"]).await?.contains("usual"));
        Ok(())
    });
}

#[test]
fn what_stands_in_the_way_of_a_route_is_told() {
    scenario::run("no-route", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("a diamond") };
        let over_bob = channel::between(alice, bob).await?.short_channel_id;
        let carol_dave = channel::between(carol, dave).await?.short_channel_id;
        let find = async |request| alice.graph().find_route(request).await;
        let none = RouteConstraints::default;

        // Nothing that makes sense.
        let nobody = FindRouteRequest { to: None, ..to(dave, SOME_MSAT) };
        refused(find(nobody).await, Code::InvalidArgument, "to")?;
        refused(find(to(dave, 0)).await, Code::InvalidArgument, "amount_msat")?;
        for absurd in [2_100_000_000_000_000_001, u64::MAX] {
            refused(find(to(dave, absurd)).await, Code::InvalidArgument, "amount_msat")?;
        }
        let by = Some(By::NodeId(vec![2; 32]));
        let short = FindRouteRequest { to: Some(RouteTarget { by }), ..to(dave, SOME_MSAT) };
        refused(find(short).await, Code::InvalidArgument, "node_id")?;
        let by = Some(By::Bolt11("lnbcrt1nonsense".to_owned()));
        let text = FindRouteRequest { to: Some(RouteTarget { by }), ..to(dave, SOME_MSAT) };
        refused(find(text).await, Code::InvalidArgument, "bolt11")?;
        for (constraints, argument) in [
            (RouteConstraints { avoid_nodes: vec![dave.id()], ..none() }, "avoid_nodes"),
            (
                RouteConstraints {
                    out_through: vec![over_bob],
                    avoid_channels: vec![over_bob],
                    ..none()
                },
                "out_through",
            ),
            (RouteConstraints { last_hop: dave.id(), ..none() }, "last_hop"),
            (RouteConstraints { avoid_channels: vec![0], ..none() }, "avoid_channels"),
        ] {
            let outcome = find(with(constraints, to(dave, SOME_MSAT))).await;
            refused(outcome, Code::InvalidArgument, argument)?;
        }
        let limits = |max_fee_msat, max_total_cltv_delta| {
            let limits = PaymentLimits { max_fee_msat, max_total_cltv_delta, ..Default::default() };
            FindRouteRequest { limits: Some(limits), ..to(dave, SOME_MSAT) }
        };
        refused(find(limits(None, 10)).await, Code::InvalidArgument, "time lock")?;

        // Nobody that is known.
        let stranger = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";
        let stranger = fulmen_integration::cli::unhex(stranger)?;
        let by = Some(By::NodeId(stranger.clone()));
        let lost = FindRouteRequest { to: Some(RouteTarget { by }), ..to(dave, SOME_MSAT) };
        refused(find(lost).await, Code::NotFound, "payee")?;
        let lost = FindRouteRequest { source: stranger, ..to(dave, SOME_MSAT) };
        refused(find(lost).await, Code::NotFound, "source")?;
        let lost = RouteConstraints { out_through: vec![carol_dave], ..none() };
        refused(find(with(lost, to(dave, SOME_MSAT))).await, Code::NotFound, "out_through")?;

        // No way, and why.
        let across =
            RouteConstraints { out_through: vec![over_bob], avoid_nodes: vec![bob.id()], ..none() };
        for (request, word) in [
            (with(across, to(dave, SOME_MSAT)), "lead to the payee"),
            (limits(Some(5_999), 0), "the limit is 5.999 sat"),
            (limits(Some(0), 0), "the limit is 0 sat"),
            (limits(None, 60), "the limit is 60"),
            (to(dave, 12_000_000_000), "12,000,000 sat are needed"),
            (to(dave, 2_100_000_000_000_000_000), "2,100,000,000,000,000 sat are needed"),
        ] {
            refused(find(request).await, Code::FailedPrecondition, word)?;
        }
        let estimate = EstimateFeeRequest {
            to: to(dave, 0).to,
            amount_msat: 12_000_000_000,
            ..EstimateFeeRequest::default()
        };
        let outcome = alice.graph().estimate_fee(estimate).await;
        refused(outcome, Code::FailedPrecondition, "12,000,000 sat")?;
        Ok(())
    });
}

#[test]
fn a_payment_without_a_route_says_what_stopped_it_and_what_to_do() {
    scenario::run("explained", async |network| {
        network.add_nodes(3).await?;
        network.give_node(0, 11_000_000, 2).await?;
        network.give_node(1, 1_000_000, 2).await?;
        network.give_node(2, 1_000_000, 1).await?;
        let wide = channel::open_request(&network.nodes[1], 10_000_000, 0);
        channel::open(network, 0, 1, wide).await?;
        let narrow = channel::open_request(&network.nodes[2], 500_000, 0);
        channel::open(network, 1, 2, narrow).await?;
        network.wait_for_graph().await?;
        // The hints of young channels would be ways of their own, of which nobody knows what they hold.
        network.mine(8).await?;
        // Dave has no channel: nobody can know him.
        network.add_nodes(1).await?;
        let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("four") };

        let limits = |max_fee_msat, max_total_cltv_delta| {
            Some(PaymentLimits { max_fee_msat, max_total_cltv_delta, ..Default::default() })
        };
        let avoid = RouteConstraints { avoid_nodes: vec![bob.id()], ..Default::default() };
        for (amount_msat, limits, constraints, cause, words) in [
            (1_000_000_000, None, None, "PAYEE_INBOUND", "can receive 225,000 sat at most"),
            (SOME_MSAT, limits(Some(5_999), 0), None, "FEE_LIMIT", "the limit is 5.999 sat"),
            (SOME_MSAT, limits(None, 60), None, "CLTV_LIMIT", "the limit is 60"),
            (SOME_MSAT, None, Some(avoid), "NO_PATH", "lead to the payee"),
        ] {
            let invoice = pay::invoice(carol, amount_msat).await?;
            let request = PayRequest { limits, constraints, ..pay::request(&invoice.bolt11) };
            let failed = pay::fails(alice, request).await?;
            ensure!(failed.failure_reason == "ROUTE_NOT_FOUND", "{failed:?}");
            ensure!(failed.no_route_cause == cause, "{cause}: {failed:?}");
            ensure!(failed.no_route_words.contains(words), "{words}: {failed:?}");
        }
        let lost = alice.payments().keysend(pay::keysend_request(dave, SOME_MSAT)).await?;
        let lost = pay::finish(lost.into_inner()).await?;
        ensure!(lost.no_route_cause == "UNKNOWN_PAYEE", "{lost:?}");

        // For people: the sentence and the advice, at once and whenever they look again.
        let cli = alice.cli()?;
        let invoice = pay::invoice(carol, SOME_MSAT).await?;
        let said = cli.fails(1, &["pay", &invoice.bolt11, "-y", "--max-fee", "1sat"]).await?;
        ensure!(said.contains("the limit is 1 sat") && said.contains("--max-fee"), "{said}");
        let shown = cli.ok(&["payment", "show", &invoice.bolt11]).await?;
        ensure!(shown.contains("the limit is 1 sat"), "{shown}");
        let enough = cli.json(&["pay", &invoice.bolt11, "-y", "--max-fee", "6sat"]).await?;
        ensure!(!enough.to_string().contains("FEE_LIMIT"), "{enough}");
        Ok(())
    });
}

#[test]
fn payments_keep_to_the_ways_that_they_may_go() {
    scenario::run("ways", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let dave_id = network.nodes[3].id();
        let avoided = {
            let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("a diamond") };
            let over_carol = channel::between(alice, carol).await?.short_channel_id;
            let over_bob = channel::between(alice, bob).await?.short_channel_id;
            let bob_dave = channel::between(bob, dave).await?.short_channel_id;
            let none = RouteConstraints::default;
            for (constraints, expected) in [
                (RouteConstraints { out_through: vec![over_carol], ..none() }, over_carol),
                (RouteConstraints { out_through: vec![over_bob], ..none() }, over_bob),
                (RouteConstraints { in_through: vec![bob_dave], ..none() }, over_bob),
                (RouteConstraints { last_hop: carol.id(), ..none() }, over_carol),
                (RouteConstraints { avoid_nodes: vec![carol.id()], ..none() }, over_bob),
                (RouteConstraints { avoid_channels: vec![bob_dave], ..none() }, over_carol),
            ] {
                let invoice = pay::invoice(dave, SOME_MSAT).await?;
                let constraints = Some(constraints);
                let request = PayRequest {
                    constraints: constraints.clone(),
                    ..pay::request(&invoice.bolt11)
                };
                pay::succeeds(alice, request).await?;
                let paid = pay::with_parts(alice, &invoice.payment_hash).await?;
                ensure!(arrived_over(&paid).first() == Some(&expected), "{paid:?}");
                ensure!(paid.constraints == constraints, "{paid:?}");

                let request =
                    KeysendRequest { constraints, ..pay::keysend_request(dave, SOME_MSAT + 1) };
                let sent = alice.payments().keysend(request).await?.into_inner();
                let sent = pay::finish(sent).await?;
                let sent = pay::with_parts(alice, &sent.payment_hash).await?;
                ensure!(arrived_over(&sent).first() == Some(&expected), "{sent:?}");
            }

            let invoice = pay::invoice(dave, SOME_MSAT).await?;
            let pay_with = |constraints| PayRequest {
                constraints: Some(constraints),
                ..pay::request(&invoice.bolt11)
            };
            let unknown = RouteConstraints { out_through: vec![bob_dave], ..none() };
            let outcome = alice.payments().pay(pay_with(unknown)).await;
            refused(outcome, Code::NotFound, "out_through")?;
            let torn = RouteConstraints { avoid_nodes: vec![dave.id()], ..none() };
            let outcome = alice.payments().pay(pay_with(torn.clone())).await;
            refused(outcome, Code::InvalidArgument, "avoid_nodes")?;
            let torn =
                KeysendRequest { constraints: Some(torn), ..pay::keysend_request(dave, SOME_MSAT) };
            refused(alice.payments().keysend(torn).await, Code::InvalidArgument, "avoid_nodes")?;

            // More than the one allowed channel can send is refused at once, whatever the others hold.
            let much = pay::invoice(dave, 6_000_000_000).await?;
            let narrow = RouteConstraints { out_through: vec![over_bob], ..none() };
            let request = PayRequest { constraints: Some(narrow), ..pay::request(&much.bolt11) };
            refused(alice.payments().pay(request).await, Code::FailedPrecondition, "channels")?;

            let cli = alice.cli()?;
            let (over, to_dave) = (channel_name(over_carol), hex(&dave_id));
            let bob = hex(&bob.id());
            let line = ["keysend", &to_dave, "7sat", "-y", "--out-through", &over, "--avoid", &bob];
            let sent = cli.json(&line).await?;
            ensure!(sent.pointer("/constraints/out_through").is_some(), "{sent}");
            cli.fails(2, &["pay", &invoice.bolt11, "-y", "--avoid", &to_dave]).await?;
            invoice.payment_hash
        };

        // What was allowed is known after a restart as well.
        let alice = &mut network.nodes[0];
        alice.stop().await?;
        alice.spawn()?;
        alice.reach().await?;
        let page = alice.payments().list(ListPaymentsRequest::default()).await?.into_inner();
        let bound = page.payments.iter().filter(|payment| payment.constraints.is_some()).count();
        ensure!(bound == page.payments.len(), "{:?}", page.payments);
        ensure!(page.payments.iter().all(|payment| payment.payment_hash != avoided));
        network.wait_usable().await?;
        Ok(())
    });
}

/// As the CLI names a channel.
fn channel_name(scid: u64) -> String {
    format!("{}x{}x{}", scid >> 40, (scid >> 16) & 0xff_ffff, scid & 0xffff)
}
