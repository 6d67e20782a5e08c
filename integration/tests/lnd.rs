//! lnd's API: what its clients do first, with the fields, codes and texts that they look for.
use anyhow::{Context as _, Result, ensure};
use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::{Lnd, Node};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, wallet};
use fulmen_lnd_proto::lnrpc::channel_point::FundingTxid;
use fulmen_lnd_proto::lnrpc::invoice::InvoiceState;
use fulmen_lnd_proto::lnrpc::payment::PaymentStatus;
use fulmen_lnd_proto::lnrpc::{
    self, channel_event_update, close_status_update, open_status_update, policy_update_request,
};
use fulmen_lnd_proto::{chainrpc, invoicesrpc, routerrpc, verrpc, walletrpc};
use tonic::{Code, Status};

/// Refused with lnd's code and text.
fn refused<T>(outcome: Result<T, Status>, code: Code, words: &str) -> Result<()> {
    let status = outcome.err().with_context(|| format!("not refused: {words}"))?;
    ensure!(status.code() == code, "{status:?}");
    ensure!(status.message().contains(words), "{:?} not {words:?}", status.message());
    Ok(())
}

async fn admin(node: &Node) -> Result<Lnd> {
    Lnd::of(node, "admin").await
}

/// The last state of a payment that a stream tells.
async fn last(mut stream: tonic::Streaming<lnrpc::Payment>) -> Result<lnrpc::Payment> {
    let mut last = None;
    while let Some(payment) = stream.message().await? {
        ensure!(payment.status() != PaymentStatus::Initiated, "old clients do not know it");
        last = Some(payment);
    }
    last.context("no state of the payment was told")
}

fn order(payment_request: &str) -> routerrpc::SendPaymentRequest {
    routerrpc::SendPaymentRequest {
        payment_request: payment_request.to_owned(),
        timeout_seconds: 60,
        // What npm's clients send where the user sets no limit.
        fee_limit_sat: 9_007_199_254_740_991,
        ..Default::default()
    }
}

fn plain(value: i64, memo: &str) -> lnrpc::Invoice {
    lnrpc::Invoice { value, memo: memo.to_owned(), ..Default::default() }
}

#[test]
fn a_node_is_described_and_refuses_as_lnd_does() {
    scenario::run("lnd-info", async |network| {
        network.add_nodes(1).await?;
        let node = &network.nodes[0];
        let lnd = admin(node).await?;
        let info = lnd.lightning().get_info(lnrpc::GetInfoRequest {}).await?.into_inner();
        ensure!(info.version.starts_with("0.20.0-beta commit="), "{}", info.version);
        ensure!(info.identity_pubkey == hex(&node.id()) && info.alias == node.name());
        ensure!(info.chains.len() == 1 && info.chains[0].network == "regtest", "{info:?}");
        ensure!(info.synced_to_chain && info.best_header_timestamp != 0 && info.block_height > 0);
        ensure!(info.block_hash.len() == 64 && info.color.len() == 7, "{info:?}");
        ensure!(info.features[&14].name == "payment-addr" || info.features.contains_key(&15));
        let version = lnd.versioner().get_version(verrpc::VersionRequest {}).await?.into_inner();
        ensure!(version.version == info.version && version.app_minor == 20, "{version:?}");
        ensure!(version.build_tags.iter().any(|tag| tag == "walletrpc"));
        let recovery = lnd.lightning().get_recovery_info(lnrpc::GetRecoveryInfoRequest {}).await?;
        ensure!(!recovery.into_inner().recovery_mode);

        let state = lnd.state().get_state(lnrpc::GetStateRequest {}).await?.into_inner();
        ensure!(state.state() == lnrpc::WalletState::ServerActive);
        let states = lnd.state().subscribe_state(lnrpc::SubscribeStateRequest {}).await?;
        let state = states.into_inner().message().await?.context("a state")?;
        ensure!(state.state() == lnrpc::WalletState::ServerActive);
        let epoch = chainrpc::BlockEpoch::default();
        let mut blocks = lnd.chain_notifier().register_block_epoch_ntfn(epoch).await?.into_inner();
        let block = blocks.message().await?.context("the present block")?;
        let mut displayed = block.hash.clone();
        displayed.reverse();
        ensure!((block.height, hex(&displayed)) == (info.block_height, info.block_hash.clone()));
        network.mine(1).await?;
        let block = blocks.message().await?.context("the next block")?;
        ensure!(block.height == info.block_height + 1);

        // Codes and texts.
        let unknown_method = lnd.lightning().debug_level(lnrpc::DebugLevelRequest::default()).await;
        let words = "unknown method DebugLevel for service lnrpc.Lightning";
        refused(unknown_method, Code::Unimplemented, words)?;
        let hash = lnrpc::PaymentHash { r_hash: vec![7; 32], ..Default::default() };
        let missing = lnd.lightning().lookup_invoice(hash).await;
        refused(missing, Code::NotFound, "unable to locate invoice")?;
        let settle = invoicesrpc::SettleInvoiceMsg { preimage: vec![7; 32] };
        let missing = lnd.invoices().settle_invoice(settle).await;
        refused(missing, Code::Unknown, "unable to locate invoice")?;
        let track =
            routerrpc::TrackPaymentRequest { payment_hash: vec![7; 32], ..Default::default() };
        let missing = lnd.router().track_payment_v2(track).await;
        refused(missing, Code::NotFound, "payment isn't initiated")?;
        let edge = lnrpc::ChanInfoRequest { chan_id: 5, ..Default::default() };
        refused(lnd.lightning().get_chan_info(edge).await, Code::NotFound, "edge not found")?;
        let stranger = lnrpc::NodeInfoRequest { pub_key: hex(&node.id()), ..Default::default() };
        let missing = lnd.lightning().get_node_info(stranger).await;
        refused(missing, Code::NotFound, "unable to find node")?;
        let both = lnrpc::Invoice { value: 1, value_msat: 1, ..Default::default() };
        let words = "sat and msat arguments are mutually exclusive";
        refused(lnd.lightning().add_invoice(both).await, Code::Unknown, words)?;
        let long = plain(1, &"x".repeat(1_025));
        let words = "memo too large: 1025 bytes (maxsize=1024)";
        refused(lnd.lightning().add_invoice(long).await, Code::Unknown, words)?;
        let negative = plain(-5, "");
        let words = "amount cannot be negative";
        refused(lnd.lightning().add_invoice(negative).await, Code::Unknown, words)?;
        let request = lnrpc::OpenChannelRequest {
            node_pubkey: node.id(),
            local_funding_amount: 100_000,
            ..Default::default()
        };
        let to_self = lnd.lightning().open_channel_sync(request).await;
        refused(to_self, Code::Unknown, "cannot open channel to self")?;

        // A macaroon that reads may not send, and says so in lnd's words.
        let reader = Lnd::of(node, "readonly").await?;
        reader.lightning().wallet_balance(lnrpc::WalletBalanceRequest::default()).await?;
        let send = lnrpc::SendCoinsRequest::default();
        let denied = reader.lightning().send_coins(send).await;
        refused(denied, Code::Unknown, "permission denied")?;

        let signed = lnrpc::SignMessageRequest { msg: b"hello".to_vec(), ..Default::default() };
        let signature = lnd.lightning().sign_message(signed).await?.into_inner().signature;
        let verify = lnrpc::VerifyMessageRequest { msg: b"hello".to_vec(), signature };
        let verified = lnd.lightning().verify_message(verify).await?.into_inner();
        ensure!(!verified.valid && verified.pubkey == hex(&node.id()), "not in the graph yet");
        let nonsense =
            lnrpc::VerifyMessageRequest { msg: b"hello".to_vec(), signature: "x".repeat(104) };
        ensure!(!lnd.lightning().verify_message(nonsense).await?.into_inner().valid);

        lnd.lightning().stop_daemon(lnrpc::StopRequest {}).await?;
        let ended = network.nodes[0].ended().await?;
        ensure!(ended.success(), "{ended:?}");
        network.nodes[0].launch().await
    });
}

#[test]
fn a_wallet_is_funded_a_channel_opened_and_closed() {
    scenario::run("lnd-channel", async |network| {
        network.add_nodes(2).await?;
        let (alice, bob) = (admin(&network.nodes[0]).await?, admin(&network.nodes[1]).await?);
        let mut received = alice
            .lightning()
            .subscribe_transactions(lnrpc::GetTransactionsRequest::default())
            .await?
            .into_inner();
        let address = alice.lightning().new_address(lnrpc::NewAddressRequest::default()).await?;
        let address =
            address.into_inner().address.parse::<bitcoincore_rpc::bitcoin::Address<_>>()?;
        network.give(&[(address.assume_checked(), 2_000_000)]).await?;
        wallet::confirmed(&network.nodes[0], 2_000_000).await?;
        let transaction = received.message().await?.context("a transaction")?;
        ensure!(transaction.amount == 2_000_000, "{transaction:?}");
        let balance = lnrpc::WalletBalanceRequest::default();
        let balance = alice.lightning().wallet_balance(balance).await?.into_inner();
        ensure!(balance.confirmed_balance == 2_000_000 && balance.total_balance == 2_000_000);
        ensure!(balance.account_balance["default"].confirmed_balance == 2_000_000);
        let unspent = lnrpc::ListUnspentRequest { min_confs: 1, ..Default::default() };
        let unspent = alice.lightning().list_unspent(unspent).await?.into_inner().utxos;
        ensure!(unspent.len() == 1 && unspent[0].amount_sat == 2_000_000, "{unspent:?}");
        let same = walletrpc::ListUnspentRequest::default();
        let same = alice.wallet_kit().list_unspent(same).await?.into_inner().utxos;
        ensure!(same == unspent);
        let tx = walletrpc::GetTransactionRequest { txid: transaction.tx_hash.clone() };
        ensure!(alice.wallet_kit().get_transaction(tx).await?.into_inner().amount == 2_000_000);
        let accounts = walletrpc::ListAccountsRequest::default();
        ensure!(alice.wallet_kit().list_accounts(accounts).await?.into_inner().accounts.len() == 1);
        let rate = walletrpc::EstimateFeeRequest { conf_target: 6 };
        ensure!(alice.wallet_kit().estimate_fee(rate).await?.into_inner().sat_per_kw >= 250);
        let reserve = walletrpc::RequiredReserveRequest::default();
        alice.wallet_kit().required_reserve(reserve).await?;

        // bob gets some on chain, too.
        let next = walletrpc::AddrRequest { r#type: 4, ..Default::default() };
        let addr = bob.wallet_kit().next_addr(next).await?.into_inner().addr;
        let mut send = lnrpc::SendCoinsRequest {
            addr,
            amount: 300_000,
            sat_per_vbyte: 3,
            label: "rent".to_owned(),
            ..Default::default()
        };
        let txid = alice.lightning().send_coins(send.clone()).await?.into_inner().txid;
        send.amount = 5_000_000;
        let too_much = alice.lightning().send_coins(send).await;
        let words = "insufficient funds available to construct transaction";
        refused(too_much, Code::Unknown, words)?;
        let all = lnrpc::GetTransactionsRequest::default();
        let listed = alice.lightning().get_transactions(all).await?.into_inner().transactions;
        ensure!(listed.len() == 2 && listed[0].tx_hash == txid, "newest first: {listed:?}");
        ensure!(listed[0].label == "rent" && listed[0].amount == -300_000 - listed[0].total_fees);
        chain::mempool_holds_some(network).await?;
        network.mine(1).await?;
        wallet::confirmed(&network.nodes[1], 300_000).await?;

        // Peers.
        let addr = lnrpc::LightningAddress {
            pubkey: hex(&network.nodes[1].id()),
            host: network.nodes[1].address(),
        };
        let connect = lnrpc::ConnectPeerRequest { addr: Some(addr), ..Default::default() };
        alice.lightning().connect_peer(connect.clone()).await?;
        let listed = alice.lightning().list_peers(lnrpc::ListPeersRequest::default()).await?;
        let listed = listed.into_inner().peers;
        ensure!(listed.len() == 1 && listed[0].pub_key == hex(&network.nodes[1].id()));
        let again = alice.lightning().connect_peer(connect.clone()).await;
        refused(again, Code::Unknown, "already connected to peer")?;
        let leave = lnrpc::DisconnectPeerRequest { pub_key: hex(&network.nodes[1].id()) };
        alice.lightning().disconnect_peer(leave.clone()).await?;
        refused(alice.lightning().disconnect_peer(leave).await, Code::Unknown, "is not connected")?;
        alice.lightning().connect_peer(connect).await?;

        // Opened; the stream is dropped after its first update, and the channel comes all the same.
        let subscription = lnrpc::ChannelEventSubscription {};
        let events = alice.lightning().subscribe_channel_events(subscription).await?;
        let mut events = events.into_inner();
        let request = lnrpc::OpenChannelRequest {
            node_pubkey: network.nodes[1].id(),
            local_funding_amount: 1_000_000,
            push_sat: 400_000,
            sat_per_vbyte: 2,
            ..Default::default()
        };
        let mut opening = alice.lightning().open_channel(request).await?.into_inner();
        let update = opening.message().await?.and_then(|update| update.update);
        let Some(open_status_update::Update::ChanPending(pending)) = update else {
            anyhow::bail!("not pending: {update:?}");
        };
        drop(opening);
        let event = events.message().await?.context("an event")?;
        ensure!(event.r#type() == channel_event_update::UpdateType::PendingOpenChannel);
        let pending_list = lnrpc::PendingChannelsRequest::default();
        let listed = alice.lightning().pending_channels(pending_list).await?.into_inner();
        ensure!(listed.pending_open_channels.len() == 1, "{listed:?}");
        chain::mempool_holds_some(network).await?;
        network.mine(6).await?;
        network.wait_usable().await?;
        let event = events.message().await?.context("an event")?;
        let Some(channel_event_update::Channel::OpenChannel(opened)) = event.channel else {
            anyhow::bail!("not open: {event:?}");
        };
        let listed = alice.lightning().list_channels(lnrpc::ListChannelsRequest::default()).await?;
        let listed = listed.into_inner().channels;
        ensure!(listed.len() == 1 && listed[0].channel_point == opened.channel_point);
        let open = &listed[0];
        let mut txid = pending.txid.clone();
        txid.reverse();
        ensure!(open.channel_point == format!("{}:{}", hex(&txid), pending.output_index));
        ensure!(open.active && open.initiator && !open.private && open.capacity == 1_000_000);
        ensure!(open.remote_balance == 400_000, "{open:?}");
        ensure!(open.local_balance + open.commit_fee == 600_000, "less the fee: {open:?}");
        ensure!(open.local_constraints.is_some() && open.remote_constraints.is_some());
        let balance = alice.lightning().channel_balance(lnrpc::ChannelBalanceRequest {}).await?;
        let balance = balance.into_inner();
        let sat = |amount: &Option<lnrpc::Amount>| amount.as_ref().map(|amount| amount.sat);
        ensure!(sat(&balance.remote_balance) == Some(400_000), "{balance:?}");
        ensure!(sat(&balance.unsettled_local_balance) == Some(0), "all are set: {balance:?}");

        // Closed in agreement.
        let funding_txid = Some(FundingTxid::FundingTxidStr(hex(&txid)));
        let point = lnrpc::ChannelPoint { funding_txid, output_index: pending.output_index };
        let unknown = lnrpc::ChannelPoint {
            funding_txid: Some(FundingTxid::FundingTxidBytes(vec![1; 32])),
            output_index: 0,
        };
        let request = lnrpc::CloseChannelRequest {
            channel_point: Some(unknown),
            sat_per_vbyte: 2,
            no_wait: true,
            ..Default::default()
        };
        let missing = alice.lightning().close_channel(request.clone()).await;
        refused(missing, Code::Unknown, "channel not found")?;
        let request = lnrpc::CloseChannelRequest { channel_point: Some(point), ..request };
        let mut closing = alice.lightning().close_channel(request).await?.into_inner();
        let update = closing.message().await?.and_then(|update| update.update);
        ensure!(matches!(update, Some(close_status_update::Update::CloseInstant(_))), "{update:?}");
        let update = closing.message().await?.and_then(|update| update.update);
        let Some(close_status_update::Update::ClosePending(pending)) = update else {
            anyhow::bail!("not closing: {update:?}");
        };
        chain::mempool_holds_some(network).await?;
        network.mine(1).await?;
        let update = closing.message().await?.and_then(|update| update.update);
        let Some(close_status_update::Update::ChanClose(closed)) = update else {
            anyhow::bail!("not closed: {update:?}");
        };
        ensure!(closed.success && closed.closing_txid == pending.txid, "{closed:?}");
        let request = lnrpc::ClosedChannelsRequest { cooperative: true, ..Default::default() };
        let listed = alice.lightning().closed_channels(request).await?.into_inner().channels;
        ensure!(listed.len() == 1 && listed[0].channel_point == opened.channel_point);
        let forced = lnrpc::ClosedChannelsRequest { local_force: true, ..Default::default() };
        ensure!(alice.lightning().closed_channels(forced).await?.into_inner().channels.is_empty());
        Ok(())
    });
}

#[test]
fn invoices_are_paid_and_followed() {
    scenario::run("lnd-pay", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let (alice, carol) = (admin(&network.nodes[0]).await?, admin(&network.nodes[2]).await?);
        let all = lnrpc::InvoiceSubscription::default();
        let mut invoices = carol.lightning().subscribe_invoices(all).await?.into_inner();
        let tracked = routerrpc::TrackPaymentsRequest { no_inflight_updates: true };
        let mut payments = alice.router().track_payments(tracked).await?.into_inner();

        let added = carol.lightning().add_invoice(plain(50_000, "tea")).await?.into_inner();
        ensure!(added.r_hash.len() == 32 && added.payment_addr.len() == 32 && added.add_index == 1);
        let update = invoices.message().await?.context("the invoice was added")?;
        ensure!((update.add_index, update.state()) == (1, InvoiceState::Open), "{update:?}");
        let text = lnrpc::PayReqString { pay_req: added.payment_request.clone() };
        let decoded = alice.lightning().decode_pay_req(text).await?.into_inner();
        ensure!(decoded.payment_hash == hex(&added.r_hash) && decoded.num_satoshis == 50_000);
        ensure!(decoded.destination == hex(&network.nodes[2].id()), "{decoded:?}");
        ensure!(decoded.description == "tea" && decoded.payment_addr == added.payment_addr);

        let query = lnrpc::QueryRoutesRequest {
            pub_key: decoded.destination.clone(),
            amt: 50_000,
            ..Default::default()
        };
        let routes = alice.lightning().query_routes(query).await?.into_inner().routes;
        ensure!(routes.len() == 1 && routes[0].hops.len() == 2, "{routes:?}");
        let query = lnrpc::QueryRoutesRequest {
            pub_key: decoded.destination.clone(),
            amt: 50_000_000,
            ..Default::default()
        };
        let too_much = alice.lightning().query_routes(query).await;
        refused(too_much, Code::Unknown, "insufficient local balance")?;
        let fee = routerrpc::RouteFeeRequest {
            payment_request: added.payment_request.clone(),
            ..Default::default()
        };
        let fee = alice.router().estimate_route_fee(fee).await?.into_inner();
        ensure!(fee.routing_fee_msat == routes[0].total_fees_msat, "{fee:?} {routes:?}");

        let sent = alice.router().send_payment_v2(order(&added.payment_request)).await?;
        let paid = last(sent.into_inner()).await?;
        ensure!(paid.status() == PaymentStatus::Succeeded, "{paid:?}");
        ensure!(paid.value_sat == 50_000 && paid.fee_msat == routes[0].total_fees_msat);
        let arrived = paid.htlcs.last().and_then(|htlc| htlc.route.as_ref());
        ensure!(arrived.is_some_and(|route| route.hops.len() == 2), "{paid:?}");
        let preimage = fulmen_integration::cli::unhex(&paid.payment_preimage)?;
        ensure!(sha256::Hash::hash(&preimage).to_byte_array().to_vec() == added.r_hash);
        let update = invoices.message().await?.context("the invoice was settled")?;
        ensure!(update.state() == InvoiceState::Settled && update.settle_index > 0, "{update:?}");
        ensure!(update.amt_paid_sat == 50_000 && update.r_preimage == preimage, "{update:?}");
        let settle_index = update.settle_index;
        let ended = payments.message().await?.context("the payment ended")?;
        ensure!(ended.payment_hash == paid.payment_hash);
        let track = routerrpc::TrackPaymentRequest {
            payment_hash: added.r_hash.clone(),
            no_inflight_updates: true,
        };
        let tracked = last(alice.router().track_payment_v2(track).await?.into_inner()).await?;
        ensure!(tracked.payment_preimage == paid.payment_preimage);
        let again = alice.router().send_payment_v2(order(&added.payment_request)).await;
        refused(again, Code::AlreadyExists, "invoice is already paid")?;

        // The old way of sending; its errors come in the answer.
        let second = carol.lightning().add_invoice(plain(1_000, "cake")).await?.into_inner();
        let request =
            lnrpc::SendRequest { payment_request: second.payment_request, ..Default::default() };
        let answer = alice.lightning().send_payment_sync(request.clone()).await?.into_inner();
        ensure!(answer.payment_error.is_empty(), "{answer:?}");
        ensure!(answer.payment_hash == second.r_hash && answer.payment_preimage.len() == 32);
        ensure!(answer.payment_route.is_some_and(|route| route.hops.len() == 2));
        let answer = alice.lightning().send_payment_sync(request).await?.into_inner();
        ensure!(answer.payment_error == "invoice is already paid", "{answer:?}");

        // More than there is fails as a payment does, not as a call.
        let large = carol.lightning().add_invoice(plain(90_000_000, "house")).await?.into_inner();
        let sent = alice.router().send_payment_v2(order(&large.payment_request)).await?;
        let failed = last(sent.into_inner()).await?;
        let short = lnrpc::PaymentFailureReason::FailureReasonInsufficientBalance;
        ensure!(failed.status() == PaymentStatus::Failed && failed.failure_reason() == short);
        ensure!(failed.payment_preimage.len() == 64, "clients decode it: {failed:?}");

        // Lists, ascending in both directions.
        let list = lnrpc::ListInvoiceRequest::default();
        let listed = carol.lightning().list_invoices(list).await?.into_inner();
        let indices: Vec<u64> = listed.invoices.iter().map(|it| it.add_index).collect();
        ensure!(indices == [1, 2, 3] && listed.last_index_offset == 3, "{indices:?}");
        let newest =
            lnrpc::ListInvoiceRequest { reversed: true, num_max_invoices: 2, ..Default::default() };
        let listed = carol.lightning().list_invoices(newest).await?.into_inner();
        ensure!((listed.first_index_offset, listed.last_index_offset) == (2, 3), "{listed:?}");
        let list = lnrpc::ListPaymentsRequest { include_incomplete: true, ..Default::default() };
        let listed = alice.lightning().list_payments(list).await?.into_inner();
        ensure!(listed.payments.len() == 2 && listed.payments[0].payment_index == 1);
        let next = lnrpc::ListPaymentsRequest { index_offset: 1, ..Default::default() };
        let listed = alice.lightning().list_payments(next).await?.into_inner();
        ensure!(listed.payments.len() == 1 && listed.first_index_offset == 2, "{listed:?}");
        let by_text = lnrpc::PaymentHash { r_hash: second.r_hash, ..Default::default() };
        let found = carol.lightning().lookup_invoice(by_text).await?.into_inner();
        ensure!(found.state() == InvoiceState::Settled && found.htlcs.len() == 1, "{found:?}");

        // What was missed comes first: the settlement after the given one, and invoices after the given one.
        let missed = lnrpc::InvoiceSubscription { add_index: 2, settle_index };
        let mut missed = carol.lightning().subscribe_invoices(missed).await?.into_inner();
        let first = missed.message().await?.context("the third invoice")?;
        ensure!((first.add_index, first.settle_index) == (3, 0), "{first:?}");
        let next = missed.message().await?.context("the second settlement")?;
        ensure!(next.add_index == 2 && next.settle_index > settle_index, "{next:?}");
        Ok(())
    });
}

#[test]
fn hold_invoices_are_settled_and_cancelled() {
    scenario::run("lnd-hold", async |network| {
        network.build(&Plan::balanced(Topology::Line(2))).await?;
        let (alice, bob) = (admin(&network.nodes[0]).await?, admin(&network.nodes[1]).await?);
        for (secret, settles) in [(1, true), (2, false)] {
            let preimage = [secret; 32];
            let hash = sha256::Hash::hash(&preimage).to_byte_array().to_vec();
            let request = invoicesrpc::AddHoldInvoiceRequest {
                hash: hash.clone(),
                value: 20_000,
                ..Default::default()
            };
            let added = bob.invoices().add_hold_invoice(request).await?.into_inner();
            let single = invoicesrpc::SubscribeSingleInvoiceRequest { r_hash: hash.clone() };
            let mut states = bob.invoices().subscribe_single_invoice(single).await?.into_inner();
            let state = states.message().await?.context("the state now")?;
            ensure!(state.state() == InvoiceState::Open, "{state:?}");
            let early = invoicesrpc::SettleInvoiceMsg { preimage: preimage.to_vec() };
            let early = bob.invoices().settle_invoice(early).await;
            refused(early, Code::Unknown, "invoice still open")?;
            let sent = alice.router().send_payment_v2(order(&added.payment_request)).await?;
            let state = states.message().await?.context("the next state")?;
            ensure!(state.state() == InvoiceState::Accepted && state.htlcs.len() == 1);
            let balance = bob.lightning().channel_balance(lnrpc::ChannelBalanceRequest {}).await?;
            let incoming = balance.into_inner().unsettled_local_balance.context("set")?;
            ensure!(incoming.sat == 20_000, "incoming counts as ours to be: {incoming:?}");
            match settles {
                true => {
                    let settle = invoicesrpc::SettleInvoiceMsg { preimage: preimage.to_vec() };
                    bob.invoices().settle_invoice(settle).await?;
                }
                false => {
                    let cancel = invoicesrpc::CancelInvoiceMsg { payment_hash: hash.clone() };
                    bob.invoices().cancel_invoice(cancel).await?;
                }
            }
            let ended = last(sent.into_inner()).await?;
            let invoice_ref = Some(invoicesrpc::lookup_invoice_msg::InvoiceRef::PaymentHash(hash));
            let expected = match settles {
                true => InvoiceState::Settled,
                false => InvoiceState::Canceled,
            };
            poll::eventually("the invoice has ended", async || {
                let lookup = invoicesrpc::LookupInvoiceMsg {
                    invoice_ref: invoice_ref.clone(),
                    ..Default::default()
                };
                let found = bob.invoices().lookup_invoice_v2(lookup).await?.into_inner();
                Ok(match found.state() == expected {
                    true => Look::Done(()),
                    false => Look::NotYet(format!("{:?}", found.state())),
                })
            })
            .await?;
            let rejected = lnrpc::PaymentFailureReason::FailureReasonIncorrectPaymentDetails;
            match settles {
                true => ensure!(ended.payment_preimage == hex(&preimage), "{ended:?}"),
                false => ensure!(ended.failure_reason() == rejected, "{ended:?}"),
            }
        }
        Ok(())
    });
}

#[test]
fn fees_forwards_and_the_graph_are_shown() {
    scenario::run("lnd-routing", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let alice = admin(&network.nodes[0]).await?;
        let (bob, carol) = (admin(&network.nodes[1]).await?, admin(&network.nodes[2]).await?);
        let update = lnrpc::PolicyUpdateRequest {
            scope: Some(policy_update_request::Scope::Global(true)),
            base_fee_msat: 2_000,
            fee_rate: 0.000_5,
            time_lock_delta: 60,
            ..Default::default()
        };
        let updated = bob.lightning().update_channel_policy(update.clone()).await?.into_inner();
        ensure!(updated.failed_updates.is_empty(), "{updated:?}");
        let report = bob.lightning().fee_report(lnrpc::FeeReportRequest {}).await?.into_inner();
        ensure!(report.channel_fees.len() == 2, "{report:?}");
        ensure!(report.channel_fees.iter().all(|fee| fee.base_fee_msat == 2_000));
        ensure!(report.channel_fees.iter().all(|fee| fee.fee_per_mil == 500));
        let nowhere = lnrpc::ChannelPoint {
            funding_txid: Some(FundingTxid::FundingTxidBytes(vec![1; 32])),
            output_index: 0,
        };
        let scope = Some(policy_update_request::Scope::ChanPoint(nowhere));
        let update = lnrpc::PolicyUpdateRequest { scope, ..update };
        let failed = bob.lightning().update_channel_policy(update).await?.into_inner();
        ensure!(failed.failed_updates.len() == 1, "{failed:?}");
        ensure!(failed.failed_updates[0].reason() == lnrpc::UpdateFailure::NotFound);

        let towards = channel::between(&network.nodes[1], &network.nodes[2]).await?;
        let chan_id = towards.short_channel_id;
        poll::eventually("alice knows bob's price", async || {
            let edge = lnrpc::ChanInfoRequest { chan_id, ..Default::default() };
            let edge = alice.lightning().get_chan_info(edge).await?.into_inner();
            let policies = [edge.node1_policy, edge.node2_policy];
            let known = policies.iter().flatten().any(|policy| policy.fee_base_msat == 2_000);
            Ok(if known { Look::Done(()) } else { Look::NotYet(format!("{policies:?}")) })
        })
        .await?;
        let added = carol.lightning().add_invoice(plain(100_000, "")).await?.into_inner();
        let sent = alice.router().send_payment_v2(order(&added.payment_request)).await?;
        let paid = last(sent.into_inner()).await?;
        ensure!(paid.fee_msat == 2_000 + 50_000, "{paid:?}");
        let forward = poll::eventually("bob forwarded it", async || {
            let request =
                lnrpc::ForwardingHistoryRequest { peer_alias_lookup: true, ..Default::default() };
            let history = bob.lightning().forwarding_history(request).await?.into_inner();
            Ok(match history.forwarding_events.as_slice() {
                // Gossip may bring the alias later.
                [forward] if forward.peer_alias_out == network.nodes[2].name() => {
                    Look::Done(forward.clone())
                }
                other => Look::NotYet(format!("{other:?}")),
            })
        })
        .await?;
        ensure!(forward.chan_id_out == chan_id && forward.fee_msat == 52_000, "{forward:?}");
        ensure!(forward.amt_out_msat == 100_000_000 && forward.amt_in_msat == 100_052_000);
        let report = bob.lightning().fee_report(lnrpc::FeeReportRequest {}).await?.into_inner();
        ensure!(report.day_fee_sum == 52 && report.month_fee_sum == 52, "{report:?}");

        let graph = alice.lightning().describe_graph(lnrpc::ChannelGraphRequest::default()).await?;
        let graph = graph.into_inner();
        ensure!(graph.nodes.len() == 3 && graph.edges.len() == 2, "{graph:?}");
        ensure!(graph.edges.iter().all(|edge| edge.node1_pub < edge.node2_pub));
        let carol_id = hex(&network.nodes[2].id());
        let request = lnrpc::NodeInfoRequest {
            pub_key: carol_id.clone(),
            include_channels: true,
            ..Default::default()
        };
        poll::eventually("alice knows carol", async || {
            let info = alice.lightning().get_node_info(request.clone()).await?.into_inner();
            ensure!(info.num_channels == 1 && info.channels.len() == 1, "{info:?}");
            let known = info.node.is_some_and(|node| node.alias == network.nodes[2].name());
            Ok(if known { Look::Done(()) } else { Look::NotYet("no alias".to_owned()) })
        })
        .await?;
        let size = alice.lightning().get_network_info(lnrpc::NetworkInfoRequest {}).await?;
        let size = size.into_inner();
        ensure!((size.num_nodes, size.num_channels) == (3, 2), "{size:?}");
        let control = routerrpc::QueryMissionControlRequest {};
        ensure!(alice.router().query_mission_control(control).await?.into_inner().pairs.is_empty());
        let signed = lnrpc::SignMessageRequest { msg: b"mine".to_vec(), ..Default::default() };
        let signature = carol.lightning().sign_message(signed).await?.into_inner().signature;
        let verify = lnrpc::VerifyMessageRequest { msg: b"mine".to_vec(), signature };
        let verified = alice.lightning().verify_message(verify).await?.into_inner();
        ensure!(verified.valid && verified.pubkey == carol_id, "{verified:?}");
        Ok(())
    });
}
