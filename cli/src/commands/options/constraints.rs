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
    /// The options that were given.
    pub fn given(&self) -> Given {
        let given = [
            ("--out-through", !self.out_through.is_empty()),
            ("--in-through", !self.in_through.is_empty()),
            ("--avoid", !self.avoid.is_empty()),
        ];
        Given(given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect())
    }

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

/// Which options bound the ways of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given(Vec<&'static str>);

impl Given {
    /// Advises to loosen what was given, where that may be what stands in the way.
    pub fn advise(&self, failure: Failure) -> Failure {
        const MAY_STAND_IN_THE_WAY: [&str; 5] =
            ["CONTRADICTION", "NO_OWN_CHANNEL", "NO_PATH", "PAYEE_INBOUND", "LIQUIDITY"];
        if self.0.is_empty() || !MAY_STAND_IN_THE_WAY.contains(&failure.reason.as_str()) {
            return failure;
        }
        let loosen = format!("Loosen {}", self.0.join(", "));
        match failure.advice.clone() {
            Some(advice) if failure.reason != "CONTRADICTION" => {
                failure.advise(format!("{loosen}. {advice}"))
            }
            _ => failure.advise(loosen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_options_that_were_given_are_to_be_loosened() {
        let failure = Failure::failed("no route").because("NO_PATH");
        let free = Constraints::default().given();
        assert_eq!(free.advise(failure.clone()), failure);
        let avoid = vec!["1x1x1".parse().expect("a channel")];
        let bound = Constraints { avoid, ..Constraints::default() }.given();
        let advice = bound.advise(failure).advice.expect("advice");
        assert!(advice.starts_with("Loosen --avoid. "), "{advice}");
        let other = Failure::failed("too dear").because("FEE_LIMIT");
        assert_eq!(bound.advise(other.clone()), other);
    }

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
