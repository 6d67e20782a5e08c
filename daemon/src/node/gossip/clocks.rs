//! Whether other nodes' clocks are ahead of ours, by the timestamps that they sign in gossip (BOLT 7).

use std::time::Duration;

use lightning::routing::gossip::NetworkGraph;
use lightning::util::logger::Logger;

/// Clocks that differ by less are usual.
const USUAL: Duration = Duration::from_secs(600);
/// What nodes announced in the last hour is compared with what they announce from our future.
const RECENT: Duration = Duration::from_secs(3_600);
/// Fewer nodes from the future say nothing.
const LEAST_NODES: usize = 12;

/// Returns how far this machine's clock is behind those of other nodes; none if it is not, or not enough is known.
pub fn lag<L: std::ops::Deref<Target: Logger>>(
    graph: &NetworkGraph<L>,
    since_epoch: Duration,
) -> Option<Duration> {
    let graph = graph.read_only();
    let announced = graph.nodes().unordered_iter().filter_map(|(_, node)| {
        let timestamp = node.announcement_info.as_ref()?.last_update();
        Some(Duration::from_secs(timestamp.into()))
    });
    lag_of(announced, since_epoch)
}

/// A node that is alive announces itself about once a day, so some do in every minute. A few clocks are always ahead:
/// ours is wrong only if the future is about as crowded as the last hour.
fn lag_of(announced: impl Iterator<Item = Duration>, now: Duration) -> Option<Duration> {
    let (mut future, mut recent) = (Vec::new(), 0);
    for timestamp in announced {
        if timestamp > now + USUAL {
            future.push(timestamp - now);
        } else if timestamp + RECENT > now {
            recent += 1;
        }
    }
    if future.len() < LEAST_NODES || 2 * future.len() < recent {
        return None;
    }
    future.sort_unstable();
    // Nine tenths: the last ones may be those whose clocks are wrong.
    future.get(future.len() * 9 / 10).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    /// Nodes that announced themselves at equal distances over the last day before `now`.
    fn network(nodes: u64, now: u64) -> Vec<Duration> {
        (0..nodes).map(|node| Duration::from_secs(now - node * DAY / nodes)).collect()
    }

    #[test]
    fn a_clock_that_is_behind_is_found_and_a_few_that_are_ahead_are_not_believed() {
        let true_now = 1_700_000_000;
        let lag = |nodes: &[Duration], now: u64| {
            lag_of(nodes.iter().copied(), Duration::from_secs(now)).map(|lag| lag.as_secs())
        };
        let nodes = network(10_000, true_now);
        assert_eq!(lag(&nodes, true_now), None);
        assert_eq!(lag(&nodes, true_now + DAY), None, "ahead: the chain says so");
        let hour = lag(&nodes, true_now - 3_600).expect("an hour behind");
        assert!((3_000..=3_600).contains(&hour), "{hour}");
        let days = lag(&nodes, true_now - 10 * DAY).expect("ten days behind");
        assert!((9 * DAY..=10 * DAY).contains(&days), "{days}");

        let mut with_wrong_ones = nodes.clone();
        with_wrong_ones.extend(vec![Duration::from_secs(true_now + 5 * DAY); 100]);
        assert_eq!(lag(&with_wrong_ones, true_now), None);
        let few = network(11, true_now);
        assert_eq!(lag(&few, true_now - DAY), None, "too few");
    }
}
