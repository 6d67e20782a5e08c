//! The `Wallet` service.

mod coins;
mod psbt;

use std::sync::Arc;

use bitcoin::hashes::Hash as _;
use bitcoin::{FeeRate, OutPoint};
use fulmen_proto::v1;
use tonic::{Request, Response, Status};

use super::convert::filter::{filter, no_channels};
use super::convert::{self, fields};
use super::{refusal, view};
use crate::api::status::malformed;
use crate::chain::Offer;
use crate::feerates::Feerates;
use crate::listing::page_by_key;
use crate::wallet::{SendRequest, Unspent, Value, Wallet, WalletTransaction};

/// Within how many blocks a send shall confirm when the caller names no feerate.
const TARGET_BLOCKS: u16 = 6;

/// Serves `fulmen.v1.Wallet`.
#[derive(Clone)]
pub struct WalletService {
    /// The room that it serves.
    pub wallet: Wallet,
    /// The feerate of sends that name none.
    pub feerates: Feerates,
    /// Publishes transactions.
    pub network: Arc<dyn Offer + Send + Sync>,
}

#[tonic::async_trait]
impl v1::wallet_server::Wallet for WalletService {
    async fn new_address(
        &self,
        _: Request<v1::NewAddressRequest>,
    ) -> Result<Response<v1::NewAddressResponse>, Status> {
        let address = self.wallet.new_address().await.map_err(refusal::wallet)?.to_string();
        Ok(Response::new(v1::NewAddressResponse { address }))
    }

    async fn get_balance(
        &self,
        _: Request<v1::GetWalletBalanceRequest>,
    ) -> Result<Response<v1::GetWalletBalanceResponse>, Status> {
        let balance = self.wallet.balance();
        Ok(Response::new(v1::GetWalletBalanceResponse {
            confirmed_sat: balance.confirmed_sat,
            unconfirmed_sat: balance.unconfirmed_sat,
            immature_sat: balance.immature_sat,
            reserved_sat: balance.reserved_sat,
            spendable_sat: balance.spendable_sat,
        }))
    }

    async fn send(
        &self,
        request: Request<v1::WalletSendRequest>,
    ) -> Result<Response<v1::WalletSendResponse>, Status> {
        let request = request.into_inner();
        let target = target(request.target_blocks, TARGET_BLOCKS)?;
        let mut outputs = convert::wallet::outputs(request.outputs, self.wallet.network())?;
        if !request.address.is_empty() || outputs.is_empty() {
            let address = fields::address("address", &request.address, self.wallet.network())?;
            outputs.insert(0, (address, value(request.amount)?));
        }
        let sent = self.wallet.send(SendRequest {
            outputs,
            coins: convert::wallet::coins(request.coins, request.min_confirmations)?,
            fee_from_amount: request.subtract_fee,
            feerate: self.feerate_or(request.feerate_msat_per_vb, target)?,
            idempotency_key: fields::idempotency_key(request.idempotency_key)?,
            label: fields::label(request.label)?,
        });
        let sent = sent.await.map_err(refusal::wallet)?;
        Ok(Response::new(v1::WalletSendResponse {
            txid: view::ids::txid_bytes(&sent.txid),
            amount_sat: sent.amount_sat,
            fee_sat: sent.fee_sat,
            vsize: sent.vsize,
        }))
    }

    async fn bump(
        &self,
        request: Request<v1::BumpTransactionRequest>,
    ) -> Result<Response<v1::BumpTransactionResponse>, Status> {
        coins::bump(self, request.into_inner()).await.map(Response::new)
    }

    async fn lease_output(
        &self,
        request: Request<v1::LeaseOutputRequest>,
    ) -> Result<Response<v1::LeaseOutputResponse>, Status> {
        coins::lease(self, request.into_inner()).await.map(Response::new)
    }

    async fn release_output(
        &self,
        request: Request<v1::ReleaseOutputRequest>,
    ) -> Result<Response<v1::ReleaseOutputResponse>, Status> {
        let request = request.into_inner();
        let outpoint = convert::wallet::outpoint("outpoint", request.outpoint)?;
        self.wallet.release(outpoint, &request.name).await.map_err(refusal::wallet)?;
        Ok(Response::new(v1::ReleaseOutputResponse {}))
    }

    async fn list_leases(
        &self,
        _: Request<v1::ListLeasesRequest>,
    ) -> Result<Response<v1::ListLeasesResponse>, Status> {
        let leases = self.wallet.leases().into_iter();
        let leases = leases.map(|(lease, coin)| coins::view(lease, coin)).collect();
        Ok(Response::new(v1::ListLeasesResponse { leases }))
    }

    async fn set_label(
        &self,
        request: Request<v1::SetLabelRequest>,
    ) -> Result<Response<v1::SetLabelResponse>, Status> {
        coins::set_label(self, request.into_inner()).await.map(Response::new)
    }

    async fn export_labels(
        &self,
        _: Request<v1::ExportLabelsRequest>,
    ) -> Result<Response<v1::ExportLabelsResponse>, Status> {
        let labels = self.wallet.export_labels().map_err(refusal::wallet)?;
        Ok(Response::new(v1::ExportLabelsResponse { labels }))
    }

    async fn import_labels(
        &self,
        request: Request<v1::ImportLabelsRequest>,
    ) -> Result<Response<v1::ImportLabelsResponse>, Status> {
        let imported = self.wallet.import_labels(&request.into_inner().labels).await;
        let imported = imported.map_err(refusal::wallet)?;
        let (taken, skipped) = (imported.taken, imported.skipped);
        Ok(Response::new(v1::ImportLabelsResponse { taken, skipped }))
    }

    async fn fund_psbt(
        &self,
        request: Request<v1::FundPsbtRequest>,
    ) -> Result<Response<v1::FundPsbtResponse>, Status> {
        psbt::fund(self, request.into_inner()).await.map(Response::new)
    }

    async fn sign_psbt(
        &self,
        request: Request<v1::SignPsbtRequest>,
    ) -> Result<Response<v1::SignPsbtResponse>, Status> {
        psbt::sign(self, &request.into_inner()).map(Response::new)
    }

    async fn finalize_psbt(
        &self,
        request: Request<v1::FinalizePsbtRequest>,
    ) -> Result<Response<v1::FinalizePsbtResponse>, Status> {
        psbt::finalize(self, &request.into_inner()).map(Response::new)
    }

    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        psbt::publish(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_transactions(
        &self,
        request: Request<v1::ListTransactionsRequest>,
    ) -> Result<Response<v1::ListTransactionsResponse>, Status> {
        let request = request.into_inner();
        let page = fields::page(request.page)?;
        let wanted = filter::<WalletTransaction>(request.filter, no_channels)?;
        let also = |transaction: &WalletTransaction| {
            let confirmed = transaction.block_height.is_some();
            request.confirmed.is_none_or(|wanted| confirmed == wanted)
        };
        let page = self.wallet.transactions(&page.token, page.limit, &wanted, also);
        let page = page.map_err(refusal::wallet)?;
        Ok(Response::new(v1::ListTransactionsResponse {
            transactions: page.transactions.into_iter().map(transaction).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn list_unspent(
        &self,
        request: Request<v1::ListUnspentRequest>,
    ) -> Result<Response<v1::ListUnspentResponse>, Status> {
        let request = request.into_inner();
        let page = fields::page_or_all(request.page)?;
        let wanted = filter::<Unspent>(request.filter, no_channels)?;
        let is_wanted =
            |coin: &Unspent| wanted.passes(coin) && coin.confirmations >= request.min_confirmations;
        let coins = self.wallet.unspent().into_iter().filter(is_wanted);
        let (coins, next_page_token) =
            page_by_key(coins, place, &page.token, page.limit).map_err(|_| refusal::bad_token())?;
        let utxos = coins.into_iter().map(utxo).collect();
        Ok(Response::new(v1::ListUnspentResponse { utxos, next_page_token }))
    }
}

impl WalletService {
    /// The caller's feerate if it can be relayed, or the estimate for so many blocks.
    fn feerate_or(&self, msat_per_vb: u64, target_blocks: u16) -> Result<FeeRate, Status> {
        let argument = "feerate_msat_per_vb";
        match fields::feerate(argument, msat_per_vb)? {
            None => Ok(self.feerates.feerate_for_wallet(target_blocks)),
            Some(asked) => above_minimum(asked, self.feerates.snapshot().mempool_minimum)
                .map_err(|words| malformed(argument, words)),
        }
    }
}

/// Reads within how many blocks a transaction shall confirm.
fn target(blocks: u32, default: u16) -> Result<u16, Status> {
    match blocks {
        0 => Ok(default),
        1..=1_008 => Ok(blocks as u16),
        _ => Err(malformed("target_blocks", "is more than 1008, which bitcoind estimates at most")),
    }
}

/// A transaction below the mempool's minimum would be refused, and its coins would wait with it.
pub(in crate::api) fn above_minimum(asked: FeeRate, minimum: FeeRate) -> Result<FeeRate, String> {
    // 1 sat/vB is 250 sat/kwu, which LDK's floor rounds up to 253: do not refuse what relays.
    let slack = FeeRate::from_sat_per_kwu(3);
    if asked.to_sat_per_kwu() + slack.to_sat_per_kwu() < minimum.to_sat_per_kwu() {
        let msat_per_vb = minimum.to_sat_per_kwu() * 4;
        return Err(format!(
            "is below what bitcoind's mempool takes now, {}.{:03} sat/vB",
            msat_per_vb / 1_000,
            msat_per_vb % 1_000
        ));
    }
    Ok(asked)
}

fn value(amount: Option<v1::wallet_send_request::Amount>) -> Result<Value, Status> {
    use v1::wallet_send_request::Amount;
    match amount {
        Some(Amount::AmountSat(sat)) => fields::amount_sat("amount_sat", sat).map(Value::Exactly),
        Some(Amount::All(true)) => Ok(Value::All),
        Some(Amount::All(false)) => Err(malformed("all", "is false, and no amount is given")),
        None => Err(malformed("amount_sat", "is needed, or all")),
    }
}

fn transaction(tx: WalletTransaction) -> v1::WalletTransaction {
    v1::WalletTransaction {
        txid: view::ids::txid_bytes(&tx.txid),
        net_sat: tx.net_sat,
        fee_sat: tx.fee_sat.unwrap_or(0),
        vsize: tx.vsize,
        block_height: tx.block_height.unwrap_or(0),
        confirmations: tx.confirmations,
        seen_at: tx.seen_at,
        label: tx.label,
    }
}

fn place(coin: &Unspent) -> Vec<u8> {
    let OutPoint { txid, vout } = &coin.outpoint;
    [&txid.as_byte_array()[..], &vout.to_be_bytes()].concat()
}

fn utxo(coin: Unspent) -> v1::Utxo {
    v1::Utxo {
        outpoint: Some(view::ids::outpoint(&coin.outpoint)),
        amount_sat: coin.amount_sat,
        address: coin.address.to_string(),
        confirmations: coin.confirmations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_or_all_is_needed() {
        use v1::wallet_send_request::Amount;
        let says = |amount| value(amount).expect_err("refused").message().to_owned();
        assert_eq!(value(Some(Amount::AmountSat(5))).expect("fine"), Value::Exactly(5));
        assert_eq!(value(Some(Amount::All(true))).expect("fine"), Value::All);
        assert!(says(None).starts_with("amount_sat: "));
        assert!(says(Some(Amount::All(false))).starts_with("all: "));
        assert!(says(Some(Amount::AmountSat(0))).starts_with("amount_sat: "));
    }

    #[test]
    fn a_feerate_that_cannot_relay_is_refused_with_the_one_that_can() {
        let rate = FeeRate::from_sat_per_kwu;
        assert_eq!(above_minimum(rate(250), rate(253)), Ok(rate(250)));
        assert_eq!(
            above_minimum(rate(250), rate(1_000)),
            Err("is below what bitcoind's mempool takes now, 4.000 sat/vB".to_owned())
        );
    }
}
