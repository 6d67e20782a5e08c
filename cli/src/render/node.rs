//! The node, its money and its feerates, for people.
use fulmen_proto::v1::{
    GetBalancesResponse, GetFeeratesResponse, GetInfoResponse, VerifyMessageResponse,
};

use crate::format::human;
use crate::format::table::{Column, Facts, Look, Tone, id, table, text};

/// Who the node is and how it is doing.
pub fn info(info: &GetInfoResponse, now: u64, look: Look) -> String {
    let (synced, tone) = match info.synced_to_chain {
        true => ("synced", Tone::Good),
        false => ("not synced: no payments and no opens until it is", Tone::Bad),
    };
    let seen = human::ago(now, info.tip_confirmed_at);
    let chain = format!("{}, block {}", info.network, human::grouped(info.block_height.into()));
    let offline = info.channels_ready.saturating_sub(info.channels_usable);
    let channels = format!(
        "{} usable, {offline} offline, {} pending",
        info.channels_usable, info.channels_pending
    );
    let graph = format!(
        "{}, {}",
        human::count(info.graph_nodes, "node", "nodes"),
        human::count(info.graph_channels, "channel", "channels")
    );
    let node_id = human::hex(&info.node_id);
    let uris = info.announced_addresses.iter().map(|address| format!("{node_id}@{address}"));
    let mut facts = Facts::new(look)
        .add_if_any("alias", human::one_line(&info.alias))
        .add("node id", node_id.as_str())
        .add_if_any("color", color(&info.color))
        .add("chain", chain)
        .add_toned("sync", &format!("{synced} (seen {seen})"), tone)
        .add("channels", channels)
        .add("peers", human::grouped(info.peers.into()))
        .add("graph", graph)
        .add_if_any("listens on", info.listening_addresses.join(", "));
    for uri in uris {
        facts = facts.add("announces", uri);
    }
    for warning in &info.warnings {
        facts = facts.add_toned("warning", &human::one_line(warning), Tone::Bad);
    }
    facts
        .add("version", info.version.as_str())
        .add("started", human::ago(now, info.started_at))
        .lines()
}

/// `#ff8800`, or nothing.
pub fn color(rgb: &[u8]) -> String {
    if rgb.is_empty() { String::new() } else { format!("#{}", human::hex(rgb)) }
}

/// Everything the node owns.
pub fn balances(balances: &GetBalancesResponse, look: Look) -> String {
    let onchain = balances.onchain_confirmed_sat.saturating_add(balances.onchain_unconfirmed_sat);
    let mut shown = Facts::new(look)
        .add("all together", human::sat(balances.total_msat / 1_000))
        .add("on chain", human::sat(onchain))
        .add_if_any("  unconfirmed", nonzero_sat(balances.onchain_unconfirmed_sat))
        .add_if_any("  reserved", nonzero_sat(balances.onchain_reserved_sat))
        .add("in channels", human::msat(balances.channels_local_msat))
        .add("  can send", human::msat(balances.outbound_capacity_msat))
        .add("  can receive", human::msat(balances.inbound_capacity_msat))
        .add_if_any("in flight, out", nonzero_msat(balances.in_flight_outbound_msat))
        .add_if_any("in flight, in", nonzero_msat(balances.in_flight_inbound_msat))
        .add("of the peers", human::msat(balances.channels_remote_msat))
        .add_if_any("from closing", nonzero_sat(balances.closing_sat))
        .lines();
    if balances.closing.is_empty() {
        return shown;
    }
    let columns = [
        Column::Left("closing channel"),
        Column::Right("sat"),
        Column::Left("waits for"),
        Column::Right("until block"),
    ];
    let rows = balances.closing.iter().map(|closing| {
        let height = match closing.claimable_height {
            0 => human::NONE.to_owned(),
            height => human::grouped(height.into()),
        };
        [
            id(&closing.channel_id),
            text(human::grouped(closing.amount_sat)),
            text(human::word(closing.kind().as_str_name())),
            text(height),
        ]
    });
    shown.push('\n');
    shown.push_str(&table(look, columns, rows.collect()));
    shown
}

fn nonzero_msat(msat: u64) -> String {
    if msat == 0 { String::new() } else { human::msat(msat) }
}

fn nonzero_sat(sat: u64) -> String {
    if sat == 0 { String::new() } else { human::sat(sat) }
}

/// The fee estimates.
pub fn feerates(feerates: &GetFeeratesResponse, now: u64, look: Look) -> String {
    let columns = [Column::Left("purpose"), Column::Right("feerate")];
    let rows = feerates.feerates.iter().map(|rate| {
        [text(rate.target.replace('_', " ")), text(human::feerate(rate.feerate_msat_per_vb))]
    });
    let source = match feerates.updated_at {
        0 => "Fallbacks: bitcoind has given no estimate yet.".to_owned(),
        at => format!("Estimated {}.", human::ago(now, at)),
    };
    format!("{}\n{source}\n", table(look, columns, rows.collect()))
}

/// Who signed.
pub fn verified(verified: &VerifyMessageResponse, look: Look) -> String {
    let (known, tone) = match verified.in_graph {
        true => ("a node of the network", Tone::Good),
        false => ("not a node that gossip knows: anyone can make such a key", Tone::Waiting),
    };
    Facts::new(look)
        .add("signed by", human::hex(&verified.node_id))
        .add_toned("which is", known, tone)
        .lines()
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::closing_balance::Kind;
    use fulmen_proto::v1::{ClosingBalance, Feerate};

    use super::*;

    #[test]
    fn info_tells_the_essential() {
        let sample = GetInfoResponse {
            node_id: vec![2; 33],
            alias: "ali\nce".to_owned(),
            color: vec![0xff, 0x88, 0],
            network: "regtest".to_owned(),
            block_height: 1_234,
            tip_confirmed_at: 95,
            synced_to_chain: true,
            channels_ready: 3,
            channels_usable: 2,
            announced_addresses: vec!["1.2.3.4:9735".to_owned()],
            warnings: vec!["the disk is nearly full".to_owned()],
            ..Default::default()
        };
        let shown = info(&sample, 100, Look::default());
        for part in [
            "ali ce",
            "#ff8800",
            "regtest, block 1,234",
            "synced (seen 5 s ago)",
            "2 usable, 1 offline",
            "@1.2.3.4:9735",
            "warning    the disk is nearly full",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn money_adds_up() {
        let sample = GetBalancesResponse {
            onchain_confirmed_sat: 1_000,
            onchain_unconfirmed_sat: 10,
            channels_local_msat: 5_000_500,
            in_flight_outbound_msat: 700_000,
            total_msat: 6_800_500,
            closing_sat: 90,
            closing: vec![ClosingBalance {
                channel_id: vec![7; 32],
                amount_sat: 90,
                kind: Kind::AwaitingConfirmations.into(),
                claimable_height: 0,
            }],
            ..Default::default()
        };
        let shown = balances(&sample, Look::default());
        for part in ["6,800 sat", "700 sat", "5,000.500 sat", "awaiting confirmations", "1,010 sat"]
        {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn feerates_say_where_they_come_from() {
        let rate = Feerate { target: "wallet_send".to_owned(), feerate_msat_per_vb: 1_250 };
        let sample = GetFeeratesResponse { feerates: vec![rate], updated_at: 0 };
        let shown = feerates(&sample, 100, Look::default());
        assert!(shown.contains("wallet send") && shown.contains("1.25 sat/vB"), "{shown}");
        assert!(shown.contains("Fallbacks"), "{shown}");
    }
}
