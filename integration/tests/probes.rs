//! Probes that tell whether a payment would arrive, and what is believed because of them.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::scenario;
use fulmen_integration::steps::{bounded, channel, pay, refused};
use fulmen_proto::v1::probe_update::State;
use fulmen_proto::v1::route_target::By;
use fulmen_proto::v1::{PaymentLimits, ProbeRequest, ProbeUpdate, RouteConstraints, RouteTarget};
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
        let before = channel::between(alice, bob).await?.local_msat;

        let arrives = [State::Sent, State::PartReached, State::WouldArrive];
        let updates = probed(alice, request(dave, SOME_MSAT)).await?;
        ensure!(states(&updates) == arrives, "{updates:?}");
        ensure!(updates[0].route.as_ref().is_some_and(|route| route.amount_msat == SOME_MSAT));
        // What a neighbour can be sent is known without asking.
        ensure!(states(&probed(alice, request(bob, SOME_MSAT)).await?) == arrives);

        // Bob has sent away what he had towards dave, and nobody can see that.
        for _ in 0..2 {
            pay::transfer(bob, dave, 2_300_000_000).await?;
        }
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
        let spent = before - channel::between(alice, bob).await?.local_msat;
        ensure!(spent == 0, "a probe costs nothing: {spent} msat");

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
