//! Routes and what they cost, for people.
use fulmen_proto::v1::payment_part::State as PartState;
use fulmen_proto::v1::probe_update::State as ProbeState;
use fulmen_proto::v1::{
    EstimateFeeResponse, FeeEstimate, PaymentPart, ProbeUpdate, Route, RoutePart,
};

use crate::format::human;
use crate::format::names::Names;
use crate::format::table::{Cell, Column, Facts, Look, node, table, text, time, words};

/// A route with its parts and hops.
pub fn route(route: &Route, names: &Names, look: Look) -> String {
    let parts = u64::try_from(route.parts.len()).unwrap_or(u64::MAX);
    let facts = Facts::new(look)
        .add("amount", human::msat(route.amount_msat))
        .add("fee", human::msat(route.fee_msat))
        .add("parts", human::grouped(parts));
    let facts = match route.success_millionths {
        // It is not estimated.
        0 => facts,
        likely => facts.add("arrives at once", chance(likely)),
    };
    let mut shown = facts.add("locked for", blocks(route.total_cltv_delta)).lines();
    for (number, one) in (1..).zip(&route.parts) {
        shown.push('\n');
        shown.push_str(&part(number, one, names, look));
    }
    shown
}

/// The nodes on a route.
pub fn nodes(route: &Route) -> Vec<Vec<u8>> {
    let hops = route.parts.iter().flat_map(|part| &part.hops);
    hops.map(|hop| hop.node_id.clone()).collect()
}

fn part(number: usize, part: &RoutePart, names: &Names, look: Look) -> String {
    let likely = match part.success_millionths {
        0 => String::new(),
        likely => format!(", arrives with {}", chance(likely)),
    };
    let (amount, fee) = (human::msat(part.amount_msat), human::msat(part.fee_msat));
    let title = format!("Part {number}: {amount}, fee {fee}{likely}\n");
    let columns = [
        Column::Right("hop"),
        Column::Left("channel"),
        Column::Left("to node"),
        Column::Right("carries (sat)"),
        Column::Right("fee (sat)"),
        Column::Right("blocks"),
    ];
    let rows = (1..).zip(&part.hops).map(|(number, hop): (u32, _)| {
        [
            text(number.to_string()),
            text(human::scid(hop.short_channel_id)),
            node(names, &hop.node_id),
            text(human::msat_bare(hop.amount_msat)),
            text(human::msat_bare(hop.fee_msat)),
            text(hop.total_cltv_delta.to_string()),
        ]
    });
    title + &table(look, columns, rows.collect())
}

/// What a payment may cost.
pub fn estimate(found: &EstimateFeeResponse, look: Look) -> String {
    let columns = [
        Column::Left(""),
        Column::Right("fee (sat)"),
        Column::Right("arrives at once"),
        Column::Right("locked for"),
        Column::Right("parts"),
    ];
    let row = |name: &str, estimate: Option<&FeeEstimate>| -> [Cell; 5] {
        let estimate = estimate.copied().unwrap_or_default();
        [
            text(name),
            text(human::msat_bare(estimate.fee_msat)),
            text(chance(estimate.success_millionths)),
            text(blocks(estimate.total_cltv_delta)),
            text(estimate.parts.to_string()),
        ]
    };
    let rows = vec![
        row("cheapest", found.cheapest.as_ref()),
        row("usual", found.usual.as_ref()),
        row("surest", found.surest.as_ref()),
    ];
    table(look, columns, rows)
}

/// What is heard of a probe, a line each; the fee is that of the last route.
pub fn probed(update: &ProbeUpdate, fee_msat: u64) -> String {
    let route = update.route.clone().unwrap_or_default();
    match update.state() {
        ProbeState::Unspecified => String::new(),
        ProbeState::Sent => {
            let parts = u64::try_from(route.parts.len()).unwrap_or(u64::MAX);
            let parts = human::count(parts, "part", "parts");
            let likely = chance(route.success_millionths);
            format!("sent {parts} for {}, arrives with {likely}", human::msat(fee_msat))
        }
        ProbeState::PartReached => format!("  part {} came through", update.part),
        ProbeState::PartStuck => {
            let at = match (update.stuck_at_hop, update.stuck_short_channel_id) {
                (_, 0) => "somewhere".to_owned(),
                (0, scid) => format!("at {}", human::scid(scid)),
                (hop, scid) => format!("at hop {hop} ({})", human::scid(scid)),
            };
            format!("  part {} got stuck {at}", update.part)
        }
        ProbeState::WouldArrive => format!("would arrive for {}", human::msat(fee_msat)),
        ProbeState::Stuck => "stuck".to_owned(),
        ProbeState::NoAnswer => "no answer".to_owned(),
    }
}

/// The attempts of a payment, the oldest first.
pub fn attempts(parts: &[PaymentPart], look: Look) -> String {
    if parts.is_empty() {
        return "No attempt has ended.\n".to_owned();
    }
    let columns = [
        Column::Right("no."),
        Column::Left("began (UTC)"),
        Column::Right("took"),
        Column::Right("amount (sat)"),
        Column::Right("fee"),
        Column::Left("what became of it"),
    ];
    let rows = (1..).zip(parts).map(|(number, part): (u32, _)| {
        let began = match part.began_at_ms {
            0 => text(human::NONE),
            began => time(began / 1_000),
        };
        [
            text(number.to_string()),
            began,
            text(took(part)),
            text(human::msat_bare(part.amount_msat)),
            text(human::msat_bare(part.fee_msat)),
            words(&outcome(part)),
        ]
    });
    table(look, columns, rows.collect())
}

/// One attempt as a line.
pub fn attempt(number: usize, part: &PaymentPart) -> String {
    let amount = human::msat(part.amount_msat);
    let after = match part.began_at_ms {
        0 => String::new(),
        _ => format!(" after {}", took(part)),
    };
    format!("attempt {number}: {amount}{after}: {}", outcome(part))
}

fn took(part: &PaymentPart) -> String {
    match (part.began_at_ms, part.ended_at_ms) {
        (0, _) | (_, 0) => human::NONE.to_owned(),
        (began, ended) => human::duration(ended.saturating_sub(began)),
    }
}

fn outcome(part: &PaymentPart) -> String {
    let held: Vec<String> =
        part.hold_times_ms.iter().map(|ms| format!("{}.{} s", ms / 1_000, ms / 100 % 10)).collect();
    let held = match held.is_empty() {
        true => String::new(),
        false => format!(", held for {}", held.join(", ")),
    };
    match part.state() {
        PartState::Succeeded => format!("arrived{held}"),
        PartState::Unspecified => "under way".to_owned(),
        PartState::Failed => {
            let at = match (part.failed_at_hop, part.failed_short_channel_id) {
                (_, 0) => String::new(),
                (0, scid) => format!(" at {}", human::scid(scid)),
                (hop, scid) => format!(" at hop {hop} ({})", human::scid(scid)),
            };
            format!("failed{at}: {}{held}", human::or_none(&human::one_line(&part.failure)))
        }
    }
}

/// A chance in percent.
pub fn chance(millionths: u32) -> String {
    match millionths {
        1_000_000.. => "100 %".to_owned(),
        1..1_000 => "under 0.1 %".to_owned(),
        some => format!("{}.{} %", some / 10_000, some / 1_000 % 10),
    }
}

fn blocks(blocks: u32) -> String {
    human::count(blocks.into(), "block", "blocks")
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::RouteHop;

    use super::*;

    #[test]
    fn a_route_shows_parts_hops_and_chances() {
        let hop = |scid, amount_msat, fee_msat| RouteHop {
            node_id: vec![2; 33],
            short_channel_id: scid,
            amount_msat,
            fee_msat,
            total_cltv_delta: 40,
        };
        let part = RoutePart {
            hops: vec![hop(539 << 40, 5_010, 10), hop(540 << 40, 5_000, 0)],
            amount_msat: 5_000,
            fee_msat: 10,
            total_cltv_delta: 112,
            success_millionths: 987_654,
        };
        let whole = Route {
            parts: vec![part],
            amount_msat: 5_000,
            fee_msat: 10,
            total_cltv_delta: 112,
            success_millionths: 987_654,
        };
        let shown = route(&whole, &Names::default(), Look::default());
        for part in ["5 sat", "0.010", "98.7 %", "112 blocks", "539x0x0", "5.010", "Part 1"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn attempts_tell_when_where_and_how_long() {
        let failed = PaymentPart {
            state: PartState::Failed.into(),
            amount_msat: 5_000,
            failed_short_channel_id: 540 << 40,
            failed_at_hop: 2,
            failure: "a channel on the way could not carry it".to_owned(),
            began_at_ms: 1_700_000_000_000,
            ended_at_ms: 1_700_000_001_500,
            ..PaymentPart::default()
        };
        let arrived = PaymentPart {
            state: PartState::Succeeded.into(),
            hold_times_ms: vec![1_200, 300],
            ..PaymentPart::default()
        };
        assert_eq!(
            attempt(1, &failed),
            "attempt 1: 5 sat after 1.5 s: failed at hop 2 (540x0x0): a channel on the way could not carry it"
        );
        let shown = attempts(&[failed, arrived], Look::default());
        for part in ["2023-11-14", "1.5 s", "hop 2", "arrived, held for 1.2 s, 0.3 s"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert_eq!(attempts(&[], Look::default()), "No attempt has ended.\n");
    }

    #[test]
    fn a_probe_tells_where_it_got_stuck() {
        let stuck = ProbeUpdate {
            state: ProbeState::PartStuck.into(),
            part: 1,
            stuck_at_hop: 2,
            stuck_short_channel_id: 539 << 40,
            ..ProbeUpdate::default()
        };
        assert_eq!(probed(&stuck, 0), "  part 1 got stuck at hop 2 (539x0x0)");
        let arrives =
            ProbeUpdate { state: ProbeState::WouldArrive.into(), ..ProbeUpdate::default() };
        assert_eq!(probed(&arrives, 6_000), "would arrive for 6 sat");
    }

    #[test]
    fn chances_are_told_in_percent() {
        let table = [
            (0, "0.0 %"),
            (999, "under 0.1 %"),
            (1_000, "0.1 %"),
            (500_000, "50.0 %"),
            (999_999, "99.9 %"),
            (1_000_000, "100 %"),
        ];
        for (millionths, words) in table {
            assert_eq!(chance(millionths), words);
        }
        let cheap = FeeEstimate { fee_msat: 1_500, parts: 2, ..FeeEstimate::default() };
        let found = EstimateFeeResponse { cheapest: Some(cheap), ..Default::default() };
        assert!(estimate(&found, Look::default()).contains("1.500"));
    }
}
