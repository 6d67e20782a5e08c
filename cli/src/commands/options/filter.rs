//! The options that say which entries of a list are wanted.
use clap::Args;
use fulmen_proto::v1::Filter;

use crate::amount::Msat;
use crate::ids::{ChannelName, NodeId};
use crate::render::now;
use crate::units::Moment;

/// Which entries of a list are wanted; a list refuses what its entries do not have.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which ones")]
pub struct Filtering {
    /// From this time on (UTC): 2026-11-22, 2026-11-22T13:02, or how long ago: 7d
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Of at least this amount
    #[arg(long, value_name = "AMOUNT")]
    min: Option<Msat>,
    /// Of at most this amount
    #[arg(long, value_name = "AMOUNT")]
    max: Option<Msat>,
    /// Only those of this node
    #[arg(long, value_name = "NODE_ID")]
    peer: Option<NodeId>,
    /// Only those of this channel of yours, open or closed
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<ChannelName>,
    /// Only those with these words in a label, a description or a note
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    words: String,
}

impl Filtering {
    /// As the API takes it; none where nothing was asked for.
    pub fn wire(self) -> Option<Filter> {
        let now = now();
        let filter = Filter {
            since: self.since.map_or(0, |moment| moment.unix(now)),
            until: self.until.map_or(0, |moment| moment.unix(now)),
            min_amount_msat: self.min.map_or(0, |Msat(msat)| msat),
            max_amount_msat: self.max.map_or(0, |Msat(msat)| msat),
            node_id: self.peer.map(|NodeId(id)| id).unwrap_or_default(),
            channel: self.channel.map(|ChannelName(channel)| channel),
            words: self.words,
        };
        (filter != Filter::default()).then_some(filter)
    }
}
