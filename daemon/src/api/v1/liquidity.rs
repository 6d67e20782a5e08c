//! The liquidity of other nodes' channels, between the wire and the planner.

use std::collections::{HashSet, VecDeque};

use fulmen_proto::v1;
use fulmen_routing::liquidity::Bounds;
use fulmen_routing::liquidity::snapshot::Belief;
use tonic::Status;

use super::convert::fields::MAX_MONEY_SAT;
use crate::api::status::{internal, malformed};
use crate::api::stream::Steps;
use crate::node::Node;

/// Rows of one message of an export.
const ROWS_AT_ONCE: usize = 1_000;
/// Rows that one call may import.
const MAX_IMPORT: usize = 20_000;

/// An export, sent in pieces.
pub(super) struct Export(VecDeque<Belief>);

impl Export {
    /// Exports what is known now.
    pub(super) fn of(node: &Node) -> Self {
        Self(node.router.planner().believed().export().collect())
    }
}

impl Steps for Export {
    type Item = v1::ExportLiquidityResponse;

    async fn next(&mut self) -> Result<Option<v1::ExportLiquidityResponse>, Status> {
        let rows = self.0.len().min(ROWS_AT_ONCE);
        let channels: Vec<_> = self.0.drain(..rows).map(wire).collect();
        Ok((!channels.is_empty()).then_some(v1::ExportLiquidityResponse { channels }))
    }
}

/// Merges what others know into our own knowledge.
pub(super) async fn import(
    node: &Node,
    request: v1::ImportLiquidityRequest,
) -> Result<v1::ImportLiquidityResponse, Status> {
    let rows = request.channels.len();
    if rows > MAX_IMPORT {
        let why = format!("{rows} are given, at most {MAX_IMPORT} are taken at once");
        return Err(malformed("channels", why));
    }
    let beliefs = request.channels.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let channels = node.channel_manager.list_channels();
    let ours: HashSet<u64> = channels.iter().filter_map(|it| it.short_channel_id).collect();
    let taken = node.router.planner().import(beliefs, &ours);
    let taken = taken.map_err(|bad| malformed("channels", bad))?;
    node.keep_beliefs().await.map_err(|error| internal(&error))?;
    Ok(v1::ImportLiquidityResponse { taken: number(taken), ignored: number(rows - taken) })
}

/// Forgets what was learnt about some channels, or about all.
pub(super) async fn reset(
    node: &Node,
    request: v1::ResetLiquidityRequest,
) -> Result<v1::ResetLiquidityResponse, Status> {
    if request.short_channel_ids.contains(&0) {
        return Err(malformed("short_channel_ids", "0 is no short channel id"));
    }
    let forgotten = node.router.planner().reset(&request.short_channel_ids);
    node.keep_beliefs().await.map_err(|error| internal(&error))?;
    Ok(v1::ResetLiquidityResponse { forgotten: number(forgotten) })
}

fn wire(belief: Belief) -> v1::ChannelLiquidity {
    let [one_to_two, two_to_one] = belief.bounds.map(|bounds| {
        Some(v1::LiquidityBounds {
            least_msat: bounds.least_msat,
            least_learnt_at: bounds.least_at,
            most_msat: (bounds.most_msat != u64::MAX).then_some(bounds.most_msat),
            most_learnt_at: bounds.most_at,
        })
    });
    v1::ChannelLiquidity { short_channel_id: belief.scid, one_to_two, two_to_one }
}

fn read(belief: v1::ChannelLiquidity) -> Result<Belief, Status> {
    let bounds = |wire: Option<v1::LiquidityBounds>| {
        let wire = wire.unwrap_or_default();
        if wire.most_msat.is_some_and(|most| most > MAX_MONEY_SAT * 1_000) {
            return Err(malformed("most_msat", "is more than all bitcoin"));
        }
        Ok(Bounds {
            least_msat: wire.least_msat,
            least_at: wire.least_learnt_at,
            most_msat: wire.most_msat.unwrap_or(u64::MAX),
            most_at: wire.most_learnt_at,
        })
    };
    let bounds = [bounds(belief.one_to_two)?, bounds(belief.two_to_one)?];
    Ok(Belief { scid: belief.short_channel_id, bounds })
}

fn number(count: usize) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn beliefs_go_out_in_pieces_and_come_back_unchanged() {
        let bounds = Bounds { least_msat: 1, least_at: 2, most_msat: 3, most_at: 4 };
        let row = |scid| Belief { scid, bounds: [bounds, Bounds::UNKNOWN] };
        let rows: VecDeque<Belief> = (1..=2_500).map(row).collect();
        let mut export = Export(rows.clone());
        let (mut pieces, mut back) = (0, VecDeque::new());
        while let Some(piece) = export.next().await.expect("it goes on") {
            pieces += 1;
            back.extend(piece.channels.into_iter().map(|it| read(it).expect("they can be read")));
        }
        assert_eq!((pieces, back), (3, rows));
    }
}
