//! Peers for people.
use fulmen_proto::v1::Peer;

use crate::format::human;
use crate::format::names::Names;
use crate::format::table::{Column, Look, Tone, node, shortenable, table, text, toned, words};

/// The peers, connected ones first.
pub fn list(list: &[Peer], names: &Names, look: Look) -> String {
    if list.is_empty() {
        return "No peers. Connect to one with `fulmen connect NODE_ID@HOST:PORT`.\n".to_owned();
    }
    let mut peers: Vec<&Peer> = list.iter().collect();
    peers.sort_by_key(|peer| !peer.connected);
    let columns = [
        Column::Left("node"),
        Column::Left("address"),
        Column::Left("state"),
        Column::Right("channels"),
        Column::Left("last error"),
    ];
    let rows = peers.iter().map(|peer| {
        let state = match (peer.connected, peer.inbound) {
            (true, true) => toned("connected (in)", Tone::Good),
            (true, false) => toned("connected (out)", Tone::Good),
            (false, _) => toned("away", Tone::Waiting),
        };
        [
            node(names, &peer.node_id),
            shortenable(human::one_line(&peer.address)),
            state,
            text(human::grouped(peer.channels.into())),
            words(&peer.last_error),
        ]
    });
    table(look, columns, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connected_peers_come_first() {
        let away =
            Peer { node_id: vec![3; 33], last_error: "refused".into(), ..Default::default() };
        let here = Peer { node_id: vec![2; 33], connected: true, ..Default::default() };
        let shown = list(&[away, here], &Names::default(), Look::default());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[2].contains("connected (out)") && lines[2].starts_with("0202"), "{shown}");
        assert!(lines[3].contains("away") && lines[3].ends_with("refused"), "{shown}");
        assert!(list(&[], &Names::default(), Look::default()).starts_with("No peers"));
    }
}
