//! What we charge for forwarding, for one channel or for all.

use std::collections::HashMap;

use bitcoin::secp256k1::PublicKey;
use lightning::ln::types::ChannelId;
use lightning::util::config::ChannelConfigUpdate;

use super::config::{MAX_CLTV_EXPIRY_DELTA, MIN_CLTV_EXPIRY_DELTA};
use super::{ChannelRef, Channels, Error};

/// More than the whole amount is a slip of the keyboard.
const MAX_MILLIONTHS: u32 = 1_000_000;

/// A forwarding policy of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For each forward.
    pub base_fee_msat: u32,
    /// Of the forwarded amount.
    pub proportional_millionths: u32,
    /// Blocks between the deadlines of the two HTLCs.
    pub cltv_expiry_delta: u32,
}

/// What is to change; none stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// For each forward.
    pub base_fee_msat: Option<u32>,
    /// Of the forwarded amount.
    pub proportional_millionths: Option<u32>,
    /// Blocks between the deadlines of the two HTLCs.
    pub cltv_expiry_delta: Option<u32>,
}

impl From<Policy> for PolicyChange {
    fn from(policy: Policy) -> Self {
        Self {
            base_fee_msat: Some(policy.base_fee_msat),
            proportional_millionths: Some(policy.proportional_millionths),
            cltv_expiry_delta: Some(policy.cltv_expiry_delta),
        }
    }
}

/// Which channels are to change.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// One of them.
    One(ChannelRef),
    /// All open ones.
    All,
}

/// Checks a change; LDK's form of it if it is sound.
pub(super) fn check(change: PolicyChange) -> Result<ChannelConfigUpdate, Error> {
    let cltv_expiry_delta = match change.cltv_expiry_delta {
        None => None,
        Some(delta) => match u16::try_from(delta) {
            Ok(delta) if (MIN_CLTV_EXPIRY_DELTA..=MAX_CLTV_EXPIRY_DELTA).contains(&delta) => {
                Some(delta)
            }
            _ => {
                return Err(Error::Argument(
                    "cltv_expiry_delta",
                    format!(
                        "{delta} blocks are not between {MIN_CLTV_EXPIRY_DELTA} (below it an HTLC could be \
                         lost when it is claimed on chain) and {MAX_CLTV_EXPIRY_DELTA}"
                    ),
                ));
            }
        },
    };
    if let Some(millionths) = change.proportional_millionths.filter(|of| *of > MAX_MILLIONTHS) {
        let why = format!("{millionths} millionths are more than the whole amount");
        return Err(Error::Argument("proportional_millionths", why));
    }
    if change == PolicyChange::default() {
        return Err(Error::Argument("policy", "nothing is to change".to_owned()));
    }
    Ok(ChannelConfigUpdate {
        forwarding_fee_base_msat: change.base_fee_msat,
        forwarding_fee_proportional_millionths: change.proportional_millionths,
        cltv_expiry_delta,
        ..ChannelConfigUpdate::default()
    })
}

impl Channels {
    /// Changes the forwarding policy and returns of how many channels, once a checkpoint that holds it is durable; peers
    /// hear it then as well.
    ///
    /// # Errors
    /// [`Error::Argument`], [`Error::Unknown`], [`Error::Ldk`].
    pub async fn set_policy(&self, which: Which, change: PolicyChange) -> Result<u32, Error> {
        let update = check(change)?;
        let channels = match which {
            Which::One(reference) => vec![self.find(&reference)?],
            Which::All => self.list(None),
        };
        let mut by_peer: HashMap<PublicKey, Vec<ChannelId>> = HashMap::new();
        for channel in &channels {
            by_peer.entry(channel.counterparty.node_id).or_default().push(channel.channel_id);
        }
        let manager = &self.0.node.channel_manager;
        for (peer, ids) in by_peer {
            manager.update_partial_channel_config(&peer, &ids, &update).map_err(Error::from_ldk)?;
        }
        self.0.node.wake();
        self.0.node.checkpointed().await;
        Ok(u32::try_from(channels.len()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_that_could_lose_money_is_refused_in_words() {
        for (delta, sound) in [(0, false), (47, false), (48, true), (2_016, true), (2_017, false)] {
            let change = PolicyChange { cltv_expiry_delta: Some(delta), ..Default::default() };
            assert_eq!(check(change).is_ok(), sound, "{delta}");
        }
        let change = PolicyChange { cltv_expiry_delta: Some(70_000), ..Default::default() };
        assert!(matches!(check(change), Err(Error::Argument("cltv_expiry_delta", _))));
    }

    #[test]
    fn fees_beyond_the_amount_and_empty_changes_are_refused() {
        let change =
            PolicyChange { proportional_millionths: Some(1_000_001), ..Default::default() };
        assert!(matches!(check(change), Err(Error::Argument("proportional_millionths", _))));
        assert!(check(PolicyChange::default()).is_err());
        let change = PolicyChange { base_fee_msat: Some(0), ..Default::default() };
        let update = check(change).expect("a free base is sound");
        assert_eq!(update.forwarding_fee_base_msat, Some(0));
        assert_eq!(update.cltv_expiry_delta, None);
    }
}
