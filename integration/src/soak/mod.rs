//! A network at work for a long time while strangers, its chain and chance do their worst: `cargo soak`.
//!
//! Each round has payments in all directions, an open or a close, one kind of stranger at the middle node, HTLCs that
//! fail, and by turns a bitcoind that stalls or a kill. After each round all channels must work; at the end every
//! satoshi is accounted for, and the middle node must need no more than it did at the beginning.

pub mod options;
pub mod report;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fulmen_proto::v1::CancelInvoiceRequest;
use fulmen_proto::v1::payment::State;
use tokio::task::JoinSet;

use self::options::Options;
use self::report::{Needs, Report};
use crate::audit;
use crate::chaos::Chance;
use crate::daemon::{Node, Settings};
use crate::demo::screen::Screen;
use crate::network::funding::Plan;
use crate::network::{Network, Topology};
use crate::poll::{self, Look};
use crate::steps::traffic::{End, Load, Running, Until};
use crate::steps::{channel, pay};
use crate::strangers::{self, Mischief, Target};

/// Alice, bob, carol and dave in a line.
pub const TOPOLOGY: Topology = Topology::Line(4);
/// The node that the strangers come to.
const VICTIM: usize = 1;
const AMOUNT_MSAT: u64 = 20_000_000;
const IN_FLIGHT: usize = 8;
const CHURN_SAT: u64 = 1_000_000;
/// For so long bitcoind does not answer when it stalls.
const STALL: Duration = Duration::from_secs(3);
/// Which rounds stall bitcoind, and which kill a daemon; both are rare enough that rounds without either come between.
const STALL_EVERY: usize = 3;
const KILL_EVERY: usize = 4;

/// The settings of the daemons: a peer that is killed every minute would be dialled ever less often.
pub fn settings() -> Settings {
    Settings::default().with("peers", "reconnect_max_secs", 1)
}

/// Runs the whole soak on a network without nodes, but for the final audit.
pub async fn run(network: &mut Network, options: &Options, screen: &Screen) -> Result<Report> {
    network.build(&Plan::balanced(TOPOLOGY)).await?;
    // Each opens a channel now and then, and closes it again.
    for opener in [0, 2] {
        network.give_node(opener, CHURN_SAT * 2, 8).await?;
    }
    let began = Instant::now();
    let before = Needs::of(&network.nodes[VICTIM]).await?;
    let mut report = Report::new(network.chance.seed(), before);
    let mut spare = None;
    while report.rounds < options.rounds || began.elapsed() < options.span() {
        let number = report.rounds;
        round(network, options, &mut report, &mut spare)
            .await
            .with_context(|| format!("round {number}"))?;
        report.rounds += 1;
        screen.line(&format!("  {:>5.0} s  {}", began.elapsed().as_secs_f64(), report.line()));
    }
    if let Some(spare) = spare {
        close(network, &spare, &mut report).await?;
    }
    report.after = settled_needs(network, &report.before).await?;
    Ok(report)
}

/// An open channel that the next round closes, and who opened it.
struct Spare {
    opener: usize,
    channel_id: Vec<u8>,
}

async fn round(
    network: &mut Network,
    options: &Options,
    report: &mut Report,
    spare: &mut Option<Spare>,
) -> Result<()> {
    let number = report.rounds;
    let span = Duration::from_secs(options.round_secs);
    let mischief = Mischief::ALL[number % Mischief::ALL.len()];
    let mut running = Running::start(load(network, span).await?)?;
    let mut others = JoinSet::new();
    let target = Target::of(&network.nodes[VICTIM])?;
    let mut chance = Chance::from_seed(network.chance.number());
    others.spawn(async move { strangers::bother(&target, mischief, span, &mut chance).await });
    let mut failing = JoinSet::new();
    failing.spawn(fail_htlcs(ends(network, &[3, 0]).await?, span));

    match spare.take() {
        Some(open) => close(network, &open, report).await?,
        None => *spare = Some(open(network, [0, 2][number % 2], report).await?),
    }
    if number % STALL_EVERY == 1 {
        network.bitcoind.pause()?;
        poll::pass(STALL).await;
        network.bitcoind.resume()?;
        report.stalls += 1;
    }
    if number % KILL_EVERY == 2 {
        let victim = network.chance.below(network.nodes.len());
        network.nodes[victim].kill()?;
        network.nodes[victim].launch().await?;
        report.kills += 1;
    }

    while let Some(sample) = running.next().await? {
        match &sample.outcome {
            Ok(_) if sample.succeeded() => report.settled += 1,
            Ok(_) => report.failed += 1,
            Err(_) => report.unreported += 1,
        }
    }
    while let Some(bothered) = others.join_next().await {
        report.bothered(mischief, bothered.context("the stranger's task")?);
    }
    while let Some(failed) = failing.join_next().await {
        report.htlcs_failed += failed.context("the task of failing HTLCs")?;
    }
    network.mine(1).await?;
    network.wait_usable().await?;
    for node in &network.nodes {
        node.process()?.must_run()?;
    }
    Ok(())
}

/// Everybody pays everybody, so that no channel runs dry.
async fn load(network: &Network, span: Duration) -> Result<Load> {
    let all = ends(network, &[0, 1, 2, 3]).await?;
    let to_others = |payer: &End| {
        let others = all.iter().filter(|payee| payee.number != payer.number);
        others.map(|payee| (payer.clone(), payee.clone())).collect::<Vec<_>>()
    };
    Ok(Load {
        pairs: all.iter().flat_map(to_others).collect(),
        amount_msat: AMOUNT_MSAT,
        in_flight: IN_FLIGHT,
        keysend_every: 4,
        // A payee holds a part for minutes when another one came back (BOLT 4, `mpp_timeout`).
        max_parts: 1,
        out_through: Vec::new(),
        until: Until::Elapsed(span),
    })
}

async fn ends(network: &Network, places: &[usize]) -> Result<Vec<End>> {
    let mut ends = Vec::new();
    for &place in places {
        ends.push(End::of(place, &network.nodes[place]).await?);
    }
    Ok(ends)
}

/// The first end pays invoices of the second that have been cancelled: each HTLC goes the whole way, and comes back.
async fn fail_htlcs(ends: Vec<End>, span: Duration) -> usize {
    let [payer, payee] = &ends[..] else { return 0 };
    let until = Instant::now() + span;
    let mut failed = 0;
    while Instant::now() < until {
        let tried = async {
            let mut invoices = payee.invoices();
            let invoice =
                invoices.create(pay::invoice_request(AMOUNT_MSAT / 2)).await?.into_inner();
            let invoice = invoice.invoice.context("no invoice in the answer")?;
            let payment_hash = invoice.payment_hash.clone();
            invoices.cancel(CancelInvoiceRequest { payment_hash }).await?;
            let stream = payer.payments().pay(pay::request(&invoice.bolt11)).await?;
            pay::finish(stream.into_inner()).await
        };
        // A node that is killed meanwhile answers nothing; the next round has it again.
        match tried.await {
            Ok(payment) if payment.state() == State::Failed => failed += 1,
            Ok(_) => (),
            Err(_) => return failed,
        }
    }
    failed
}

async fn open(network: &Network, opener: usize, report: &mut Report) -> Result<Spare> {
    let accepter = opener + 1;
    let mut request = channel::open_request(&network.nodes[accepter], CHURN_SAT, 0);
    request.announce = false;
    let open = channel::open(network, opener, accepter, request).await?;
    report.opens += 1;
    Ok(Spare { opener, channel_id: open.channel_id })
}

async fn close(network: &Network, spare: &Spare, report: &mut Report) -> Result<()> {
    channel::close(network, spare.opener, &spare.channel_id).await?;
    report.closes += 1;
    Ok(())
}

/// What the victim needs once the strangers have gone.
async fn settled_needs(network: &Network, before: &Needs) -> Result<Needs> {
    let victim: &Node = &network.nodes[VICTIM];
    poll::eventually("the strangers' descriptors are closed", async || {
        let open = victim.process()?.descriptors()?;
        Ok(if open <= before.descriptors + Needs::FEW_DESCRIPTORS {
            Look::Done(())
        } else {
            Look::NotYet(format!("{open} are open, {} were before", before.descriptors))
        })
    })
    .await?;
    Needs::of(victim).await
}

/// The audit, as the last stage.
pub async fn audit(network: &mut Network, report: &mut Report) -> Result<()> {
    let verdict = audit::run(network).await?;
    report.audit = verdict.summary();
    ensure!(verdict.differences.is_empty(), "the audit found: {}", report.audit);
    Ok(())
}
