//! Requests for payments: limits, custom records, rebalances.

use fulmen_proto::v1;
use tonic::Status;

use super::fields;
use crate::api::status::malformed;
use crate::payments::{AskedLimits, Rebalance};

/// The size of all custom records together, in bytes: an onion has room for 1,300 (BOLT 4).
const MAX_CUSTOM_BYTES: usize = 1_300;

/// Reads the limits of a payment; 0 stands for the configured default.
pub fn limits(limits: Option<v1::PaymentLimits>) -> AskedLimits {
    let limits = limits.unwrap_or_default();
    AskedLimits {
        max_fee_msat: limits.max_fee_msat,
        timeout_secs: limits.timeout_secs,
        max_parts: limits.max_parts,
        max_total_cltv_delta: limits.max_total_cltv_delta,
    }
}

/// Reads the custom records of a keysend as (type, value).
pub fn custom_records(records: Vec<v1::CustomRecord>) -> Result<Vec<(u64, Vec<u8>)>, Status> {
    if records.iter().map(|record| record.value.len() + 9).sum::<usize>() > MAX_CUSTOM_BYTES {
        return Err(malformed("custom_records", "do not fit into an onion"));
    }
    Ok(records.into_iter().map(|record| (record.r#type, record.value)).collect())
}

/// Reads a rebalance.
pub fn rebalance(request: v1::RebalanceRequest) -> Result<Rebalance, Status> {
    for (argument, scid) in [
        ("from_short_channel_id", request.from_short_channel_id),
        ("to_short_channel_id", request.to_short_channel_id),
    ] {
        if scid == 0 {
            return Err(malformed(argument, "is 0"));
        }
    }
    Ok(Rebalance {
        from: request.from_short_channel_id,
        to: request.to_short_channel_id,
        amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?
            .ok_or_else(|| malformed("amount_msat", "must be more than 0"))?,
        limits: limits(request.limits),
        idempotency_key: fields::idempotency_key(request.idempotency_key)?,
        label: fields::label(request.label)?,
    })
}
