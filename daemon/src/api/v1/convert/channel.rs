//! Requests for channels.

use bitcoin::Network;
use fulmen_proto::v1;
use tonic::Status;

use super::{fields, wallet};
use crate::api::status::malformed;
use crate::channels::{Amount, Open, OpenBatch, Policy};

/// Reads which channel is to be opened.
pub fn open(request: v1::OpenChannelRequest, network: Network) -> Result<Open, Status> {
    use v1::open_channel_request::Amount as Wire;
    let amount = match request.amount {
        Some(Wire::CapacitySat(sat)) => Amount::Exactly(fields::amount_sat("capacity_sat", sat)?),
        Some(Wire::All(true)) => Amount::All,
        Some(Wire::All(false)) | None => {
            return Err(malformed("amount", "a capacity or all is needed"));
        }
    };
    let push_msat = fields::optional_amount_msat("push_msat", request.push_msat)?;
    let close_script = match request.close_address.as_str() {
        "" => None,
        text => Some(fields::address("close_address", text, network)?.script_pubkey()),
    };
    Ok(Open {
        node_id: fields::node_id("node_id", &request.node_id)?,
        amount,
        push_msat: push_msat.unwrap_or(0),
        announce: request.announce,
        feerate: fields::feerate("feerate_msat_per_vb", request.feerate_msat_per_vb)?,
        policy: request.policy.map(|policy| Policy {
            base_fee_msat: policy.base_fee_msat,
            proportional_millionths: policy.proportional_millionths,
            cltv_expiry_delta: policy.cltv_expiry_delta,
        }),
        coins: wallet::coins(request.coins, request.min_confirmations)?,
        outside: request.psbt,
        zero_conf: request.zero_conf,
        close_script,
        idempotency_key: fields::idempotency_key(request.idempotency_key)?,
    })
}

/// The longest key of a batch: each of its channels has the key with a number after it.
const MAX_BATCH_KEY_BYTES: usize = 40;

/// Reads which channels are to be opened together, with the addresses of their peers.
pub fn open_batch(
    request: v1::OpenBatchRequest,
    network: Network,
) -> Result<(OpenBatch, Vec<Option<String>>), Status> {
    let mut opens = Vec::new();
    let mut addresses = Vec::new();
    for channel in request.channels {
        if !channel.idempotency_key.is_empty() {
            return Err(malformed("channels", "have the key of their batch, none of their own"));
        }
        addresses.push(fields::peer_address(&channel.address)?.map(str::to_owned));
        opens.push(open(channel, network)?);
    }
    let idempotency_key = fields::idempotency_key(request.idempotency_key)?;
    if idempotency_key.as_ref().is_some_and(|key| key.len() > MAX_BATCH_KEY_BYTES) {
        let words = format!("of a batch has at most {MAX_BATCH_KEY_BYTES} bytes");
        return Err(malformed("idempotency_key", words));
    }
    let batch = OpenBatch {
        opens,
        feerate: fields::feerate("feerate_msat_per_vb", request.feerate_msat_per_vb)?,
        coins: wallet::coins(request.coins, request.min_confirmations)?,
        all_or_none: request.all_or_none,
        idempotency_key,
    };
    Ok((batch, addresses))
}
