//! The `WalletKit` service: the basics of the on-chain wallet.

use std::str::FromStr as _;

use bitcoin::Txid;
use fulmen_lnd_proto::walletrpc::wallet_kit_server::WalletKit;
use fulmen_lnd_proto::{lnrpc, walletrpc};
use tonic::{Request, Response, Status};

use super::lightning::onchain;
use super::refusal::{self, refused};
use super::rooms::LndRooms;
use super::view::channel::signed;

/// Serves `walletrpc.WalletKit`.
#[derive(Clone)]
pub struct WalletKitService(pub LndRooms);

#[tonic::async_trait]
impl WalletKit for WalletKitService {
    async fn list_unspent(
        &self,
        request: Request<walletrpc::ListUnspentRequest>,
    ) -> Result<Response<walletrpc::ListUnspentResponse>, Status> {
        let request = request.into_inner();
        onchain::default_account(&request.account)?;
        let mut utxos = onchain::utxos(&self.0, request.min_confs, request.max_confs)?;
        utxos.retain(|utxo| !request.unconfirmed_only || utxo.confirmations == 0);
        Ok(Response::new(walletrpc::ListUnspentResponse { utxos }))
    }

    async fn next_addr(
        &self,
        request: Request<walletrpc::AddrRequest>,
    ) -> Result<Response<walletrpc::AddrResponse>, Status> {
        use walletrpc::AddressType;
        let request = request.into_inner();
        onchain::default_account(&request.account)?;
        let kind = request.r#type();
        if matches!(
            kind,
            AddressType::NestedWitnessPubkeyHash | AddressType::HybridNestedWitnessPubkeyHash
        ) {
            return Err(refused("nested segwit addresses are not supported"));
        }
        let address = self.0.wallet.new_address().await.map_err(refusal::wallet)?;
        Ok(Response::new(walletrpc::AddrResponse { addr: address.to_string() }))
    }

    async fn get_transaction(
        &self,
        request: Request<walletrpc::GetTransactionRequest>,
    ) -> Result<Response<lnrpc::Transaction>, Status> {
        let txid = Txid::from_str(&request.into_inner().txid);
        let txid = txid.map_err(|error| refused(error.to_string()))?;
        let found = onchain::transaction(&self.0, &txid)?;
        found.map(Response::new).ok_or_else(|| refused("transaction not found"))
    }

    async fn estimate_fee(
        &self,
        request: Request<walletrpc::EstimateFeeRequest>,
    ) -> Result<Response<walletrpc::EstimateFeeResponse>, Status> {
        let target = request.into_inner().conf_target;
        let target = match u16::try_from(target) {
            Ok(target @ 2..) => target,
            _ => return Err(refused("a confirmation target of at least 2 must be specified")),
        };
        let rate = self.0.feerates.feerate_for_wallet(target).to_sat_per_kwu();
        let minimum = self.0.feerates.snapshot().mempool_minimum.to_sat_per_kwu();
        Ok(Response::new(walletrpc::EstimateFeeResponse {
            sat_per_kw: signed(rate),
            min_relay_fee_sat_per_kw: signed(minimum),
        }))
    }

    async fn required_reserve(
        &self,
        _: Request<walletrpc::RequiredReserveRequest>,
    ) -> Result<Response<walletrpc::RequiredReserveResponse>, Status> {
        let required_reserve = signed(self.0.wallet.balance().reserved_sat);
        Ok(Response::new(walletrpc::RequiredReserveResponse { required_reserve }))
    }

    /// One account, of taproot keys: clients make no taproot address where none is listed.
    async fn list_accounts(
        &self,
        _: Request<walletrpc::ListAccountsRequest>,
    ) -> Result<Response<walletrpc::ListAccountsResponse>, Status> {
        let account = walletrpc::Account {
            name: "default".to_owned(),
            address_type: walletrpc::AddressType::TaprootPubkey.into(),
            derivation_path: "m/86'/0'/0'".to_owned(),
            ..Default::default()
        };
        Ok(Response::new(walletrpc::ListAccountsResponse { accounts: vec![account] }))
    }
}
