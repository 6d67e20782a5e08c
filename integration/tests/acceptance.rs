//! Whose channels are accepted: by the configured rules, and by a program that decides case by case.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::cli::hex;
use fulmen_integration::network::Network;
use fulmen_integration::network::funding::follow_open;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{bounded, channel, pay, refused};
use fulmen_proto::v1::open_channel_update::State;
use fulmen_proto::v1::{OpenChannelRequest, OpenDecision};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

/// Two nodes with money; the second starts again with options of `[acceptance]`.
async fn pair(network: &mut Network, options: &[(&str, &str)]) -> Result<()> {
    network.add_nodes(2).await?;
    network.give_node(0, 2_000_000, 4).await?;
    network.give_node(1, 200_000, 2).await?;
    set(network, options).await
}

async fn set(network: &mut Network, options: &[(&str, &str)]) -> Result<()> {
    let name = |option: &str| format!("FULMEN_ACCEPTANCE_{}", option.to_ascii_uppercase());
    let alice = format!("[\"{}\"]", hex(&network.nodes[0].id()));
    let value = |value: &str| if value == "alice" { alice.clone() } else { value.to_owned() };
    let variables = options.iter().map(|(of, to)| (name(of), value(to))).collect();
    network.nodes[1].set_environment(variables);
    network.nodes[1].restart().await
}

/// Why bob does not accept a channel of alice.
async fn rejection(network: &Network, request: OpenChannelRequest) -> Result<String> {
    let mut stream = network.nodes[0].channels().open(request).await?.into_inner();
    bounded("the open fails", async {
        while let Some(update) = stream.message().await? {
            if update.state() == State::Failed {
                return Ok(update.failure);
            }
            ensure!(update.state() == State::Negotiating, "accepted: {update:?}");
        }
        anyhow::bail!("the stream ended before the open failed")
    })
    .await
}

#[test]
fn the_rules_refuse_in_words_that_the_opener_sees() {
    scenario::run("acceptance", async |network| {
        pair(network, &[("refused_peers", "alice")]).await?;
        let request = |network: &Network| channel::open_request(&network.nodes[1], 300_000, 0);
        let why = rejection(network, request(network)).await?;
        ensure!(why.contains("does not accept your channels"), "{why}");

        set(network, &[("private", "false"), ("max_per_peer", "1")]).await?;
        let private = OpenChannelRequest { announce: false, ..request(network) };
        let why = rejection(network, private).await?;
        ensure!(why.contains("no private channels"), "{why}");
        channel::open(network, 0, 1, request(network)).await?;
        let why = rejection(network, request(network)).await?;
        ensure!(why.contains("you have 1 channels with this node, at most 1 may be"), "{why}");

        set(network, &[("min_peer_channels", "3")]).await?;
        let why = rejection(network, request(network)).await?;
        ensure!(why.contains("3 announced channels"), "{why}");

        set(network, &[("needs_decision", "true")]).await?;
        let why = rejection(network, request(network)).await?;
        ensure!(why.contains("no channels now"), "{why}");
        Ok(())
    });
}

#[test]
fn a_trusted_peers_channel_is_used_before_its_funding_is_confirmed() {
    scenario::run("zero-conf", async |network| {
        pair(network, &[("zero_conf_peers", "alice")]).await?;
        let request = channel::open_request(&network.nodes[1], 500_000, 0);
        let mut stream = network.nodes[0].channels().open(request).await?.into_inner();
        let ready = follow_open(&mut stream, State::Ready).await?;
        for node in &network.nodes {
            let channel = channel::usable(node, &ready.channel_id).await?;
            ensure!(channel.confirmations == 0 && channel.short_channel_id == 0, "{channel:?}");
            ensure!(channel.outbound_scid_alias != 0, "it is sent over by its alias: {channel:?}");
        }
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::keysend(alice, bob, 1_000_000).await?;
        network.mine(6).await?;
        pay::keysend(alice, bob, 2_000_000).await?;
        Ok(())
    });
}

#[test]
fn a_program_decides_case_by_case_with_a_deadline() {
    scenario::run("decider", async |network| {
        pair(network, &[("decision_timeout_secs", "2")]).await?;
        let (decisions, request) = tokio::sync::mpsc::channel(4);
        let bob = &network.nodes[1];
        let stream = bob.channels().decide_opens(ReceiverStream::new(request)).await?;
        let mut proposals = stream.into_inner();
        let (_, second) = tokio::sync::mpsc::channel(1);
        let taken = bob.channels().decide_opens(ReceiverStream::new(second)).await;
        refused(taken, Code::FailedPrecondition, "another program")?;

        let request = || channel::open_request(&network.nodes[1], 300_000, 20_000_000);
        let (why, proposal) = tokio::join!(rejection(network, request()), async {
            let proposal = proposals.message().await?.context("a proposal")?;
            let reason = "not on a Sunday".to_owned();
            let decision = OpenDecision { id: proposal.id, reason, ..OpenDecision::default() };
            decisions.send(decision).await?;
            anyhow::Ok(proposal)
        });
        let (why, proposal) = (why?, proposal?);
        ensure!(why.contains("not on a Sunday"), "{why}");
        ensure!(proposal.node_id == network.nodes[0].id() && proposal.announced, "{proposal:?}");
        ensure!(proposal.capacity_sat == 300_000 && proposal.push_msat == 20_000_000);

        // Not decided in time, the configuration decides: no.
        let why = rejection(network, request()).await?;
        ensure!(why.contains("no channels now"), "{why}");
        proposals.message().await?.context("the proposal that was not decided")?;

        let mut opening = network.nodes[0].channels().open(request()).await?.into_inner();
        let proposal = proposals.message().await?.context("a proposal")?;
        let accept = true;
        let decision =
            OpenDecision { id: proposal.id, accept, confirmations: 3, ..Default::default() };
        decisions.send(decision).await?;
        let update = network.follow_to_mempool(&mut opening).await?;
        let pending = channel::by_id(&network.nodes[0], &update.channel_id).await?;
        ensure!(pending.confirmations_required == 3, "{pending:?}");
        network.mine(6).await?;
        follow_open(&mut opening, State::Ready).await?;

        // The CLI is such a program; while none decides, nothing is accepted here.
        drop((decisions, proposals));
        set(network, &[("needs_decision", "true")]).await?;
        let cli = network.nodes[1].cli()?;
        let (ran, why) = tokio::join!(
            cli.run_with_input(&["channel", "decide", "--once"], "no too late in the day\n"),
            poll::eventually("the person's reason comes", async || {
                let request = channel::open_request(&network.nodes[1], 300_000, 0);
                let why = rejection(network, request).await?;
                Ok(if why.contains("too late in the day") {
                    Look::Done(())
                } else {
                    Look::NotYet(why)
                })
            })
        );
        why?;
        let ran = ran?;
        ensure!(ran.code == 0 && ran.stdout.contains("300,000 sat"), "{ran:?}");
        Ok(())
    });
}
