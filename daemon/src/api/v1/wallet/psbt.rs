//! Partially signed transactions on the wire.

use bitcoin::Psbt;
use bitcoin::consensus::encode;
use fulmen_proto::v1;
use tonic::Status;

use super::coins::{lease_name, lease_secs, view};
use super::{TARGET_BLOCKS, WalletService, target};
use crate::api::status::malformed;
use crate::api::v1::convert::{self, fields};
use crate::api::v1::{refusal, view as views};

/// The name of a lease that the caller does not name.
const LEASE_NAME: &str = "psbt";

/// Chooses coins.
pub(super) async fn fund(
    service: &WalletService,
    request: v1::FundPsbtRequest,
) -> Result<v1::FundPsbtResponse, Status> {
    let name = lease_name(request.lease_name)?;
    let name = if name.is_empty() { LEASE_NAME.to_owned() } else { name };
    let blocks = target(request.target_blocks, TARGET_BLOCKS)?;
    let funded = service.wallet.fund_psbt(
        convert::wallet::outputs(request.outputs, service.wallet.network())?,
        convert::wallet::coins(request.coins, request.min_confirmations)?,
        service.feerate_or(request.feerate_msat_per_vb, blocks)?,
        name,
        lease_secs("lease_secs", request.lease_secs)?,
    );
    let funded = funded.await.map_err(refusal::wallet)?;
    Ok(v1::FundPsbtResponse {
        psbt: funded.psbt.serialize(),
        amount_sat: funded.amount_sat,
        fee_sat: funded.fee_sat,
        change_vouts: funded.change,
        leases: funded.leases.into_iter().map(|lease| view(lease, None)).collect(),
    })
}

/// Signs our inputs.
pub(super) fn sign(
    service: &WalletService,
    request: &v1::SignPsbtRequest,
) -> Result<v1::SignPsbtResponse, Status> {
    let signed = service.wallet.sign_inputs(read(&request.psbt)?).map_err(refusal::wallet)?;
    Ok(v1::SignPsbtResponse {
        psbt: signed.psbt.serialize(),
        signed_inputs: u32::try_from(signed.signed).unwrap_or(u32::MAX),
        complete: signed.complete,
    })
}

/// Puts a transaction together.
pub(super) fn finalize(
    service: &WalletService,
    request: &v1::FinalizePsbtRequest,
) -> Result<v1::FinalizePsbtResponse, Status> {
    let whole = service.wallet.finalize_psbt(read(&request.psbt)?).map_err(refusal::wallet)?;
    Ok(v1::FinalizePsbtResponse {
        txid: views::ids::txid_bytes(&whole.transaction.compute_txid()),
        transaction: encode::serialize(&whole.transaction),
        fee_sat: whole.fee_sat,
    })
}

/// Publishes a transaction.
pub(super) async fn publish(
    service: &WalletService,
    request: v1::PublishRequest,
) -> Result<v1::PublishResponse, Status> {
    let transaction = encode::deserialize(&request.transaction)
        .map_err(|error| malformed("transaction", format!("cannot be read: {error}")))?;
    let label = fields::label(request.label)?;
    let published = service.wallet.publish(transaction, label, &*service.network);
    let txid = published.await.map_err(refusal::wallet)?;
    Ok(v1::PublishResponse { txid: views::ids::txid_bytes(&txid) })
}

fn read(bytes: &[u8]) -> Result<Psbt, Status> {
    Psbt::deserialize(bytes).map_err(|error| malformed("psbt", format!("cannot be read: {error}")))
}
