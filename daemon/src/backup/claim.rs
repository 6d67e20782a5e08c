//! Hands static outputs of channels that this node has lost to the sweeper.

use bitcoin::secp256k1::Secp256k1;
use bitcoin::{OutPoint, ScriptBuf};
use lightning::chain::transaction::OutPoint as LdkOutPoint;
use lightning::ln::chan_utils::ChannelTransactionParameters;
use lightning::sign::{
    ChannelSigner as _, SignerProvider as _, SpendableOutputDescriptor,
    StaticPaymentOutputDescriptor,
};
use lightning::types::features::ChannelTypeFeatures;

use super::records::{self, Fate, OUTPUTS, StaticOutput};
use super::{Backup, Error};
use crate::chain::ChainSource as _;
use crate::node::Node;
use crate::node::run::sweep;
use crate::storage::Batch;

/// Key ids to try until one gives the key of a script; a thousand keys are equally likely, so that this misses one script
/// in 10^21.
const MOST_KEY_IDS: u64 = 50_000;

impl Backup {
    /// Claims every static output that was found, unless a monitor does so or it is spent already.
    pub(super) async fn claim_found(&self) -> Result<(), Error> {
        let inner = &self.0;
        for (key, found) in OUTPUTS.all(&inner.store)? {
            let Some(outpoint) = records::outpoint(&key) else { continue };
            if found.fate != Fate::Found {
                continue;
            }
            let mut batch = Batch::new();
            if self.has_monitor(&found.funding)? {
                OUTPUTS.delete(&mut batch, &key);
            } else {
                let fate = match inner.source.unspent(outpoint).await {
                    Ok(Some(_)) => self.sweep(outpoint, &found)?,
                    Ok(None) => Fate::Spent,
                    // Asked again at the next block.
                    Err(_) => continue,
                };
                OUTPUTS.put(&mut batch, &key, &StaticOutput { fate, ..found });
            }
            inner.store.commit(batch).await?;
        }
        Ok(())
    }

    fn sweep(&self, outpoint: OutPoint, found: &StaticOutput) -> Result<Fate, Error> {
        let amount = found.output.value;
        let descriptor = tokio::task::block_in_place(|| {
            let descriptor = describe(&self.0.node, outpoint, found)?;
            // A crash behind this line hands it over once more, which the sweeper notices.
            sweep::track(&self.0.node, vec![descriptor], None).map_err(|_| Error::NotSwept)
        });
        match descriptor {
            Ok(()) => tracing::info!(%outpoint, %amount, "sweeping an output of a lost channel"),
            Err(Error::NoKey) => {
                tracing::error!(%outpoint, %amount, "no key of the seed spends this output");
                return Err(Error::NoKey);
            }
            Err(error) => return Err(error),
        }
        Ok(Fate::Swept)
    }

    /// Whether a channel is or was ours, so that its monitor claims or has claimed its outputs.
    fn has_monitor(&self, funding: &OutPoint) -> Result<bool, Error> {
        Ok(self.0.channels.owns_funding(funding)?)
    }
}

/// Describes a static output as LDK would, had it a monitor of its channel.
fn describe(
    node: &Node,
    outpoint: OutPoint,
    found: &StaticOutput,
) -> Result<SpendableOutputDescriptor, Error> {
    let script = &found.output.script_pubkey;
    let (channel_keys_id, channel_transaction_parameters) =
        keys_of(node, script).ok_or(Error::NoKey)?;
    let index = u16::try_from(outpoint.vout).map_err(|_| Error::NoKey)?;
    Ok(SpendableOutputDescriptor::StaticPaymentOutput(StaticPaymentOutputDescriptor {
        outpoint: LdkOutPoint { txid: outpoint.txid, index },
        output: found.output.clone(),
        channel_keys_id,
        channel_value_satoshis: 0,
        channel_transaction_parameters: Some(channel_transaction_parameters),
    }))
}

/// Finds key material that pays our balance to a script.
///
/// LDK takes one of a thousand static keys for each channel, by a hash of the channel's key id. Which id the lost
/// channel had is unknown, but any id with the same key signs for it.
fn keys_of(node: &Node, script: &ScriptBuf) -> Option<([u8; 32], ChannelTransactionParameters)> {
    let secp = Secp256k1::new();
    let channel_type_features = match script.is_p2wsh() {
        true => {
            let mut anchors = ChannelTypeFeatures::only_static_remote_key();
            anchors.set_anchors_zero_fee_htlc_tx_required();
            anchors
        }
        false => ChannelTypeFeatures::only_static_remote_key(),
    };
    (0..MOST_KEY_IDS).find_map(|number| {
        let mut channel_keys_id = [0; 32];
        channel_keys_id[24..].copy_from_slice(&number.to_be_bytes());
        let signer = node.keys.derive_channel_signer(channel_keys_id);
        let parameters = ChannelTransactionParameters {
            holder_pubkeys: signer.pubkeys(&secp),
            holder_selected_contest_delay: 0,
            is_outbound_from_holder: false,
            counterparty_parameters: None,
            funding_outpoint: None,
            splice_parent_funding_txid: None,
            channel_type_features: channel_type_features.clone(),
            channel_value_satoshis: 0,
        };
        let pays = lightning::ln::chan_utils::get_countersigner_payment_script(
            &channel_type_features,
            &parameters.holder_pubkeys.payment_point,
        );
        (pays == *script).then_some((channel_keys_id, parameters))
    })
}
