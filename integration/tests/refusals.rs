//! Bad input: every malformed, unknown, expired, paid, too large or absurd argument is refused with words that name it.
use anyhow::{Result, ensure};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::{Plan, new_address};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused};
use fulmen_proto::v1::open_channel_request::Amount as Capacity;
use fulmen_proto::v1::set_policy_request::Which;
use fulmen_proto::v1::wallet_send_request::Amount;
use fulmen_proto::v1::{
    CancelInvoiceRequest, CancelPaymentRequest, CloseChannelRequest, ConnectPeerRequest,
    CreateInvoiceRequest, DecodeInvoiceRequest, DisconnectPeerRequest, GetChannelRequest,
    GetGraphChannelRequest, GetGraphNodeRequest, GetInvoiceRequest, GetPaymentRequest,
    KeysendRequest, ListPaymentsRequest, OpenChannelRequest, PageRequest, PayRequest,
    PaymentLimits, SetPolicyRequest, VerifyMessageRequest, WalletSendRequest, WatchInvoiceRequest,
    get_invoice_request, get_payment_request,
};
use tonic::Code;

/// BOLT 11's own example, for mainnet.
const MAINNET_INVOICE: &str = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";

#[test]
fn payments_refuse() {
    scenario::run("refuse-payments", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let mut payments = alice.payments();
        for (bolt11, word) in
            [("", "bolt11"), ("lnbcrt1nonsense", "bolt11"), (MAINNET_INVOICE, "bolt11")]
        {
            refused(payments.pay(pay::request(bolt11)).await, Code::InvalidArgument, word)?;
        }
        let open = pay::invoice(bob, 0).await?;
        refused(
            payments.pay(pay::request(&open.bolt11)).await,
            Code::InvalidArgument,
            "amount_msat",
        )?;
        let absurd = PayRequest { amount_msat: u64::MAX, ..pay::request(&open.bolt11) };
        refused(payments.pay(absurd).await, Code::InvalidArgument, "amount_msat")?;
        let fixed = pay::invoice(bob, 5_000_000).await?;
        let less = PayRequest { amount_msat: 4_999_999, ..pay::request(&fixed.bolt11) };
        refused(payments.pay(less).await, Code::InvalidArgument, "amount_msat")?;
        let limits = PaymentLimits { max_parts: 1_000_000, ..PaymentLimits::default() };
        let limited = PayRequest { limits: Some(limits), ..pay::request(&fixed.bolt11) };
        refused(payments.pay(limited).await, Code::InvalidArgument, "max_parts")?;
        let long_key =
            PayRequest { idempotency_key: "k".repeat(65), ..pay::request(&fixed.bolt11) };
        refused(payments.pay(long_key).await, Code::InvalidArgument, "idempotency_key")?;
        let dear = pay::invoice(bob, 90_000_000_000).await?;
        refused(payments.pay(pay::request(&dear.bolt11)).await, Code::FailedPrecondition, "msat")?;
        let own = pay::invoice(alice, 1_000).await?;
        refused(payments.pay(pay::request(&own.bolt11)).await, Code::InvalidArgument, "payee")?;

        pay::succeeds(alice, pay::request(&fixed.bolt11)).await?;
        refused(payments.pay(pay::request(&fixed.bolt11)).await, Code::AlreadyExists, "bolt11")?;

        let request =
            CreateInvoiceRequest { amount_msat: 1_000, expiry_secs: 1, ..Default::default() };
        let short = bob.invoices().create(request).await?.into_inner().invoice.unwrap_or_default();
        poll::eventually("the invoice expires", async || {
            let request = DecodeInvoiceRequest { bolt11: short.bolt11.clone() };
            let decoded = alice.invoices().decode(request).await?.into_inner();
            Ok(if decoded.expired { Look::Done(()) } else { Look::NotYet("valid".to_owned()) })
        })
        .await?;
        refused(
            payments.pay(pay::request(&short.bolt11)).await,
            Code::FailedPrecondition,
            "bolt11",
        )?;

        for node_id in [vec![], vec![2; 32], vec![9; 33]] {
            let request =
                KeysendRequest { node_id, amount_msat: 1_000, ..KeysendRequest::default() };
            refused(payments.keysend(request).await, Code::InvalidArgument, "node_id")?;
        }
        let nothing = pay::keysend_request(bob, 0);
        refused(payments.keysend(nothing).await, Code::InvalidArgument, "amount_msat")?;
        let cancel = CancelPaymentRequest { payment_id: vec![1; 32] };
        refused(payments.cancel(cancel).await, Code::NotFound, "payment_id")?;
        let cancel = CancelPaymentRequest { payment_id: vec![1; 5] };
        refused(payments.cancel(cancel).await, Code::InvalidArgument, "payment_id")?;
        let by = Some(get_payment_request::By::PaymentHash(vec![7; 32]));
        refused(payments.get(GetPaymentRequest { by }).await, Code::NotFound, "payment_hash")?;
        refused(payments.get(GetPaymentRequest { by: None }).await, Code::InvalidArgument, "")?;
        let page = Some(PageRequest { page_size: 5_000, page_token: Vec::new() });
        let list = ListPaymentsRequest { page, ..Default::default() };
        refused(payments.list(list).await, Code::InvalidArgument, "page_size")?;
        let page = Some(PageRequest { page_size: 5, page_token: b"forged".to_vec() });
        let list = ListPaymentsRequest { page, ..Default::default() };
        refused(payments.list(list).await, Code::InvalidArgument, "page_token")?;
        Ok(())
    });
}

#[test]
fn invoices_refuse() {
    scenario::run("refuse-invoices", async |network| {
        network.add_nodes(1).await?;
        let mut invoices = network.nodes[0].invoices();
        use fulmen_proto::v1::create_invoice_request::Describe;
        for (request, word) in [
            (CreateInvoiceRequest { amount_msat: u64::MAX, ..Default::default() }, "amount_msat"),
            (CreateInvoiceRequest { preimage: vec![1; 31], ..Default::default() }, "preimage"),
            (
                CreateInvoiceRequest {
                    describe: Some(Describe::Description("d".repeat(640))),
                    ..Default::default()
                },
                "description",
            ),
            (
                CreateInvoiceRequest {
                    describe: Some(Describe::DescriptionHash(vec![1; 3])),
                    ..Default::default()
                },
                "description_hash",
            ),
            (
                CreateInvoiceRequest { min_final_cltv_expiry_delta: 5, ..Default::default() },
                "min_final_cltv_expiry_delta",
            ),
        ] {
            refused(invoices.create(request).await, Code::InvalidArgument, word)?;
        }
        let request = CreateInvoiceRequest { preimage: vec![5; 32], ..Default::default() };
        let made = invoices.create(request.clone()).await?.into_inner().invoice.unwrap_or_default();
        refused(invoices.create(request).await, Code::AlreadyExists, "preimage")?;
        let keyed = |amount_msat| CreateInvoiceRequest {
            amount_msat,
            idempotency_key: "a".to_owned(),
            ..Default::default()
        };
        invoices.create(keyed(1_000)).await?;
        refused(invoices.create(keyed(2_000)).await, Code::InvalidArgument, "idempotency_key")?;

        let by = Some(get_invoice_request::By::PaymentHash(vec![3; 32]));
        refused(invoices.get(GetInvoiceRequest { by }).await, Code::NotFound, "payment_hash")?;
        let by = Some(get_invoice_request::By::Bolt11("x".to_owned()));
        refused(invoices.get(GetInvoiceRequest { by }).await, Code::InvalidArgument, "bolt11")?;
        let watch = WatchInvoiceRequest { payment_hash: vec![3; 32] };
        refused(invoices.watch(watch).await, Code::NotFound, "payment_hash")?;
        let decode = DecodeInvoiceRequest { bolt11: "lnbcrt".to_owned() };
        refused(invoices.decode(decode).await, Code::InvalidArgument, "bolt11")?;
        let cancel = CancelInvoiceRequest { payment_hash: made.payment_hash };
        invoices.cancel(cancel.clone()).await?;
        // Asked for twice, it is still cancelled.
        let again = invoices.cancel(cancel).await?.into_inner().invoice.unwrap_or_default();
        ensure!(again.state() == fulmen_proto::v1::invoice::State::Cancelled);
        let cancel = CancelInvoiceRequest { payment_hash: vec![3; 32] };
        refused(invoices.cancel(cancel).await, Code::NotFound, "payment_hash")?;
        Ok(())
    });
}

#[test]
fn channels_peers_and_the_graph_refuse() {
    scenario::run("refuse-channels", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 1_000_000, 1).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        let mut channels = alice.channels();
        let good = channel::open_request(bob, 500_000, 0);
        for (request, code, word) in [
            (
                OpenChannelRequest { node_id: vec![1; 4], ..good.clone() },
                Code::InvalidArgument,
                "node_id",
            ),
            (
                OpenChannelRequest { address: "127.0.0.1:nowhere".to_owned(), ..good.clone() },
                Code::InvalidArgument,
                "address",
            ),
            (
                OpenChannelRequest { amount: Some(Capacity::CapacitySat(1)), ..good.clone() },
                Code::InvalidArgument,
                "capacity_sat",
            ),
            (OpenChannelRequest { amount: None, ..good.clone() }, Code::InvalidArgument, ""),
            (
                OpenChannelRequest { push_msat: 600_000_000, ..good.clone() },
                Code::InvalidArgument,
                "push_msat",
            ),
            (
                OpenChannelRequest {
                    amount: Some(Capacity::CapacitySat(5_000_000)),
                    ..good.clone()
                },
                Code::FailedPrecondition,
                "",
            ),
        ] {
            refused(open_to_the_end(alice, request).await, code, word)?;
        }
        let unknown = Some(channel::reference(&[8; 32]));
        refused(
            channels.get(GetChannelRequest { channel: unknown.clone() }).await,
            Code::NotFound,
            "",
        )?;
        refused(
            channels.get(GetChannelRequest { channel: None }).await,
            Code::InvalidArgument,
            "",
        )?;
        let short = Some(channel::reference(&[8; 3]));
        refused(
            channels.get(GetChannelRequest { channel: short }).await,
            Code::InvalidArgument,
            "channel_id",
        )?;
        for force in [false, true] {
            let close =
                CloseChannelRequest { channel: unknown.clone(), force, ..Default::default() };
            refused(channels.close(close).await, Code::NotFound, "")?;
        }
        let policy = SetPolicyRequest {
            which: unknown.map(Which::Channel),
            base_fee_msat: Some(1),
            ..SetPolicyRequest::default()
        };
        refused(channels.set_policy(policy.clone()).await, Code::NotFound, "")?;
        let too_short = SetPolicyRequest {
            which: Some(Which::All(true)),
            cltv_expiry_delta: Some(2),
            ..SetPolicyRequest::default()
        };
        refused(channels.set_policy(too_short).await, Code::InvalidArgument, "cltv_expiry_delta")?;

        let mut peers = alice.peers();
        let nobody = ConnectPeerRequest { node_id: vec![4; 33], address: "127.0.0.1:1".to_owned() };
        refused(peers.connect(nobody).await, Code::InvalidArgument, "node_id")?;
        let address = "127.0.0.1:1".to_owned();
        let closed = ConnectPeerRequest { node_id: stranger_id(), address };
        refused(peers.connect(closed).await, Code::FailedPrecondition, "")?;
        let other = ConnectPeerRequest { node_id: alice.id(), address: bob.address() };
        ensure!(peers.connect(other).await.is_err(), "connected to oneself at another's address");
        let stranger = DisconnectPeerRequest { node_id: stranger_id(), force: false };
        refused(peers.disconnect(stranger).await, Code::NotFound, "")?;

        let mut graph = alice.graph();
        let node = GetGraphNodeRequest { node_id: stranger_id() };
        refused(graph.get_node(node).await, Code::NotFound, "graph")?;
        let channel = GetGraphChannelRequest { short_channel_id: 1 << 40 };
        refused(graph.get_channel(channel).await, Code::NotFound, "graph")?;
        let verify =
            VerifyMessageRequest { message: b"x".to_vec(), signature: "nonsense".to_owned() };
        refused(alice.node().verify_message(verify).await, Code::InvalidArgument, "signature")?;
        Ok(())
    });
}

/// The generator of secp256k1: a valid key that is nobody's here.
fn stranger_id() -> Vec<u8> {
    const G: [u8; 33] = [
        2, 0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87,
        0x0b, 0x07, 0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16,
        0xf8, 0x17, 0x98,
    ];
    G.to_vec()
}

/// An open may be refused at once or as the stream's end.
async fn open_to_the_end(
    node: &fulmen_integration::daemon::Node,
    request: OpenChannelRequest,
) -> Result<(), tonic::Status> {
    let mut stream = node.channels().open(request).await?.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

#[test]
fn the_wallet_refuses() {
    scenario::run("refuse-wallet", async |network| {
        network.add_nodes(1).await?;
        network.give_node(0, 100_000, 1).await?;
        let alice = &network.nodes[0];
        let address = new_address(alice).await?.to_string();
        let send = |address: &str, amount: Option<Amount>, feerate_msat_per_vb| WalletSendRequest {
            address: address.to_owned(),
            amount,
            feerate_msat_per_vb,
            ..WalletSendRequest::default()
        };
        let some = Some(Amount::AmountSat(10_000));
        let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        for (request, code, word) in [
            (send("", some, 0), Code::InvalidArgument, "address"),
            (send("nonsense", some, 0), Code::InvalidArgument, "address"),
            (send(mainnet, some, 0), Code::InvalidArgument, "address"),
            (send(&address, None, 0), Code::InvalidArgument, "amount"),
            (send(&address, Some(Amount::AmountSat(0)), 0), Code::InvalidArgument, "amount_sat"),
            (send(&address, Some(Amount::AmountSat(10)), 0), Code::InvalidArgument, "amount_sat"),
            (
                send(&address, Some(Amount::AmountSat(u64::MAX)), 0),
                Code::InvalidArgument,
                "amount_sat",
            ),
            (send(&address, Some(Amount::AmountSat(100_000)), 0), Code::FailedPrecondition, ""),
            (send(&address, some, u64::MAX), Code::InvalidArgument, "feerate_msat_per_vb"),
        ] {
            let told = format!("{request:?}");
            refused(alice.wallet().send(request).await, code, word)
                .map_err(|error| error.context(told))?;
        }
        ensure!(network.bitcoind.mempool()?.is_empty(), "a refused send was broadcast");
        Ok(())
    });
}
