//! The nodes' own records against each other: what one paid, others received or earned.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fulmen_proto::v1::{
    ListInvoicesRequest, ListPaymentsRequest, PageRequest, SummarizeForwardsRequest, invoice,
    payment,
};

use crate::cli::hex;
use crate::daemon::Node;
use crate::network::Network;
use crate::poll::{self, Look};
use crate::steps::channel;

const PAGE_SIZE: u32 = 1_000;

/// A payee holds parts of a payment that never becomes whole for three ticks of a minute (BOLT 4, `mpp_timeout`).
const PATIENCE: Duration = Duration::from_secs(240);

/// Waits until no payment, no invoice's claim and no HTLC is under way.
pub(super) async fn nothing_pending(network: &Network) -> Result<()> {
    for node in &network.nodes {
        poll::eventually_within(
            PATIENCE,
            &format!("{} has nothing pending", node.name()),
            async || {
                let mut pending = Vec::new();
                let payments = payments(node, payment::State::Pending).await?;
                pending
                    .extend(payments.iter().map(|one| format!("payment {}", hex(&one.payment_id))));
                for state in [invoice::State::Accepted, invoice::State::Claiming] {
                    let waiting = invoices(node, state).await?;
                    pending.extend(
                        waiting.iter().map(|one| format!("invoice {}", hex(&one.payment_hash))),
                    );
                }
                for channel in channel::all(node).await? {
                    for htlc in &channel.htlcs {
                        pending.push(format!("HTLC of {} msat", htlc.amount_msat));
                    }
                }
                Ok(if pending.is_empty() {
                    Look::Done(())
                } else {
                    Look::NotYet(pending.join(", "))
                })
            },
        )
        .await?;
    }
    Ok(())
}

/// Over all nodes: paid and its fees = received and earned by forwarding, to the millisatoshi.
pub(super) async fn payments_agree(network: &Network) -> Result<Vec<String>> {
    let (mut paid_msat, mut fees_msat, mut received_msat, mut earned_msat) = (0, 0, 0, 0);
    for node in &network.nodes {
        for payment in payments(node, payment::State::Succeeded).await? {
            paid_msat += payment.amount_msat;
            fees_msat += payment.fee_msat;
        }
        for invoice in invoices(node, invoice::State::Settled).await? {
            received_msat += invoice.received_msat;
        }
        let forwards = node.forwards().summarize(SummarizeForwardsRequest {}).await?.into_inner();
        earned_msat += forwards.fee_msat;
    }
    let mut differences = Vec::new();
    if paid_msat + fees_msat != received_msat + earned_msat {
        differences.push(format!(
            "paid {paid_msat} + {fees_msat} of fees, but received {received_msat} + {earned_msat} \
             earned by forwarding (msat)"
        ));
    }
    Ok(differences)
}

/// Both sides of each open channel say the same, and their shares fill it.
pub(super) async fn channels_agree(network: &Network) -> Result<Vec<String>> {
    let mut sides: BTreeMap<Vec<u8>, Vec<(&Node, fulmen_proto::v1::Channel)>> = BTreeMap::new();
    for node in &network.nodes {
        for channel in channel::all(node).await? {
            sides.entry(channel.channel_id.clone()).or_default().push((node, channel));
        }
    }
    let mut differences = Vec::new();
    for (channel_id, sides) in sides {
        let [(one, mine), (other, theirs)] = &sides[..] else {
            let names: Vec<_> = sides.iter().map(|(node, _)| node.name()).collect();
            differences.push(format!("channel {} is known to {names:?} only", hex(&channel_id)));
            continue;
        };
        let agrees = mine.local_msat == theirs.remote_msat
            && mine.remote_msat == theirs.local_msat
            && mine.capacity_sat == theirs.capacity_sat
            && mine.local_msat + theirs.local_msat == mine.capacity_sat * 1_000;
        if !agrees {
            differences.push(format!(
                "channel {} of {} sat: {} has {} and leaves {}, {} has {} and leaves {} (msat)",
                hex(&channel_id),
                mine.capacity_sat,
                one.name(),
                mine.local_msat,
                mine.remote_msat,
                other.name(),
                theirs.local_msat,
                theirs.remote_msat
            ));
        }
    }
    Ok(differences)
}

async fn payments(node: &Node, state: payment::State) -> Result<Vec<fulmen_proto::v1::Payment>> {
    let mut all = Vec::new();
    let mut page_token = Vec::new();
    loop {
        let page = Some(PageRequest { page_size: PAGE_SIZE, page_token });
        let request = ListPaymentsRequest { page, state: state.into(), ..Default::default() };
        let answer = node.payments().list(request).await?.into_inner();
        all.extend(answer.payments);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn invoices(node: &Node, state: invoice::State) -> Result<Vec<fulmen_proto::v1::Invoice>> {
    let mut all = Vec::new();
    let mut page_token = Vec::new();
    loop {
        let page = Some(PageRequest { page_size: PAGE_SIZE, page_token });
        let request =
            ListInvoicesRequest { page, state: state.into(), ..ListInvoicesRequest::default() };
        let answer = node.invoices().list(request).await?.into_inner();
        all.extend(answer.invoices);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}
