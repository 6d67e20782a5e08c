//! Daemons and bitcoind that stop, die and come back at bad moments: nothing is lost, nothing hangs.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bitcoincore_rpc::bitcoin::hashes::Hash as _;
use fulmen_integration::chaos::faults::{Fault, Faults};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::funding::{Plan, follow_open};
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, pay, wallet};
use fulmen_proto::v1::open_channel_update::State as OpenState;
use fulmen_proto::v1::{
    ListPeersRequest, PayRequest, PaymentLimits, SummarizeGraphRequest, payment,
};

/// What is known to LDK of a payment's way when a node dies falls within these first moments.
const LONGEST_PAYMENT_MS: usize = 60;

#[test]
fn peers_find_each_other_again() {
    scenario::run("reconnect", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        // Each side in turn: the one that stays up must connect again, or be connected to.
        for node in [0, 1] {
            network.nodes[node].restart().await?;
            network.wait_usable().await?;
            network.nodes[node].kill()?;
            network.nodes[node].launch().await?;
            network.wait_usable().await?;
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            pay::transfer(alice, bob, 1_000_000).await?;
            pay::transfer(bob, alice, 1_000_000).await?;
        }
        let peers =
            network.nodes[0].peers().list(ListPeersRequest::default()).await?.into_inner().peers;
        ensure!(peers.len() == 1 && peers[0].connected && peers[0].channels == 1, "{peers:?}");
        Ok(())
    });
}

#[test]
fn the_payer_dies_in_the_middle_of_payments() {
    scenario::run("kill-payer", async |network| killed_while_paying(network, 0).await);
}

#[test]
fn the_forwarder_dies_in_the_middle_of_payments() {
    scenario::run("kill-forwarder", async |network| killed_while_paying(network, 1).await);
}

#[test]
fn the_payee_dies_in_the_middle_of_payments() {
    scenario::run("kill-payee", async |network| killed_while_paying(network, 2).await);
}

/// Kills a node at moments spread over a payment's life; every payment must reach an end that
/// payer and payee agree on.
async fn killed_while_paying(network: &mut Network, victim: usize) -> Result<()> {
    const ROUNDS: usize = 5;
    network.build(&Plan::balanced(Topology::Line(3))).await?;
    for round in 0..ROUNDS {
        let amount_msat = 10_000_000 + u64::try_from(round)?;
        let invoice = pay::invoice(&network.nodes[2], amount_msat).await?;
        // In one part: a payee holds some of several for minutes when another one came back (BOLT 4).
        let limits = PaymentLimits { max_parts: 1, ..PaymentLimits::default() };
        let request = PayRequest { limits: Some(limits), ..pay::request(&invoice.bolt11) };
        let payment = network.nodes[0].payments().pay(request).await;
        let spread = LONGEST_PAYMENT_MS * round / ROUNDS + network.chance.below(10);
        poll::pass(Duration::from_millis(u64::try_from(spread)?)).await;
        network.nodes[victim].kill()?;
        drop(payment.context("the payment is accepted")?);
        network.nodes[victim].launch().await?;
        network.wait_synced().await?;
        network.wait_usable().await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let ended = pay::finished(alice, &invoice.payment_hash).await?;
        if ended.state() == payment::State::Succeeded {
            pay::settled(carol, &invoice.payment_hash, amount_msat).await?;
        }
    }
    // And the network still works, with all its channels.
    network.wait_ready().await?;
    let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
    ensure!(channel::all(alice).await?.len() == 1 && channel::all(bob).await?.len() == 2);
    pay::transfer(alice, carol, 5_000_000).await?;
    pay::transfer(carol, alice, 5_000_000).await?;
    Ok(())
}

#[test]
fn a_node_dies_while_an_htlc_is_held_up_by_the_payee() {
    scenario::run("kill-held", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        for victim in [0, 1] {
            let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
            let invoice = pay::invoice(carol, 20_000_000).await?;
            let alice_bob = channel::between(alice, bob).await?.channel_id;
            carol.process()?.pause()?;
            alice.payments().pay(pay::request(&invoice.bolt11)).await?;
            channel::carries_htlcs(alice, &alice_bob, 1).await?;
            network.nodes[victim].kill()?;
            network.nodes[2].process()?.resume()?;
            network.nodes[victim].launch().await?;
            network.wait_usable().await?;
            let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
            let ended = pay::finished(alice, &invoice.payment_hash).await?;
            // A forward that had not reached carol yet may come back; both ends must agree.
            if ended.state() == payment::State::Succeeded {
                pay::settled(carol, &invoice.payment_hash, 20_000_000).await?;
            }
        }
        Ok(())
    });
}

#[test]
fn the_opener_dies_at_each_stage_of_an_open() {
    scenario::run("kill-opener", async |network| killed_while_opening(network, 0).await);
}

#[test]
fn the_accepter_dies_at_each_stage_of_an_open() {
    scenario::run("kill-accepter", async |network| killed_while_opening(network, 1).await);
}

/// Kills one side after each state of an open; the channel is there for both in the end or for
/// neither, and the money is either in it or in the wallet.
async fn killed_while_opening(network: &mut Network, victim: usize) -> Result<()> {
    const CAPACITY_SAT: u64 = 1_000_000;
    network.add_nodes(2).await?;
    network.give_node(0, 1_200_000, 4).await?;
    network.give_node(1, 500_000, 2).await?;
    for stage in [None, Some(OpenState::Negotiating), Some(OpenState::FundingBroadcast)] {
        let request = channel::open_request(&network.nodes[1], CAPACITY_SAT, 0);
        let opening = network.nodes[0].channels().open(request).await;
        if let Some(stage) = stage {
            let mut stream = opening?.into_inner();
            follow_open(&mut stream, stage).await?;
        } else {
            drop(opening);
        }
        network.nodes[victim].kill()?;
        network.nodes[victim].launch().await?;
        network.wait_synced().await?;
        poll::eventually("the peers meet again or have nothing in common", async || {
            let mut waiting = Vec::new();
            for node in &network.nodes {
                for channel in channel::all(node).await? {
                    if !channel.peer_connected {
                        waiting.push(channel.state().as_str_name());
                    }
                }
            }
            Ok(if waiting.is_empty() {
                Look::Done(())
            } else {
                Look::NotYet(format!("{waiting:?}"))
            })
        })
        .await?;
        network.mine(6).await?;
        settle_opens(network).await?;
    }
    let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
    ensure!(!channel::all(alice).await?.is_empty(), "an open that was broadcast must survive");
    pay::transfer(alice, bob, 10_000_000).await?;
    Ok(())
}

/// Waits until every channel is ready on both sides and both list the same.
async fn settle_opens(network: &Network) -> Result<()> {
    let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
    poll::eventually("both list the same channels, all usable", async || {
        // An open that went on after the reconnection has its funding still to be mined.
        if !network.bitcoind.mempool()?.is_empty() {
            network.mine(6).await?;
        }
        let mine = channel::all(alice).await?;
        let theirs = channel::all(bob).await?;
        let ids = |channels: &[fulmen_proto::v1::Channel]| {
            let mut ids: Vec<_> = channels.iter().map(|it| it.channel_id.clone()).collect();
            ids.sort();
            ids
        };
        let whole =
            ids(&mine) == ids(&theirs) && mine.iter().chain(&theirs).all(|channel| channel.usable);
        let states = |channels: &[fulmen_proto::v1::Channel]| -> Vec<String> {
            channels.iter().map(|channel| channel.state().as_str_name().to_owned()).collect()
        };
        Ok(if whole {
            Look::Done(())
        } else {
            Look::NotYet(format!("{:?} and {:?}", states(&mine), states(&theirs)))
        })
    })
    .await
}

#[test]
fn bitcoind_goes_away_and_comes_back() {
    scenario::run("bitcoind-restart", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        for kill in [false, true] {
            if kill {
                network.bitcoind.kill()?;
            } else {
                network.bitcoind.stop().await?;
            }
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            ensure!(alice.info().await?.block_height > 0, "alive without bitcoind");
            // The tip is fresh: payments go on.
            pay::transfer(alice, bob, 1_000_000).await?;
            network.bitcoind.launch().await?;
            // A killed bitcoind has lost the blocks that it had not written yet.
            network.mine(if kill { 20 } else { 3 }).await?;
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            pay::transfer(bob, alice, 1_000_000).await?;
            let address = fulmen_integration::network::funding::new_address(bob).await?;
            let sent = wallet::send(alice, &address.to_string(), 10_000).await?;
            arrives(network, &sent.txid).await?;
            network.mine(1).await?;
        }
        Ok(())
    });
}

#[test]
fn a_close_that_bitcoind_has_not_seen_survives_a_kill() {
    scenario::run("close-kill", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        network.bitcoind.stop().await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let channel_id = channel::between(bob, alice).await?.channel_id;
        drop(bob.channels().close(channel::close_request(&channel_id)).await?);
        let closing_txid = closing_txid(bob, &channel_id).await?;
        // LDK has sent it, once; its next checkpoints know nothing of it.
        for _ in 0..5 {
            pay::transfer(bob, carol, 1_000_000).await?;
        }
        // Alice has it too, but never comes back.
        network.nodes[0].kill()?;
        network.nodes[1].kill()?;
        network.bitcoind.launch().await?;
        ensure!(network.bitcoind.mempool()?.is_empty(), "bitcoind knows it from elsewhere");
        network.nodes[1].launch().await?;
        arrives(network, &closing_txid).await?;
        network.wait_synced().await?;
        network.mine(1).await?;
        let [_, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let closed = channel::closed(bob, &channel_id).await?;
        ensure!(closed.closing_txid == closing_txid && closed.closing_height > 0, "{closed:?}");

        // Sent once more after the next kill, if at all, it does no harm.
        channel::usable(bob, &channel::between(bob, carol).await?.channel_id).await?;
        network.nodes[1].kill()?;
        network.nodes[1].launch().await?;
        network.nodes[0].launch().await?;
        network.wait_synced().await?;
        let [_, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        channel::usable(bob, &channel::between(bob, carol).await?.channel_id).await?;
        pay::transfer(bob, carol, 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn a_close_that_was_answered_survives_a_kill() {
    scenario::run("close-answered", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let faults = Faults::restart(network, 0).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let channel_id = channel::between(alice, bob).await?.channel_id;
        // So that the answer comes well before the close is on the disk, if it comes before.
        faults.begin(Fault::Slow)?;
        drop(alice.channels().close(channel::close_request(&channel_id)).await?);
        network.nodes[0].kill()?;
        faults.end()?;
        network.nodes[0].launch().await?;
        // Nobody asks again.
        channel::closed(&network.nodes[0], &channel_id).await?;
        channel::closed(&network.nodes[1], &channel_id).await?;
        chain::mempool_holds_some(network).await?;
        network.mine(1).await
    });
}

/// Waits until a node has sent the transaction that closes a channel; its id.
async fn closing_txid(node: &Node, channel_id: &[u8]) -> Result<Vec<u8>> {
    poll::eventually("the closing transaction is sent", async || {
        let closed = channel::closed(node, channel_id).await?;
        Ok(match closed.closing_txid.is_empty() {
            false => Look::Done(closed.closing_txid),
            true => Look::NotYet(closed.kind().as_str_name().to_owned()),
        })
    })
    .await
}

/// Waits until bitcoind has a transaction.
async fn arrives(network: &Network, txid: &[u8]) -> Result<()> {
    poll::eventually("the broadcast arrives", async || {
        let waiting = network.bitcoind.mempool()?;
        let there = waiting.iter().any(|waiting| waiting.to_byte_array().as_slice() == txid);
        Ok(if there { Look::Done(()) } else { Look::NotYet(format!("{waiting:?}")) })
    })
    .await
}

#[test]
fn a_daemon_wakes_after_many_blocks() {
    scenario::run("long-sleep", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.nodes[1].stop().await?;
        // Far fewer than any deadline, far more than one request fetches.
        network.mine(300).await?;
        network.give_node(0, 700_000, 1).await?;
        network.nodes[1].launch().await?;
        network.wait_synced().await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn the_graph_survives_a_restart() {
    scenario::run("graph-restart", async |network| {
        network.build(&Plan::balanced(Topology::Ring(3))).await?;
        let before =
            network.nodes[0].graph().summarize(SummarizeGraphRequest {}).await?.into_inner();
        ensure!(before.channels_with_both_policies == 3, "{before:?}");
        network.stop_nodes().await?;
        // Alone: no peer can resend it.
        network.nodes[0].launch().await?;
        let after =
            network.nodes[0].graph().summarize(SummarizeGraphRequest {}).await?.into_inner();
        ensure!(after == before, "{before:?} became {after:?}");
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        let killed =
            network.nodes[0].graph().summarize(SummarizeGraphRequest {}).await?.into_inner();
        ensure!(killed == before, "{before:?} became {killed:?} after a kill");
        Ok(())
    });
}

#[test]
fn payments_survive_a_stop_of_everything() {
    scenario::run("stop-all", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let payment = pay::transfer(alice, carol, 3_000_000).await?;
        network.stop_nodes().await?;
        for node in &mut network.nodes {
            node.launch().await?;
        }
        network.wait_ready().await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let kept = pay::recorded(alice, &payment.payment_hash).await?;
        ensure!(kept == payment, "{payment:?} became {kept:?}");
        pay::settled(carol, &payment.payment_hash, 3_000_000).await?;
        pay::transfer(alice, carol, 3_000_000).await.context("after the restart")?;
        Ok(())
    });
}
