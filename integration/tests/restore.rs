//! A seed on a new machine: the wallet finds its money from the seed's birthday on.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::bitcoind::node::Options;
use fulmen_integration::bitcoind::{Bitcoind, Faucet};
use fulmen_integration::chaos::stores;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Network;
use fulmen_integration::network::funding::new_address;
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, wallet};

const GIFT_SAT: u64 = 1_000_000;

/// Alice gets money `before` blocks after the first and is buried `after` deep; her words.
async fn alice_has_lived(network: &mut Network, before: u64, after: u64) -> Result<String> {
    // A call to bitcoind may take only so long.
    for first in (0..before).step_by(100) {
        network.mine((before - first).min(100)).await?;
    }
    network.add_nodes(1).await?;
    network.give_node(0, GIFT_SAT, 2).await?;
    network.mine(after).await?;
    let mut alice = network.nodes.remove(0);
    alice.stop().await?;
    let words = alice.seed_words();
    ensure!(words.split(' ').count() == 24, "no 24 words: {}", alice.creation_output());
    Ok(words)
}

/// A machine on which `words` are restored by the CLI.
async fn restore(
    network: &Network,
    name: &str,
    words: &str,
    birthday: Option<&str>,
) -> Result<Node> {
    let folder = network.folder(name)?;
    let node = Node::without_seed(name, &folder, &network.bitcoind, network.settings())?;
    restore_seed(&node, words, birthday).await?;
    Ok(node)
}

async fn restore_seed(node: &Node, words: &str, birthday: Option<&str>) -> Result<()> {
    let mut arguments = vec!["create", "--restore"];
    arguments.extend(birthday.into_iter().flat_map(|birthday| ["--birthday", birthday]));
    let ran = node.cli()?.run_with_input(&arguments, words).await?;
    ensure!(ran.code == 0, "{arguments:?}: {ran:?}");
    Ok(())
}

#[test]
fn a_restored_seed_finds_its_money_from_its_birthday_on() {
    scenario::run("restored", async |network| {
        let words = alice_has_lived(network, 60, 30).await?;
        let height = network.bitcoind.tip()?.0 - 31;
        let birthday = height.to_string();
        let mut again = restore(network, "again", &words, Some(&birthday)).await?;
        again.launch().await?;
        network.nodes.push(again);
        network.wait_synced().await?;
        wallet::confirmed(&network.nodes[0], 2 * GIFT_SAT).await?;
        let log = std::fs::read_to_string(network.nodes[0].log())?;
        let first = log.lines().find(|line| line.contains("catching up")).context("no search")?;
        ensure!(first.contains(&format!("from={birthday} ")), "searched elsewhere: {first}");

        // The money may be spent there, and the next start searches nothing again.
        let address = new_address(&network.nodes[0]).await?.to_string();
        wallet::send(&network.nodes[0], &address, 100_000).await?;
        chain::mempool_holds_some(network).await?;
        network.mine(1).await?;
        network.nodes[0].restart().await?;
        let balance = wallet::balance(&network.nodes[0]).await?;
        ensure!(balance.confirmed_sat > 2 * GIFT_SAT - 10_000, "{balance:?}");

        // A day is as good; without any birthday all blocks are searched.
        network.nodes[0].stop().await?;
        let departed = network.nodes.remove(0);
        for (name, birthday) in [("by-day", Some("2020-02-29")), ("from-the-first", None)] {
            let mut node = restore(network, name, &words, birthday).await?;
            node.launch().await?;
            network.nodes.push(node);
            network.wait_synced().await?;
            wallet::confirmed(&network.nodes[0], balance.confirmed_sat).await?;
            network.nodes[0].stop().await?;
            network.nodes.clear();
        }
        network.nodes.push(departed);
        network.nodes[0].launch().await?;
        network.wait_synced().await
    });
}

#[test]
fn a_pruned_bitcoind_asks_for_the_birthday() {
    scenario::run("restored-pruned", async |network| {
        // Only with small files of blocks is there something to prune on so short a chain.
        let prunes = Options { pruned: true, ..Options::default() };
        network.bitcoind.stop().await?;
        std::fs::remove_dir_all(network.bitcoind.dir().join("regtest"))?;
        network.bitcoind.set_options(prunes.clone());
        network.bitcoind.launch().await?;
        network.faucet = Faucet::open(&network.bitcoind)?;
        let words = alice_has_lived(network, 1_200, 3).await?;
        let height = network.bitcoind.tip()?.0 - 4;

        // The audit wants all blocks, so it is a twin that loses them.
        network.bitcoind.stop().await?;
        let folder = network.folder("pruned-bitcoind")?;
        stores::copy_folder(network.bitcoind.dir(), &folder)?;
        network.bitcoind.launch().await?;
        let twin = Bitcoind::start(&folder, prunes).await?;
        let lowest = twin.prune(700)?;
        ensure!(lowest > 300, "bitcoind has pruned up to {lowest} only");

        let mut again = restore(network, "again", &words, None).await?;
        again.configure(&twin, network.settings())?;
        again.spawn()?;
        let ended = again.ended().await?;
        let said = std::fs::read_to_string(again.log())?;
        ensure!(!ended.success() && !said.contains("panicked"), "{ended}: {said}");
        let reason = format!("pruned those below {lowest}");
        ensure!(said.contains(&reason) && said.contains("--birthday"), "what helps? {said}");

        restore_seed(&again, &words, Some(&height.to_string())).await?;
        again.launch().await?;
        network.nodes.push(again);
        network.wait_synced().await?;
        wallet::confirmed(&network.nodes[0], 2 * GIFT_SAT).await?;
        network.nodes[0].stop().await?;
        network.nodes[0].configure(&network.bitcoind, network.settings())?;
        network.nodes[0].launch().await?;
        network.wait_synced().await
    });
}

#[test]
fn a_wrong_birthday_is_refused() {
    scenario::run("birthday", async |network| {
        let words = alice_has_lived(network, 0, 0).await?;
        let folder = network.folder("again")?;
        let node = Node::without_seed("again", &folder, &network.bitcoind, network.settings())?;
        for (birthday, code, said) in [
            ("soon", 2, "not \"soon\""),
            ("2026-02-00", 2, "not \"2026-02-00\""),
            ("9999-12-31", 1, "still to come"),
        ] {
            let arguments = ["create", "--restore", "--birthday", birthday];
            let ran = node.cli()?.run_with_input(&arguments, &words).await?;
            ensure!(ran.code == code && ran.stderr.contains(said), "{birthday}: {ran:?}");
        }
        restore_seed(&node, &words, Some("100000")).await?;
        let mut node = node;
        node.spawn()?;
        ensure!(!node.ended().await?.success());
        let said = std::fs::read_to_string(node.log())?;
        ensure!(said.contains("birthday is block 100000"), "{said}");
        // Other words never take the place of those that are there.
        let other = network.create_node("other").await?.seed_words();
        let ran =
            node.cli()?.run_with_input(&["create", "--restore", "--birthday", "1"], &other).await?;
        ensure!(ran.code == 1 && ran.stderr.contains("never overwritten"), "{ran:?}");
        restore_seed(&node, &words, Some("1")).await?;
        node.launch().await?;
        network.nodes.push(node);
        network.wait_synced().await?;
        wallet::confirmed(&network.nodes[0], 2 * GIFT_SAT).await
    });
}
