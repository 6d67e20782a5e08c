//! The network known from gossip, for people.
use fulmen_proto::v1::{
    DirectedPolicy, GetGraphNodeResponse, GraphChannel, SummarizeGraphResponse,
};

use super::channels;
use super::node::color;
use crate::format::human;
use crate::format::table::{Cell, Column, Facts, Look, Tone, id, table, text, toned};

/// Counts and total capacity.
pub fn summary(summary: &SummarizeGraphResponse, look: Look) -> String {
    let both = human::grouped(summary.channels_with_both_policies);
    Facts::new(look)
        .add("nodes", human::grouped(summary.nodes))
        .add("channels", human::grouped(summary.channels))
        .add("  both ways", both)
        .add("capacity", human::sat(summary.capacity_sat))
        .lines()
}

/// One node with its channels.
pub fn node(node: &GetGraphNodeResponse, now: u64, look: Look) -> String {
    let mut shown = Facts::new(look)
        .add("node id", human::hex(&node.node_id))
        .add_if_any("alias", human::one_line(&node.alias))
        .add_if_any("color", color(&node.color))
        .add("announced", human::yes_no(node.announced))
        .add_if_any("addresses", human::one_line(&node.addresses.join(", ")))
        .add_if_any("updated", human::ago(now, node.last_update))
        .add("channels", human::grouped(node.channels.len() as u64))
        .lines();
    if node.channels.is_empty() {
        return shown;
    }
    let columns = [
        Column::Left("channel"),
        Column::Right("capacity"),
        Column::Left("with"),
        Column::Left("it charges"),
        Column::Left("it is charged"),
    ];
    let rows = node.channels.iter().map(|channel| {
        // What a node charges is the policy of the direction that leaves it.
        let (other, leaving, arriving) = if channel.node_one == node.node_id {
            (&channel.node_two, &channel.one_to_two, &channel.two_to_one)
        } else {
            (&channel.node_one, &channel.two_to_one, &channel.one_to_two)
        };
        [
            text(human::scid(channel.short_channel_id)),
            text(capacity(channel.capacity_sat)),
            id(other),
            price(leaving.as_ref()),
            price(arriving.as_ref()),
        ]
    });
    shown.push('\n');
    shown.push_str(&table(look, columns, rows.collect()));
    shown
}

fn capacity(sat: u64) -> String {
    if sat == 0 { human::NONE.to_owned() } else { human::grouped(sat) }
}

fn price(policy: Option<&DirectedPolicy>) -> Cell {
    match policy {
        None => toned(human::NONE, Tone::Faint),
        Some(policy) if !policy.enabled => toned("disabled", Tone::Waiting),
        Some(policy) => {
            let Some(fees) = policy.policy else { return text(human::NONE) };
            let base = human::msat_bare(fees.base_fee_msat.into());
            text(format!("{base} + {} ppm", human::grouped(fees.proportional_millionths.into())))
        }
    }
}

/// One channel with both policies.
pub fn channel(channel: &GraphChannel, now: u64, look: Look) -> String {
    let mut shown = Facts::new(look)
        .add("channel", human::scid(channel.short_channel_id))
        .add("capacity", format!("{} sat", capacity(channel.capacity_sat)))
        .add("node one", human::hex(&channel.node_one))
        .add("node two", human::hex(&channel.node_two))
        .lines();
    for (title, policy) in
        [("one to two", &channel.one_to_two), ("two to one", &channel.two_to_one)]
    {
        shown.push_str(&format!("\nFrom node {title}:\n"));
        shown.push_str(&directed(policy.as_ref(), now, look));
    }
    shown
}

fn directed(policy: Option<&DirectedPolicy>, now: u64, look: Look) -> String {
    let Some(policy) = policy else { return "no policy is known\n".to_owned() };
    let (state, tone) = match policy.enabled {
        true => ("enabled", Tone::Good),
        false => ("disabled", Tone::Waiting),
    };
    let (least, most) = (policy.htlc_minimum_msat, policy.htlc_maximum_msat);
    Facts::new(look)
        .add_toned("state", state, tone)
        .add("charges", channels::policy(policy.policy.as_ref()))
        .add("HTLCs", format!("{} to {}", human::msat(least), human::msat(most)))
        .add("updated", human::ago(now, policy.last_update))
        .lines()
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::ForwardPolicy;

    use super::*;

    fn sample() -> GraphChannel {
        let directed = |proportional_millionths, enabled| DirectedPolicy {
            policy: Some(ForwardPolicy { proportional_millionths, ..Default::default() }),
            enabled,
            ..Default::default()
        };
        GraphChannel {
            short_channel_id: 539 << 40 | 1 << 16,
            node_one: vec![2; 33],
            node_two: vec![3; 33],
            capacity_sat: 1_000_000,
            one_to_two: Some(directed(100, true)),
            two_to_one: Some(directed(200, false)),
        }
    }

    #[test]
    fn a_node_charges_for_what_leaves_it() {
        let of = |node_id| {
            let channels = vec![sample()];
            node(
                &GetGraphNodeResponse { node_id, channels, ..Default::default() },
                0,
                Look::default(),
            )
        };
        let (one, two) = (of(vec![2; 33]), of(vec![3; 33]));
        let row = |shown: &str| shown.lines().last().map(str::to_owned).unwrap_or_default();
        assert!(row(&one).ends_with("0 + 100 ppm  disabled"), "{one}");
        assert!(row(&two).ends_with("disabled    0 + 100 ppm"), "{two}");
        assert!(row(&two).contains(&"02".repeat(33)), "{two}");
    }

    #[test]
    fn a_channel_shows_both_directions() {
        let shown = channel(&sample(), 0, Look::default());
        for part in ["539x1x0", "1,000,000 sat", "100 ppm", "200 ppm", "disabled"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let half = GraphChannel { two_to_one: None, ..sample() };
        assert!(channel(&half, 0, Look::default()).contains("no policy is known"));
        let counts = SummarizeGraphResponse { nodes: 1_234, ..Default::default() };
        assert!(summary(&counts, Look::default()).contains("1,234"));
    }
}
