//! What comes in: one resumable stream of it, invoices with all that BOLT 11 has, and what the journal says of both.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused};
use fulmen_proto::v1::event::{Kind, What};
use fulmen_proto::v1::{
    CancelInvoiceRequest, CreateInvoiceRequest, DecodeInvoiceRequest, DisconnectPeerRequest, Event,
    Filter, Invoice, ListEventsRequest, ListInvoicesRequest, NewAddressRequest, PageRequest,
    Received, SubscribeEventsRequest, SubscribeReceivedRequest, create_invoice_request, invoice,
};
use tonic::Code;

async fn create(node: &Node, request: CreateInvoiceRequest) -> Result<Invoice> {
    let answer = node.invoices().create(request).await?.into_inner();
    answer.invoice.context("no invoice in the answer")
}

/// All that came in after an index, up to now.
async fn received(node: &Node, after_index: u64) -> Result<Vec<Received>> {
    let request = SubscribeReceivedRequest { after_index, until_now: true, ..Default::default() };
    let mut stream = node.invoices().subscribe_received(request).await?.into_inner();
    let mut all = Vec::new();
    while let Some(one) = stream.message().await? {
        all.push(one);
    }
    Ok(all)
}

async fn events(node: &Node, kinds: &[Kind], filter: Filter) -> Result<Vec<Event>> {
    let kinds = kinds.iter().map(|kind| (*kind).into()).collect();
    let (mut all, mut token) = (Vec::new(), Vec::new());
    loop {
        // Small pages, so that there are several.
        let page = Some(PageRequest { page_size: 2, page_token: token });
        let request =
            ListEventsRequest { page, filter: Some(filter.clone()), kinds: Vec::clone(&kinds) };
        let answer = node.events().list(request).await?.into_inner();
        all.extend(answer.events);
        token = answer.next_page_token;
        if token.is_empty() {
            return Ok(all);
        }
    }
}

/// bob reads what came in, is killed between two reads, and goes on: everything once, in order, whatever its kind.
#[test]
fn what_came_in_is_streamed_once_across_kills() {
    scenario::run("received", async |network| {
        network.build(&Plan::balanced(Topology::Line(2))).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a line of two") };
        pay::transfer(alice, bob, 1_000_000).await?;
        pay::keysend(alice, bob, 2_000_000).await?;
        poll::eventually("bob has received the keysend", async || {
            let seen = received(bob, 0).await?.len();
            Ok(if seen == 2 { Look::Done(()) } else { Look::NotYet(format!("{seen} of 2")) })
        })
        .await?;
        let first = received(bob, 0).await?;
        let kinds: Vec<_> =
            first.iter().map(|one| one.invoice.as_ref().map(Invoice::kind)).collect();
        ensure!(kinds == [Some(invoice::Kind::Bolt11), Some(invoice::Kind::Keysend)], "{kinds:?}");
        ensure!(first.iter().map(|one| one.index).eq([1, 2]), "{first:?}");

        network.nodes[1].kill()?;
        network.nodes[1].launch().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a line of two") };
        let edge = channel::between(alice, bob).await?;
        channel::usable(alice, &edge.channel_id).await?;
        pay::transfer(alice, bob, 3_000_000).await?;
        ensure!(received(bob, 0).await?[..2] == first[..], "the past has changed");
        let rest = received(bob, 2).await?;
        ensure!(rest.len() == 1 && rest[0].index == 3, "{rest:?}");
        ensure!(rest[0].received_msat == 3_000_000, "{rest:?}");

        // A subscriber that stays sees what comes next; nothing of the future can be asked for.
        let stay = SubscribeReceivedRequest { from_now: true, ..Default::default() };
        let mut live = bob.invoices().subscribe_received(stay).await?.into_inner();
        pay::transfer(alice, bob, 4_000_000).await?;
        let next = live.message().await?.context("the stream goes on")?;
        ensure!((next.index, next.received_msat) == (4, 4_000_000), "{next:?}");
        let early = SubscribeReceivedRequest { after_index: 99, ..Default::default() };
        let early = bob.invoices().subscribe_received(early).await;
        refused(early, Code::InvalidArgument, "after_index")?;
        let shown = bob.cli()?.ok(&["invoice", "received", "--after", "1", "--until-now"]).await?;
        ensure!(shown.lines().count() == 3 && shown.contains("keysend"), "{shown}");
        Ok(())
    });
}

/// An invoice with a hint of a chosen channel, a fallback address, metadata, a hashed description and a delta of its own is
/// paid by a node that is no neighbour, and comes by the channel that it names.
#[test]
fn invoices_say_all_that_bolt_11_has() {
    scenario::run("bolt11", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let edge = channel::between(carol, bob).await?;
        let reference = channel::reference(&edge.channel_id);
        let address = carol.wallet().new_address(NewAddressRequest {}).await?.into_inner().address;
        let hash = vec![5; 32];
        let request = CreateInvoiceRequest {
            amount_msat: 1_000_000,
            describe: Some(create_invoice_request::Describe::DescriptionHash(hash.clone())),
            min_final_cltv_expiry_delta: 100,
            hint_channels: vec![reference.clone()],
            fallback_address: address.clone(),
            payment_metadata: vec![1, 2, 3],
            idempotency_key: "one".to_owned(),
            ..Default::default()
        };
        let made = create(carol, request.clone()).await?;
        ensure!(create(carol, request.clone()).await? == made, "the same key, another invoice");
        let other = CreateInvoiceRequest { payment_metadata: vec![4], ..request.clone() };
        refused(carol.invoices().create(other).await, Code::InvalidArgument, "idempotency_key")?;

        let decode = DecodeInvoiceRequest { bolt11: made.bolt11.clone() };
        let read = alice.invoices().decode(decode).await?.into_inner();
        ensure!(read.description_hash == hash && read.payment_metadata == [1, 2, 3], "{read:?}");
        ensure!(read.fallback_addresses == [address.clone()], "{read:?}");
        ensure!(read.min_final_cltv_expiry_delta == 103, "LDK adds three blocks: {read:?}");
        let hops: Vec<_> = read.route_hints.iter().flat_map(|hint| &hint.hops).collect();
        ensure!(hops.len() == 1 && hops[0].node_id == bob.id(), "{read:?}");
        ensure!(
            [edge.short_channel_id, edge.inbound_scid_alias].contains(&hops[0].short_channel_id),
            "{read:?}"
        );
        let metadata = read.features.iter().find(|it| it.name == "option_payment_metadata");
        ensure!(metadata.is_some_and(|feature| feature.required), "{read:?}");
        let shown = alice.cli()?.ok(&["decode", &made.bolt11]).await?;
        for part in [address.as_str(), "010203", "103 blocks", "option_payment_metadata"] {
            ensure!(shown.contains(part), "{part} in {shown}");
        }

        pay::succeeds(alice, pay::request(&made.bolt11)).await?;
        let settled = pay::settled(carol, &made.payment_hash, 1_000_000).await?;
        ensure!(settled.received_channel_ids == [edge.channel_id.clone()], "{settled:?}");
        let by_channel = |channel| ListInvoicesRequest {
            filter: Some(Filter { channel: Some(channel), ..Filter::default() }),
            ..Default::default()
        };
        let found = carol.invoices().list(by_channel(reference.clone())).await?.into_inner();
        ensure!(found.invoices.len() == 1, "{found:?}");

        // Without hints, with the command line, and what cannot be.
        let bare =
            CreateInvoiceRequest { amount_msat: 1_000, no_hints: true, ..Default::default() };
        let bare = create(carol, bare).await?;
        let decode = DecodeInvoiceRequest { bolt11: bare.bolt11 };
        ensure!(carol.invoices().decode(decode).await?.into_inner().route_hints.is_empty());
        let hint = fulmen_integration::cli::hex(&edge.channel_id);
        let arguments =
            ["invoice", "5sat", "--hint", &hint, "--fallback", "new", "--metadata", "c0"];
        let cli = carol.cli()?;
        let line = cli.ok(&arguments).await?;
        let text = line.lines().next().context("the invoice")?.to_owned();
        let shown = cli.ok(&["decode", &text]).await?;
        ensure!(shown.contains("bcrt1") && shown.contains("metadata"), "{shown}");
        let unknown = CreateInvoiceRequest {
            hint_channels: vec![channel::reference(&[7; 32])],
            ..request.clone()
        };
        refused(carol.invoices().create(unknown).await, Code::NotFound, "")?;
        let many = CreateInvoiceRequest { hint_channels: vec![reference; 11], ..request.clone() };
        refused(carol.invoices().create(many).await, Code::InvalidArgument, "at most 10")?;
        let both = CreateInvoiceRequest { no_hints: true, ..request.clone() };
        refused(carol.invoices().create(both).await, Code::InvalidArgument, "no_hints")?;
        let long = CreateInvoiceRequest { payment_metadata: vec![0; 513], ..request.clone() };
        refused(carol.invoices().create(long).await, Code::InvalidArgument, "payment_metadata")?;
        let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".to_owned();
        let foreign = CreateInvoiceRequest { fallback_address: mainnet, ..request };
        refused(carol.invoices().create(foreign).await, Code::InvalidArgument, "fallback_address")?;
        Ok(())
    });
}

/// An invoice that expires, one that is cancelled and then paid, a forward that fails, a peer that goes and comes back.
#[test]
fn the_journal_tells_of_invoices_htlcs_and_peers() {
    scenario::run("journal", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let short =
            CreateInvoiceRequest { amount_msat: 7_000, expiry_secs: 1, ..Default::default() };
        let expiring = create(carol, short).await?;
        let cancelled = pay::invoice(carol, 2_000_000).await?;
        let request = CancelInvoiceRequest { payment_hash: cancelled.payment_hash.clone() };
        carol.invoices().cancel(request).await?;
        pay::fails(alice, pay::request(&cancelled.bolt11)).await?;

        let expired = poll::eventually("the invoice's expiry is in the journal", async || {
            let found = events(carol, &[Kind::InvoiceExpired], Filter::default()).await?;
            Ok(match found.is_empty() {
                false => Look::Done(found),
                true => Look::NotYet("no such event".to_owned()),
            })
        })
        .await?;
        let [Event { what: Some(What::InvoiceExpired(it)), .. }] = &expired[..] else {
            anyhow::bail!("{expired:?}")
        };
        ensure!((&it.payment_hash, it.amount_msat) == (&expiring.payment_hash, 7_000), "{it:?}");
        let refused_htlcs = events(carol, &[Kind::HtlcRefused], Filter::default()).await?;
        ensure!(
            refused_htlcs.iter().any(|event| matches!(&event.what,
                Some(What::HtlcRefused(it)) if it.payment_hash == cancelled.payment_hash
                    && it.reason == "CANCELLED")),
            "{refused_htlcs:?}"
        );

        // bob cannot forward to carol while she is away.
        let invoice = pay::invoice(carol, 3_000_000).await?;
        let edge = channel::between(bob, carol).await?;
        network.nodes[2].stop().await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let gone = poll::eventually("carol's leaving is in bob's journal", async || {
            let kinds = [Kind::PeerConnected, Kind::PeerDisconnected];
            let of_carol = Filter { node_id: carol.id(), ..Filter::default() };
            let found = events(bob, &kinds, of_carol).await?;
            Ok(match found.first().and_then(|event| event.what.as_ref()) {
                Some(What::PeerDisconnected(_)) => Look::Done(found),
                other => Look::NotYet(format!("{other:?}")),
            })
        })
        .await?;
        ensure!(matches!(gone[1].what, Some(What::PeerConnected(_))), "{gone:?}");
        pay::fails(alice, pay::request(&invoice.bolt11)).await?;
        let of_channel =
            Filter { channel: Some(channel::reference(&edge.channel_id)), ..Filter::default() };
        let failed = events(bob, &[Kind::ForwardFailed], of_channel.clone()).await?;
        ensure!(!failed.is_empty(), "no failed forward in the journal");
        let shown = bob.cli()?.ok(&["events", "--last", "3", "--kind", "forward-failed"]).await?;
        ensure!(shown.contains("failed"), "{shown}");
        network.nodes[2].launch().await?;
        let [_, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        channel::usable(bob, &edge.channel_id).await?;

        // The stream takes the same filter, and refuses what it does not know.
        let request = SubscribeEventsRequest {
            until_now: true,
            kinds: vec![Kind::ChannelReady.into()],
            filter: Some(of_channel),
            ..Default::default()
        };
        let mut stream = bob.events().subscribe(request).await?.into_inner();
        let ready = stream.message().await?.context("one channel was ready")?;
        ensure!(matches!(ready.what, Some(What::ChannelReady(_))), "{ready:?}");
        ensure!(stream.message().await?.is_none());
        let unknown = ListEventsRequest { kinds: vec![1], ..Default::default() };
        refused(bob.events().list(unknown).await, Code::InvalidArgument, "kinds")?;
        let request = DisconnectPeerRequest { node_id: carol.id(), force: false };
        refused(bob.peers().disconnect(request).await, Code::FailedPrecondition, "channels")?;
        Ok(())
    });
}
