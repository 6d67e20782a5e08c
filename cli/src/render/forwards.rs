//! Forwards for people.
use fulmen_proto::v1::{FailedForwards, Forward, SummarizeForwardsResponse};

use crate::format::human;
use crate::format::names::Names;
use crate::format::table::{Column, Facts, Look, channel, channel_of, table, text, time};

/// Settled forwards, the newest first.
pub fn list(forwards: &[Forward], names: &Names, look: Look) -> String {
    if forwards.is_empty() {
        return "No forwards.\n".to_owned();
    }
    let columns = [
        Column::Left("settled (UTC)"),
        Column::Right("in (sat)"),
        Column::Right("out"),
        Column::Right("fee"),
        Column::Left("from"),
        Column::Left("to"),
    ];
    let rows = forwards.iter().map(|forward| {
        [
            time(forward.settled_at),
            text(human::msat_bare(forward.inbound_msat)),
            text(human::msat_bare(forward.outbound_msat)),
            text(human::msat_bare(forward.fee_msat)),
            channel_of(
                names,
                &forward.inbound_node_id,
                forward.inbound_short_channel_id,
                &forward.inbound_channel_id,
            ),
            channel_of(
                names,
                &forward.outbound_node_id,
                forward.outbound_short_channel_id,
                &forward.outbound_channel_id,
            ),
        ]
    });
    table(look, columns, rows.collect())
}

/// Totals, and the same by channel.
pub fn summary(summary: &SummarizeForwardsResponse, names: &Names, look: Look) -> String {
    let totals = Facts::new(look)
        .add("settled", human::grouped(summary.count))
        .add("failed", human::grouped(summary.failed_count))
        .add("forwarded", human::msat(summary.outbound_msat))
        .add("earned", human::msat(summary.fee_msat))
        .lines();
    let totals = totals + &failures(&summary.failures, look);
    if summary.channels.is_empty() {
        return totals;
    }
    let columns = [
        Column::Left("channel"),
        Column::Right("came in"),
        Column::Right("in (sat)"),
        Column::Right("went out"),
        Column::Right("out (sat)"),
        Column::Right("earned (sat)"),
    ];
    let rows = summary.channels.iter().map(|channel| {
        [
            channel_of(names, &channel.node_id, channel.short_channel_id, &channel.channel_id),
            text(human::grouped(channel.inbound_count)),
            text(human::msat_bare(channel.inbound_msat)),
            text(human::grouped(channel.outbound_count)),
            text(human::msat_bare(channel.outbound_msat)),
            text(human::msat_bare(channel.fee_msat)),
        ]
    });
    format!("{totals}\n{}", table(look, columns, rows.collect()))
}

/// What failed lately; empty where nothing did.
fn failures(failures: &[FailedForwards], look: Look) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let columns = [
        Column::Left("failed since (UTC)"),
        Column::Right("how often"),
        Column::Left("why"),
        Column::Left("came by"),
        Column::Left("for"),
    ];
    let rows = failures.iter().map(|failed| {
        [
            time(failed.hour),
            text(human::grouped(failed.count)),
            text(human::word(&failed.reason)),
            channel(failed.inbound_short_channel_id, &failed.inbound_channel_id),
            text(human::or_none(&human::scid(failed.outbound_short_channel_id))),
        ]
    });
    format!("\n{}", table(look, columns, rows.collect()))
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::ChannelTotals;

    use super::*;

    #[test]
    fn what_was_earned() {
        let channel = ChannelTotals {
            channel_id: vec![7; 32],
            outbound_count: 3,
            outbound_msat: 300_000,
            fee_msat: 3_030,
            ..Default::default()
        };
        let sample = SummarizeForwardsResponse {
            failures: Vec::new(),
            count: 3,
            outbound_msat: 300_000,
            fee_msat: 3_030,
            channels: vec![channel],
            ..Default::default()
        };
        let shown = summary(&sample, &Names::default(), Look::default());
        assert!(shown.contains("earned     3.030 sat"), "{shown}");
        assert!(shown.contains(&"07".repeat(32)), "{shown}");
        let forward = Forward { fee_msat: 1_010, ..Default::default() };
        assert!(list(&[forward], &Names::default(), Look::default()).contains("1.010"));
        let forward = Forward {
            inbound_msat: 1_001_010,
            outbound_msat: 1_000_000,
            fee_msat: 1_010,
            settled_at: 1_700_000_000,
            inbound_node_id: vec![2; 33],
            inbound_short_channel_id: 874_321 << 40 | 1_203 << 16 | 1,
            inbound_channel_id: vec![7; 32],
            outbound_short_channel_id: 539 << 40 | 1 << 16,
            outbound_channel_id: vec![8; 32],
            ..Default::default()
        };
        let names = Names::of(vec![2; 33], "alice");
        let shown = list(&[forward], &names, Look { width: Some(80), colour: false });
        assert!(shown.lines().all(|line| human::width(line) <= 80), "{shown}");
        assert!(shown.contains("alice 874321x1203x1  539x1x0"), "{shown}");
        assert_eq!(list(&[], &Names::default(), Look::default()), "No forwards.\n");
    }
}
