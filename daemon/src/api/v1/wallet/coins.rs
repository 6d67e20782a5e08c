//! Bumps, leases and labels on the wire.

use bitcoin::Address;
use fulmen_proto::v1;
use fulmen_proto::v1::bump_transaction_request::How;
use tonic::Status;

use super::{WalletService, target};
use crate::api::status::malformed;
use crate::api::v1::convert::{self, fields};
use crate::api::v1::{refusal, view};
use crate::wallet::{Bump, BumpRequest, Labelled, Lease};

/// Who bumps is in a hurry.
const TARGET_BLOCKS: u16 = 2;
const DEFAULT_LEASE_SECS: u64 = 600;
const MAX_LEASE_SECS: u64 = 366 * 24 * 60 * 60;

/// Makes a transaction dearer.
pub(super) async fn bump(
    service: &WalletService,
    request: v1::BumpTransactionRequest,
) -> Result<v1::BumpTransactionResponse, Status> {
    let how = match request.how() {
        How::Unspecified => None,
        How::Replace => Some(Bump::Replace),
        How::Child => Some(Bump::Child),
        How::Cancel => Some(Bump::Cancel),
    };
    let blocks = target(request.target_blocks, TARGET_BLOCKS)?;
    let request = BumpRequest {
        txid: fields::txid("txid", &request.txid)?,
        feerate: service.feerate_or(request.feerate_msat_per_vb, blocks)?,
        how,
        max_fee_sat: (request.max_fee_sat > 0).then_some(request.max_fee_sat),
        dry_run: request.dry_run,
    };
    let bumped = service.wallet.bump(request, &*service.network).await.map_err(refusal::wallet)?;
    let how = match bumped.how {
        Bump::Replace => How::Replace,
        Bump::Child => How::Child,
        Bump::Cancel => How::Cancel,
    };
    Ok(v1::BumpTransactionResponse {
        txid: view::ids::txid_bytes(&bumped.txid),
        how: how.into(),
        fee_sat: bumped.fee_sat,
        added_sat: bumped.added_sat,
        vsize: bumped.vsize,
    })
}

/// Reserves a coin.
pub(super) async fn lease(
    service: &WalletService,
    request: v1::LeaseOutputRequest,
) -> Result<v1::LeaseOutputResponse, Status> {
    let outpoint = convert::wallet::outpoint("outpoint", request.outpoint)?;
    let name = lease_name(request.name)?;
    if name.is_empty() {
        return Err(malformed("name", "is needed: who knows it renews or ends the lease"));
    }
    let secs = lease_secs("expiry_secs", request.expiry_secs)?;
    let lease = service.wallet.lease(outpoint, name, secs).await.map_err(refusal::wallet)?;
    Ok(v1::LeaseOutputResponse { lease: Some(view(lease, None)) })
}

/// Reads the name of a lease, which may be empty.
pub(super) fn lease_name(name: String) -> Result<String, Status> {
    match name.len() {
        0..=64 => Ok(name),
        length => Err(malformed("name", format!("has {length} bytes, at most 64 are taken"))),
    }
}

/// Reads how long a lease lasts.
pub(super) fn lease_secs(argument: &'static str, secs: u64) -> Result<u64, Status> {
    match secs {
        0 => Ok(DEFAULT_LEASE_SECS),
        1..=MAX_LEASE_SECS => Ok(secs),
        _ => Err(malformed(argument, "is more than a year")),
    }
}

/// Writes a lease.
pub(super) fn view(lease: Lease, coin: Option<(u64, Address)>) -> v1::Lease {
    let (amount_sat, address) = coin.map_or((0, String::new()), |(sat, of)| (sat, of.to_string()));
    v1::Lease {
        outpoint: Some(view::ids::outpoint(&lease.outpoint)),
        name: lease.name,
        expires_at: lease.expires_at,
        amount_sat,
        address,
    }
}

/// Sets a label.
pub(super) async fn set_label(
    service: &WalletService,
    request: v1::SetLabelRequest,
) -> Result<v1::SetLabelResponse, Status> {
    use v1::set_label_request::Of;
    let of = match request.of {
        Some(Of::Txid(txid)) => Labelled::Transaction(fields::txid("txid", &txid)?),
        Some(Of::Outpoint(outpoint)) => {
            Labelled::Output(convert::wallet::outpoint("outpoint", Some(outpoint))?)
        }
        Some(Of::Address(text)) => {
            Labelled::Address(fields::address("address", &text, service.wallet.network())?)
        }
        None => return Err(malformed("of", "a transaction, an output or an address is needed")),
    };
    let label = fields::label(request.label)?;
    service.wallet.set_label(&of, label).await.map_err(refusal::wallet)?;
    Ok(v1::SetLabelResponse {})
}
