//! Who makes a call: the macaroon, with those of its bounds that only the called room can check.

use std::sync::Arc;

use bitcoin::secp256k1::PublicKey;

use super::caveat::{Caveat, CaveatRefusal, ChannelName};
use super::identifier::MacaroonId;

/// The bearer of a macaroon that allows the call.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The macaroon.
    pub id: MacaroonId,
    /// The called method, as in [`super::permission::METHODS`].
    pub method: &'static str,
    /// All conditions; those about time, address and method hold already.
    caveats: Arc<[Caveat]>,
    /// The conditions as they are written.
    texts: Arc<[String]>,
}

impl Caller {
    /// Names the bearer of a macaroon with these conditions.
    pub fn new(
        id: MacaroonId,
        method: &'static str,
        caveats: Vec<Caveat>,
        texts: Vec<String>,
    ) -> Self {
        Self { id, method, caveats: caveats.into(), texts: texts.into() }
    }

    /// The conditions as they are written, in the order in which they were added.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Checks a call that is about one peer.
    ///
    /// # Errors
    /// [`CaveatRefusal::Peer`].
    pub fn may_reach(&self, node_id: &PublicKey) -> Result<(), CaveatRefusal> {
        let meets = |caveat: &Caveat| match caveat {
            Caveat::Peer(peers) => peers.contains(node_id),
            _ => true,
        };
        if self.caveats.iter().all(meets) { Ok(()) } else { Err(CaveatRefusal::Peer) }
    }

    /// Whether the macaroon is bound to channels, so that a call about all of them is not for it.
    pub fn is_bound_to_channels(&self) -> bool {
        self.caveats.iter().any(|caveat| matches!(caveat, Caveat::Channel(_)))
    }

    /// Checks a call that is about one channel, by its id and the short ids by which it is known.
    ///
    /// # Errors
    /// [`CaveatRefusal::Channel`].
    pub fn may_touch(&self, channel_id: &[u8; 32], short_ids: &[u64]) -> Result<(), CaveatRefusal> {
        let is_it = |name: &ChannelName| match name {
            ChannelName::Id(id) => id == channel_id,
            ChannelName::Short(scid) => short_ids.contains(scid),
        };
        let meets = |caveat: &Caveat| match caveat {
            Caveat::Channel(names) => names.iter().any(is_it),
            _ => true,
        };
        if self.caveats.iter().all(meets) { Ok(()) } else { Err(CaveatRefusal::Channel) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(caveats: &[&str]) -> Caller {
        let parsed = caveats.iter().map(|text| Caveat::parse(text.as_bytes()).expect("known"));
        let texts = caveats.iter().map(|text| (*text).to_owned()).collect();
        Caller::new(MacaroonId([1; 16]), "/fulmen.v1.Channels/Close", parsed.collect(), texts)
    }

    #[test]
    fn a_channel_is_named_by_either_id_and_every_caveat_holds() {
        let id = "ab".repeat(32);
        let (long, both) = (format!("channel = {id}"), format!("channel = 539x1x0, {id}"));
        let short = (539 << 40) | (1 << 16);
        let table = [
            (vec![], true),
            (vec![long.as_str()], true),
            (vec!["channel = 539x1x0"], true),
            (vec![both.as_str()], true),
            (vec!["channel = 540x1x0"], false),
            (vec![long.as_str(), "channel = 540x1x0"], false),
        ];
        for (caveats, expected) in table {
            let may = caller(&caveats).may_touch(&[0xab; 32], &[short]).is_ok();
            assert_eq!(may, expected, "{caveats:?}");
        }
    }

    #[test]
    fn a_peer_is_one_of_those_that_are_named() {
        let one = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";
        let two = "0324653eac434488002cc06bbfb7f10fe18991e35f9fe4302dbea6d2353dc0ab1c";
        let node_id = one.parse().expect("a point");
        assert!(caller(&[]).may_reach(&node_id).is_ok());
        assert!(caller(&[&format!("peer = {two},{one}")]).may_reach(&node_id).is_ok());
        let narrowed = [format!("peer = {one}"), format!("peer = {two}")];
        let refused = caller(&[&narrowed[0], &narrowed[1]]).may_reach(&node_id);
        assert_eq!(refused, Err(CaveatRefusal::Peer));
    }
}
