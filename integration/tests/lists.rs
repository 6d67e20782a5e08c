//! Lists as operators and applications read them: filters, stretches of time, pages, and a payment followed by another.
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused, wallet};
use fulmen_proto::v1::{
    Channel, CreateInvoiceRequest, CreateOfferRequest, Filter, GetAliasesRequest,
    ListChannelsRequest, ListClosedChannelsRequest, ListForwardsRequest, ListInvoicesRequest,
    ListOffersRequest, ListPaymentsRequest, ListPeersRequest, ListTransactionsRequest,
    ListUnspentRequest, PageRequest, PayRequest, SettleInvoiceRequest, WatchPaymentRequest,
    channel as channel_proto, closed_channel, payment, watch_payment_request,
};
use tonic::Code;

fn unix() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn page(page_size: u32, page_token: Vec<u8>) -> Option<PageRequest> {
    Some(PageRequest { page_size, page_token })
}

async fn payments(node: &Node, filter: Filter) -> Result<Vec<u64>> {
    let request = ListPaymentsRequest { filter: Some(filter), ..Default::default() };
    let answer = node.payments().list(request).await?.into_inner();
    Ok(answer.payments.iter().map(|payment| payment.amount_msat).collect())
}

async fn forwards(node: &Node, filter: Filter) -> Result<Vec<u64>> {
    let request = ListForwardsRequest { filter: Some(filter), ..Default::default() };
    let answer = node.forwards().list(request).await?.into_inner();
    Ok(answer.forwards.iter().map(|forward| forward.outbound_msat).collect())
}

fn of_channel(channel: &Channel) -> Filter {
    Filter { channel: Some(channel::reference(&channel.channel_id)), ..Filter::default() }
}

/// bob stands in the middle of a line: each filter separates what he forwards from what he receives.
#[test]
fn histories_are_listed_by_what_is_asked() {
    scenario::run("filters", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let all = Filter::default;
        let begun = unix()?;
        for amount_msat in [1_000_000, 2_000_000, 3_000_000] {
            pay::transfer(alice, carol, amount_msat).await?;
        }
        let invoice = pay::invoice(bob, 4_000_000).await?;
        let label = "Rent for May".to_owned();
        pay::succeeds(alice, PayRequest { label, ..pay::request(&invoice.bolt11) }).await?;
        pay::transfer(carol, alice, 5_000_000).await?;

        // Payments: by amount, node, channel, words, time.
        let amount =
            |min_amount_msat, max_amount_msat| Filter { min_amount_msat, max_amount_msat, ..all() };
        ensure!(payments(alice, amount(2_000_000, 3_000_000)).await? == [3_000_000, 2_000_000]);
        let to_bob = payments(alice, Filter { node_id: bob.id(), ..all() }).await?;
        ensure!(to_bob.len() == 4, "to and through bob: {to_bob:?}");
        let to_carol = payments(alice, Filter { node_id: carol.id(), ..all() }).await?;
        ensure!(to_carol == [3_000_000, 2_000_000, 1_000_000], "{to_carol:?}");
        let words = Filter { words: "rent".to_owned(), ..all() };
        ensure!(payments(alice, words.clone()).await? == [4_000_000]);
        let own = channel::between(alice, bob).await?;
        ensure!(payments(alice, of_channel(&own)).await?.len() == 4);
        ensure!(payments(alice, Filter { since: begun, ..all() }).await?.len() == 4);
        ensure!(payments(alice, Filter { until: begun, ..all() }).await?.is_empty());
        let later = Filter { since: unix()? + 60, ..all() };
        ensure!(payments(alice, later.clone()).await?.is_empty());

        // Forwards: by the same.
        let (left, right) = (own, channel::between(bob, carol).await?);
        let expected = [5_000_000, 3_000_000, 2_000_000, 1_000_000];
        ensure!(forwards(bob, of_channel(&right)).await? == expected);
        ensure!(forwards(bob, amount(0, 2_000_000)).await? == [2_000_000, 1_000_000]);
        ensure!(forwards(bob, Filter { node_id: alice.id(), ..all() }).await? == expected);
        ensure!(forwards(bob, later.clone()).await?.is_empty());
        let unknown = Filter { channel: Some(channel::reference(&[9; 32])), ..all() };
        let request = ListForwardsRequest { filter: Some(unknown), ..Default::default() };
        refused(bob.forwards().list(request).await, Code::NotFound, "")?;
        let request = ListForwardsRequest { filter: Some(words.clone()), ..Default::default() };
        refused(bob.forwards().list(request).await, Code::InvalidArgument, "no words")?;
        let backwards = Filter { since: 9, until: 3, ..all() };
        let request = ListForwardsRequest { filter: Some(backwards), ..Default::default() };
        refused(bob.forwards().list(request).await, Code::InvalidArgument, "not after since")?;

        // Invoices and offers.
        let request = ListInvoicesRequest {
            filter: Some(Filter { words: "SCENARIO".to_owned(), ..amount(2_500_000, 0) }),
            ..Default::default()
        };
        let found = carol.invoices().list(request).await?.into_inner().invoices;
        ensure!(found.len() == 1 && found[0].received_msat == 3_000_000, "{found:?}");
        for (amount_msat, description) in [(1_000, "tea"), (2_000, "Coffee")] {
            let description = description.to_owned();
            let offer = CreateOfferRequest { amount_msat, description, ..Default::default() };
            carol.offers().create(offer).await?;
        }
        let filter = Some(Filter { words: "coffee".to_owned(), ..all() });
        let request = ListOffersRequest { filter, ..Default::default() };
        let found = carol.offers().list(request).await?.into_inner().offers;
        ensure!(found.len() == 1 && found[0].amount_msat == 2_000, "{found:?}");

        // Tables name nodes and channels as people do, at 80 columns; the whole ids are one option away.
        let node_ids: Vec<_> = network.nodes.iter().map(Node::id).collect();
        poll::eventually("bob knows the aliases", async || {
            let request = GetAliasesRequest { node_ids: node_ids.clone() };
            let known = bob.graph().get_aliases(request).await?.into_inner().aliases;
            let names: Vec<_> = known.iter().map(|named| named.alias.as_str()).collect();
            let all_known = names == ["alice", "bob", "carol"];
            Ok(if all_known { Look::Done(()) } else { Look::NotYet(format!("{names:?}")) })
        })
        .await?;
        let many = GetAliasesRequest { node_ids: vec![bob.id(); 1_001] };
        refused(bob.graph().get_aliases(many).await, Code::InvalidArgument, "node_ids")?;
        let cli = bob.cli()?;
        for (arguments, name) in [
            (&["forward", "list"][..], "alice"),
            (&["forward", "summary"], "carol"),
            (&["channels"], "alice"),
            (&["peers"], "carol"),
            (&["channel", "policy"], "alice"),
            (&["graph", "route", &hex(&carol.id()), "5sat"], "carol"),
        ] {
            let shown = cli.ok(arguments).await?;
            ensure!(
                shown.lines().all(|line| line.chars().count() <= 80),
                "{arguments:?}:\n{shown}"
            );
            ensure!(shown.contains(name), "{arguments:?} does not name {name}:\n{shown}");
        }
        poll::eventually("alice names carol", async || {
            let shown = alice.cli()?.ok(&["payments"]).await?;
            ensure!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
            Ok(if shown.contains("carol") { Look::Done(()) } else { Look::NotYet(shown) })
        })
        .await?;
        let wide = cli.ok(&["channels", "--wide"]).await?;
        ensure!(wide.contains(&hex(&alice.id())), "{wide}");

        // The command line asks the same, and says which option a list does not have.
        let cli = alice.cli()?;
        let shown = cli.ok(&["payments", "--min", "3500sat", "--since", "1h"]).await?;
        ensure!(shown.contains("Rent for") && !shown.contains("3,000"), "{shown}");
        let channel_id = hex(&left.channel_id);
        let cli = bob.cli()?;
        let shown =
            cli.ok(&["forward", "list", "--channel", &channel_id, "--max", "1000sat"]).await?;
        ensure!(shown.contains("1,000") && !shown.contains("2,000"), "{shown}");
        let shown = cli.ok(&["invoices", "--words", "scenario", "--until", "2020-01-01"]).await?;
        ensure!(shown.starts_with("No invoices"), "{shown}");
        let refused = cli.fails(2, &["forward", "list", "--words", "x"]).await?;
        ensure!(refused.contains("--words"), "{refused}");
        Ok(())
    });
}

/// What has no history: channels, peers, coins; and closed channels and transactions, which have one.
#[test]
fn channels_peers_and_coins_come_in_pages() {
    scenario::run("pages", async |network| {
        network.build(&Plan::balanced(Topology::Star(4))).await?;
        let hub = &network.nodes[0];
        let all = channel::all(hub).await?;
        ensure!(all.len() == 3, "{} channels", all.len());
        let (mut seen, mut token) = (Vec::new(), Vec::new());
        loop {
            let request = ListChannelsRequest { page: page(1, token), ..Default::default() };
            let answer = hub.channels().list(request).await?.into_inner();
            ensure!(answer.channels.len() == 1, "{} on a page of one", answer.channels.len());
            seen.extend(answer.channels.into_iter().map(|channel| channel.channel_id));
            token = answer.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        let whole: Vec<_> = all.iter().map(|channel| channel.channel_id.clone()).collect();
        ensure!(seen == whole, "pages and the whole list differ");
        let request = ListChannelsRequest { page: page(1, vec![1]), ..Default::default() };
        refused(hub.channels().list(request).await, Code::InvalidArgument, "page_token")?;
        let timed = Filter { since: 1, ..Filter::default() };
        let request = ListChannelsRequest { filter: Some(timed.clone()), ..Default::default() };
        refused(hub.channels().list(request).await, Code::InvalidArgument, "no time")?;
        let pending = channel_proto::State::PendingOpen.into();
        let request = ListChannelsRequest { state: pending, ..Default::default() };
        ensure!(hub.channels().list(request).await?.into_inner().channels.is_empty());
        let request =
            ListChannelsRequest { filter: Some(of_channel(&all[1])), ..Default::default() };
        let found = hub.channels().list(request).await?.into_inner().channels;
        ensure!(found.len() == 1 && found[0].channel_id == all[1].channel_id, "{found:?}");

        let request = ListPeersRequest { page: page(2, Vec::new()), ..Default::default() };
        let first = hub.peers().list(request).await?.into_inner();
        let rest = page(2, first.next_page_token.clone());
        let request = ListPeersRequest { page: rest, ..Default::default() };
        let second = hub.peers().list(request).await?.into_inner();
        ensure!((first.peers.len(), second.peers.len()) == (2, 1), "{first:?} {second:?}");
        ensure!(second.next_page_token.is_empty());
        let request = ListPeersRequest { connected: Some(false), ..Default::default() };
        ensure!(hub.peers().list(request).await?.into_inner().peers.is_empty());
        let node_id = network.nodes[2].id();
        let filter = Some(Filter { node_id: node_id.clone(), ..Filter::default() });
        let request = ListPeersRequest { filter, ..Default::default() };
        let found = hub.peers().list(request).await?.into_inner().peers;
        ensure!(found.len() == 1 && found[0].node_id == node_id, "{found:?}");
        let shown = hub.cli()?.ok(&["peers", "--connected", "--limit", "1"]).await?;
        ensure!(shown.matches("connected (").count() == 1, "{shown}");

        let coins = wallet::unspent(hub).await?;
        let least = coins.iter().map(|coin| coin.amount_sat).max().context("no coins")?;
        let filter = Some(Filter { min_amount_msat: least * 1_000, ..Filter::default() });
        let request = ListUnspentRequest { filter, ..Default::default() };
        let found = hub.wallet().list_unspent(request).await?.into_inner().utxos;
        ensure!(!found.is_empty() && found.iter().all(|coin| coin.amount_sat == least));
        let request = ListUnspentRequest { min_confirmations: 1_000_000, ..Default::default() };
        ensure!(hub.wallet().list_unspent(request).await?.into_inner().utxos.is_empty());
        let request = ListUnspentRequest { page: page(1, vec![0; 36]), ..Default::default() };
        let found = hub.wallet().list_unspent(request).await?.into_inner().utxos;
        ensure!(found.len() == 1, "{found:?}");

        let request = ListTransactionsRequest { confirmed: Some(false), ..Default::default() };
        let none = hub.wallet().list_transactions(request).await?.into_inner();
        ensure!(none.transactions.is_empty(), "{none:?}");
        let request = ListTransactionsRequest { filter: Some(timed), ..Default::default() };
        let some = hub.wallet().list_transactions(request).await?.into_inner();
        ensure!(!some.transactions.is_empty());

        channel::close(network, 0, &whole[0]).await?;
        let hub = &network.nodes[0];
        let closed = |kind: closed_channel::Kind, words: &str| ListClosedChannelsRequest {
            kind: kind.into(),
            filter: Some(Filter { words: words.to_owned(), ..Filter::default() }),
            ..Default::default()
        };
        let agreed = closed(closed_channel::Kind::Cooperative, "agreed");
        let found = hub.channels().list_closed(agreed).await?.into_inner().channels;
        ensure!(found.len() == 1 && found[0].channel_id == whole[0], "{found:?}");
        let forced = closed(closed_channel::Kind::HolderForceClosed, "");
        ensure!(hub.channels().list_closed(forced).await?.into_inner().channels.is_empty());
        let shown = hub.cli()?.ok(&["channel", "closed", "--words", "nobody"]).await?;
        ensure!(shown.starts_with("No closed channels"), "{shown}");
        Ok(())
    });
}

/// A second client sees the payment that a first one has started, and its end.
#[test]
fn a_payment_is_followed_by_its_hash() {
    scenario::run("followed", async |network| {
        network.build(&Plan::balanced(Topology::Line(2))).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a line of two") };
        let preimage = [7; 32];
        let hash = {
            use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256};
            sha256::Hash::hash(&preimage).to_byte_array().to_vec()
        };
        let by_hash = || WatchPaymentRequest {
            by: Some(watch_payment_request::By::PaymentHash(hash.clone())),
        };
        let early = alice.payments().watch(by_hash()).await;
        refused(early, Code::NotFound, "")?;
        let nothing = alice.payments().watch(WatchPaymentRequest { by: None }).await;
        refused(nothing, Code::InvalidArgument, "payment_hash is needed")?;

        let request = CreateInvoiceRequest {
            amount_msat: 1_000_000,
            payment_hash: hash.clone(),
            ..CreateInvoiceRequest::default()
        };
        let invoice = bob.invoices().create(request).await?.into_inner().invoice;
        let invoice = invoice.context("no invoice in the answer")?;
        drop(alice.payments().pay(pay::request(&invoice.bolt11)).await?);
        let mut second = alice.payments().watch(by_hash()).await?.into_inner();
        let first = second.message().await?.context("its state now")?;
        ensure!(first.state() == payment::State::Pending, "{first:?}");
        let cli = alice.cli()?;
        let watch = ["payment".to_owned(), "watch".to_owned(), hex(&hash)];
        let settle = async {
            poll::eventually("bob holds the payment", async || {
                let request = SettleInvoiceRequest {
                    preimage: preimage.to_vec(),
                    ..SettleInvoiceRequest::default()
                };
                Ok(match bob.invoices().settle(request).await {
                    Ok(_) => Look::Done(()),
                    Err(status) => Look::NotYet(status.message().to_owned()),
                })
            })
            .await
        };
        let (shown, settled) = tokio::join!(cli.ok(&watch), settle);
        settled?;
        ensure!(shown?.contains(&hex(&preimage)));
        let mut last = first;
        while let Some(next) = second.message().await? {
            last = next;
        }
        ensure!(last.state() == payment::State::Succeeded && last.preimage == preimage, "{last:?}");
        // A payment that has ended is reported once.
        let mut ended = alice.payments().watch(by_hash()).await?.into_inner();
        ensure!(ended.message().await?.is_some() && ended.message().await?.is_none());
        Ok(())
    });
}
