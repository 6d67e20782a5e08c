//! After every scenario: all money accounted for to the satoshi, nothing pending, clean logs, every store reopens.
mod books;
mod ledger;

use anyhow::{Context as _, Result, bail};

use crate::daemon::log;
use crate::network::Network;
use crate::steps::wallet;

/// What the audit found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Each thing that is not as it must be; empty when all is exact.
    pub differences: Vec<String>,
    /// On-chain costs, computed from the chain.
    pub onchain: ledger::Onchain,
}

impl Verdict {
    /// "ok", or what differs.
    pub fn summary(&self) -> String {
        if self.differences.is_empty() { "ok".to_owned() } else { self.differences.join("; ") }
    }

    /// An error where anything differs.
    pub fn into_result(self) -> Result<()> {
        if self.differences.is_empty() {
            return Ok(());
        }
        bail!("the audit found:\n  {}", self.differences.join("\n  "))
    }
}

/// Audits the network: starts daemons that do not run, looks into all books, stops and reopens every
/// store, and leaves all daemons stopped.
pub async fn run(network: &mut Network) -> Result<Verdict> {
    for node in &mut network.nodes {
        if !node.runs() {
            node.launch().await.with_context(|| format!("{} must open again", node.name()))?;
        }
    }
    network.wait_synced().await?;

    let mut verdict = money(network).await?;
    verdict.differences.extend(reopen(network).await?);

    network.stop_nodes().await?;
    for node in &network.nodes {
        let problems = log::problems(&node.log(), &network.allowed_errors)?;
        verdict
            .differences
            .extend(problems.into_iter().map(|line| format!("{}'s log: {line}", node.name())));
    }
    Ok(verdict)
}

/// Waits until nothing is pending, and compares all books of daemons that run, with each other and with the chain.
pub async fn money(network: &Network) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    books::nothing_pending(network).await?;
    if !network.skip_payment_audit {
        verdict.differences.extend(books::payments_agree(network).await?);
    }
    verdict.differences.extend(books::channels_agree(network).await?);
    let (onchain, differences) = ledger::audit(network).await?;
    verdict.onchain = onchain;
    verdict.differences.extend(differences);
    Ok(verdict)
}

/// Stops and starts every daemon; all must have what they had.
async fn reopen(network: &mut Network) -> Result<Vec<String>> {
    let mut before = Vec::new();
    for node in &network.nodes {
        before.push(wallet::balances(node).await?);
    }
    network.stop_nodes().await?;
    for node in &mut network.nodes {
        node.spawn()?;
    }
    for node in &mut network.nodes {
        node.reach().await.with_context(|| format!("{} must open again", node.name()))?;
    }
    network.wait_synced().await?;
    let owned = |balances: &fulmen_proto::v1::GetBalancesResponse| {
        (
            balances.onchain_confirmed_sat,
            balances.onchain_unconfirmed_sat,
            balances.channels_local_msat,
            balances.channels_remote_msat,
            balances.closing_sat,
        )
    };
    let mut differences = Vec::new();
    for (node, before) in network.nodes.iter().zip(before) {
        let after = wallet::balances(node).await?;
        if owned(&before) != owned(&after) {
            differences.push(format!(
                "{} had {:?} and has {:?} after a restart (confirmed, unconfirmed, local, remote, closing)",
                node.name(),
                owned(&before),
                owned(&after)
            ));
        }
    }
    Ok(differences)
}
