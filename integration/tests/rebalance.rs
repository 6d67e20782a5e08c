//! Money that a node moves from one of its channels to another by paying itself.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::scenario;
use fulmen_integration::steps::{bounded, channel, pay, refused};
use fulmen_proto::v1::{
    ForwardPolicy, GetInvoiceRequest, ListPaymentsRequest, Payment, PaymentLimits,
    RebalanceRequest, Route, get_invoice_request, invoice, payment,
};
use tonic::Code;

const MOVED_MSAT: u64 = 700_000_000;
const POLICY: ForwardPolicy =
    ForwardPolicy { base_fee_msat: 1_000, proportional_millionths: 100, cltv_expiry_delta: 72 };

struct Ends {
    from: u64,
    to: u64,
}

async fn ends(network: &Network) -> Result<Ends> {
    let [alice, bob, carol, _] = &network.nodes[..] else { unreachable!("a diamond") };
    let from = channel::between(alice, bob).await?.short_channel_id;
    Ok(Ends { from, to: channel::between(alice, carol).await?.short_channel_id })
}

fn request(ends: &Ends, amount_msat: u64, max_fee_msat: u64) -> RebalanceRequest {
    let limits = PaymentLimits { max_fee_msat: Some(max_fee_msat), ..PaymentLimits::default() };
    RebalanceRequest {
        from_short_channel_id: ends.from,
        to_short_channel_id: ends.to,
        amount_msat,
        limits: Some(limits),
        ..RebalanceRequest::default()
    }
}

/// Follows it to its end: the route in the first update, and the payment's last state.
async fn carry_out(
    node: &Node,
    request: RebalanceRequest,
) -> Result<(Option<Route>, Option<Payment>)> {
    let mut stream = node.payments().rebalance(request).await?.into_inner();
    bounded("the money has gone around", async {
        let (mut route, mut last) = (None, None);
        while let Some(update) = stream.message().await? {
            route = route.or(update.route);
            last = update.payment.or(last);
        }
        Ok((route, last))
    })
    .await
}

async fn local_msat(node: &Node, peer: &Node) -> Result<u64> {
    Ok(channel::between(node, peer).await?.local_msat)
}

#[test]
fn money_goes_around_to_the_other_channel_for_the_exact_fee() {
    scenario::run("rebalance", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let ends = ends(network).await?;
        let [alice, bob, carol, _] = &network.nodes[..] else { unreachable!("a diamond") };
        let before = (local_msat(alice, bob).await?, local_msat(alice, carol).await?);
        // Around the diamond three nodes forward.
        let fee_msat: u64 = pay::exact_fees_msat(MOVED_MSAT, &[POLICY; 3]).iter().sum();

        let dry = RebalanceRequest { dry_run: true, ..request(&ends, MOVED_MSAT, fee_msat) };
        let (route, nothing) = carry_out(alice, dry).await?;
        ensure!(route.context("a dry run has a route")?.fee_msat == fee_msat);
        ensure!(nothing.is_none(), "a dry run pays nothing: {nothing:?}");

        let keyed = RebalanceRequest {
            idempotency_key: "once".to_owned(),
            label: "even out".to_owned(),
            ..request(&ends, MOVED_MSAT, fee_msat)
        };
        let (route, moved) = carry_out(alice, keyed.clone()).await?;
        let moved = moved.context("a payment")?;
        ensure!(moved.state() == payment::State::Succeeded, "{moved:?}");
        ensure!(moved.kind() == payment::Kind::Rebalance && moved.payee == alice.id());
        ensure!(moved.fee_msat == fee_msat && moved.amount_msat == MOVED_MSAT, "{moved:?}");
        let hops = route.context("the route comes first")?.parts[0].hops.clone();
        ensure!(hops.len() == 4 && hops[0].short_channel_id == ends.from, "{hops:?}");
        ensure!(hops[3].short_channel_id == ends.to, "{hops:?}");

        let (_, again) = carry_out(alice, keyed).await?;
        ensure!(again.context("the first payment")?.payment_id == moved.payment_id);
        let settled = pay::settled(alice, &moved.payment_hash, MOVED_MSAT).await?;
        ensure!(settled.kind() == invoice::Kind::Rebalance, "{settled:?}");
        ensure!(settled.preimage == moved.preimage);
        let after = (local_msat(alice, bob).await?, local_msat(alice, carol).await?);
        ensure!(after.0 == before.0 - MOVED_MSAT - fee_msat, "{before:?} {after:?}");
        ensure!(after.1 == before.1 + MOVED_MSAT, "{before:?} {after:?}");

        // At the command line, and back again.
        let cli = alice.cli()?;
        let (from, to) = (channel_name(ends.to), channel_name(ends.from));
        let line = ["channel", "rebalance", &from, &to, "700000sat", "--max-fee", "300sat"];
        let told = cli.ok(&[&line[..], &["--dry-run"]].concat()).await?;
        ensure!(told.contains(&from) && told.contains("Part 1"), "{told}");
        ensure!(cli.ok(&[&line[..], &["-y"]].concat()).await?.contains("moved"));
        ensure!(local_msat(alice, bob).await? == after.0 + MOVED_MSAT);
        Ok(())
    });
}

#[test]
fn what_cannot_go_around_is_refused_or_comes_back() {
    scenario::run("rebalance-refused", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let ends = ends(network).await?;
        let [alice, bob, carol, dave] = &network.nodes[..] else { unreachable!("a diamond") };
        let ask = async |request| alice.payments().rebalance(request).await;
        let usual = || request(&ends, MOVED_MSAT, 1_000_000);

        let torn = Ends { to: ends.from, ..ends };
        let others = Ends { to: channel::between(bob, dave).await?.short_channel_id, ..ends };
        let nothing = Ends { to: 0, ..ends };
        let costless = RebalanceRequest { limits: None, ..usual() };
        refused(ask(costless).await, Code::InvalidArgument, "max_fee_msat")?;
        refused(ask(request(&torn, MOVED_MSAT, 1)).await, Code::InvalidArgument, "to")?;
        refused(ask(request(&nothing, MOVED_MSAT, 1)).await, Code::InvalidArgument, "to_short")?;
        refused(ask(request(&others, MOVED_MSAT, 1)).await, Code::NotFound, "no channel")?;
        for absurd in [0, u64::MAX] {
            let outcome = ask(request(&ends, absurd, 1)).await;
            refused(outcome, Code::InvalidArgument, "amount_msat")?;
        }
        // More than the one channel holds, or the other can take; and for less than it costs.
        let outcome = ask(request(&ends, 2_100_000_000_000_000_000, 1_000_000)).await;
        refused(outcome, Code::FailedPrecondition, "msat")?;
        let outcome = ask(request(&ends, MOVED_MSAT, 1)).await;
        refused(outcome, Code::FailedPrecondition, "the limit is 0.001 sat")?;
        pay::transfer(carol, alice, 4_400_000_000).await?;
        let outcome = ask(usual()).await;
        refused(outcome, Code::FailedPrecondition, "700,000 sat are needed")?;
        pay::transfer(alice, carol, 4_400_000_000).await?;

        // On the way the money is missing, which nobody can see: it is tried and comes back.
        for _ in 0..2 {
            pay::transfer(bob, dave, 2_300_000_000).await?;
        }
        let limits = PaymentLimits {
            max_fee_msat: Some(1_000_000),
            timeout_secs: 5,
            ..PaymentLimits::default()
        };
        let stuck = RebalanceRequest { limits: Some(limits), ..usual() };
        let (_, payment) = carry_out(alice, stuck).await?;
        let payment = payment.context("a payment")?;
        ensure!(payment.state() == payment::State::Failed, "{payment:?}");
        ensure!(!payment.parts.is_empty(), "it was tried: {payment:?}");
        let by = Some(get_invoice_request::By::PaymentHash(payment.payment_hash.clone()));
        let asked = alice.invoices().get(GetInvoiceRequest { by }).await?.into_inner().invoice;
        let asked = asked.context("the invoice")?;
        ensure!(
            asked.received_msat == 0 && asked.state() == invoice::State::Cancelled,
            "{asked:?}"
        );
        Ok(())
    });
}

#[test]
fn a_kill_in_the_middle_leaves_payment_and_invoice_in_agreement() {
    scenario::run("rebalance-kill", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let ends = ends(network).await?;
        // Dave holds the money up on its way.
        network.nodes[3].process()?.pause()?;
        let alice = &network.nodes[0];
        let channels = channel::all(alice).await?;
        let out = channels.iter().find(|it| it.short_channel_id == ends.from).context("from")?;
        let stream = alice.payments().rebalance(request(&ends, MOVED_MSAT, 1_000_000)).await?;
        // Bob has it only once it is durable at alice's.
        channel::carries_htlcs(&network.nodes[1], &out.channel_id, 1).await?;
        drop(stream);

        let alice = &mut network.nodes[0];
        alice.kill()?;
        alice.spawn()?;
        alice.reach().await?;
        for channel in &channels {
            channel::usable(alice, &channel.channel_id).await?;
        }
        network.nodes[3].process()?.resume()?;
        let alice = &network.nodes[0];
        let made = alice.payments().list(ListPaymentsRequest::default()).await?.into_inner();
        let [made] = &made.payments[..] else { anyhow::bail!("one payment: {made:?}") };
        let ended = pay::finished(alice, &made.payment_hash).await?;
        ensure!(ended.kind() == payment::Kind::Rebalance, "{ended:?}");
        ensure!(ended.state() == payment::State::Succeeded, "{ended:?}");
        let settled = pay::settled(alice, &made.payment_hash, MOVED_MSAT).await?;
        ensure!(settled.preimage == ended.preimage);
        Ok(())
    });
}

/// As the CLI names a channel.
fn channel_name(scid: u64) -> String {
    format!("{}x{}x{}", scid >> 40, (scid >> 16) & 0xff_ffff, scid & 0xffff)
}
