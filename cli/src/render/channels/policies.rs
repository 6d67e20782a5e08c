//! Forwarding policies, and channels that wait for a decision, for people.
use fulmen_proto::v1::{ListNewPoliciesResponse, OpenProposal, SetPolicyResponse};

use super::policy;
use crate::format::human;
use crate::format::table::{Column, Facts, Look, channel as channel_name, id, table, text};

/// What a change of policies did, or would do.
pub fn set_policy(set: &SetPolicyResponse, dry_run: bool, only_new: bool, look: Look) -> String {
    let count = human::count(set.changes.len() as u64, "channel", "channels");
    let what = match (dry_run, only_new) {
        (true, true) => return "New channels would charge this; open ones stay.\n".to_owned(),
        (false, true) => return "New channels charge this; open ones stay.\n".to_owned(),
        (true, false) => format!("Would change {count}"),
        (false, false) => format!("Changed {count}"),
    };
    if set.changes.is_empty() {
        return format!("{what}.\n");
    }
    let columns = [
        Column::Left("channel"),
        Column::Left("peer"),
        Column::Left("charged"),
        Column::Left(if dry_run { "would charge" } else { "charges" }),
    ];
    let rows = set.changes.iter().map(|change| {
        [
            channel_name(change.short_channel_id, &change.channel_id),
            id(&change.node_id),
            text(policy(change.before.as_ref())),
            text(policy(change.after.as_ref())),
        ]
    });
    format!("{}\n{what}.\n", table(look, columns, rows.collect()))
}

/// What new channels charge.
pub fn new_policies(list: &ListNewPoliciesResponse, look: Look) -> String {
    let columns =
        [Column::Left("with"), Column::Left("new channels charge"), Column::Left("set by")];
    let rows = list.policies.iter().map(|new| {
        [
            if new.node_id.is_empty() { text("all others") } else { id(&new.node_id) },
            text(policy(new.policy.as_ref())),
            text(if new.set { "fulmen channel policy" } else { "configuration" }),
        ]
    });
    table(look, columns, rows.collect())
}

/// A channel that a peer wants to open.
pub fn proposal(proposal: &OpenProposal, look: Look) -> String {
    let mut kind = if proposal.announced { "public" } else { "private" }.to_owned();
    if proposal.zero_conf {
        kind.push_str(", used before its funding is confirmed");
    }
    let size = format!(
        "{} of {}",
        human::count(proposal.peer_channels.into(), "announced channel", "announced channels"),
        human::sat(proposal.peer_capacity_sat)
    );
    let gift = match proposal.push_msat {
        0 => String::new(),
        msat => human::msat(msat),
    };
    Facts::new(look)
        .add("peer", human::hex(&proposal.node_id))
        .add("capacity", human::sat(proposal.capacity_sat))
        .add("kind", kind)
        .add_if_any("gives us", gift)
        .add("with us", human::count(proposal.channels_with_peer.into(), "channel", "channels"))
        .add("elsewhere", size)
        .lines()
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::{ForwardPolicy, PolicyChange};

    use super::*;

    #[test]
    fn a_dry_run_shows_both_prices_and_says_would() {
        let of = |ppm| {
            Some(ForwardPolicy {
                base_fee_msat: 0,
                proportional_millionths: ppm,
                cltv_expiry_delta: 72,
            })
        };
        let change = PolicyChange {
            short_channel_id: 1 << 40,
            before: of(100),
            after: of(250),
            ..Default::default()
        };
        let set = SetPolicyResponse { channels_changed: 0, changes: vec![change] };
        let shown = set_policy(&set, true, false, Look::default());
        for part in ["1x0x0", "100 ppm", "250 ppm", "Would change 1 channel"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let none = SetPolicyResponse::default();
        assert_eq!(set_policy(&none, false, false, Look::default()), "Changed 0 channels.\n");
    }

    #[test]
    fn a_proposal_says_that_its_funding_is_not_waited_for() {
        let proposal = OpenProposal { zero_conf: true, capacity_sat: 5, ..Default::default() };
        let shown = super::proposal(&proposal, Look::default());
        assert!(shown.contains("private, used before its funding is confirmed"), "{shown}");
    }
}
