//! The options that say which ways a payment may go.
use clap::Args;
use fulmen_proto::v1::RouteConstraints;

use crate::failure::{Exit, Failure};
use crate::ids::{ChannelOrNode, NodeId, ShortChannelId};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which ways it may go")]
pub struct Constraints {
    /// Leave only by this channel of the payer; can be repeated
    #[arg(long, value_name = "CHANNEL")]
    out_through: Vec<ShortChannelId>,
    /// Arrive only over this channel, or from this node; channels can be repeated
    #[arg(long, value_name = "CHANNEL|NODE")]
    in_through: Vec<ChannelOrNode>,
    /// Do not use this channel, or let this node forward; can be repeated
    #[arg(long, value_name = "CHANNEL|NODE")]
    avoid: Vec<ChannelOrNode>,
}

impl Constraints {
    pub fn wire(self) -> Result<Option<RouteConstraints>, Failure> {
        let mut wire = RouteConstraints {
            out_through: self.out_through.into_iter().map(|ShortChannelId(scid)| scid).collect(),
            ..RouteConstraints::default()
        };
        for through in self.in_through {
            match through {
                ChannelOrNode::Channel(ShortChannelId(scid)) => wire.in_through.push(scid),
                ChannelOrNode::Node(NodeId(node)) if wire.last_hop.is_empty() => {
                    wire.last_hop = node;
                }
                ChannelOrNode::Node(_) => {
                    let what = "only one node can be the last one before the payee";
                    return Err(Failure::new(Exit::Usage, what)
                        .advise("Give one node with --in-through, or name channels"));
                }
            }
        }
        for way in self.avoid {
            match way {
                ChannelOrNode::Channel(ShortChannelId(scid)) => wire.avoid_channels.push(scid),
                ChannelOrNode::Node(NodeId(node)) => wire.avoid_nodes.push(node),
            }
        }
        Ok(if wire == RouteConstraints::default() { None } else { Some(wire) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_nodes_go_where_they_belong() {
        let node = format!("02{}", "11".repeat(32));
        let either = |text: &str| text.parse::<ChannelOrNode>().expect("a channel or a node");
        let scid = |text: &str| text.parse::<ShortChannelId>().expect("it is one");
        assert_eq!(Constraints::default().wire(), Ok(None));
        let constraints = Constraints {
            out_through: vec![scid("1x1x1")],
            in_through: vec![either("2x1x1"), either(&node)],
            avoid: vec![either(&node), either("3x1x1")],
        };
        let wire = constraints.wire().expect("it makes sense").expect("it says something");
        assert_eq!((wire.out_through.len(), wire.in_through.len()), (1, 1));
        assert_eq!((wire.last_hop.len(), wire.avoid_nodes.len()), (33, 1));
        assert_eq!(wire.avoid_channels, [scid("3x1x1").0]);
        let two = Constraints {
            in_through: vec![either(&node), either(&node)],
            ..Constraints::default()
        };
        assert!(two.wire().is_err());
    }
}
