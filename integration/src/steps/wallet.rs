//! On-chain money: balances and sends.
use anyhow::{Context as _, Result};
use fulmen_proto::v1::wallet_send_request::Amount;
use fulmen_proto::v1::{
    GetBalancesRequest, GetBalancesResponse, GetWalletBalanceRequest, GetWalletBalanceResponse,
    ListUnspentRequest, Utxo, WalletSendRequest, WalletSendResponse,
};

use crate::daemon::Node;
use crate::poll::{self, Look};

/// What the wallet has.
pub async fn balance(node: &Node) -> Result<GetWalletBalanceResponse> {
    let answer = node.wallet().get_balance(GetWalletBalanceRequest {}).await;
    Ok(answer.with_context(|| format!("{}: wallet balance", node.name()))?.into_inner())
}

/// All that the node owns.
pub async fn balances(node: &Node) -> Result<GetBalancesResponse> {
    let answer = node.node().get_balances(GetBalancesRequest {}).await;
    Ok(answer.with_context(|| format!("{}: balances", node.name()))?.into_inner())
}

/// The wallet's outputs.
pub async fn unspent(node: &Node) -> Result<Vec<Utxo>> {
    let answer = node.wallet().list_unspent(ListUnspentRequest::default()).await;
    Ok(answer.with_context(|| format!("{}: unspent outputs", node.name()))?.into_inner().utxos)
}

/// Sends an amount.
pub async fn send(node: &Node, address: &str, amount_sat: u64) -> Result<WalletSendResponse> {
    let request = WalletSendRequest {
        address: address.to_owned(),
        amount: Some(Amount::AmountSat(amount_sat)),
        ..WalletSendRequest::default()
    };
    Ok(node.wallet().send(request).await.context("sending on chain")?.into_inner())
}

/// Waits until the wallet counts so much that no block holds.
pub async fn unconfirmed(node: &Node, amount_sat: u64) -> Result<()> {
    poll::eventually(&format!("{} has {amount_sat} sat unconfirmed", node.name()), async || {
        let seen = balance(node).await?.unconfirmed_sat;
        Ok(if seen == amount_sat { Look::Done(()) } else { Look::NotYet(format!("{seen} sat")) })
    })
    .await
}

/// Waits until the wallet's confirmed balance is this.
pub async fn confirmed(node: &Node, amount_sat: u64) -> Result<()> {
    poll::eventually(&format!("{} has {amount_sat} sat confirmed", node.name()), async || {
        let balance = balance(node).await?;
        Ok(if balance.confirmed_sat == amount_sat && balance.unconfirmed_sat == 0 {
            Look::Done(())
        } else {
            Look::NotYet(format!(
                "{} confirmed, {} unconfirmed",
                balance.confirmed_sat, balance.unconfirmed_sat
            ))
        })
    })
    .await
}
