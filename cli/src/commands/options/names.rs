//! The names of nodes, for tables.
use std::collections::BTreeSet;

use fulmen_proto::v1::{GetAliasesRequest, NodeAlias};

use crate::render::Names;
use crate::session::Session;

/// The names of these nodes, as far as the daemon knows them and may tell us.
pub async fn names(session: &Session, node_ids: impl IntoIterator<Item = Vec<u8>>) -> Names {
    const AT_ONCE: usize = 1_000;
    let mut names = Names::default();
    if session.screen.json {
        return names;
    }
    let node_ids: BTreeSet<Vec<u8>> = node_ids.into_iter().filter(|id| !id.is_empty()).collect();
    let node_ids: Vec<Vec<u8>> = node_ids.into_iter().collect();
    let mut client = session.graph();
    for some in node_ids.chunks(AT_ONCE) {
        let request = GetAliasesRequest { node_ids: some.to_vec() };
        // A table without names is still a table: the macaroon may not allow reading the graph.
        let Ok(answer) = client.get_aliases(request).await else { break };
        for NodeAlias { node_id, alias } in answer.into_inner().aliases {
            names.insert(node_id, &alias);
        }
    }
    names
}
