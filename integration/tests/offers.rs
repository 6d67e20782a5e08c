//! Offers and refunds (BOLT 12): paid over hops, to and from hidden nodes, refused with words, killed half way.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused};
use fulmen_proto::v1::decode_response::What;
use fulmen_proto::v1::payment::{Kind, State};
use fulmen_proto::v1::{
    CancelPaymentRequest, CreateOfferRequest, DecodeRequest, GetGraphNodeRequest, GetOfferRequest,
    GetPaymentRequest, GiveRefundRequest, Invoice, ListInvoicesRequest, ListOffersRequest,
    ListPaymentsRequest, Offer, OpenChannelRequest, PayRequest, Payment, RedeemRefundRequest,
    SetOfferEnabledRequest, get_payment_request, invoice,
};
use tonic::Code;

/// LDK gives up after its second tick of a minute without an invoice.
const PATIENCE_FOR_INVOICES: Duration = Duration::from_secs(240);

async fn offer(node: &Node, request: CreateOfferRequest) -> Result<Offer> {
    let answer = node.offers().create(request).await?.into_inner();
    answer.offer.context("no offer in the answer")
}

fn tea() -> CreateOfferRequest {
    CreateOfferRequest {
        amount_msat: 5_000_000,
        description: "tea".to_owned(),
        ..CreateOfferRequest::default()
    }
}

fn to(offer: &Offer) -> PayRequest {
    PayRequest { to: offer.offer.clone(), ..PayRequest::default() }
}

async fn received(node: &Node, offer_id: &[u8]) -> Result<Vec<Invoice>> {
    let request = ListInvoicesRequest {
        offer_id: offer_id.to_vec(),
        state: invoice::State::Settled.into(),
        ..ListInvoicesRequest::default()
    };
    Ok(node.invoices().list(request).await?.into_inner().invoices)
}

async fn by_id(node: &Node, payment_id: &[u8]) -> Result<Payment> {
    let by = Some(get_payment_request::By::PaymentId(payment_id.to_vec()));
    let answer = node.payments().get(GetPaymentRequest { by }).await?.into_inner();
    answer.payment.context("no payment in the answer")
}

/// Waits for the end of a payment that may wait for an invoice in vain.
async fn ended(node: &Node, payment_id: &[u8]) -> Result<Payment> {
    let what = format!("{}'s payment has ended", node.name());
    poll::eventually_within(PATIENCE_FOR_INVOICES, &what, async || {
        let payment = by_id(node, payment_id).await?;
        Ok(if pay::is_final(&payment) {
            Look::Done(payment)
        } else {
            Look::NotYet(payment.state().as_str_name().to_owned())
        })
    })
    .await
}

/// Waits until the nodes know where each public one is: onion messages go to the payee directly (LDK forwards
/// them along blinded paths only).
async fn introduced(nodes: &[&Node], public: &[&Node]) -> Result<()> {
    for node in nodes {
        for other in public.iter().filter(|other| other.id() != node.id()) {
            poll::eventually(&format!("{} can reach {}", node.name(), other.name()), async || {
                let request = GetGraphNodeRequest { node_id: other.id() };
                let found = node.graph().get_node(request).await?.into_inner();
                Ok(match found.addresses.is_empty() {
                    false => Look::Done(()),
                    true => Look::NotYet("no address is known".to_owned()),
                })
            })
            .await?;
        }
    }
    Ok(())
}

/// All nodes of a network are public.
async fn all_introduced(network: &Network) -> Result<()> {
    let nodes: Vec<_> = network.nodes.iter().collect();
    introduced(&nodes, &nodes).await
}

/// Begins to pay, and leaves it to the daemon; the payment's id.
async fn begin(node: &Node, request: PayRequest) -> Result<Vec<u8>> {
    let mut states = node.payments().pay(request).await?.into_inner();
    let first = states.message().await?.context("the stream said nothing")?;
    Ok(first.payment_id)
}

#[test]
fn an_offer_is_paid_over_one_to_three_hops() {
    scenario::run("offers", async |network| {
        network.build(&Plan::balanced(Topology::Line(4))).await?;
        all_introduced(network).await?;
        let dave = &network.nodes[3];
        let made = offer(dave, CreateOfferRequest { max_quantity: Some(3), ..tea() }).await?;
        ensure!(made.offer.starts_with("lno1") && !made.disabled && !made.expired, "{made:?}");
        for (hops, payer) in (1..).zip([2, 1, 0]) {
            let note = format!("over {hops} hops");
            let request = PayRequest { payer_note: note.clone(), quantity: hops, ..to(&made) };
            let payment = pay::succeeds(&network.nodes[payer], request).await?;
            ensure!(payment.amount_msat == hops * 5_000_000, "{payment:?}");
            ensure!(payment.kind() == Kind::Bolt12 && payment.quantity == hops, "{payment:?}");
            let hash = sha256::Hash::hash(&payment.preimage).to_byte_array();
            ensure!(payment.payment_hash == hash, "{payment:?}");
            ensure!(!payment.bolt12_invoice.is_empty() && payment.offer == made.offer);
            pay::settled(dave, &payment.payment_hash, payment.amount_msat).await?;
            let came = received(dave, &made.offer_id).await?;
            ensure!(came.len() == usize::try_from(hops)?, "{came:?}");
            ensure!(came[0].payer_note == note && came[0].quantity == hops, "{came:?}");
            ensure!(came[0].payer_id.len() == 33 && came[0].preimage == payment.preimage);
        }

        // As a person does it.
        let (alice, cli) = (&network.nodes[0], dave.cli()?);
        let shown = cli.json(&["offer", "any", "-d", "a gift"]).await?;
        let text = shown["offer"]["offer"].as_str().context("no offer in the JSON")?.to_owned();
        let offer_id = shown["offer"]["offer_id"].as_str().context("no id in the JSON")?.to_owned();
        let pay = ["pay", &text, "--amount", "77sat", "--note", "for dave", "-y"];
        ensure!(alice.cli()?.ok(&pay).await?.contains("77 sat"));
        let came = cli.ok(&["offer", "payments", &offer_id]).await?;
        ensure!(came.contains("77") && came.contains("for dave"), "{came}");
        ensure!(cli.ok(&["offers"]).await?.contains("a gift"));
        ensure!(cli.ok(&["offer", "show", &offer_id]).await?.contains(&text));
        let decoded = alice.cli()?.ok(&["decode", &text.to_ascii_uppercase()]).await?;
        ensure!(decoded.contains("BOLT 12") && decoded.contains("a gift"), "{decoded}");
        let paid = alice.payments().list(ListPaymentsRequest::default()).await?.into_inner();
        let paid = paid.payments.first().context("alice has paid nothing")?;
        ensure!(paid.payer_id.len() == 33, "{paid:?}");
        let proof = alice.cli()?.ok(&["payment", "proof", &hex(&paid.payment_id)]).await?;
        for part in [&paid.preimage, &paid.payer_id, &paid.bolt12_invoice] {
            ensure!(proof.contains(&hex(part)), "{proof}");
        }
        let code = cli.ok(&["offer", "any", "--qr"]).await?;
        ensure!(code.contains('▀'), "{code}");
        let dry = ["pay", &text, "--amount", "77sat", "--dry-run"];
        ensure!(alice.cli()?.ok(&dry).await?.contains("a gift"));
        let read = alice.payments().decode(DecodeRequest { text }).await?.into_inner();
        ensure!(matches!(read.what, Some(What::Offer(it)) if hex(&it.offer_id) == offer_id));
        Ok(())
    });
}

#[test]
fn what_an_offer_does_not_allow_is_refused_with_words() {
    scenario::run("offers-refused", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        all_introduced(network).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let made = offer(bob, CreateOfferRequest { max_quantity: Some(3), ..tea() }).await?;
        for (request, code, words) in [
            (
                PayRequest { amount_msat: 4_999_999, ..to(&made) },
                Code::InvalidArgument,
                "less than",
            ),
            (PayRequest { quantity: 4, ..to(&made) }, Code::InvalidArgument, "more than the 3"),
            (PayRequest { payer_note: "x".repeat(513), ..to(&made) }, Code::InvalidArgument, "512"),
        ] {
            refused(alice.payments().pay(request).await, code, words)?;
        }
        let key = CreateOfferRequest { idempotency_key: "one".to_owned(), ..tea() };
        let (first, again) = (offer(bob, key.clone()).await?, offer(bob, key.clone()).await?);
        ensure!(first == again, "{again:?}");
        let other = CreateOfferRequest { amount_msat: 1, ..key };
        refused(bob.offers().create(other).await, Code::InvalidArgument, "idempotency_key")?;
        let silent = CreateOfferRequest { description: String::new(), ..tea() };
        refused(bob.offers().create(silent).await, Code::InvalidArgument, "description")?;
        let nowhere = GetOfferRequest { offer_id: vec![9; 32] };
        refused(bob.offers().get(nowhere).await, Code::NotFound, "no such offer")?;

        let brief = offer(bob, CreateOfferRequest { expiry_secs: 1, ..tea() }).await?;
        poll::eventually("the offer has expired", async || {
            let found =
                bob.offers().get(GetOfferRequest { offer_id: brief.offer_id.clone() }).await?;
            let expired = found.into_inner().offer.is_some_and(|offer| offer.expired);
            Ok(if expired { Look::Done(()) } else { Look::NotYet("open".to_owned()) })
        })
        .await?;
        refused(alice.payments().pay(to(&brief)).await, Code::FailedPrecondition, "expired")?;

        let disable = SetOfferEnabledRequest { offer_id: made.offer_id.clone(), enabled: false };
        bob.offers().set_enabled(disable).await?;
        let payment = pay::fails(alice, to(&made)).await?;
        ensure!(payment.failure_reason == "INVOICE_REFUSED", "{payment:?}");
        let open = ListOffersRequest { only_enabled: true, ..Default::default() };
        let open = bob.offers().list(open).await?.into_inner().offers;
        ensure!(open.len() == 1 && open[0].offer_id == first.offer_id, "{open:?}");
        bob.cli()?.ok(&["offer", "enable", &hex(&made.offer_id)]).await?;
        pay::succeeds(alice, to(&made)).await?;

        let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
        for (text, word) in [
            (address.to_owned(), "on chain"),
            (format!("bitcoin:{address}?req-other=1"), "req-"),
            ("someone@example.com".to_owned(), "dns_resolver"),
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".to_owned(), "another network"),
            ("lnurl1dp68gurn8ghj7".to_owned(), "LNURL"),
            ("lno1pg".to_owned(), "offer"),
            // BOLT 12, "Minimal bolt12 offer": for the main network, which it does not name.
            (
                "lno1zcss9mk8y3wkklfvevcrszlmu23kfrxh49px20665dqwmn4p72pksese".to_owned(),
                "not for regtest",
            ),
        ] {
            let request =
                PayRequest { to: text.clone(), amount_msat: 1_000, ..PayRequest::default() };
            let status = alice.payments().pay(request).await.err();
            let status = status.with_context(|| format!("{text} is accepted"))?;
            ensure!(status.message().contains(word), "{text}: {status:?}");
        }
        Ok(())
    });
}

#[test]
fn anything_payable_is_paid_by_one_command() {
    scenario::run("pay-anything", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        all_introduced(network).await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let cli = alice.cli()?;
        let invoice = pay::invoice(carol, 1_000_000).await?;
        let upper = format!("LIGHTNING:{}", invoice.bolt11.to_ascii_uppercase());
        let dry = cli.ok(&["pay", &upper, "--dry-run"]).await?;
        ensure!(dry.contains("fee") && dry.contains("payee"), "{dry}");
        cli.ok(&["pay", &upper, "-y"]).await?;
        pay::settled(carol, &invoice.payment_hash, 1_000_000).await?;

        let invoice = pay::invoice(carol, 2_000_000).await?;
        let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
        let uri = format!("bitcoin:{address}?amount=0.00002&lightning={}", invoice.bolt11);
        let decoded = cli.ok(&["decode", &uri]).await?;
        ensure!(decoded.contains(address) && decoded.contains("2,000 sat"), "{decoded}");
        cli.ok(&["pay", &uri, "-y"]).await?;
        pay::settled(carol, &invoice.payment_hash, 2_000_000).await?;

        let node = hex(&carol.id());
        let pay = ["pay", &node, "--amount", "3sat", "--record", "65537=0102", "-y"];
        cli.ok(&pay).await?;
        let keysends = carol.invoices().list(ListInvoicesRequest::default()).await?.into_inner();
        let keysend = keysends.invoices.first().context("carol got nothing")?;
        ensure!(keysend.kind() == invoice::Kind::Keysend && keysend.received_msat == 3_000);
        ensure!(keysend.custom_records[0].value == [1, 2], "{keysend:?}");
        cli.fails(2, &["pay", &node, "-y"]).await?;
        let complaint = cli.fails(1, &["pay", address, "--amount", "5sat", "-y"]).await?;
        ensure!(complaint.contains("on chain"), "{complaint}");
        Ok(())
    });
}

#[test]
fn hidden_nodes_pay_and_are_paid_through_their_peers() {
    scenario::run("offers-hidden", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.add_nodes(1).await?;
        // What carol needs on chain before she accepts a channel.
        network.give_node(2, 1_000_000, 3).await?;
        network.give_node(1, 5_000_000, 3).await?;
        let hidden = OpenChannelRequest {
            announce: false,
            ..channel::open_request(&network.nodes[2], 4_000_000, 2_000_000_000)
        };
        channel::open(network, 1, 2, hidden).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("three") };
        introduced(&[alice, carol], &[alice, bob]).await?;
        let made = offer(carol, tea()).await?;
        let text = DecodeRequest { text: made.offer.clone() };
        let Some(What::Offer(read)) = alice.payments().decode(text).await?.into_inner().what else {
            anyhow::bail!("not an offer");
        };
        ensure!(read.paths > 0 && read.issuer_id != carol.id(), "{read:?}");
        let payment = pay::succeeds(alice, to(&made)).await?;
        pay::settled(carol, &payment.payment_hash, 5_000_000).await?;
        let made = offer(alice, tea()).await?;
        let payment = pay::succeeds(carol, to(&made)).await?;
        pay::settled(alice, &payment.payment_hash, 5_000_000).await?;
        Ok(())
    });
}

#[test]
fn a_refund_is_given_redeemed_cancelled_and_survives_kills() {
    scenario::run("refunds", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        all_introduced(network).await?;
        let give = GiveRefundRequest {
            amount_msat: 7_000_000,
            description: "cold tea".to_owned(),
            ..GiveRefundRequest::default()
        };
        let (refund, payment_id) = {
            let given = network.nodes[0].offers().give_refund(give.clone()).await?.into_inner();
            let payment = given.payment.context("no payment in the answer")?;
            ensure!(payment.kind() == Kind::Refund && payment.state() == State::Pending);
            ensure!(given.refund.starts_with("lnr1"), "{}", given.refund);
            (given.refund, payment.payment_id)
        };
        // The bearer can redeem the refund, whatever happens to its giver.
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        network.wait_synced().await?;
        network.wait_usable().await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        ensure!(by_id(alice, &payment_id).await?.state() == State::Pending);
        let decoded = carol.cli()?.ok(&["decode", &refund]).await?;
        ensure!(decoded.contains("refund") && decoded.contains("cold tea"), "{decoded}");
        let redeem = RedeemRefundRequest { refund: refund.clone() };
        let asked = carol.offers().redeem_refund(redeem.clone()).await?.into_inner();
        let asked = asked.invoice.context("no invoice in the answer")?;
        pay::settled(carol, &asked.payment_hash, 7_000_000).await?;
        let paid = ended(alice, &payment_id).await?;
        ensure!(paid.state() == State::Succeeded && paid.payment_hash == asked.payment_hash);

        // It gives once.
        carol.offers().redeem_refund(redeem).await?;
        let given = alice.offers().give_refund(give.clone()).await?.into_inner();
        let payment_id = given.payment.context("no payment in the answer")?.payment_id;
        alice.payments().cancel(CancelPaymentRequest { payment_id: payment_id.clone() }).await?;
        ensure!(ended(alice, &payment_id).await?.state() == State::Failed);
        carol.offers().redeem_refund(RedeemRefundRequest { refund: given.refund }).await?;
        let again = refused(
            carol.offers().redeem_refund(RedeemRefundRequest { refund: "lnr1x".to_owned() }).await,
            Code::InvalidArgument,
            "refund",
        )?;
        ensure!(again.message().contains("BOLT 12"), "{again:?}");

        // As a person does it.
        let shown = alice.cli()?.json(&["refund", "create", "11sat", "-d", "sorry"]).await?;
        let text = shown["refund"].as_str().context("no refund in the JSON")?.to_owned();
        let came = carol.cli()?.ok(&["refund", "redeem", &text]).await?;
        ensure!(came.contains("settled") && came.contains("11 sat"), "{came}");

        // The giver dies while it is being redeemed.
        for ms in [0, 15, 40] {
            let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
            let given = alice.offers().give_refund(give.clone()).await?.into_inner();
            let payment_id = given.payment.context("no payment in the answer")?.payment_id;
            let redeem = RedeemRefundRequest { refund: given.refund };
            let asked = carol.offers().redeem_refund(redeem.clone()).await?.into_inner();
            let asked = asked.invoice.context("no invoice in the answer")?.payment_hash;
            poll::pass(Duration::from_millis(ms)).await;
            network.nodes[0].kill()?;
            network.nodes[0].launch().await?;
            network.wait_synced().await?;
            network.wait_usable().await?;
            let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
            let waits = by_id(alice, &payment_id).await?;
            let mut hash = asked;
            if waits.state() == State::Pending && waits.bolt12_invoice.is_empty() {
                // The invoice died with the giver: its bearer asks again.
                let asked = carol.offers().redeem_refund(redeem).await?.into_inner();
                hash = asked.invoice.context("no invoice in the answer")?.payment_hash;
            }
            let paid = ended(alice, &payment_id).await.with_context(|| format!("{ms} ms"))?;
            if paid.state() == State::Succeeded {
                ensure!(paid.payment_hash == hash || paid.amount_msat == 7_000_000, "{paid:?}");
                pay::settled(carol, &paid.payment_hash, 7_000_000).await?;
            }
        }
        Ok(())
    });
}

#[test]
fn the_payer_of_an_offer_dies_half_way() {
    scenario::run("offers-kill-payer", async |network| killed(network, 0, &[10, 45]).await);
}

#[test]
fn the_payee_of_an_offer_dies_half_way() {
    scenario::run("offers-kill-payee", async |network| killed(network, 2, &[35]).await);
}

/// Payer and payee must agree in the end, whenever one of them dies.
async fn killed(network: &mut Network, victim: usize, moments_ms: &[u64]) -> Result<()> {
    network.build(&Plan::balanced(Topology::Line(3))).await?;
    all_introduced(network).await?;
    let made = offer(&network.nodes[2], tea()).await?;
    let mut arrived = 0;
    for ms in moments_ms {
        let payment_id = begin(&network.nodes[0], to(&made)).await?;
        poll::pass(Duration::from_millis(*ms)).await;
        network.nodes[victim].kill()?;
        network.nodes[victim].launch().await?;
        network.wait_synced().await?;
        network.wait_usable().await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let payment = ended(alice, &payment_id).await.with_context(|| format!("{ms} ms"))?;
        if payment.state() == State::Succeeded {
            arrived += 1;
            pay::settled(carol, &payment.payment_hash, 5_000_000).await?;
        }
        ensure!(received(carol, &made.offer_id).await?.len() == arrived, "after {ms} ms");
    }
    network.wait_ready().await?;
    let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
    let payment = pay::succeeds(alice, to(&made)).await?;
    pay::settled(carol, &payment.payment_hash, 5_000_000).await?;
    Ok(())
}
