//! Channels that share one funding transaction, and channels that another wallet pays for.
use anyhow::{Context as _, Result, bail, ensure};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::Network;
use fulmen_integration::network::funding::{ANNOUNCE_DEPTH, follow_open};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{bounded, chain, channel, pay, refused, wallet};
use fulmen_proto::v1::fund_open_request::By;
use fulmen_proto::v1::open_channel_update::State;
use fulmen_proto::v1::wallet_output::Amount;
use fulmen_proto::v1::{
    FundOpenRequest, FundPsbtRequest, OpenBatchRequest, OpenChannelRequest, OpenChannelUpdate,
    SignPsbtRequest, WalletOutput,
};
use tonic::Code;

/// A batch of a channel with each node but the first.
fn batch(network: &Network, all_or_none: bool) -> OpenBatchRequest {
    let channels = network.nodes[1..].iter().map(|peer| channel::open_request(peer, 300_000, 0));
    OpenBatchRequest { channels: channels.collect(), all_or_none, ..OpenBatchRequest::default() }
}

/// Follows a batch until each of its channels has come so far, or has failed.
async fn follow(
    node: &Node,
    request: OpenBatchRequest,
    until: State,
) -> Result<Vec<OpenChannelUpdate>> {
    let count = request.channels.len();
    bounded("each channel of the batch has come so far", async {
        let mut stream = node.channels().open_batch(request).await?.into_inner();
        let mut last = vec![None; count];
        while let Some(update) = stream.message().await? {
            let open = update.update.context("an update")?;
            if open.state() == until || open.state() == State::Failed {
                last[update.index as usize] = Some(open);
            }
            if last.iter().all(Option::is_some) {
                return Ok(last.into_iter().flatten().collect());
            }
        }
        bail!("the stream ended: {last:?}")
    })
    .await
}

async fn four(network: &mut Network) -> Result<()> {
    network.add_nodes(4).await?;
    network.give_node(0, 1_000_000, 3).await?;
    for node in 1..4 {
        network.give_node(node, 200_000, 1).await?;
    }
    Ok(())
}

#[test]
fn three_channels_open_with_one_transaction() {
    scenario::run("batch", async |network| {
        four(network).await?;
        let request = OpenBatchRequest { idempotency_key: "b".to_owned(), ..batch(network, true) };
        let pending = follow(&network.nodes[0], request.clone(), State::FundingBroadcast).await?;
        let txids: Vec<_> = pending.iter().map(|of| of.funding.clone().map(|of| of.txid)).collect();
        ensure!(txids.iter().all(|txid| *txid == txids[0] && txid.is_some()), "{pending:?}");
        chain::mempool_holds_some(network).await?;
        ensure!(network.bitcoind.mempool()?.len() == 1, "one transaction funds all three");
        let again = follow(&network.nodes[0], request, State::FundingBroadcast).await?;
        ensure!(again.iter().map(|of| &of.channel_id).eq(pending.iter().map(|of| &of.channel_id)));
        network.mine(ANNOUNCE_DEPTH).await?;
        for open in &pending {
            channel::usable(&network.nodes[0], &open.channel_id).await?;
        }
        for peer in &network.nodes[1..] {
            pay::keysend(&network.nodes[0], peer, 1_000_000).await?;
        }
        let named: Vec<String> = network.nodes[1..3]
            .iter()
            .map(|peer| format!("{}={}sat", peer.uri(), 100_000))
            .collect();
        let cli = network.nodes[0].cli()?;
        let shown =
            cli.ok(&["channel", "open-batch", &named[0], &named[1], "--no-wait", "--yes"]).await?;
        ensure!(shown.matches("funding broadcast").count() == 2, "{shown}");
        chain::mempool_holds_some(network).await?;
        network.mine(ANNOUNCE_DEPTH).await?;
        network.wait_usable().await
    });
}

#[test]
fn a_peer_that_refuses_takes_all_down_or_none_as_it_was_chosen() {
    scenario::run("batch-refused", async |network| {
        four(network).await?;
        let refuse = ("FULMEN_CHANNELS_ACCEPT_INBOUND".to_owned(), "false".to_owned());
        network.nodes[2].set_environment(vec![refuse]);
        network.nodes[2].restart().await?;
        let before = wallet::balance(&network.nodes[0]).await?;
        let none = follow(&network.nodes[0], batch(network, true), State::FundingBroadcast).await?;
        ensure!(none.iter().all(|of| of.state() == State::Failed), "{none:?}");
        ensure!(none[1].failure.contains("accepts no channels"), "{none:?}");
        ensure!(none[0].failure.contains("batch"), "{none:?}");
        ensure!(network.bitcoind.mempool()?.is_empty(), "nothing was spent");
        poll::eventually("no coin stays locked", async || {
            let now = wallet::balance(&network.nodes[0]).await?;
            Ok(if now == before { Look::Done(()) } else { Look::NotYet(format!("{now:?}")) })
        })
        .await?;

        let two = follow(&network.nodes[0], batch(network, false), State::FundingBroadcast).await?;
        let states: Vec<State> = two.iter().map(OpenChannelUpdate::state).collect();
        ensure!(states == [State::FundingBroadcast, State::Failed, State::FundingBroadcast]);
        chain::mempool_holds_some(network).await?;
        ensure!(network.bitcoind.mempool()?.len() == 1);
        network.mine(ANNOUNCE_DEPTH).await?;
        network.wait_usable().await?;
        pay::keysend(&network.nodes[0], &network.nodes[3], 1_000_000).await?;
        let absurd = OpenBatchRequest { channels: Vec::new(), ..batch(network, true) };
        let empty = network.nodes[0].channels().open_batch(absurd).await;
        refused(empty, Code::InvalidArgument, "name no channel")?;
        Ok(())
    });
}

#[test]
fn a_kill_in_any_state_of_a_batch_opens_all_or_spends_nothing() {
    scenario::run("batch-kills", async |network| {
        four(network).await?;
        for moment in [0, 3, 8, 15, 25, 40, 70, 120] {
            let before = wallet::balance(&network.nodes[0]).await?;
            let opened = channel::all(&network.nodes[0]).await?.len();
            let request = batch(network, true);
            let mut client = network.nodes[0].channels();
            let began = std::time::Instant::now();
            let calling = async {
                let mut stream = client.open_batch(request).await?.into_inner();
                while stream.message().await?.is_some() {}
                anyhow::Ok(())
            };
            let until = std::time::Duration::from_millis(moment);
            // Killed at that moment; what the call says is of no account.
            let _ = tokio::time::timeout(until, calling).await;
            network.nodes[0].kill()?;
            network.nodes[0].launch().await?;
            let what = format!("a batch killed after {moment} ms ({:?})", began.elapsed());
            poll::eventually(&what, async || {
                let channels = channel::all(&network.nodes[0]).await?.len();
                let waits = network.bitcoind.mempool()?.len();
                let now = wallet::balance(&network.nodes[0]).await?;
                let all = channels == opened + 3 && waits == 1;
                let nothing = channels == opened && waits == 0 && now == before;
                let seen = format!("{channels} channels, {waits} waiting, {now:?}");
                Ok(if all || nothing { Look::Done(()) } else { Look::NotYet(seen) })
            })
            .await?;
            if channel::all(&network.nodes[0]).await?.len() > opened {
                network.mine(ANNOUNCE_DEPTH).await?;
                network.give_node(0, 1_000_000, 1).await?;
            }
            network.wait_usable().await?;
        }
        Ok(())
    });
}

/// Opens a channel for which another wallet pays; its stream and what it waits for.
async fn awaiting(
    network: &Network,
) -> Result<(tonic::Streaming<OpenChannelUpdate>, OpenChannelUpdate)> {
    let request =
        OpenChannelRequest { psbt: true, ..channel::open_request(&network.nodes[1], 400_000, 0) };
    let mut stream = network.nodes[0].channels().open(request).await?.into_inner();
    let awaiting = follow_open(&mut stream, State::AwaitingFunding).await?;
    Ok((stream, awaiting))
}

/// A transaction of carol's that pays so much, signed.
async fn signed(carol: &Node, address: &str, amount_sat: u64) -> Result<Vec<u8>> {
    let amount = Some(Amount::AmountSat(amount_sat));
    let request = FundPsbtRequest {
        outputs: vec![WalletOutput { address: address.to_owned(), amount }],
        feerate_msat_per_vb: 3_000,
        ..FundPsbtRequest::default()
    };
    let funded = carol.wallet().fund_psbt(request).await?.into_inner();
    let signed = carol.wallet().sign_psbt(SignPsbtRequest { psbt: funded.psbt }).await?;
    Ok(signed.into_inner().psbt)
}

#[test]
fn another_wallet_pays_for_a_channel_and_nothing_else_funds_it() {
    let settings = Settings::default().with("channels", "psbt_funding_timeout_secs", 20);
    scenario::run_with("psbt-open", settings, async |network| {
        network.add_nodes(3).await?;
        network.give_node(0, 100_000, 1).await?;
        network.give_node(1, 200_000, 1).await?;
        network.give_node(2, 900_000, 3).await?;
        let (mut stream, waiting) = awaiting(network).await?;
        let [alice, _, carol] = &network.nodes[..] else { unreachable!("three were added") };
        ensure!(waiting.capacity_sat == 400_000 && !waiting.funding_address.is_empty());
        let fund =
            |by: By| FundOpenRequest { channel_id: waiting.channel_id.clone(), by: Some(by) };
        let less = signed(carol, &waiting.funding_address, 399_999).await?;
        let paid = alice.channels().fund_open(fund(By::Psbt(less))).await;
        refused(paid, Code::InvalidArgument, "pays 399999 sat to the channel")?;
        let elsewhere = fulmen_integration::network::funding::new_address(alice).await?.to_string();
        let other = signed(carol, &elsewhere, 400_000).await?;
        let paid = alice.channels().fund_open(fund(By::Psbt(other))).await;
        refused(paid, Code::InvalidArgument, "pays nothing to the channel")?;
        let unsigned = FundPsbtRequest {
            outputs: vec![WalletOutput {
                address: waiting.funding_address.clone(),
                amount: Some(Amount::AmountSat(400_000)),
            }],
            coins: Vec::new(),
            ..FundPsbtRequest::default()
        };
        // Two of three coins are leased; the third pays.
        let unsigned = carol.wallet().fund_psbt(unsigned).await?.into_inner().psbt;
        let paid = alice.channels().fund_open(fund(By::Psbt(unsigned.clone()))).await;
        refused(paid, Code::InvalidArgument, "no segwit signature")?;
        ensure!(network.bitcoind.mempool()?.is_empty(), "nothing was published");

        let whole = carol.wallet().sign_psbt(SignPsbtRequest { psbt: unsigned }).await?;
        let whole = whole.into_inner().psbt;
        let handed = ["channel", "fund", &hex(&waiting.channel_id), &hex(&whole)];
        let shown = alice.cli()?.ok(&handed).await?;
        ensure!(shown.starts_with("Funded by "), "{shown}");
        let twice = alice.channels().fund_open(fund(By::Psbt(whole))).await;
        refused(twice, Code::NotFound, "no such channel")?;
        network.follow_to_mempool(&mut stream).await?;
        network.mine(ANNOUNCE_DEPTH).await?;
        follow_open(&mut stream, State::Ready).await?;
        network.wait_usable().await?;
        pay::keysend(&network.nodes[0], &network.nodes[1], 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn a_channel_that_nobody_pays_for_is_given_up() {
    let settings = Settings::default().with("channels", "psbt_funding_timeout_secs", 2);
    scenario::run_with("psbt-late", settings, async |network| {
        network.add_nodes(3).await?;
        network.give_node(0, 100_000, 1).await?;
        network.give_node(1, 200_000, 1).await?;
        network.give_node(2, 900_000, 2).await?;
        let (mut late, waiting) = awaiting(network).await?;
        let failed = follow_open(&mut late, State::Ready).await;
        let why = failed.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(why.contains("did not come in time"), "{why}");
        let carol = &network.nodes[2];
        let psbt = signed(carol, &waiting.funding_address, 400_000).await?;
        let fund = |id: &[u8], by: By| FundOpenRequest { channel_id: id.to_vec(), by: Some(by) };
        let too_late = fund(&waiting.channel_id, By::Psbt(psbt.clone()));
        refused(network.nodes[0].channels().fund_open(too_late).await, Code::NotFound, "")?;

        let (_, second) = awaiting(network).await?;
        let cancel = fund(&second.channel_id, By::Cancel(true));
        network.nodes[0].channels().fund_open(cancel).await?;
        let gone = fund(&second.channel_id, By::Psbt(psbt.clone()));
        refused(network.nodes[0].channels().fund_open(gone).await, Code::NotFound, "")?;

        // A kill while it waits: LDK forgets it, and nothing is spent.
        let (_, third) = awaiting(network).await?;
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        let gone = fund(&third.channel_id, By::Psbt(psbt));
        refused(network.nodes[0].channels().fund_open(gone).await, Code::NotFound, "")?;
        ensure!(channel::all(&network.nodes[0]).await?.is_empty());
        ensure!(network.bitcoind.mempool()?.is_empty(), "nothing was published");
        Ok(())
    });
}
