//! What each way of closing a channel costs and brings, before anything is closed.
use anyhow::{Context as _, Result, ensure};
use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay};
use fulmen_proto::v1::close_channel_update::State;
use fulmen_proto::v1::{
    CancelInvoiceRequest, CloseChannelRequest, CloseChannelUpdate, CreateInvoiceRequest,
    PayRequest, PaymentLimits,
};

async fn quote(node: &Node, channel_id: &[u8]) -> Result<CloseChannelUpdate> {
    let request = CloseChannelRequest { dry_run: true, ..channel::close_request(channel_id) };
    let quote = channel::follow_close(node, request).await?;
    ensure!(quote.state() == State::Quoted, "{quote:?}");
    Ok(quote)
}

#[test]
fn a_dry_run_shows_both_ways_and_what_is_in_flight() {
    scenario::run("close-advice", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let opened = channel::between(alice, bob).await?;
        let ours = quote(alice, &opened.channel_id).await?;
        ensure!(ours.agreed_receive_sat == 5_000_000 - ours.fee_sat, "{ours:?}");
        ensure!(ours.forced_receive_sat < ours.agreed_receive_sat, "force costs more: {ours:?}");
        ensure!(ours.forced_lock_blocks >= 144 && ours.pending_htlcs == 0, "{ours:?}");
        ensure!(ours.agreed_obstacle.is_empty(), "{ours:?}");
        let theirs = quote(bob, &opened.channel_id).await?;
        ensure!(theirs.agreed_receive_sat == 5_000_000, "the opener pays: {theirs:?}");

        let payment_hash = sha256::Hash::hash(&[7; 32]).to_byte_array().to_vec();
        let request = CreateInvoiceRequest {
            amount_msat: 20_000_000,
            payment_hash: payment_hash.clone(),
            ..CreateInvoiceRequest::default()
        };
        let held = bob.invoices().create(request).await?.into_inner();
        let invoice = held.invoice.context("an invoice")?;
        let limits = PaymentLimits { max_parts: 1, ..PaymentLimits::default() };
        let request = PayRequest { limits: Some(limits), ..pay::request(&invoice.bolt11) };
        alice.payments().pay(request).await?;
        channel::carries_htlcs(alice, &opened.channel_id, 1).await?;
        let pending = quote(alice, &opened.channel_id).await?;
        ensure!((pending.pending_htlcs, pending.pending_claims) == (1, 1), "{pending:?}");
        ensure!(pending.pending_outbound_msat == 20_000_000, "{pending:?}");
        ensure!(pending.pending_until_height > 100, "{pending:?}");
        let name = fulmen_integration::cli::hex(&opened.channel_id);
        let shown = alice.cli()?.ok(&["channel", "close", &name, "--dry-run"]).await?;
        ensure!(shown.contains("1 HTLC (20,000 sat out"), "{shown}");

        let cancel = CancelInvoiceRequest { payment_hash };
        bob.invoices().cancel(cancel).await?;
        channel::carries_htlcs(alice, &opened.channel_id, 0).await?;
        network.nodes[1].stop().await?;
        poll::eventually("the obstacle is named", async || {
            let quote = quote(&network.nodes[0], &opened.channel_id).await?;
            let named = quote.agreed_obstacle.contains("not connected");
            Ok(if named { Look::Done(()) } else { Look::NotYet(format!("{quote:?}")) })
        })
        .await?;
        network.nodes[1].launch().await?;
        network.wait_usable().await
    });
}
