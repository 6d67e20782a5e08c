//! A network under a steady stream of payments, measured interval by interval: `cargo load`.
//!
//! [`options`] says what is asked for, `layout` brings the network up, [`meter`] reads one
//! node, [`series`] holds what was measured and sums it up, [`plot`] draws it.

mod layout;
pub mod meter;
pub mod options;
pub mod plot;
pub mod series;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::layout::Laid;
use self::options::{Options, Paid};
use self::series::{Interval, Series};
use crate::audit;
use crate::demo::screen::Screen;
use crate::steps::traffic::{End, Load, Running, Until};

/// Runs a whole measurement, from nothing to the audit.
pub async fn run(options: &Options, screen: &Screen) -> Result<Series> {
    let mut laid = layout::lay_out(options, screen).await?;
    if options.history > 0 {
        let stage = screen.stage("history");
        let mut running =
            Running::start(load(&laid, options, Until::Payments(options.history)).await?)?;
        let mut paid = 0;
        while let Some(sample) = running.next().await? {
            paid += usize::from(sample.succeeded());
        }
        stage.done(&format!("{paid} payments"));
    }
    let mut series = measure(&laid, options, screen).await?;
    let stage = screen.stage("audit");
    let settled = audit::run(&mut laid.network).await.context("auditing")?;
    stage.done(&settled.summary());
    series.audit = settled.summary();
    if !settled.differences.is_empty() {
        laid.network.keep();
    }
    Ok(series)
}

async fn measure(laid: &Laid, options: &Options, screen: &Screen) -> Result<Series> {
    let mut running = Running::start(load(laid, options, options.until()).await?)?;
    let every = Duration::from_secs(options.every_secs);
    let began = Instant::now();
    let mut series = Series::new(laid.names());
    let mut before = laid.read().await?;
    let mut interval = Interval::begin(Duration::ZERO);
    let mut ticks = tokio::time::interval_at((began + every).into(), every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    screen.line(&Series::heading());
    loop {
        let over = tokio::select! {
            sample = running.next() => match sample? {
                Some(sample) => {
                    interval.add(&sample);
                    continue;
                }
                None => true,
            },
            _ = ticks.tick() => false,
            // The measurement is cut short, summed up and audited.
            _ = tokio::signal::ctrl_c() => true,
        };
        let now = laid.read().await?;
        let at = began.elapsed();
        let done = interval.end(at, &before, &now);
        screen.line(&done.line());
        series.intervals.push(done);
        if over {
            drop(running);
            series.finish(laid.live_bytes().await?);
            return Ok(series);
        }
        before = now;
        interval = Interval::begin(at);
    }
}

async fn load(laid: &Laid, options: &Options, until: Until) -> Result<Load> {
    let mut pairs = Vec::new();
    for (payer, payee) in options.pairs() {
        pairs.push((
            End::of(payer, &laid.network.nodes[payer]).await?,
            End::of(payee, &laid.network.nodes[payee]).await?,
        ));
    }
    Ok(Load {
        pairs,
        amount_msat: options.amount_msat,
        in_flight: options.in_flight,
        keysend_every: match options.paid {
            Paid::Bolt11 => 0,
            Paid::Keysend => 1,
        },
        max_parts: 0,
        out_through: laid.busy.clone(),
        until,
    })
}
