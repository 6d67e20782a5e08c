//! History that has grown old: it is forgotten class by class, and nothing that can still matter goes with it.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::chaos::clocks;
use fulmen_integration::cli::{Cli, hex};
use fulmen_integration::daemon::Settings;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay};
use fulmen_proto::v1::{CancelInvoiceRequest, PayRequest};
use serde_json::Value;

/// More than the ages below, and than any invoice lives.
const DAYS_LATER: u32 = 100;
/// So deep a closing transaction is there for good, for the daemon.
const BURIED: u64 = 150;

const CLASSES: [&str; 6] =
    ["journal", "forwards", "payments", "unpaid_invoices", "settled_invoices", "closed_channels"];

/// How many objects a list of the CLI shows, and how to go on after them.
async fn listed(cli: &Cli, command: &[&str], field: &str) -> Result<(usize, String)> {
    let page = cli.json(command).await?;
    let items = page.get(field).and_then(Value::as_array).map_or(0, Vec::len);
    let token = page.get("next_page_token").and_then(Value::as_str).unwrap_or_default();
    Ok((items, token.to_owned()))
}

async fn rows(cli: &Cli, table: &str) -> Result<u64> {
    let stats = cli.json(&["store", "stats"]).await?;
    let tables = stats.get("tables").and_then(Value::as_array).context("stats list the tables")?;
    let found = tables.iter().find(|row| row.get("name").and_then(Value::as_str) == Some(table));
    Ok(found.and_then(|row| row.get("rows")?.as_u64()).unwrap_or(0))
}

/// Removals wait for company before they are written, so the store on the disk shrinks a moment later than the lists.
async fn has_rows(cli: &Cli, table: &str, expected: u64) -> Result<()> {
    poll::eventually(&format!("{table} has {expected} rows"), async || {
        let count = rows(cli, table).await?;
        Ok(if count == expected { Look::Done(()) } else { Look::NotYet(count.to_string()) })
    })
    .await
}

/// Something of each class; returns the invoice that was paid under a key.
async fn history(network: &Network) -> Result<String> {
    let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
    for _ in 0..2 {
        pay::transfer(alice, bob, 1_000_000).await?;
    }
    pay::keysend(alice, bob, 1_000_000).await?;
    pay::invoice(bob, 1_000_000).await?;
    let cancelled = pay::invoice(bob, 1_000_000).await?;
    let payment_hash = cancelled.payment_hash.clone();
    bob.invoices().cancel(CancelInvoiceRequest { payment_hash }).await?;
    pay::fails(alice, pay::request(&cancelled.bolt11)).await?;
    let rent = pay::invoice(bob, 2_000_000).await?;
    let keyed = || PayRequest { idempotency_key: "rent".to_owned(), ..pay::request(&rent.bolt11) };
    pay::succeeds(alice, keyed()).await?;
    let again = pay::succeeds(alice, keyed()).await?;
    ensure!(again.payment_hash == rent.payment_hash, "the key leads to the first payment");
    pay::transfer(alice, bob, 1_000_000).await?;
    Ok(rent.bolt11)
}

async fn restart_on(network: &mut Network, days_later: u32) -> Result<()> {
    network.stop_nodes().await?;
    for index in 0..network.nodes.len() {
        let scratch = network.folder("clock")?;
        let node = &mut network.nodes[index];
        match days_later {
            0 => node.set_environment(Vec::new()),
            days => clocks::ahead(node, days, &scratch)?,
        }
        node.launch().await?;
    }
    Ok(())
}

async fn shrinks_to_one(cli: &Cli, command: &[&str], field: &str) -> Result<()> {
    poll::eventually(&format!("{field} are forgotten"), async || {
        Ok(match listed(cli, command, field).await?.0 {
            1 => Look::Done(()),
            count => Look::NotYet(count.to_string()),
        })
    })
    .await
}

#[test]
fn old_history_is_forgotten_with_all_that_leads_to_it() {
    let mut settings = Settings::default();
    for class in CLASSES {
        settings.set("storage", &format!("keep_{class}_days"), 30);
    }
    scenario::run_with("retention", settings, async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.give_node(0, 2_000_000, 1).await?;
        let second = channel::open_request(&network.nodes[1], 1_000_000, 0);
        channel::open(network, 0, 1, second).await?;
        let rent = history(network).await?;
        let (alice, bob) = (network.nodes[0].cli()?, network.nodes[1].cli()?);
        let newest_two = ["payments", "--limit", "2"];
        let (shown, go_on) = listed(&alice, &newest_two, "payments").await?;
        ensure!(shown == 2 && !go_on.is_empty(), "{shown} {go_on:?}");
        let first_closed = channel::all(&network.nodes[0]).await?[0].channel_id.clone();
        for channel in channel::all(&network.nodes[0]).await? {
            channel::close(network, 0, &channel.channel_id).await?;
        }
        network.mine(BURIED).await?;

        // A day's restart forgets nothing.
        restart_on(network, 1).await?;
        ensure!(listed(&alice, &["payments"], "payments").await?.0 == 6);
        has_rows(&alice, "payments_by_key", 1).await?;

        restart_on(network, DAYS_LATER).await?;
        shrinks_to_one(&alice, &["payments"], "payments").await?;
        for cli in [&alice, &bob] {
            shrinks_to_one(cli, &["channel", "closed"], "channels").await?;
            has_rows(cli, "channel-spends", 1).await?;
            let said = cli.fails(1, &["channel", "show", &hex(&first_closed)]).await?;
            ensure!(said.contains("channel"), "{said}");
            ensure!(cli.ok(&["store", "check"]).await?.contains("the store is sound"));
            let told = cli.ok(&["--json", "events", "--after", "0", "--until-now"]).await?;
            let first: Value = serde_json::from_str(told.lines().next().unwrap_or_default())?;
            let sequence = first.get("sequence").and_then(Value::as_u64);
            ensure!(sequence.is_some_and(|sequence| sequence > 1), "the journal begins: {told}");
        }
        shrinks_to_one(&bob, &["invoices"], "invoices").await?;
        // A list that was begun before goes on, and ends.
        let (shown, ends) = listed(&alice, &["payments", "--page", &go_on], "payments").await?;
        ensure!(shown == 0 && ends.is_empty(), "{shown} {ends:?}");
        for (table, left) in [("payments_by_hash", 1), ("payments_by_key", 0)] {
            has_rows(&alice, table, left).await?;
        }
        let said = alice.fails(1, &["pay", &rent, "--yes"]).await?;
        ensure!(said.contains("expired"), "a forgotten payment is not made again: {said}");
        restart_on(network, 0).await
    });
}
