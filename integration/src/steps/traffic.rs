//! Many payments at once: payer and payee of each, how many in flight, and the outcome.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use fulmen_proto::dial::Connection;
use fulmen_proto::v1::invoices_client::InvoicesClient;
use fulmen_proto::v1::payment::State;
use fulmen_proto::v1::payment_part::State as PartState;
use fulmen_proto::v1::payments_client::PaymentsClient;
use fulmen_proto::v1::{
    CreateInvoiceRequest, KeysendRequest, PayRequest, Payment, PaymentLimits, PaymentPart,
    RouteConstraints,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::daemon::Node;
use crate::network::Topology;

/// One end of a payment, reachable from any task.
#[derive(Clone)]
pub struct End {
    /// Its place in the network.
    pub number: usize,
    /// Its node id.
    pub id: Vec<u8>,
    /// Its door.
    pub connection: Connection,
}

impl End {
    /// Opens a connection of its own, so that load and steps do not wait for one another.
    pub async fn of(number: usize, node: &Node) -> Result<Self> {
        Ok(Self { number, id: node.id(), connection: node.dial_as("admin").await? })
    }

    /// `fulmen.v1.Payments`.
    pub fn payments(&self) -> PaymentsClient<Connection> {
        PaymentsClient::new(self.connection.clone())
    }

    /// `fulmen.v1.Invoices`.
    pub fn invoices(&self) -> InvoicesClient<Connection> {
        InvoicesClient::new(self.connection.clone())
    }
}

/// How one payment is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The payee makes an invoice first.
    Invoice,
    /// Without one.
    Keysend,
}

/// A stream of payments.
pub struct Load {
    /// (payer, payee), taken in turn.
    pub pairs: Vec<(End, End)>,
    /// Of each payment.
    pub amount_msat: u64,
    /// Payments under way at once.
    pub in_flight: usize,
    /// Every how many-th payment is a keysend; 0 for none.
    pub keysend_every: usize,
    /// How many parts a payment may have; 0 leaves it to the payer.
    pub max_parts: u32,
    /// The payers' channels that payments may leave by; empty for any.
    pub out_through: Vec<u64>,
    /// When to end.
    pub until: Until,
}

impl Load {
    fn constraints(&self) -> Option<RouteConstraints> {
        let out_through = self.out_through.clone();
        let constrained = !out_through.is_empty();
        constrained.then(|| RouteConstraints { out_through, ..RouteConstraints::default() })
    }

    fn limits(&self) -> Option<PaymentLimits> {
        Some(PaymentLimits { max_parts: self.max_parts, ..PaymentLimits::default() })
    }
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this many payments.
    Payments(usize),
    /// After this long.
    Elapsed(Duration),
}

/// One payment, as its payer saw it.
pub struct Sample {
    /// Invoice or keysend.
    pub kind: Kind,
    /// Places of payer and payee.
    pub pair: (usize, usize),
    /// From the call to the final state; making the invoice is not in it.
    pub latency: Duration,
    /// The final state, or why there is none.
    pub outcome: Result<Payment, String>,
}

impl Sample {
    /// Whether the money arrived.
    pub fn succeeded(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|payment| payment.state() == State::Succeeded)
    }

    /// Whether it arrived at once: with no attempt that failed.
    pub fn at_once(&self) -> bool {
        let failed = |part: &PaymentPart| part.state() == PartState::Failed;
        self.outcome.as_ref().is_ok_and(|payment| {
            payment.state() == State::Succeeded && !payment.parts.iter().any(failed)
        })
    }

    /// Why it did not.
    pub fn failure(&self) -> Option<String> {
        match &self.outcome {
            Ok(payment) if payment.state() == State::Succeeded => None,
            Ok(payment) => Some(payment.failure_reason.clone()),
            Err(why) => Some(why.clone()),
        }
    }
}

/// What a load did.
pub struct Outcome {
    /// Every payment, in the order in which they ended.
    pub samples: Vec<Sample>,
    /// From the first call to the last final state.
    pub elapsed: Duration,
}

/// Pairs of nodes as far from each other as the topology has any, so that every payment has as many
/// hops as possible; each node pays where it can.
pub fn farthest_pairs(topology: Topology) -> Vec<(usize, usize)> {
    let nodes = topology.nodes();
    let mut pairs = Vec::new();
    for payer in 0..nodes {
        let distance = |payee| topology.distance(payer, payee).unwrap_or(0);
        let Some(most) = (0..nodes).map(distance).max().filter(|most| *most > 0) else { continue };
        // At least two hops, so that nodes in the middle pay too where they can.
        let enough = most.min(2);
        pairs.extend(
            (0..nodes).filter(|payee| distance(*payee) >= enough).map(|payee| (payer, payee)),
        );
    }
    // First all first choices, then all second ones: payers take turns.
    let mut rank = vec![0_usize; nodes];
    let mut ranked: Vec<(usize, (usize, usize))> = pairs
        .into_iter()
        .map(|pair| {
            rank[pair.0] += 1;
            (rank[pair.0], pair)
        })
        .collect();
    ranked.sort();
    ranked.into_iter().map(|(_, pair)| pair).collect()
}

/// Runs a load; `ended` is called with every payment's number as it ends.
pub async fn run(load: Load, ended: impl Fn(usize)) -> Result<Outcome> {
    let started = Instant::now();
    let mut running = Running::start(load)?;
    let mut samples = Vec::new();
    while let Some(sample) = running.next().await? {
        samples.push(sample);
        ended(samples.len());
    }
    Ok(Outcome { samples, elapsed: started.elapsed() })
}

/// A load under way. Dropping it ends the payers; payments under way go on in their daemons.
pub struct Running {
    reports: UnboundedReceiver<Sample>,
    payers: JoinSet<()>,
}

impl Running {
    /// Starts the payers.
    pub fn start(load: Load) -> Result<Self> {
        if load.pairs.is_empty() {
            bail!("nobody can pay anybody in this topology");
        }
        let load = Arc::new(load);
        let started = Instant::now();
        let next = Arc::new(AtomicUsize::new(0));
        let (report, reports) = tokio::sync::mpsc::unbounded_channel();
        let mut payers = JoinSet::new();
        for _ in 0..load.in_flight.max(1) {
            let (load, next, report) = (load.clone(), next.clone(), report.clone());
            payers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let over = match load.until {
                        Until::Payments(count) => number >= count,
                        Until::Elapsed(span) => started.elapsed() >= span,
                    };
                    if over || report.send(pay_once(&load, number).await).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { reports, payers })
    }

    /// The next payment that ends; None when all have. May be dropped and asked again.
    pub async fn next(&mut self) -> Result<Option<Sample>> {
        if let Some(sample) = self.reports.recv().await {
            return Ok(Some(sample));
        }
        while let Some(payer) = self.payers.join_next().await {
            payer.context("a payer's task")?;
        }
        Ok(None)
    }
}

async fn pay_once(load: &Load, number: usize) -> Sample {
    let (payer, payee) = &load.pairs[number % load.pairs.len()];
    let keysend = load.keysend_every > 0 && number % load.keysend_every == load.keysend_every - 1;
    let mut began = Instant::now();
    let (kind, outcome) = if keysend {
        (Kind::Keysend, keysend_once(load, payer, payee).await)
    } else {
        match invoice_of(load, payee, number).await {
            Ok(bolt11) => {
                began = Instant::now();
                (Kind::Invoice, pay_invoice(load, payer, bolt11).await)
            }
            Err(error) => (Kind::Invoice, Err(error)),
        }
    };
    let latency = began.elapsed();
    let outcome = outcome.map_err(|error| format!("{error:#}"));
    Sample { kind, pair: (payer.number, payee.number), latency, outcome }
}

async fn invoice_of(load: &Load, payee: &End, number: usize) -> Result<String> {
    use fulmen_proto::v1::create_invoice_request::Describe;
    let request = CreateInvoiceRequest {
        amount_msat: load.amount_msat,
        describe: Some(Describe::Description(format!("payment {number}"))),
        ..CreateInvoiceRequest::default()
    };
    let answer = payee.invoices().create(request).await;
    let invoice = answer.context("making an invoice")?.into_inner().invoice;
    Ok(invoice.context("no invoice in the answer")?.bolt11)
}

async fn pay_invoice(load: &Load, payer: &End, bolt11: String) -> Result<Payment> {
    let request = PayRequest {
        bolt11,
        limits: load.limits(),
        constraints: load.constraints(),
        ..PayRequest::default()
    };
    let stream = payer.payments().pay(request).await?;
    super::pay::finish(stream.into_inner()).await
}

async fn keysend_once(load: &Load, payer: &End, payee: &End) -> Result<Payment> {
    let request = KeysendRequest {
        node_id: payee.id.clone(),
        amount_msat: load.amount_msat,
        limits: load.limits(),
        constraints: load.constraints(),
        ..KeysendRequest::default()
    };
    let stream = payer.payments().keysend(request).await?;
    super::pay::finish(stream.into_inner()).await
}

/// The value below which `per_cent` of the sorted samples lie (nearest rank).
pub fn percentile(sorted: &[Duration], per_cent: usize) -> Duration {
    let rank = (sorted.len() * per_cent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let samples: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&samples, 50), Duration::from_millis(50));
        assert_eq!(percentile(&samples, 99), Duration::from_millis(99));
        assert_eq!(percentile(&samples[..1], 95), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn payers_take_turns_and_pay_far() {
        assert_eq!(farthest_pairs(Topology::Pair), [(0, 1), (1, 0)]);
        // The middle of a line of three can only pay its neighbours.
        assert_eq!(farthest_pairs(Topology::Line(3)), [(0, 2), (1, 0), (2, 0), (1, 2)]);
        let ring = farthest_pairs(Topology::ChordedRing(5));
        assert!(
            ring.iter()
                .all(|(from, to)| { Topology::ChordedRing(5).distance(*from, *to) == Some(2) })
        );
        assert_eq!(farthest_pairs(Topology::Apart(2)), []);
    }
}
