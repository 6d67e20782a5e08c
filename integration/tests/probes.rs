//! Probes: whether a payment would arrive, and what the planner learns from them.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{bounded, channel, pay, refused};
use fulmen_proto::v1::probe_update::State;
use fulmen_proto::v1::route_target::By;
use fulmen_proto::v1::{
    ChannelLiquidity, ExportLiquidityRequest, ImportLiquidityRequest, LiquidityBounds,
    ListPaymentsRequest, PayRequest, PaymentLimits, ProbeRequest, ProbeUpdate,
    ResetLiquidityRequest, RouteConstraints, RouteTarget,
};
use tonic::Code;

const SOME_MSAT: u64 = 600_000_000;

fn request(payee: &Node, amount_msat: u64) -> ProbeRequest {
    let to = Some(RouteTarget { by: Some(By::NodeId(payee.id())) });
    let limits = PaymentLimits { max_parts: 1, ..PaymentLimits::default() };
    ProbeRequest { to, amount_msat, limits: Some(limits), ..ProbeRequest::default() }
}

async fn probed(node: &Node, request: ProbeRequest) -> Result<Vec<ProbeUpdate>> {
    let mut stream = node.payments().probe(request).await.context("probing")?.into_inner();
    bounded("the probe ends", async {
        let mut updates = Vec::new();
        while let Some(update) = stream.message().await? {
            updates.push(update);
        }
        Ok(updates)
    })
    .await
}

fn states(updates: &[ProbeUpdate]) -> Vec<State> {
    updates.iter().map(ProbeUpdate::state).collect()
}

#[test]
fn a_probe_tells_where_the_money_is_missing_and_finds_the_way_around() {
    scenario::run("probe", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("a diamond") };
        let over_bob = channel::between(alice, bob).await?.short_channel_id;
        let bob_dave = channel::between(bob, dave).await?.short_channel_id;

        let arrives = [State::Sent, State::PartReached, State::WouldArrive];
        let updates = probed(alice, request(dave, SOME_MSAT)).await?;
        ensure!(states(&updates) == arrives, "{updates:?}");
        ensure!(updates[0].route.as_ref().is_some_and(|route| route.amount_msat == SOME_MSAT));
        // What a neighbour can be sent is known without asking.
        ensure!(states(&probed(alice, request(bob, SOME_MSAT)).await?) == arrives);

        // Bob has sent away what he had towards dave, and nobody can see that. Both fit into what may be in flight
        // at once (45 % of the capacity): the first may still be on its way out when the second sets off.
        for _ in 0..2 {
            let invoice = pay::invoice(dave, 2_200_000_000).await?;
            let straight = RouteConstraints { out_through: vec![bob_dave], ..Default::default() };
            let constraints = Some(straight);
            pay::succeeds(bob, PayRequest { constraints, ..pay::request(&invoice.bolt11) }).await?;
        }
        let before = channel::between(alice, bob).await?.local_msat;
        let only_bob = RouteConstraints { out_through: vec![over_bob], ..Default::default() };
        let bound = ProbeRequest {
            constraints: Some(only_bob),
            max_attempts: 1,
            ..request(dave, SOME_MSAT)
        };
        let updates = probed(alice, bound).await?;
        ensure!(states(&updates) == [State::Sent, State::PartStuck, State::Stuck], "{updates:?}");
        ensure!(updates[1].stuck_at_hop == 2 && updates[1].part == 1, "{updates:?}");
        ensure!(updates[1].stuck_short_channel_id == bob_dave, "{updates:?}");

        // What it learnt there sends the next one over carol at once.
        let updates = probed(alice, request(dave, SOME_MSAT)).await?;
        ensure!(states(&updates) == arrives, "{updates:?}");
        let route = updates[0].route.as_ref().context("the way")?;
        ensure!(route.parts[0].hops[0].node_id == carol.id(), "{route:?}");
        let after = channel::between(alice, bob).await?.local_msat;
        ensure!(after == before, "a probe costs nothing: {before} msat, then {after} msat");

        let cli = alice.cli()?;
        let invoice = pay::invoice(dave, SOME_MSAT).await?;
        ensure!(cli.ok(&["probe", &invoice.bolt11]).await?.contains("would arrive"));
        let name =
            format!("{}x{}x{}", over_bob >> 40, (over_bob >> 16) & 0xff_ffff, over_bob & 0xffff);
        let line =
            ["probe", &hex(&dave.id()), "600000sat", "--out-through", &name, "--max-parts", "1"];
        let said = cli.fails(1, &line).await?;
        ensure!(said.contains("deliver"), "{said}");
        Ok(())
    });
}

#[test]
fn what_probes_taught_is_exported_merged_and_forgotten() {
    scenario::run("liquidity", async |network| {
        network.build(&Plan::balanced(Topology::Line(4))).await?;
        let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("a line of four") };
        let bob_carol = channel::between(bob, carol).await?.short_channel_id;
        let alice_bob = channel::between(alice, bob).await?.short_channel_id;
        ensure!(believed(alice).await?.is_empty(), "nothing is known before");
        probed(alice, request(carol, SOME_MSAT)).await?;
        let known = believed(alice).await?;
        let [one] = &known[..] else { anyhow::bail!("bob and carol's channel only: {known:?}") };
        ensure!(one.short_channel_id == bob_carol, "{one:?}");
        let least = [one.one_to_two, one.two_to_one].map(|it| it.unwrap_or_default().least_msat);
        ensure!(least.contains(&SOME_MSAT), "it carried that much: {one:?}");

        // Carol's own channel is no news to her; dave takes it over, and keeps it over a restart.
        let import = |channels| ImportLiquidityRequest { channels };
        let taken = carol.graph().import_liquidity(import(known.clone())).await?.into_inner();
        ensure!((taken.taken, taken.ignored) == (0, 1), "{taken:?}");
        let taken = dave.graph().import_liquidity(import(known.clone())).await?.into_inner();
        ensure!((taken.taken, taken.ignored) == (1, 0), "{taken:?}");
        ensure!(believed(dave).await? == known);

        let turned = |change: fn(&mut LiquidityBounds)| {
            let mut bad = known[0];
            change(bad.one_to_two.get_or_insert_default());
            vec![bad]
        };
        for bad in [
            vec![ChannelLiquidity { short_channel_id: 0, ..known[0] }],
            vec![known[0], known[0]],
            vec![known[0]; 20_001],
            turned(|bounds| bounds.most_learnt_at = u64::MAX),
            turned(|bounds| (bounds.least_msat, bounds.most_msat) = (2, Some(1))),
            turned(|bounds| bounds.most_msat = Some(u64::MAX)),
        ] {
            let outcome = dave.graph().import_liquidity(import(bad)).await;
            refused(outcome, Code::InvalidArgument, "")?;
        }
        let zero = ResetLiquidityRequest { short_channel_ids: vec![0] };
        refused(dave.graph().reset_liquidity(zero).await, Code::InvalidArgument, "short_channel")?;

        let cli = alice.cli()?;
        let exported = cli.ok(&["graph", "liquidity", "export"]).await?;
        ensure!(exported.lines().count() == 1, "{exported}");
        let file = network.folder("exported")?.join("liquidity.json");
        std::fs::write(&file, &exported)?;
        let only_ours = ResetLiquidityRequest { short_channel_ids: vec![alice_bob] };
        let reset = alice.graph().reset_liquidity(only_ours).await?.into_inner();
        ensure!(reset.forgotten == 0);
        ensure!(cli.ok(&["graph", "liquidity", "reset"]).await?.contains("1 channel"));
        ensure!(believed(alice).await?.is_empty());
        let file = file.display().to_string();
        ensure!(cli.ok(&["graph", "liquidity", "import", &file]).await?.contains("1 channel"));
        ensure!(believed(alice).await? == known);
        cli.fails(2, &["graph", "liquidity", "import", "Cargo.toml"]).await?;

        let dave = &mut network.nodes[3];
        dave.stop().await?;
        dave.spawn()?;
        dave.reach().await?;
        ensure!(believed(dave).await? == known, "kept over a restart");
        network.wait_usable().await?;
        Ok(())
    });
}

#[test]
fn probes_in_the_background_teach_without_leaving_a_trace() {
    scenario::run("explore", async |network| {
        network.build(&Plan::balanced(Topology::Line(4))).await?;
        let busy = network
            .settings()
            .clone()
            .with("payments", "background_probes_per_hour", 3_600)
            .with("payments", "background_probe_sat", 50_000)
            .with("payments", "background_probe_max_htlcs", 1);
        start_again(network, &busy).await?;
        let alice = &network.nodes[0];
        poll::eventually("the background has taught something", async || {
            let known = believed(alice).await?;
            let most = channel::all(alice).await?.iter().map(|it| it.htlcs.len()).max();
            ensure!(most <= Some(1), "more HTLCs than allowed: {most:?}");
            Ok(if known.len() >= 2 { Look::Done(()) } else { Look::NotYet(format!("{known:?}")) })
        })
        .await?;
        let payments = alice.payments().list(ListPaymentsRequest::default()).await?.into_inner();
        ensure!(payments.payments.is_empty(), "probes are no payments: {payments:?}");
        let calm = network.settings().clone();
        start_again(network, &calm).await
    });
}

/// Starts alice again with other settings.
async fn start_again(network: &mut Network, settings: &Settings) -> Result<()> {
    network.nodes[0].stop().await?;
    network.nodes[0].configure(&network.bitcoind, settings)?;
    network.nodes[0].spawn()?;
    network.nodes[0].reach().await?;
    network.wait_synced().await?;
    network.wait_usable().await
}

async fn believed(node: &Node) -> Result<Vec<ChannelLiquidity>> {
    let mut stream = node.graph().export_liquidity(ExportLiquidityRequest {}).await?.into_inner();
    let mut channels = Vec::new();
    while let Some(piece) = stream.message().await? {
        channels.extend(piece.channels);
    }
    Ok(channels)
}

#[test]
fn a_probe_that_makes_no_sense_is_refused() {
    scenario::run("probe-refused", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let probe = async |request| alice.payments().probe(request).await;
        let nobody = ProbeRequest { to: None, ..request(carol, SOME_MSAT) };
        refused(probe(nobody).await, Code::InvalidArgument, "to")?;
        refused(probe(request(carol, 0)).await, Code::InvalidArgument, "amount_msat")?;
        refused(probe(request(carol, u64::MAX)).await, Code::InvalidArgument, "amount_msat")?;
        refused(probe(request(alice, SOME_MSAT)).await, Code::InvalidArgument, "itself")?;
        let often = ProbeRequest { max_attempts: 51, ..request(carol, SOME_MSAT) };
        refused(probe(often).await, Code::InvalidArgument, "max_attempts")?;
        let much = request(carol, 9_000_000_000);
        refused(probe(much).await, Code::FailedPrecondition, "msat")?;
        let avoid = RouteConstraints { avoid_nodes: vec![bob.id()], ..Default::default() };
        let across = ProbeRequest { constraints: Some(avoid), ..request(carol, SOME_MSAT) };
        refused(probe(across).await, Code::FailedPrecondition, "lead to the payee")?;

        // A node that does not answer: the end comes when the time is up.
        carol.process()?.pause()?;
        let limits = PaymentLimits { timeout_secs: 1, max_parts: 1, ..PaymentLimits::default() };
        let patient = ProbeRequest { limits: Some(limits), ..request(carol, SOME_MSAT) };
        let updates = probed(alice, patient).await?;
        carol.process()?.resume()?;
        ensure!(states(&updates) == [State::Sent, State::NoAnswer], "{updates:?}");
        Ok(())
    });
}
