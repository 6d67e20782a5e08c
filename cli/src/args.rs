//! The command line: global options, groups of commands, and short forms of the daily ones.
use clap::{Parser, Subcommand};

use crate::commands::setup::{completions, create, seed};
use crate::commands::{
    backup, channel, events, forward, graph, invoice, macaroon, node, offer, pay, payment, peer,
    probe, store, wallet,
};
use crate::discover::Place;

/// Controls a Fulmen Lightning node.
///
/// Without options it finds the daemon that runs for this user, by the files in ~/.fulmen/NETWORK/.
#[derive(Debug, Parser)]
#[command(name = "fulmen", version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// JSON for machines: mirrors the API's messages, one object a line where there are many
    #[arg(long, global = true)]
    pub json: bool,
    /// Whole ids in tables, however wide they get (by default at most 80 columns)
    #[arg(long, global = true)]
    pub wide: bool,
    /// Wait until the daemon has started, rather than failing while it starts
    #[arg(long, global = true, hide_short_help = true)]
    pub wait_start: bool,
    #[command(flatten)]
    pub place: Place,
}

const AFTER_HELP: &str = "\
Amounts have their unit: 50sat, 2500msat, 0.1btc; where it makes sense also `all` or `any`.
Channels are named by short id (539x1x0), by channel id (64 hex digits) or by funding (TXID:0).
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 daemon not reachable, 4 not permitted.";

/// What can be asked for. The daily ones come first; the groups have the rest.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Who the node is and how it is doing
    Info(node::Info),
    /// All money, on chain and in channels
    Balance(node::Balance),
    /// A fresh on-chain address
    Address(wallet::Address),
    /// Send money on chain
    Send(wallet::Send),
    /// Connect to a node
    Connect(peer::Connect),
    /// List the peers
    Peers(peer::List),
    /// Open a channel
    ///
    /// It ends when the channel can be used; Ctrl-C leaves the opening going on in the daemon.
    Open(channel::Open),
    /// Close a channel
    ///
    /// Without --force both sides agree on the closing transaction, which needs the peer connected.
    Close(channel::Close),
    /// List the channels
    Channels(channel::List),
    /// Pay an invoice, an offer, a URI, a name or a node
    ///
    /// At a terminal it shows what will be paid, and asks before it pays. It ends when the payment
    /// has succeeded or failed; Ctrl-C leaves the payment going on in the daemon.
    Pay(pay::Pay),
    /// Pay a node without an invoice
    Keysend(payment::Keysend),
    /// List the payments made
    Payments(payment::List),
    /// Find out whether a payment would arrive, without paying
    ///
    /// What nobody can claim is sent the way that the payment would go, and comes back.
    Probe(probe::Probe),
    /// Ask for money (`fulmen invoice 1000sat`), and what became of it
    Invoice(invoice::Group),
    /// List the invoices and what came in
    Invoices(invoice::List),
    /// Ask for money again and again with one text (`fulmen offer 1000sat`), and what came in for it
    Offer(offer::Group),
    /// List the offers
    Offers(offer::List),
    /// Give money back, or take it back: create, redeem
    #[command(subcommand)]
    Refund(offer::refund::Group),
    /// Read anything that can be paid, without paying it
    Decode(pay::decode::Decode),
    /// Follow what happens
    ///
    /// Without options it shows what happens from now on, until Ctrl-C. A program that remembers the
    /// number of the last event it has seen goes on with --after and misses nothing.
    Events(events::Events),
    /// The node itself: info, balance, feerates, sign, verify, stop
    #[command(subcommand)]
    Node(node::Group),
    /// On-chain money: address, send, balance, list, utxos
    #[command(subcommand)]
    Wallet(wallet::Group),
    /// Connections: connect, disconnect, list
    #[command(subcommand)]
    Peer(peer::Group),
    /// Channels: open, close, list, show, closed, policy, rebalance
    #[command(subcommand)]
    Channel(channel::Group),
    /// Payments made: list, show, cancel
    #[command(subcommand)]
    Payment(pay::group::Group),
    /// Payments forwarded for others: list, summary
    #[command(subcommand)]
    Forward(forward::Group),
    /// The network known from gossip: node, channel, summary, route, estimate, liquidity
    #[command(subcommand)]
    Graph(graph::Group),
    /// The daemon's disk while it runs: check, stats, export, compact
    ///
    /// Importing needs the daemon stopped: `fulmend store import`.
    #[command(subcommand)]
    Store(store::Group),
    /// Who may do what: bake, list, inspect, attenuate, revoke, rotate
    #[command(subcommand)]
    Macaroon(macaroon::Group),
    /// Static channel backups: export, follow, verify, restore, status
    ///
    /// With the 24 words alone a node finds its announced channels again, and with a backup all of them: their peers
    /// close them, and what was ours comes back on chain.
    #[command(subcommand)]
    Backup(backup::Group),
    /// Make the seed of a new node, or restore one from its words
    ///
    /// The words bring back on-chain money. Channels are in the store, not in the words: with the words alone their
    /// peers are asked to close them, and what was ours comes back on chain (see `fulmen backup --help`).
    ///
    /// Run it once, before the daemon first starts. The 24 words are shown once and never again: with
    /// them the node's on-chain money can be restored, by you or by anyone who finds them.
    Create(create::Create),
    /// The file of the seed: encrypt, decrypt
    #[command(subcommand)]
    Seed(seed::Group),
    /// Print a script that completes commands in a shell
    ///
    /// For bash: fulmen completions bash > ~/.local/share/bash-completion/completions/fulmen
    Completions(completions::Completions),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    /// The commands of this program that a text quotes, as far as their words are names of commands.
    fn quoted_commands(text: &str) -> Vec<Vec<&str>> {
        let quoted = text.split('`').skip(1).step_by(2);
        let ours = quoted.filter_map(|quoted| quoted.strip_prefix("fulmen "));
        let names = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
        ours.map(|line| line.split_whitespace().take_while(names).collect()).collect()
    }

    fn help_of(command: &mut clap::Command, text: &mut String) {
        text.push_str(&command.render_long_help().to_string());
        // The words between two backticks of one help must not join those of the next.
        assert!(text.matches('`').count().is_multiple_of(2), "{}", command.get_name());
        command.get_subcommands_mut().for_each(|command| help_of(command, text));
    }

    #[test]
    fn commands_that_help_and_advice_quote_exist() {
        let mut text = String::new();
        help_of(&mut Args::command(), &mut text);
        let sources = [include_str!("failure.rs"), include_str!("commands/payment.rs")];
        let advised = sources.iter().flat_map(|source| quoted_commands(source));
        let quoted: Vec<_> = quoted_commands(&text).into_iter().chain(advised).collect();
        assert!(quoted.len() > 15, "{quoted:?}");
        for words in quoted {
            let mut command = &Args::command();
            for word in &words {
                let known = command.find_subcommand(word);
                command = known.unwrap_or_else(|| panic!("`fulmen {}`: {word}?", words.join(" ")));
            }
            assert!(!words.is_empty(), "a command has a name");
        }
    }

    #[test]
    fn lines_that_people_type() {
        let node = format!("02{}", "11".repeat(32));
        let hash = "ab".repeat(32);
        let at = format!("{node}@127.0.0.1:9735");
        let good: &[&[&str]] = &[
            &["info"],
            &["--json", "info"],
            &["channels", "--wide", "--peer", &node],
            &["payments", "--since", "7d", "--until", "2026-11-22T13:02", "--min", "5sat"],
            &["forward", "list", "--channel", "539x1x0", "--max", "1btc"],
            &["events", "--last", "5", "--kind", "peer-connected"],
            &["payment", "watch", &hash],
            &["invoice", "received", "--after", "3"],
            &["invoice", "5sat", "--hint", "1x1x1", "--fallback", "new", "--metadata", "c0ff"],
            &["info", "--json", "--network", "regtest", "--dir", "/tmp/x"],
            &["node", "sign", "hello"],
            &["send", "bcrt1q", "all", "--feerate", "2.5"],
            &["wallet", "send", "bcrt1q", "50sat"],
            &["connect", &at],
            &["connect", &node, "127.0.0.1:9735"],
            &["open", &at, "0.01btc", "--private", "--push", "10sat"],
            &["open", &node, "all", "--base-fee", "1sat", "--ppm", "100", "--cltv-delta", "40"],
            &["close", "539x1x0", "--force"],
            &["channel", "policy", "all", "--ppm", "200"],
            &["channel", "policy"],
            &["channel", "rebalance", "1x1x1", "2x1x1", "5sat", "--max-fee", "1sat", "--dry-run"],
            &["invoice", "1000sat", "-d", "coffee"],
            &["invoice", "any"],
            &["invoice", "create", "1000sat", "--expiry", "1h"],
            &["invoice", "list", "--state", "open"],
            &["invoice", "cancel", &hash],
            &[
                "pay",
                "lnbcrt1abc",
                "--max-fee",
                "10sat",
                "--timeout",
                "60s",
                "--max-parts",
                "4",
                "-y",
            ],
            &["keysend", &node, "5sat", "--record", "65537=00"],
            &[
                "pay",
                "alice@example.com",
                "--amount",
                "5sat",
                "--note",
                "thanks",
                "--quantity",
                "2",
            ],
            &["pay", "bitcoin:bcrt1q?amount=1", "--dry-run"],
            &["decode", &node],
            &["invoice", "1000sat", "--hash", &hash],
            &["invoice", "settle", &hash],
            &["offer", "any", "--qr"],
            &["payment", "proof", &hash],
            &["offer", "create", "5sat", "-d", "tea", "--quantity", "0", "--expiry", "1h"],
            &["offer", "disable", &hash],
            &["offers", "--disabled"],
            &["refund", "create", "5sat"],
            &["refund", "redeem", "lnr1abc"],
            &["payment", "show", &hash],
            &["payments", "--limit", "10", "--state", "failed"],
            &["graph", "channel", "539x1x0"],
            &["graph", "route", &node, "5sat", "--from", &node, "--max-fee", "0sat"],
            &["graph", "estimate", "lnbcrt1abc"],
            &["graph", "liquidity", "import", "-"],
            &["graph", "liquidity", "reset", "1x1x1", "-y"],
            &["probe", &node, "5sat", "--attempts", "3", "--avoid", "1x1x1"],
            &["pay", "lnbcrt1abc", "--out-through", "1x1x1", "--in-through", &node],
            &["keysend", &node, "5sat", "--avoid", "2x1x0", "--avoid", &node],
            &["events", "--after", "0", "--until-now"],
            &["completions", "bash"],
            &["macaroon", "bake", "shop", "--permission", "invoices:write,info:read"],
            &["macaroon", "bake", "till", "--method", "Payments/Pay", "--expires", "7d"],
            &["macaroon", "attenuate", "admin.macaroon", "--ip", "10.0.0.0/8", "--save", "x"],
            &["macaroon", "revoke", &hash[..32]],
            &["store", "check"],
            &["store", "export", "/backup/today"],
            &["store", "compact"],
            &["create", "--restore"],
            &["create", "--encrypt"],
            &["seed", "encrypt"],
            &["create", "--restore", "--birthday", "850000"],
        ];
        for line in good {
            let parsed = Args::try_parse_from(["fulmen"].iter().chain(*line));
            assert!(parsed.is_ok(), "{line:?}: {}", parsed.expect_err("just seen"));
        }
        let bad: &[&[&str]] = &[
            &[],
            &["nonsense"],
            &["send", "bcrt1q", "50"],
            &["send", "bcrt1q", "1.5sat"],
            &["send", "bcrt1q", "-5sat"],
            &["open", &node, "0sat"],
            &["open", &node, "1btc", "--ppm", "100"],
            &["open", "02ff", "1btc"],
            &["close", "539"],
            &["close", "539x1x0", "--force", "--feerate", "2"],
            &["invoice"],
            &["invoice", "0sat"],
            &["pay", "not an invoice"],
            &["payments", "--since", "yesterday"],
            &["events", "--last", "5", "--after", "3"],
            &["invoice", "5sat", "--hint", "1x1x1", "--no-hints"],
            &["pay", "lnbcrt1abc", "--timeout", "60"],
            &["pay", "lnbcrt1abc", "--max-parts", "0"],
            &["pay", "lnbcrt1abc", "--out-through", &node],
            &["graph", "route", "nobody", "5sat"],
            &["probe", &node, "5sat", "--attempts", "51"],
            &["graph", "route", &node, "0sat"],
            &["info", "--network", "mainnet"],
            &["store", "import", "/backup/today"],
            &["macaroon", "attenuate", "admin.macaroon"],
            &["macaroon", "revoke", "shop"],
        ];
        for line in bad {
            let parsed = Args::try_parse_from(["fulmen"].iter().chain(*line));
            assert!(parsed.is_err(), "{line:?} is accepted");
        }
    }
}
