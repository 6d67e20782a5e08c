//! What checkpoints hold: no more than what is under way, however much has been paid.
use anyhow::{Context as _, Result};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::pay;
use fulmen_proto::v1::StoreStatsRequest;

/// LDK's manager has 88 bytes of each payment that it still keeps, and varies by less than this otherwise.
const SLACK_BYTES: u64 = 1_000;

#[test]
fn ended_payments_leave_the_manager() {
    scenario::run("ended", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        pays(&network.nodes, 3).await?;
        let few = manager_bytes(&network.nodes[0]).await?;
        pays(&network.nodes, 40).await?;
        manager_has_at_most(&network.nodes[0], few + SLACK_BYTES).await?;
        // A checkpoint that still has them is no reason to keep them.
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        pays(&network.nodes, 1).await?;
        manager_has_at_most(&network.nodes[0], few + SLACK_BYTES).await
    });
}

async fn pays(nodes: &[Node], count: usize) -> Result<()> {
    for _ in 0..count {
        pay::transfer(&nodes[0], &nodes[1], 10_000).await?;
    }
    Ok(())
}

async fn manager_has_at_most(node: &Node, most: u64) -> Result<()> {
    poll::eventually("ended payments are forgotten", async || {
        let bytes = manager_bytes(node).await?;
        Ok(if bytes <= most {
            Look::Done(())
        } else {
            Look::NotYet(format!("{bytes} bytes, not {most}"))
        })
    })
    .await
}

async fn manager_bytes(node: &Node) -> Result<u64> {
    let stats = node.store().stats(StoreStatsRequest {}).await?.into_inner();
    let manager = stats.largest.iter().find(|value| value.name.ends_with("manager"));
    Ok(manager.with_context(|| format!("no manager among {:?}", stats.largest))?.bytes)
}
