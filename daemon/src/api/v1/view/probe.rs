//! The steps of a probe on the wire.

use fulmen_proto::v1;
use fulmen_proto::v1::probe_update::State;

use super::route;
use crate::payments::ProbeUpdate;

/// Writes a step of a probe.
pub fn update(probed: ProbeUpdate) -> v1::ProbeUpdate {
    let mut update = v1::ProbeUpdate::default();
    let state = match probed {
        ProbeUpdate::Sent(plan) => {
            update.route = Some(route::route(&plan));
            State::Sent
        }
        ProbeUpdate::PartReached(part) => {
            update.part = number(part);
            State::PartReached
        }
        ProbeUpdate::PartStuck { part, hop, short_channel_id } => {
            update.part = number(part);
            update.stuck_at_hop = hop.map_or(0, number);
            update.stuck_short_channel_id = short_channel_id.unwrap_or(0);
            State::PartStuck
        }
        ProbeUpdate::WouldArrive => State::WouldArrive,
        ProbeUpdate::Stuck(why) => {
            if let Some(why) = why {
                update.no_route_cause = why.cause.word().to_owned();
                update.no_route_words = why.words;
            }
            State::Stuck
        }
        ProbeUpdate::NoAnswer => State::NoAnswer,
    };
    update.set_state(state);
    update
}

fn number(count: usize) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_carries_its_details() {
        let stuck =
            update(ProbeUpdate::PartStuck { part: 2, hop: Some(3), short_channel_id: Some(7) });
        assert_eq!(stuck.state(), State::PartStuck);
        assert_eq!((stuck.part, stuck.stuck_at_hop, stuck.stuck_short_channel_id), (2, 3, 7));
        let why = crate::node::planner::NoRouteReason::of_ldk("nothing is left");
        let end = update(ProbeUpdate::Stuck(Some(why)));
        assert_eq!((end.state(), end.no_route_words.as_str()), (State::Stuck, "nothing is left"));
    }
}
