//! The two routers on one network: where LDK's gives up, ours delivers.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::Settings;
use fulmen_integration::network::Network;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay};
use fulmen_proto::v1::set_policy_request::Which;
use fulmen_proto::v1::{
    DirectedPolicy, GetGraphChannelRequest, PayRequest, PaymentLimits, RouteConstraints,
    SetPolicyRequest,
};

const CAPACITY_SAT: u64 = 1_000_000;
/// More than one way carries, and less than both together.
const AMOUNT_MSAT: u64 = 1_600_000_000;
/// What the ways apart ask for, in millionths; what they share is free.
const DEAR_PPM: u32 = 10_000;
const BACKWARDS_PPM: u32 = 1_000_000;

/// Two ways lead from alice to erin, over bob and over dave and carol. A shortcut from bob to carol is the
/// cheapest way of all, and blocks both:
///
/// ```text
/// alice ── bob ──(dear)── erin
///   │       │(free)        │
///   │       ▼              │
///  dave ─(dear)─ carol ─(free)
/// ```
///
/// Taking the cheapest path first, as LDK does, fills alice–bob and carol–erin with the same money: what is
/// left of the two ways does not meet. A flow moves the shortcut's share aside.
#[test]
fn a_payment_whose_cheapest_paths_clash_needs_a_flow() {
    let settings = Settings::default().with("channels", "max_in_flight_percent_public", 100);
    scenario::run_with("clash", settings, async |network| {
        network.add_nodes(5).await?;
        let [alice, bob, carol, dave, erin] = [0, 1, 2, 3, 4];
        let channels = [
            (alice, bob, 0),
            (alice, dave, 0),
            (bob, carol, 0),
            (bob, erin, DEAR_PPM),
            (carol, erin, 0),
            (dave, carol, DEAR_PPM),
        ];
        for opener in [alice, bob, carol, dave, erin] {
            let opens = channels.iter().filter(|(one, _, _)| *one == opener).count();
            network.give_node(opener, CAPACITY_SAT + 100_000, opens + 1).await?;
        }
        for (opener, accepter, ppm) in channels {
            let request = channel::open_request(&network.nodes[accepter], CAPACITY_SAT, 0);
            let opened = channel::open(network, opener, accepter, request).await?;
            // Backwards the channels hold nothing, which nobody can see: there they are too dear to try.
            for (node, ppm) in [(opener, ppm), (accepter, BACKWARDS_PPM)] {
                let price = SetPolicyRequest {
                    which: Some(Which::Channel(channel::reference(&opened.channel_id))),
                    base_fee_msat: Some(0),
                    proportional_millionths: Some(ppm),
                    ..SetPolicyRequest::default()
                };
                network.nodes[node].channels().set_policy(price).await?;
            }
        }
        network.wait_for_graph().await?;
        // The hints of young channels would be ways of their own.
        network.mine(8).await?;
        let invoice = pay::invoice(&network.nodes[erin], AMOUNT_MSAT).await?;
        let limits =
            PaymentLimits { max_fee_msat: Some(AMOUNT_MSAT / 20), ..PaymentLimits::default() };
        let request = PayRequest { limits: Some(limits), ..pay::request(&invoice.bolt11) };

        route_with(network, "ldk").await?;
        prices_are_known(network, &channels).await?;
        let failed = pay::fails(&network.nodes[alice], request.clone()).await?;
        ensure!(failed.failure_reason == "ROUTE_NOT_FOUND", "{failed:?}");
        ensure!(failed.parts.is_empty(), "LDK finds no route to begin with: {failed:?}");
        ensure!(failed.no_route_cause == "NO_ROUTE", "{failed:?}");

        ldk_keeps_to_the_ways(network).await?;

        route_with(network, "fulmen").await?;
        let payer = &network.nodes[alice];
        pay::succeeds(payer, request).await?;
        pay::settled(&network.nodes[erin], &invoice.payment_hash, AMOUNT_MSAT).await?;
        let paid = pay::with_parts(payer, &invoice.payment_hash).await?;
        let first = channel::between(payer, &network.nodes[bob]).await?.short_channel_id;
        let arrived = paid.parts.iter().filter(|part| part.failed_short_channel_id == 0);
        let over_bob = arrived.filter(|part| part.hops[0].short_channel_id == first).count();
        ensure!(over_bob > 0 && over_bob < paid.parts.len(), "both ways: {paid:?}");
        Ok(())
    });
}

/// LDK's router knows no constraints: what they rule out is barred before it is asked.
async fn ldk_keeps_to_the_ways(network: &Network) -> Result<()> {
    let [alice, bob, _, dave, erin] = &network.nodes[..] else { unreachable!("five") };
    let over_bob = channel::between(alice, bob).await?.short_channel_id;
    let over_dave = channel::between(alice, dave).await?.short_channel_id;
    let bob_erin = channel::between(bob, erin).await?.short_channel_id;
    let none = RouteConstraints::default;
    // Over bob and carol it is free: another route is taken only when the request demands it.
    for (constraints, first, last) in [
        (none(), over_bob, None),
        (RouteConstraints { out_through: vec![over_dave], ..none() }, over_dave, None),
        (RouteConstraints { avoid_nodes: vec![bob.id()], ..none() }, over_dave, None),
        (RouteConstraints { avoid_channels: vec![over_bob], ..none() }, over_dave, None),
        (RouteConstraints { in_through: vec![bob_erin], ..none() }, over_bob, Some(bob_erin)),
        (RouteConstraints { last_hop: bob.id(), ..none() }, over_bob, Some(bob_erin)),
    ] {
        let invoice = pay::invoice(erin, 10_000_000).await?;
        let limits = PaymentLimits { max_fee_msat: Some(1_000_000), ..Default::default() };
        let request = PayRequest {
            limits: Some(limits),
            constraints: Some(constraints.clone()),
            ..pay::request(&invoice.bolt11)
        };
        pay::succeeds(alice, request).await?;
        let paid = pay::with_parts(alice, &invoice.payment_hash).await?;
        let hops = &paid.parts.last().context("a part")?.hops;
        ensure!(hops[0].short_channel_id == first, "{constraints:?}: {hops:?}");
        let end = hops.last().map(|hop| hop.short_channel_id);
        ensure!(last.is_none() || end == last, "{constraints:?}: {hops:?}");
    }
    Ok(())
}

/// Starts alice again with the router named.
async fn route_with(network: &mut Network, router: &str) -> Result<()> {
    let settings = network.settings().clone().with("node", "router", format!("\"{router}\""));
    network.nodes[0].stop().await?;
    network.nodes[0].configure(&network.bitcoind, &settings)?;
    network.nodes[0].spawn()?;
    network.nodes[0].reach().await?;
    network.wait_synced().await?;
    network.wait_usable().await
}

/// Waits until alice knows what both sides of each channel charge.
async fn prices_are_known(network: &Network, channels: &[(usize, usize, u32)]) -> Result<()> {
    for &(opener, accepter, ppm) in channels {
        let (opener, accepter) = (&network.nodes[opener], &network.nodes[accepter]);
        let short_channel_id = channel::between(opener, accepter).await?.short_channel_id;
        poll::eventually(&format!("alice knows what {} charges", opener.name()), async || {
            let request = GetGraphChannelRequest { short_channel_id };
            let found = network.nodes[0].graph().get_channel(request).await?.into_inner();
            let found = found.channel.context("a channel in the answer")?;
            let (there, back) = match found.node_one == opener.id() {
                true => (found.one_to_two, found.two_to_one),
                false => (found.two_to_one, found.one_to_two),
            };
            let asks = |directed: Option<DirectedPolicy>| {
                let policy = directed.and_then(|it| it.policy).unwrap_or_default();
                (policy.base_fee_msat, policy.proportional_millionths)
            };
            let known = (asks(there), asks(back));
            Ok(if known == ((0, ppm), (0, BACKWARDS_PPM)) {
                Look::Done(())
            } else {
                Look::NotYet(format!("{known:?}"))
            })
        })
        .await?;
    }
    Ok(())
}
