//! Payments over networks: exact fees, many parts, ways around failures, cancelling, keysend, hidden channels.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused};
use fulmen_proto::v1::set_policy_request::Which;
use fulmen_proto::v1::{
    CancelInvoiceRequest, CancelPaymentRequest, CustomRecord, DecodeInvoiceRequest, ForwardPolicy,
    GetGraphChannelRequest, Invoice, KeysendRequest, ListForwardsRequest, ListInvoicesRequest,
    PayRequest, PaymentLimits, SetPolicyRequest, SummarizeForwardsRequest, invoice, payment,
    payment_part,
};

#[test]
fn one_to_four_hops_with_exact_fees_at_each() {
    scenario::run("hops", async |network| {
        network.build(&Plan::balanced(Topology::Line(5))).await?;
        // Each node has prices of its own.
        let policy = |node: usize| ForwardPolicy {
            base_fee_msat: 100 * u32::try_from(node).expect("five nodes"),
            proportional_millionths: 1_000 + 37 * u32::try_from(node).expect("five nodes"),
            cltv_expiry_delta: 60,
        };
        for (number, node) in network.nodes.iter().enumerate() {
            let policy = policy(number);
            let request = SetPolicyRequest {
                which: Some(Which::All(true)),
                base_fee_msat: Some(policy.base_fee_msat),
                proportional_millionths: Some(policy.proportional_millionths),
                cltv_expiry_delta: Some(policy.cltv_expiry_delta),
                ..SetPolicyRequest::default()
            };
            node.channels().set_policy(request).await?;
        }
        let alice = &network.nodes[0];
        for forwarder in 1..4 {
            let towards = &network.nodes[forwarder + 1];
            let short_channel_id =
                channel::between(&network.nodes[forwarder], towards).await?.short_channel_id;
            let wanted = policy(forwarder);
            poll::eventually("alice knows the prices", async || {
                let answer =
                    alice.graph().get_channel(GetGraphChannelRequest { short_channel_id }).await?;
                let known = answer.into_inner().channel.unwrap_or_default();
                let directions = [known.one_to_two, known.two_to_one];
                let found = directions.into_iter().flatten().any(|one| one.policy == Some(wanted));
                Ok(if found { Look::Done(()) } else { Look::NotYet(format!("{known:?}")) })
            })
            .await?;
        }

        let mut earned_msat = [0_u64; 5];
        for hops in 1..=4 {
            let amount_msat = 12_345_678 + u64::try_from(hops)?;
            let policies: Vec<_> = (1..hops).map(policy).collect();
            let fees = pay::exact_fees_msat(amount_msat, &policies);
            let payment = pay::transfer(alice, &network.nodes[hops], amount_msat).await?;
            ensure!(payment.fee_msat == fees.iter().sum::<u64>(), "{payment:?} not {fees:?}");
            let part = payment.parts.last().context("a payment has parts")?;
            ensure!(part.hops.len() == hops, "{:?}", part.hops);
            for (hop, fee_msat) in part.hops.iter().zip(fees.iter().chain([&0])) {
                ensure!(hop.fee_msat == *fee_msat, "{:?} not {fees:?}", part.hops);
            }
            for (forwarder, fee_msat) in (1..).zip(&fees) {
                earned_msat[forwarder] += fee_msat;
            }
        }
        for (node, earned_msat) in network.nodes.iter().zip(earned_msat) {
            poll::eventually(&format!("{} earned {earned_msat}", node.name()), async || {
                let answer = node.forwards().summarize(SummarizeForwardsRequest {}).await?;
                let answer = answer.into_inner();
                Ok(if answer.fee_msat == earned_msat {
                    Look::Done(())
                } else {
                    Look::NotYet(format!("{answer:?}"))
                })
            })
            .await?;
        }
        let forwards = network.nodes[1].forwards().list(ListForwardsRequest::default()).await?;
        ensure!(forwards.into_inner().forwards.len() == 3, "bob forwarded three payments");
        Ok(())
    });
}

#[test]
fn many_parts_over_a_diamond() {
    scenario::run("parts", async |network| {
        network.build(&Plan::balanced(Topology::Diamond)).await?;
        let (alice, dave) = (&network.nodes[0], &network.nodes[3]);
        // More than one channel carries.
        let amount_msat = 6_000_000_000;
        let invoice = pay::invoice(dave, amount_msat).await?;
        pay::succeeds(alice, pay::request(&invoice.bolt11)).await?;
        let payment = pay::with_parts(alice, &invoice.payment_hash).await?;
        let settled: Vec<_> = payment
            .parts
            .iter()
            .filter(|part| part.state() == payment_part::State::Succeeded)
            .collect();
        ensure!(settled.len() >= 2, "{:?}", payment.parts);
        ensure!(settled.iter().map(|part| part.amount_msat).sum::<u64>() == amount_msat);
        ensure!(settled.iter().map(|part| part.fee_msat).sum::<u64>() == payment.fee_msat);
        let invoice = pay::settled(dave, &invoice.payment_hash, amount_msat).await?;
        ensure!(usize::try_from(invoice.parts)? == settled.len());

        // In one part it cannot be done, nor for no fee.
        let back = pay::invoice(alice, 5_900_000_000).await?;
        let whole = PaymentLimits { max_parts: 1, ..PaymentLimits::default() };
        let request = PayRequest { limits: Some(whole), ..pay::request(&back.bolt11) };
        let refusal = dave.payments().pay(request).await;
        refused(refusal, tonic::Code::FailedPrecondition, "single channel")?;
        let free = PaymentLimits { max_fee_msat: Some(0), ..PaymentLimits::default() };
        pay::fails(dave, PayRequest { limits: Some(free), ..pay::request(&back.bolt11) }).await?;
        Ok(())
    });
}

#[test]
fn a_failing_hop_is_gone_around() {
    scenario::run("retry", async |network| {
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
        let carol_dave = channel::between(carol, dave).await?.short_channel_id;
        poll::eventually("alice knows that carol is dear", async || {
            let request = GetGraphChannelRequest { short_channel_id: carol_dave };
            let known = alice.graph().get_channel(request).await?.into_inner().channel;
            let known = known.unwrap_or_default();
            let dear = [&known.one_to_two, &known.two_to_one]
                .into_iter()
                .flatten()
                .any(|one| one.policy.is_some_and(|policy| policy.base_fee_msat == 50_000));
            Ok(if dear { Look::Done(()) } else { Look::NotYet(format!("{known:?}")) })
        })
        .await?;
        for _ in 0..2 {
            pay::transfer(bob, dave, 2_200_000_000).await?;
        }
        let bob_dave = channel::between(bob, dave).await?;
        let invoice = pay::invoice(dave, 1_000_000_000).await?;
        let limits = PaymentLimits { max_parts: 1, ..PaymentLimits::default() };
        let request = PayRequest { limits: Some(limits), ..pay::request(&invoice.bolt11) };
        let payment = pay::succeeds(alice, request).await?;
        ensure!(
            payment.parts.iter().any(|part| {
                part.state() == payment_part::State::Failed
                    && part.failed_short_channel_id == bob_dave.short_channel_id
            }),
            "the way over bob must have been tried: {:?}",
            payment.parts
        );
        ensure!(payment.fee_msat > 50_000, "it went over carol: {} msat", payment.fee_msat);
        Ok(())
    });
}

#[test]
fn a_payment_is_cancelled_while_it_is_held_up() {
    scenario::run("cancel", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        // Carol will refuse: she does not want this money any more.
        let invoice = pay::invoice(carol, 50_000_000).await?;
        let cancel = CancelInvoiceRequest { payment_hash: invoice.payment_hash.clone() };
        let cancelled = carol.invoices().cancel(cancel).await?.into_inner().invoice;
        ensure!(cancelled.unwrap_or_default().state() == invoice::State::Cancelled);

        carol.process()?.pause()?;
        let stream = alice.payments().pay(pay::request(&invoice.bolt11)).await?.into_inner();
        let alice_bob = channel::between(alice, bob).await?;
        channel::carries_htlcs(alice, &alice_bob.channel_id, 1).await?;
        let pending = pay::recorded(alice, &invoice.payment_hash).await?;
        ensure!(pending.state() == payment::State::Pending);
        let cancel = CancelPaymentRequest { payment_id: pending.payment_id };
        let cancelled = alice.payments().cancel(cancel).await?.into_inner().payment;
        ensure!(cancelled.unwrap_or_default().cancelling, "parts are still under way");
        carol.process()?.resume()?;
        let payment = pay::finish(stream).await?;
        ensure!(payment.state() == payment::State::Failed, "{payment:?}");
        ensure!(payment.failure_reason == "CANCELLED", "{}", payment.failure_reason);
        Ok(())
    });
}

#[test]
fn keysend_carries_records_and_needs_no_invoice() {
    scenario::run("keysend", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let (alice, carol) = (&network.nodes[0], &network.nodes[2]);
        let request = KeysendRequest {
            custom_records: vec![CustomRecord { r#type: 65_537, value: b"hello".to_vec() }],
            idempotency_key: "tip".to_owned(),
            label: "a tip".to_owned(),
            ..pay::keysend_request(carol, 7_654_321)
        };
        let sent =
            pay::finish(alice.payments().keysend(request.clone()).await?.into_inner()).await?;
        ensure!(sent.state() == payment::State::Succeeded && sent.kind() == payment::Kind::Keysend);
        let again = pay::finish(alice.payments().keysend(request).await?.into_inner()).await?;
        ensure!(again.payment_id == sent.payment_id, "the same key must not pay twice");
        let received = carol.invoices().list(ListInvoicesRequest::default()).await?.into_inner();
        let [received] = &received.invoices[..] else {
            anyhow::bail!("one keysend arrived: {:?}", received.invoices)
        };
        ensure!(received.kind() == invoice::Kind::Keysend && received.received_msat == 7_654_321);
        ensure!(received.preimage == sent.preimage && !sent.preimage.is_empty());
        let records: Vec<_> =
            received.custom_records.iter().map(|it| (it.r#type, &it.value[..])).collect();
        ensure!(records.contains(&(65_537, b"hello")), "{records:?}");
        Ok(())
    });
}

#[test]
fn a_private_channel_receives_by_its_hint() {
    scenario::run("private", async |network| {
        network.add_nodes(3).await?;
        for node in 0..3 {
            network.give_node(node, 11_000_000, 2).await?;
        }
        let public = channel::open_request(&network.nodes[1], 10_000_000, 5_000_000_000);
        channel::open(network, 0, 1, public).await?;
        let mut private = channel::open_request(&network.nodes[2], 10_000_000, 5_000_000_000);
        private.announce = false;
        let hidden = channel::open(network, 1, 2, private).await?;
        ensure!(!hidden.announced);
        network.wait_for_graph().await?;

        let [alice, _, carol] = &network.nodes[..] else { unreachable!("three were added") };
        let unknown = GetGraphChannelRequest { short_channel_id: hidden.short_channel_id };
        let outcome = alice.graph().get_channel(unknown).await;
        fulmen_integration::steps::refused(outcome, tonic::Code::NotFound, "")?;
        let invoice: Invoice = pay::invoice(carol, 33_000_000).await?;
        let decode = DecodeInvoiceRequest { bolt11: invoice.bolt11.clone() };
        let decoded = alice.invoices().decode(decode).await?.into_inner();
        ensure!(!decoded.route_hints.is_empty() && decoded.payee == carol.id(), "{decoded:?}");
        pay::succeeds(alice, pay::request(&invoice.bolt11)).await?;
        pay::settled(carol, &invoice.payment_hash, 33_000_000).await?;
        // And outwards, over the same hidden channel.
        pay::transfer(carol, alice, 5_000_000).await?;
        Ok::<(), anyhow::Error>(())
    });
}

#[test]
fn an_invoice_without_amount_and_a_payment_under_one_key() {
    scenario::run("amountless", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let invoice = pay::invoice(bob, 0).await?;
        let request = PayRequest {
            amount_msat: 4_321_000,
            idempotency_key: "once".to_owned(),
            label: "coffee".to_owned(),
            ..pay::request(&invoice.bolt11)
        };
        let first = pay::succeeds(alice, request.clone()).await?;
        let again = pay::succeeds(alice, request).await?;
        ensure!(first.payment_id == again.payment_id && again.label == "coffee");
        let settled = pay::settled(bob, &invoice.payment_hash, 4_321_000).await?;
        ensure!(settled.preimage == first.preimage);
        Result::Ok(())
    });
}

#[test]
fn what_was_just_received_pays_at_once() {
    scenario::run("settling", async |network| {
        network.build(&Plan::one_sided(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        for round in 0..10 {
            // Most of what bob has; the payer hears of its success before the payee's balance has grown.
            let there = pay::invoice(bob, 3_000_000_000).await?;
            let back = pay::invoice(alice, 2_800_000_000).await?;
            let keysend = pay::keysend_request(alice, 50_000_000);
            pay::succeeds(alice, pay::request(&there.bolt11)).await?;
            pay::succeeds(bob, pay::request(&back.bolt11))
                .await
                .with_context(|| format!("round {round}"))?;
            let sent = bob.payments().keysend(keysend).await?.into_inner();
            ensure!(pay::finish(sent).await?.state() == payment::State::Succeeded);
        }
        Ok(())
    });
}
