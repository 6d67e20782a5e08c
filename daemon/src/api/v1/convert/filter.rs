//! Filters of lists, read and checked against what the list's entries can be asked.

use fulmen_proto::v1;
use tonic::Status;

use super::fields::{self, MAX_MONEY_SAT};
use crate::api::status::malformed;
use crate::api::v1::refusal;
use crate::channels::Channels;
use crate::listing::{Ask, ChannelNames, Filter, Listed, TimeRange};

/// The longest words that are looked for, in bytes.
const MAX_WORDS_BYTES: usize = 256;

/// Reads the filter of a list of `L`; `find` returns the names of a channel of ours.
pub fn filter<L: Listed>(
    wire: Option<v1::Filter>,
    find: impl FnOnce(v1::ChannelRef) -> Result<ChannelNames, Status>,
) -> Result<Filter, Status> {
    let wire = wire.unwrap_or_default();
    let asked = [
        (Ask::Time, "filter.since", wire.since > 0 || wire.until > 0),
        (
            Ask::Amount,
            "filter.min_amount_msat",
            wire.min_amount_msat > 0 || wire.max_amount_msat > 0,
        ),
        (Ask::Node, "filter.node_id", !wire.node_id.is_empty()),
        (Ask::Channel, "filter.channel", wire.channel.is_some()),
        (Ask::Words, "filter.words", !wire.words.is_empty()),
    ];
    for (ask, argument, is_asked) in asked {
        if is_asked && !L::ASKS.contains(&ask) {
            return Err(malformed(
                argument,
                format!("{}; this list cannot be asked for it", lacks(ask)),
            ));
        }
    }
    Ok(Filter {
        time: time(wire.since, wire.until)?,
        min_amount_msat: amount("filter.min_amount_msat", wire.min_amount_msat)?,
        max_amount_msat: max_amount(wire.min_amount_msat, wire.max_amount_msat)?,
        node_id: fields::optional_node_id("filter.node_id", &wire.node_id)?,
        channel: wire.channel.map(find).transpose()?,
        words: words(wire.words)?,
    })
}

/// Returns what finds a channel of ours by its reference.
pub fn among(channels: &Channels) -> impl FnOnce(v1::ChannelRef) -> Result<ChannelNames, Status> {
    |reference| {
        let reference = fields::channel_ref("filter.channel", Some(reference))?;
        channels.names(&reference).map_err(refusal::channels)
    }
}

/// For lists whose entries have no channel: their filters are refused before anything is looked for.
pub fn no_channels(_: v1::ChannelRef) -> Result<ChannelNames, Status> {
    Err(malformed("filter.channel", lacks(Ask::Channel)))
}

fn lacks(ask: Ask) -> &'static str {
    match ask {
        Ask::Time => "the entries have no time",
        Ask::Amount => "the entries have no amount",
        Ask::Node => "the entries have no node",
        Ask::Channel => "the entries have no channel",
        Ask::Words => "the entries have no words",
    }
}

fn time(since: u64, until: u64) -> Result<TimeRange, Status> {
    match until {
        0 => Ok(TimeRange { since, until: u64::MAX }),
        until if until <= since => {
            Err(malformed("filter.until", format!("{until} is not after since, {since}")))
        }
        until => Ok(TimeRange { since, until }),
    }
}

fn amount(argument: &'static str, msat: u64) -> Result<u64, Status> {
    match msat > MAX_MONEY_SAT * 1_000 {
        true => Err(malformed(argument, "is more than all bitcoin")),
        false => Ok(msat),
    }
}

fn max_amount(least: u64, most: u64) -> Result<Option<u64>, Status> {
    match most {
        0 => Ok(None),
        most if most < least => Err(malformed(
            "filter.max_amount_msat",
            format!("{most} is less than min_amount_msat, {least}"),
        )),
        most => Ok(Some(most)),
    }
}

fn words(words: String) -> Result<Option<String>, Status> {
    match words.len() {
        0 => Ok(None),
        1..=MAX_WORDS_BYTES => Ok(Some(words)),
        length => Err(malformed(
            "filter.words",
            format!("has {length} bytes, at most {MAX_WORDS_BYTES} are taken"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct All;
    impl Listed for All {
        const ASKS: &'static [Ask] = &[Ask::Time, Ask::Amount, Ask::Node, Ask::Channel, Ask::Words];
    }

    struct Nothing;
    impl Listed for Nothing {
        const ASKS: &'static [Ask] = &[];
    }

    fn find(_: v1::ChannelRef) -> Result<ChannelNames, Status> {
        Ok(ChannelNames { short_ids: vec![5], ..ChannelNames::default() })
    }

    #[test]
    fn what_is_asked_is_read() {
        let wire = v1::Filter {
            since: 10,
            until: 20,
            min_amount_msat: 1,
            max_amount_msat: 2,
            channel: Some(v1::ChannelRef::default()),
            words: "tea".to_owned(),
            ..v1::Filter::default()
        };
        let read = filter::<All>(Some(wire), find).expect("it makes sense");
        assert_eq!(read.time, TimeRange { since: 10, until: 20 });
        assert_eq!((read.min_amount_msat, read.max_amount_msat), (1, Some(2)));
        assert_eq!(read.channel.expect("given").short_ids, [5]);
        assert_eq!(read.words.as_deref(), Some("tea"));
        assert_eq!(filter::<Nothing>(None, no_channels).expect("nothing asked"), Filter::default());
    }

    #[test]
    fn nonsense_and_what_the_list_does_not_have_are_refused_by_name() {
        let all = v1::Filter::default;
        let table = [
            (v1::Filter { since: 1, ..all() }, "", "filter.since: the entries have no time"),
            (
                v1::Filter { since: 9, until: 9, ..all() },
                "filter.until: 9 is not after",
                "filter.since",
            ),
            (v1::Filter { min_amount_msat: 1, ..all() }, "", "filter.min_amount_msat"),
            (v1::Filter { max_amount_msat: 1, ..all() }, "", "filter.min_amount_msat"),
            (
                v1::Filter { min_amount_msat: 2, max_amount_msat: 1, ..all() },
                "filter.max_amount_msat: 1 is less",
                "filter.min_amount_msat",
            ),
            (
                v1::Filter { min_amount_msat: u64::MAX, ..all() },
                "filter.min_amount_msat: is more than all",
                "filter.min_amount_msat",
            ),
            (
                v1::Filter { node_id: vec![2; 32], ..all() },
                "filter.node_id: 33 bytes",
                "filter.node_id",
            ),
            (
                v1::Filter { channel: Some(v1::ChannelRef::default()), ..all() },
                "",
                "filter.channel",
            ),
            (
                v1::Filter { words: "x".repeat(257), ..all() },
                "filter.words: has 257 bytes",
                "filter.words: the entries have no words",
            ),
        ];
        for (wire, of_all, of_nothing) in table {
            let says = |read: Result<Filter, Status>| {
                read.err().map(|status| status.message().to_owned()).unwrap_or_default()
            };
            let (all, nothing) = (
                says(filter::<All>(Some(wire.clone()), find)),
                says(filter::<Nothing>(Some(wire.clone()), find)),
            );
            assert!(all.starts_with(of_all) && all.is_empty() == of_all.is_empty(), "{all}");
            assert!(nothing.starts_with(of_nothing), "{nothing}");
        }
    }
}
