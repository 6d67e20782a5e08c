//! Brings restored parts to the tip of the chain before they run, and names those that follow it from then on.

use std::collections::HashSet;
use std::sync::Arc;

use bitcoin::OutPoint;
use lightning::chain::{BestBlock, Listen};

use crate::chain::Listener;
use crate::node::Node;
use crate::node::commit::types::RestoredMonitor;

/// A node whose parts have not seen the newest blocks yet.
pub struct Assembled {
    /// The node; nothing drives it yet.
    pub node: Arc<Node>,
    pub(super) manager_best: BestBlock,
    pub(super) sweeper_best: BestBlock,
    /// From where on spends of funding outputs are looked for.
    pub spends_best: BestBlock,
    /// In a recovery, the funding outputs that the peers have yet to spend.
    pub set_aside: HashSet<OutPoint>,
    pub(super) monitors: Vec<Arc<RestoredMonitor>>,
}

impl Assembled {
    /// Returns the parts that missed blocks, each with its own best block, in the order in which they have to see a
    /// block: the manager before the monitors, so that a monitor that fails an HTLC back finds the manager at the same
    /// height; the sweeper last, since monitors give it its outputs.
    pub fn catching_up(&self) -> Vec<Listener> {
        let mut listeners = vec![Listener {
            name: "channel manager",
            best: self.manager_best,
            listen: self.node.channel_manager.clone(),
        }];
        listeners.extend(self.monitors.iter().map(|monitor| Listener {
            name: "channel monitor",
            best: monitor.0.current_best_block(),
            listen: monitor.clone(),
        }));
        listeners.push(Listener {
            name: "sweeper",
            best: self.sweeper_best,
            listen: self.node.sweeper.clone(),
        });
        listeners
    }

    /// Hands the monitors, which have seen all blocks by now, to the chain monitor.
    ///
    /// # Panics
    /// If a listener of [`Assembled::catching_up`] still exists.
    pub fn finish(self) -> Arc<Node> {
        for monitor in self.monitors {
            let (monitor, ..) = Arc::into_inner(monitor)
                .expect("the listeners that shared the monitor have been dropped");
            let channel_id = monitor.channel_id();
            let update = monitor.get_latest_update_id();
            self.node
                .chain_monitor
                .load_existing_monitor(channel_id, monitor)
                .expect("monitors in the store have distinct channel ids");
            // LDK regenerates the updates that a kill interrupted, except a channel's first monitor: a manager that
            // was written while LDK waited for it waits for its completion, and the channel would stay pending.
            self.node
                .chain_monitor
                .channel_monitor_updated(channel_id, update)
                .expect("the monitor has just been loaded");
        }
        self.node
    }
}

/// Returns the parts that see each new block of a running node, in this order, with the best block of each.
pub fn following(
    node: &Arc<Node>,
) -> Vec<(&'static str, BestBlock, Arc<dyn Listen + Send + Sync>)> {
    let best = node.channel_manager.current_best_block();
    let swept = node.sweeper.current_best_block();
    vec![
        ("channel manager", best, node.channel_manager.clone()),
        ("chain monitor", best, node.chain_monitor.clone()),
        ("sweeper", swept, node.sweeper.clone()),
        ("spent channels", best, node.spent_channels.clone()),
    ]
}
