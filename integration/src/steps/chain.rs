//! Waiting for what the chain decides: mines until money of closed channels is home.
use anyhow::{Result, bail};
use fulmen_proto::v1::channel::State;

use super::wallet;
use crate::daemon::channels;
use crate::network::Network;
use crate::poll::{self, Look};

/// More blocks than any timelock of a channel with default limits takes, twice.
const MOST_BLOCKS: u64 = 4_500;
/// Blocks at a time while nothing says when the next balance becomes claimable.
const STEP: u64 = 6;
/// A daemon broadcasts its answer to a block within so long.
const ANSWER: std::time::Duration = std::time::Duration::from_millis(200);

/// Mines until no daemon has money in closed channels any more and the mempool is empty.
pub async fn sweep_everything(network: &Network) -> Result<()> {
    let mut mined = 0;
    loop {
        let height = network.bitcoind.tip()?.0;
        let mut waiting = Vec::new();
        let mut next_height = None;
        for node in network.nodes.iter().filter(|node| node.runs()) {
            let balances = wallet::balances(node).await?;
            for closing in balances.closing {
                waiting.push(format!(
                    "{}: {} sat {} (height {})",
                    node.name(),
                    closing.amount_sat,
                    closing.kind().as_str_name(),
                    closing.claimable_height
                ));
                let claimable = u64::from(closing.claimable_height);
                if claimable > height {
                    next_height = Some(next_height.unwrap_or(claimable).min(claimable));
                }
            }
            for open in channels::all(node).await? {
                if open.state() == State::ShuttingDown {
                    waiting.push(format!("{}: a channel is shutting down", node.name()));
                }
            }
        }
        let mempool = network.bitcoind.mempool()?.len();
        if waiting.is_empty() && mempool == 0 && mined > 0 {
            return Ok(());
        }
        if mined >= MOST_BLOCKS {
            bail!(
                "after {mined} blocks still: {} and {mempool} in the mempool",
                waiting.join("; ")
            );
        }
        // Far timelocks are jumped over, but for the last blocks, in which daemons act.
        let blocks = match next_height {
            Some(next) if mempool == 0 && next > height + STEP => next - height - 1,
            Some(_) | None => {
                if mempool > 0 {
                    1
                } else {
                    2
                }
            }
        };
        network.mine(blocks).await?;
        mined += blocks;
        let height = height + blocks;
        let due = next_height.is_some_and(|next| next <= height);
        if mempool > 0 || due {
            answers(network).await?;
        }
    }
}

/// Daemons may answer a block that has their transactions, or that makes money claimable, with transactions of their
/// own. Waits for the first; none comes where the block brought the last money home, hence the short patience.
async fn answers(network: &Network) -> Result<()> {
    let answered = poll::eventually_within(ANSWER, "a daemon answers the block", async || {
        let waiting = network.bitcoind.mempool()?.len();
        Ok(if waiting > 0 { Look::Done(()) } else { Look::NotYet("no transaction".to_owned()) })
    });
    // No answer is an answer: the loop looks at all balances again.
    let _ = answered.await;
    Ok(())
}

/// Waits until somebody has broadcast something.
pub async fn mempool_holds_some(network: &Network) -> Result<()> {
    poll::eventually("a transaction waits in the mempool", async || {
        let waiting = network.bitcoind.mempool()?;
        Ok(if waiting.is_empty() { Look::NotYet("none".to_owned()) } else { Look::Done(()) })
    })
    .await
}
