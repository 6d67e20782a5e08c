//! Policies that the operator has set for new channels, with one peer or with all.

use bitcoin::secp256k1::PublicKey;
use lightning::impl_writeable_tlv_based;
use lightning::util::config::ChannelConfigUpdate;

use super::{Policy, PolicyChange, Which, Wish, check};
use crate::channels::{Channels, Error};
use crate::storage::{self, Batch, Table};

/// By the peer's id; the one for all peers under [`EVERYONE`].
const POLICIES: Table<PolicyRecord> = Table::new("channel-policies");
/// The key of the policy for all peers.
const EVERYONE: &[u8] = b"*";

/// What new channels charge beside what the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PolicyRecord {
    base_fee_msat: Option<u32>,
    proportional_millionths: Option<u32>,
    cltv_expiry_delta: Option<u32>,
}

impl_writeable_tlv_based!(PolicyRecord, {
    (1, base_fee_msat, option),
    (3, proportional_millionths, option),
    (5, cltv_expiry_delta, option),
});
storage::record!(PolicyRecord, kind = 44, version = 1);

/// What new channels charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPolicy {
    /// With this peer; none is with all peers that have none of their own.
    pub node_id: Option<PublicKey>,
    /// All of it, with what the configuration says.
    pub policy: Policy,
    /// Whether an operator has set any of it.
    pub is_set: bool,
}

impl Channels {
    /// Returns what new channels charge: with all peers first, then with those that have a policy of their own.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn stored_policies(&self) -> Result<Vec<StoredPolicy>, Error> {
        let configured = Policy::configured(&self.0.config);
        let everyone = POLICIES.get(&self.0.store, EVERYONE)?;
        let is_set = everyone.is_some();
        let common = configured.with(everyone.map(change).unwrap_or_default());
        let mut policies = vec![StoredPolicy { node_id: None, policy: common, is_set }];
        for (key, record) in POLICIES.all(&self.0.store)? {
            if let Ok(peer) = PublicKey::from_slice(&key) {
                let policy = common.with(change(record));
                policies.push(StoredPolicy { node_id: Some(peer), policy, is_set: true });
            }
        }
        Ok(policies)
    }

    /// Returns what a new channel with this peer charges, as LDK wants it; none where only the configuration counts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(in crate::channels) fn policy_with(
        &self,
        peer: &PublicKey,
    ) -> Result<Option<ChannelConfigUpdate>, storage::Error> {
        let everyone = POLICIES.get(&self.0.store, EVERYONE)?;
        let own = POLICIES.get(&self.0.store, &peer.serialize())?;
        if everyone.is_none() && own.is_none() {
            return Ok(None);
        }
        let mut policy = Policy::configured(&self.0.config);
        for record in [everyone, own].into_iter().flatten() {
            policy = policy.with(change(record));
        }
        // What is stored was checked; a later release with other bounds falls back to the configuration.
        Ok(check(policy.into()).ok())
    }

    /// Stores a policy of new channels, over what was stored before.
    pub(super) async fn store_policy(&self, which: &Which, wish: Wish) -> Result<(), Error> {
        let key = match which {
            Which::Peer(peer) => peer.serialize().to_vec(),
            Which::All => EVERYONE.to_vec(),
            Which::These(_) => return Ok(()),
        };
        let mut batch = Batch::new();
        match wish {
            Wish::Reset => POLICIES.delete(&mut batch, &key),
            Wish::Change(wished) => {
                let before = POLICIES.get(&self.0.store, &key)?.map(change).unwrap_or_default();
                POLICIES.put(&mut batch, &key, &record(over(before, wished)));
            }
        }
        self.0.store.commit(batch).await?;
        Ok(())
    }
}

fn change(record: PolicyRecord) -> PolicyChange {
    PolicyChange {
        base_fee_msat: record.base_fee_msat,
        proportional_millionths: record.proportional_millionths,
        cltv_expiry_delta: record.cltv_expiry_delta,
    }
}

fn record(change: PolicyChange) -> PolicyRecord {
    PolicyRecord {
        base_fee_msat: change.base_fee_msat,
        proportional_millionths: change.proportional_millionths,
        cltv_expiry_delta: change.cltv_expiry_delta,
    }
}

fn over(before: PolicyChange, wished: PolicyChange) -> PolicyChange {
    PolicyChange {
        base_fee_msat: wished.base_fee_msat.or(before.base_fee_msat),
        proportional_millionths: wished.proportional_millionths.or(before.proportional_millionths),
        cltv_expiry_delta: wished.cltv_expiry_delta.or(before.cltv_expiry_delta),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Record as _;

    #[test]
    fn the_first_version_stays_readable() {
        let stored = [&[12, 1, 4, 0, 0, 1, 0][..], &[5, 4, 0, 0, 0, 72]].concat();
        let known = PolicyRecord {
            base_fee_msat: Some(256),
            proportional_millionths: None,
            cltv_expiry_delta: Some(72),
        };
        assert_eq!(PolicyRecord::decode(1, &stored).expect("reads"), known);
        assert_eq!(known.encode(), stored);
    }

    #[test]
    fn a_second_wish_keeps_what_the_first_has_set() {
        let base = PolicyChange { base_fee_msat: Some(5), ..Default::default() };
        let rate = PolicyChange { proportional_millionths: Some(9), ..Default::default() };
        let both = over(base, rate);
        assert_eq!((both.base_fee_msat, both.proportional_millionths), (Some(5), Some(9)));
        assert_eq!(
            over(both, PolicyChange { base_fee_msat: Some(6), ..both }).base_fee_msat,
            Some(6)
        );
    }
}
