//! The API as applications use it: access, events that resume, streams, pages, the node's own calls.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{bounded, pay, refused, wallet};
use fulmen_proto::v1::event::What;
use fulmen_proto::v1::invoices_client::InvoicesClient;
use fulmen_proto::v1::node_client::NodeClient;
use fulmen_proto::v1::payments_client::PaymentsClient;
use fulmen_proto::v1::{
    CreateInvoiceRequest, DisconnectPeerRequest, Event, GetFeeratesRequest, GetGraphNodeRequest,
    GetInfoRequest, Invoice, ListInvoicesRequest, ListPaymentsRequest, ListPeersRequest,
    PageRequest, SignMessageRequest, StopRequest, SubscribeEventsRequest, VerifyMessageRequest,
    WatchInvoiceRequest, invoice, payment,
};
use tonic::Code;

#[test]
fn macaroons_open_what_they_are_for_and_nothing_else() {
    scenario::run("access", async |network| {
        network.add_nodes(1).await?;
        let alice = &network.nodes[0];
        let readonly = alice.dial_as("readonly").await?;
        NodeClient::new(readonly.clone()).get_info(GetInfoRequest {}).await?;
        let request = CreateInvoiceRequest { amount_msat: 1_000, ..Default::default() };
        let outcome = InvoicesClient::new(readonly.clone()).create(request.clone()).await;
        refused(outcome, Code::PermissionDenied, "")?;
        let outcome = NodeClient::new(readonly).stop(StopRequest {}).await;
        refused(outcome, Code::PermissionDenied, "")?;

        let invoice = alice.dial_as("invoice").await?;
        InvoicesClient::new(invoice.clone()).create(request).await?;
        let outcome = PaymentsClient::new(invoice).pay(pay::request("lnbcrt1")).await;
        refused(outcome, Code::PermissionDenied, "")?;

        // A forged one, and none that is a macaroon at all.
        let state = alice.state_dir();
        let address = std::fs::read_to_string(state.join("grpc.address"))?;
        let certificate = std::fs::read(state.join("tls.cert"))?;
        let mut forged = std::fs::read(state.join("admin.macaroon"))?;
        *forged.last_mut().context("a macaroon is not empty")? ^= 1;
        for bytes in [forged, b"nonsense".to_vec(), Vec::new()] {
            let stranger = fulmen_proto::dial::dial(address.trim(), &certificate, &bytes).await?;
            let outcome = NodeClient::new(stranger).get_info(GetInfoRequest {}).await;
            refused(outcome, Code::Unauthenticated, "")?;
        }
        Ok(())
    });
}

#[test]
fn health_and_reflection_need_no_macaroon_and_tell_the_services() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client};

    scenario::run("reflection", async |network| {
        network.add_nodes(1).await?;
        let connection = network.nodes[0].dial_as("readonly").await?;
        let mut health = tonic_health::pb::health_client::HealthClient::new(connection.clone());
        let answer = health.check(HealthCheckRequest { service: String::new() }).await?;
        ensure!(answer.into_inner().status() == ServingStatus::Serving);

        let mut reflection = server_reflection_client::ServerReflectionClient::new(connection);
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let ask = OneRequest(Some(ask));
        let mut answers = reflection.server_reflection_info(ask).await?.into_inner();
        let answer = answers.message().await?.context("an answer")?;
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            anyhow::bail!("not a list of services: {answer:?}")
        };
        let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        for service in [
            "Node", "Wallet", "Peers", "Channels", "Invoices", "Payments", "Forwards", "Graph",
            "Events",
        ] {
            let name = format!("fulmen.v1.{service}");
            ensure!(names.contains(&name), "{name} is not among {names:?}");
        }
        Ok(())
    });
}

/// A stream of one request.
struct OneRequest<T>(Option<T>);

impl<T: Unpin> tonic::codegen::tokio_stream::Stream for OneRequest<T> {
    type Item = T;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        std::task::Poll::Ready(self.0.take())
    }
}

#[test]
fn events_are_complete_in_order_and_resumable() {
    scenario::run("events", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        {
            let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
            for amount_msat in [1_000_000, 2_000_000, 3_000_000] {
                pay::transfer(alice, carol, amount_msat).await?;
            }
            pay::keysend(carol, alice, 500_000).await?;
        }
        let alice = &network.nodes[0];
        let all = journal(alice, 0).await?;
        let sequences: Vec<_> = all.iter().map(|event| event.sequence).collect();
        let expected: Vec<_> = (1..=u64::try_from(all.len())?).collect();
        ensure!(sequences == expected, "no gaps, in order: {sequences:?}");
        let count = |test: &dyn Fn(&What) -> bool| {
            all.iter().filter_map(|event| event.what.as_ref()).filter(|what| test(what)).count()
        };
        ensure!(count(&|what| matches!(what, What::WalletReceived(_))) >= 1);
        ensure!(count(&|what| matches!(what, What::ChannelOpening(_))) == 1);
        ensure!(count(&|what| matches!(what, What::ChannelReady(_))) == 1);
        ensure!(count(&|what| matches!(what, What::PaymentStarted(_))) == 3);
        ensure!(count(&|what| matches!(what, What::PaymentFinished(_))) == 3);
        ensure!(count(&|what| matches!(what, What::InvoiceSettled(_))) == 1);
        // The last forward may settle after its payer's stream has ended.
        poll::eventually("bob's journal knows four forwards", async || {
            let forwarded = journal(&network.nodes[1], 0).await?;
            let settled = |event: &&Event| matches!(event.what, Some(What::ForwardSettled(_)));
            let forwards = forwarded.iter().filter(settled).count();
            ensure!(forwards <= 4, "{forwards} forwards of four payments");
            Ok(if forwards == 4 {
                Look::Done(())
            } else {
                Look::NotYet(format!("{forwards} forwards"))
            })
        })
        .await?;

        // From the middle on, the same again; also after a restart.
        let middle = all.len() / 2;
        ensure!(journal(alice, all[middle].sequence).await? == all[middle + 1..]);
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        let again = journal(&network.nodes[0], 0).await?;
        ensure!(again[..all.len()] == all[..], "a restart must not change what happened");
        network.wait_ready().await?;

        // A waiting subscriber gets the entry.
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let live = SubscribeEventsRequest { from_now: true, ..Default::default() };
        let mut live = alice.events().subscribe(live).await?.into_inner();
        let payment = pay::transfer(alice, carol, 4_000_000).await?;
        bounded("the live subscriber hears of the payment", async {
            while let Some(event) = live.message().await? {
                if let Some(What::PaymentFinished(finished)) = event.what {
                    ensure!(finished.payment_hash == payment.payment_hash);
                    return Ok(());
                }
            }
            anyhow::bail!("the stream ended")
        })
        .await
    });
}

async fn journal(node: &Node, after_sequence: u64) -> Result<Vec<Event>> {
    let request = SubscribeEventsRequest { after_sequence, until_now: true, ..Default::default() };
    bounded("the journal ends", async {
        let mut stream = node.events().subscribe(request).await?.into_inner();
        let mut events = Vec::new();
        while let Some(event) = stream.message().await? {
            events.push(event);
        }
        Ok(events)
    })
    .await
}

#[test]
fn an_invoice_is_watched_until_it_is_paid() {
    scenario::run("watch", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let made = pay::invoice(bob, 9_000_000).await?;
        let watch = WatchInvoiceRequest { payment_hash: made.payment_hash.clone() };
        let mut states = bob.invoices().watch(watch).await?.into_inner();
        let first = states.message().await?.context("the state now")?;
        ensure!(first.state() == invoice::State::Open);
        pay::succeeds(alice, pay::request(&made.bolt11)).await?;
        let last = bounded("the watch ends", async {
            let mut last: Option<Invoice> = None;
            while let Some(state) = states.message().await? {
                last = Some(state);
            }
            last.context("no state after the payment")
        })
        .await?;
        ensure!(last.state() == invoice::State::Settled && last.received_msat == 9_000_000);
        Ok(())
    });
}

#[test]
fn lists_are_paged_newest_first() {
    scenario::run("pages", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        for number in 1..=7 {
            pay::transfer(alice, bob, 1_000_000 + number).await?;
        }
        let mut amounts = Vec::new();
        let mut page_token = Vec::new();
        loop {
            let page = Some(PageRequest { page_size: 3, page_token });
            let request = ListPaymentsRequest {
                page,
                state: payment::State::Succeeded.into(),
                ..Default::default()
            };
            let answer = alice.payments().list(request).await?.into_inner();
            ensure!(answer.payments.len() <= 3);
            amounts.extend(answer.payments.iter().map(|it| it.amount_msat));
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        ensure!(
            amounts == (1..=7).rev().map(|it| 1_000_000 + it).collect::<Vec<_>>(),
            "{amounts:?}"
        );
        let request = ListInvoicesRequest {
            state: invoice::State::Settled.into(),
            ..ListInvoicesRequest::default()
        };
        let received = bob.invoices().list(request).await?.into_inner().invoices;
        ensure!(received.len() == 7 && received[0].received_msat == 1_000_007);
        let none =
            ListPaymentsRequest { state: payment::State::Failed.into(), ..Default::default() };
        ensure!(alice.payments().list(none).await?.into_inner().payments.is_empty());
        Ok(())
    });
}

#[test]
fn the_node_tells_of_itself_and_stops_when_asked() {
    scenario::run("node", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let info = alice.info().await?;
        ensure!(info.alias == "alice" && info.network == "regtest" && info.synced_to_chain);
        ensure!((info.peers, info.channels_ready, info.channels_usable) == (1, 1, 1), "{info:?}");
        ensure!(info.listening_addresses == [alice.address()], "{info:?}");
        ensure!(info.graph_channels == 1 && info.node_id == alice.id() && !info.version.is_empty());

        let balances = wallet::balances(alice).await?;
        ensure!(balances.channels_local_msat + balances.channels_remote_msat == 10_000_000_000);
        ensure!(balances.onchain_reserved_sat > 0 && balances.closing.is_empty());
        let feerates = alice.node().get_feerates(GetFeeratesRequest {}).await?.into_inner();
        ensure!(feerates.feerates.iter().any(|one| one.target == "wallet_send"));
        ensure!(feerates.feerates.iter().all(|one| one.feerate_msat_per_vb > 0), "{feerates:?}");

        let message = b"I am alice".to_vec();
        let request = SignMessageRequest { message: message.clone() };
        let signature = alice.node().sign_message(request).await?.into_inner().signature;
        let verify = VerifyMessageRequest { message, signature };
        let verified = bob.node().verify_message(verify).await?.into_inner();
        ensure!(verified.node_id == alice.id() && verified.in_graph);

        poll::eventually("bob knows alice by her announcement", async || {
            let request = GetGraphNodeRequest { node_id: alice.id() };
            let node = bob.graph().get_node(request).await?.into_inner();
            let whole = node.announced
                && node.alias == "alice"
                && node.addresses == [alice.address()]
                && node.channels.len() == 1;
            Ok(if whole { Look::Done(()) } else { Look::NotYet(format!("{node:?}")) })
        })
        .await?;

        let outcome = alice
            .peers()
            .disconnect(DisconnectPeerRequest { node_id: bob.id(), force: false })
            .await;
        refused(outcome, Code::FailedPrecondition, "channel")?;
        alice.peers().disconnect(DisconnectPeerRequest { node_id: bob.id(), force: true }).await?;
        network.wait_usable().await?;
        let peers =
            network.nodes[0].peers().list(ListPeersRequest::default()).await?.into_inner().peers;
        ensure!(peers.len() == 1 && peers[0].connected && peers[0].persistent, "{peers:?}");

        network.nodes[0].node().stop(StopRequest {}).await?;
        let status = network.nodes[0].ended().await?;
        ensure!(status.success(), "{status}");
        Ok(())
    });
}
