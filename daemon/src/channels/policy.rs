//! What we charge for forwarding: for one channel, several, those with a peer, or all, now and in new channels.
//!
//! LDK 0.2 lets base fee, proportional fee and CLTV delta change while a channel lives. The smallest HTLC is fixed when a
//! channel is opened (BOLT 2, `htlc_minimum_msat`), and LDK announces the largest itself; it disables a channel only
//! while the peer is away, and offers no call for it.

mod stored;

use std::collections::HashMap;

use bitcoin::secp256k1::PublicKey;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;
use lightning::util::config::ChannelConfigUpdate;

pub use self::stored::StoredPolicy;

use super::config::{MAX_CLTV_EXPIRY_DELTA, MIN_CLTV_EXPIRY_DELTA};
use super::{ChannelRef, Channels, Config, Error};

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

impl Policy {
    /// Returns the policy after a change.
    pub fn with(self, change: PolicyChange) -> Self {
        Self {
            base_fee_msat: change.base_fee_msat.unwrap_or(self.base_fee_msat),
            proportional_millionths: change
                .proportional_millionths
                .unwrap_or(self.proportional_millionths),
            cltv_expiry_delta: change.cltv_expiry_delta.unwrap_or(self.cltv_expiry_delta),
        }
    }

    /// Returns what the configuration lets new channels charge.
    pub fn configured(config: &Config) -> Self {
        Self {
            base_fee_msat: config.base_fee_msat,
            proportional_millionths: config.proportional_millionths,
            cltv_expiry_delta: config.cltv_expiry_delta.into(),
        }
    }
}

/// Which channels are to change.
#[derive(Clone, Debug)]
pub enum Which {
    /// These; none of them changes if one is unknown.
    These(Vec<ChannelRef>),
    /// Those with this peer.
    Peer(PublicKey),
    /// All.
    All,
}

/// When the channels that change are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// They are open now.
    Open,
    /// Open now, or opened or accepted later.
    OpenAndNew,
    /// Opened or accepted later.
    New,
}

/// What is to become of a policy.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    /// Change it.
    Change(PolicyChange),
    /// Go back to what the configuration says, and forget what is stored for new channels.
    Reset,
}

/// A wish for policies.
#[derive(Clone, Debug)]
pub struct SetPolicy {
    /// For which channels.
    pub which: Which,
    /// For open ones, new ones, or both.
    pub scope: Scope,
    /// What is to become of them.
    pub wish: Wish,
    /// Change nothing, and say what would change.
    pub dry_run: bool,
}

/// What a wish changes, or would change, in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The channel.
    pub channel_id: ChannelId,
    /// Its short id, once it has one.
    pub short_channel_id: Option<u64>,
    /// The peer.
    pub node_id: PublicKey,
    /// What it charged.
    pub before: Policy,
    /// What it charges then.
    pub after: Policy,
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
    /// Changes forwarding policies and returns in which channels, once a checkpoint that holds it is durable; peers hear
    /// it then as well. A policy for new channels is stored before open ones change, so a kill between the two leaves a
    /// call that was never acknowledged and that can be repeated.
    ///
    /// # Errors
    /// [`Error::Argument`], [`Error::Unknown`], [`Error::AlreadyClosed`], [`Error::Ldk`], [`Error::Store`].
    pub async fn set_policy(&self, wish: SetPolicy) -> Result<Vec<Changed>, Error> {
        let SetPolicy { which, scope, wish, dry_run } = wish;
        let change = match wish {
            Wish::Change(change) => change,
            Wish::Reset => Policy::configured(&self.0.config).into(),
        };
        let update = check(change)?;
        if scope != Scope::Open && matches!(which, Which::These(_)) {
            let why = "a policy of new channels is for a peer or for all".to_owned();
            return Err(Error::Argument("scope", why));
        }
        let channels = match scope {
            Scope::Open | Scope::OpenAndNew => self.chosen(&which)?,
            Scope::New => Vec::new(),
        };
        if let (Which::Peer(peer), Scope::Open, true) = (&which, scope, channels.is_empty()) {
            let why = format!("there is no open channel with {peer}");
            return Err(Error::Argument("node_id", why));
        }
        let changed = changes(&channels, change);
        if dry_run {
            return Ok(changed);
        }
        if scope != Scope::Open {
            self.store_policy(&which, wish).await?;
        }
        let mut by_peer: HashMap<PublicKey, Vec<ChannelId>> = HashMap::new();
        for one in &changed {
            by_peer.entry(one.node_id).or_default().push(one.channel_id);
        }
        let manager = &self.0.node.channel_manager;
        for (peer, ids) in by_peer {
            manager.update_partial_channel_config(&peer, &ids, &update).map_err(Error::from_ldk)?;
        }
        self.0.node.wake();
        self.0.node.checkpointed().await;
        Ok(changed)
    }

    fn chosen(&self, which: &Which) -> Result<Vec<ChannelDetails>, Error> {
        match which {
            Which::These(references) => references.iter().map(|of| self.find(of)).collect(),
            Which::Peer(peer) => Ok(self.list(Some(peer))),
            Which::All => Ok(self.list(None)),
        }
    }
}

/// The channels in which something changes, each once.
fn changes(channels: &[ChannelDetails], change: PolicyChange) -> Vec<Changed> {
    let mut changed: Vec<Changed> = Vec::new();
    for channel in channels {
        let Some(config) = channel.config else { continue };
        let before = Policy {
            base_fee_msat: config.forwarding_fee_base_msat,
            proportional_millionths: config.forwarding_fee_proportional_millionths,
            cltv_expiry_delta: config.cltv_expiry_delta.into(),
        };
        let after = before.with(change);
        let is_new = changed.iter().all(|known| known.channel_id != channel.channel_id);
        if after != before && is_new {
            changed.push(Changed {
                channel_id: channel.channel_id,
                short_channel_id: channel.short_channel_id,
                node_id: channel.counterparty.node_id,
                before,
                after,
            });
        }
    }
    changed
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

    #[test]
    fn a_change_leaves_alone_what_it_does_not_name() {
        let before = Policy::configured(&Config::default());
        let change = PolicyChange { proportional_millionths: Some(7), ..Default::default() };
        let after = before.with(change);
        assert_eq!(after, Policy { proportional_millionths: 7, ..before });
        assert_eq!(after.with(before.into()), before);
    }
}
