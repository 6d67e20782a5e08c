//! Which entries of a list are wanted: by time, amount, node, channel and words; one shape for every list.

use bitcoin::secp256k1::PublicKey;

/// A stretch of time in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first second that counts.
    pub since: u64,
    /// The first second that no longer counts.
    pub until: u64,
}

impl Default for TimeRange {
    fn default() -> Self {
        Self { since: 0, until: u64::MAX }
    }
}

impl TimeRange {
    /// Whether a moment counts.
    pub fn contains(&self, at: u64) -> bool {
        (self.since..self.until).contains(&at)
    }
}

/// The names of one channel in records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelNames {
    /// Its id.
    pub channel_id: [u8; 32],
    /// Its short id and its aliases, as far as they are known.
    pub short_ids: Vec<u64>,
}

/// What a filter can ask of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// When it happened.
    Time,
    /// How much it is about.
    Amount,
    /// Which node it is about.
    Node,
    /// Which channel it is about.
    Channel,
    /// What it says: labels, descriptions, notes.
    Words,
}

/// An entry of a list.
///
/// The methods that [`Listed::ASKS`] does not promise are never called by a filter that was checked against it.
pub trait Listed {
    /// What entries of this kind can be asked.
    const ASKS: &'static [Ask];

    /// When it happened, in seconds since 1970.
    fn at(&self) -> u64 {
        0
    }

    /// How much it is about, in millisatoshis.
    fn amount_msat(&self) -> u64 {
        0
    }

    /// Whether it is about a node.
    fn is_of_node(&self, _node_id: &PublicKey) -> bool {
        false
    }

    /// Whether it is about a channel.
    fn is_of_channel(&self, _channel: &ChannelNames) -> bool {
        false
    }

    /// The texts in which words are looked for.
    fn texts(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Which entries of a list are wanted: those to which all of it applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// When.
    pub time: TimeRange,
    /// At least so much, in millisatoshis.
    pub min_amount_msat: u64,
    /// At most so much, in millisatoshis.
    pub max_amount_msat: Option<u64>,
    /// Of this node.
    pub node_id: Option<PublicKey>,
    /// Of this channel.
    pub channel: Option<ChannelNames>,
    /// With these words in one of its texts, in lower or upper case.
    pub words: Option<String>,
}

impl Filter {
    /// Whether an entry is wanted.
    pub fn passes<L: Listed>(&self, entry: &L) -> bool {
        self.time.contains(entry.at())
            && self.amount_passes(entry.amount_msat())
            && self.node_id.as_ref().is_none_or(|node_id| entry.is_of_node(node_id))
            && self.channel.as_ref().is_none_or(|channel| entry.is_of_channel(channel))
            && self.words.as_ref().is_none_or(|words| says(&entry.texts(), words))
    }

    fn amount_passes(&self, msat: u64) -> bool {
        self.min_amount_msat <= msat && self.max_amount_msat.is_none_or(|most| msat <= most)
    }
}

fn says(texts: &[&str], words: &str) -> bool {
    let words = words.to_lowercase();
    texts.iter().any(|text| text.to_lowercase().contains(&words))
}

/// A token that no page of this list gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadToken;

/// Returns one page of a list that has no history: at most `limit` items by rising key, those after `token` (empty: from
/// the first), and the token of the next page (empty at the end). Keys are unique and of one length.
///
/// What comes or goes between two pages moves nothing else into a page or out of it.
///
/// # Errors
/// [`BadToken`] where the token is no key.
pub fn page_by_key<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> Vec<u8>,
    token: &[u8],
    limit: usize,
) -> Result<(Vec<T>, Vec<u8>), BadToken> {
    let mut keyed: Vec<(Vec<u8>, T)> = items.into_iter().map(|item| (key(&item), item)).collect();
    if !token.is_empty() && keyed.first().is_some_and(|(key, _)| key.len() != token.len()) {
        return Err(BadToken);
    }
    keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
    let first = keyed.partition_point(|(key, _)| !token.is_empty() && key[..] <= *token);
    let mut page = keyed.split_off(first);
    let next_token = match page.len() > limit {
        true => page[..limit].last().map(|(key, _)| key.clone()).unwrap_or_default(),
        false => Vec::new(),
    };
    page.truncate(limit);
    Ok((page.into_iter().map(|(_, item)| item).collect(), next_token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: [u8; 33] = [
        2, 0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87,
        0x0b, 0x07, 2, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16,
        0xf8, 0x17, 0x98,
    ];

    struct Coffee;

    impl Listed for Coffee {
        const ASKS: &'static [Ask] = &[Ask::Time];

        fn at(&self) -> u64 {
            100
        }

        fn amount_msat(&self) -> u64 {
            5_000
        }

        fn is_of_node(&self, node_id: &PublicKey) -> bool {
            node_id.serialize() == NODE
        }

        fn is_of_channel(&self, channel: &ChannelNames) -> bool {
            channel.short_ids.contains(&7)
        }

        fn texts(&self) -> Vec<&str> {
            vec!["", "A Café"]
        }
    }

    #[test]
    fn everything_that_is_asked_must_apply() {
        let all = Filter::default;
        let time = |since, until| Filter { time: TimeRange { since, until }, ..all() };
        let amount =
            |min_amount_msat, max_amount_msat| Filter { min_amount_msat, max_amount_msat, ..all() };
        let words = |words: &str| Filter { words: Some(words.to_owned()), ..all() };
        let node = PublicKey::from_slice(&NODE).expect("the generator");
        let of_node = |node_id| Filter { node_id: Some(node_id), ..all() };
        let channel = |short| {
            let channel = ChannelNames { short_ids: vec![short], ..ChannelNames::default() };
            Filter { channel: Some(channel), ..all() }
        };
        let other_node = node.negate(&bitcoin::secp256k1::Secp256k1::new());
        for (name, filter, passes) in [
            ("nothing asked", all(), true),
            ("from its second on", time(100, 101), true),
            ("after it", time(101, u64::MAX), false),
            ("until its second", time(0, 100), false),
            ("at least as much", amount(5_000, None), true),
            ("more", amount(5_001, None), false),
            ("at most as much", amount(0, Some(5_000)), true),
            ("less", amount(0, Some(4_999)), false),
            ("its node", of_node(node), true),
            ("another node", of_node(other_node), false),
            ("its channel", channel(7), true),
            ("another channel", channel(8), false),
            ("words in capitals", words("CAFÉ"), true),
            ("other words", words("tea"), false),
            ("one of two", Filter { min_amount_msat: 9_000, ..words("café") }, false),
        ] {
            assert_eq!(filter.passes(&Coffee), passes, "{name}");
        }
    }

    #[test]
    fn pages_by_key_stay_put_while_items_come_and_go() {
        let key = |item: &u8| vec![*item];
        let page = |items: &[u8], token: &[u8]| page_by_key(items.to_vec(), key, token, 2);
        assert_eq!(page(&[3, 1, 2], &[]), Ok((vec![1, 2], vec![2])));
        assert_eq!(page(&[4, 1, 2, 3, 0], &[2]), Ok((vec![3, 4], vec![])));
        // The item at the token is gone.
        assert_eq!(page(&[1, 3], &[2]), Ok((vec![3], vec![])));
        assert_eq!(page(&[], &[2]), Ok((vec![], vec![])));
        assert_eq!(page(&[1, 2], &[]), Ok((vec![1, 2], vec![])));
        assert_eq!(page(&[1], &[1, 2]), Err(BadToken));
    }
}
