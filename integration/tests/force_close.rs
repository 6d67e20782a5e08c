//! Channels closed by force, by each side, idle and with HTLCs under way: all money comes back.
use anyhow::{Result, ensure};
use bitcoincore_rpc::bitcoin::Txid;
use bitcoincore_rpc::bitcoin::hashes::Hash as _;
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::Settings;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, pay};
use fulmen_proto::v1::close_channel_update::State as CloseState;
use fulmen_proto::v1::closed_channel::Kind;
use fulmen_proto::v1::{CancelInvoiceRequest, Invoice, payment};

/// Far above dust at any feerate that the daemons use.
const HTLC_MSAT: u64 = 300_000_000;

#[test]
fn by_the_opener_without_htlcs() {
    scenario::run_with("force-opener", watchful(), async |network| idle(network, 0).await);
}

#[test]
fn by_the_accepter_without_htlcs() {
    scenario::run_with("force-accepter", watchful(), async |network| idle(network, 1).await);
}

fn watchful() -> Settings {
    Settings::default().with("bitcoind", "mempool_interval_secs", 1)
}

async fn idle(network: &mut Network, closer: usize) -> Result<()> {
    network.build(&Plan::balanced(Topology::Pair)).await?;
    let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
    pay::transfer(alice, bob, 100_000_000).await?;
    let channel = channel::between(alice, bob).await?;
    // Both sides know the transaction before any block has it.
    let update = channel::force_close(&network.nodes[closer], &channel.channel_id).await?;
    ensure!(update.state() == CloseState::Closed, "{update:?}");
    ensure!(!update.closing_txid.is_empty(), "{update:?}");
    let nodes = &network.nodes;
    let closing = poll::eventually("both sides know the transaction that waits", async || {
        // On hearing of the close the other side publishes its own commitment: only one confirms.
        let mut seen = Vec::new();
        for node in nodes {
            seen.push(match channel::by_id(node, &channel.channel_id).await {
                Ok(open) => open.closing_txid,
                Err(_) => channel::closed(node, &channel.channel_id).await?.closing_txid,
            });
        }
        let waits = |txid: &[u8]| -> Result<bool> {
            Ok(!txid.is_empty() && network.bitcoind.mempool()?.contains(&Txid::from_slice(txid)?))
        };
        Ok(if seen[0] == seen[1] && waits(&seen[0])? {
            Look::Done(seen.remove(0))
        } else {
            Look::NotYet(format!("{} and {}", hex(&seen[0]), hex(&seen[1])))
        })
    })
    .await?;
    let early = channel::closed(&network.nodes[closer], &channel.channel_id).await?;
    ensure!(early.closing_height == 0, "{early:?}");
    network.mine(1).await?;
    chain::sweep_everything(network).await?;
    let mine = channel::closed(&network.nodes[closer], &channel.channel_id).await?;
    ensure!(mine.kind() == Kind::HolderForceClosed, "{mine:?}");
    ensure!(mine.closing_txid == closing && mine.closing_height > 0, "{mine:?}");
    let theirs = channel::closed(&network.nodes[1 - closer], &channel.channel_id).await?;
    ensure!(
        [Kind::CounterpartyForceClosed, Kind::CommitmentConfirmed].contains(&theirs.kind()),
        "{theirs:?}"
    );
    Ok(())
}

#[test]
fn by_the_payer_while_an_htlc_is_claimed_on_chain() {
    scenario::run("force-payer-claim", async |network| {
        let held = hold_up(network, Payee::Wants).await?;
        network.skip_payment_audit = true;
        close_and_settle(network, &held, 0, payment::State::Succeeded).await
    });
}

#[test]
fn by_the_forwarder_while_an_htlc_is_claimed_on_chain() {
    scenario::run("force-forwarder-claim", async |network| {
        let held = hold_up(network, Payee::Wants).await?;
        network.skip_payment_audit = true;
        close_and_settle(network, &held, 1, payment::State::Succeeded).await
    });
}

#[test]
fn by_the_payer_while_an_htlc_times_out_on_chain() {
    scenario::run("force-payer-timeout", async |network| {
        let held = hold_up(network, Payee::Refuses).await?;
        close_and_settle(network, &held, 0, payment::State::Failed).await
    });
}

#[test]
fn by_the_forwarder_while_an_htlc_times_out_on_chain() {
    scenario::run("force-forwarder-timeout", async |network| {
        let held = hold_up(network, Payee::Refuses).await?;
        close_and_settle(network, &held, 1, payment::State::Failed).await
    });
}

/// What the payee does with the money when it arrives.
#[derive(PartialEq)]
enum Payee {
    Wants,
    Refuses,
}

struct Held {
    invoice: Invoice,
    alice_bob: Vec<u8>,
}

/// Alice pays carol over bob, and carol is deaf: an HTLC stays on alice's channel with bob.
async fn hold_up(network: &mut Network, payee: Payee) -> Result<Held> {
    network.build(&Plan::balanced(Topology::Line(3))).await?;
    let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
    let invoice = pay::invoice(carol, HTLC_MSAT).await?;
    if payee == Payee::Refuses {
        let cancel = CancelInvoiceRequest { payment_hash: invoice.payment_hash.clone() };
        carol.invoices().cancel(cancel).await?;
    }
    carol.process()?.pause()?;
    let alice_bob = channel::between(alice, bob).await?.channel_id;
    let bob_carol = channel::between(bob, carol).await?.channel_id;
    alice.payments().pay(pay::request(&invoice.bolt11)).await?;
    channel::carries_htlcs(alice, &alice_bob, 1).await?;
    channel::carries_htlcs(bob, &bob_carol, 1).await?;
    Ok(Held { invoice, alice_bob })
}

/// Closes alice's channel with bob, lets carol hear again, and sees how the payment ends on chain.
async fn close_and_settle(
    network: &Network,
    held: &Held,
    closer: usize,
    ends: payment::State,
) -> Result<()> {
    let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
    channel::force_close(&network.nodes[closer], &held.alice_bob).await?;
    chain::mempool_holds_some(network).await?;
    carol.process()?.resume()?;
    if ends == payment::State::Succeeded {
        pay::settled(carol, &held.invoice.payment_hash, HTLC_MSAT).await?;
    }
    network.mine(1).await?;
    chain::sweep_everything(network).await?;
    let payment = pay::finished(alice, &held.invoice.payment_hash).await?;
    ensure!(payment.state() == ends, "{payment:?}");
    network.wait_usable().await
}
