//! From the wire: requests, read and bounded.

pub mod bolt11;
pub mod channel;
pub mod fields;
pub mod filter;
pub mod payment;
pub mod policy;
pub mod route;
pub mod wallet;

use bitcoin::Network;
use fulmen_proto::v1;
use prost::Message as _;
use tonic::Status;

#[cfg(test)]
mod properties;

/// Reads bytes as each kind of request that is converted here, and converts those that can be read.
///
/// # Errors
/// Of each conversion, the status that a client would get. For properties and the fuzzer: services call the
/// conversions one by one.
#[doc(hidden)]
pub fn requests(bytes: &[u8]) -> Vec<Result<(), Status>> {
    let mut outcomes = Vec::new();
    if let Ok(request) = v1::OpenChannelRequest::decode(bytes) {
        outcomes.push(channel::open(request, Network::Regtest).map(|_| ()));
    }
    if let Ok(request) = v1::SetPolicyRequest::decode(bytes) {
        outcomes.push(policy::set(request).map(|_| ()));
    }
    if let Ok(request) = v1::WalletSendRequest::decode(bytes) {
        outcomes.push(wallet::outputs(request.outputs, Network::Regtest).map(|_| ()));
        outcomes.push(wallet::coins(request.coins, request.min_confirmations).map(|_| ()));
    }
    if let Ok(request) = v1::OpenBatchRequest::decode(bytes) {
        outcomes.push(channel::open_batch(request, Network::Regtest).map(|_| ()));
    }
    if let Ok(request) = v1::RebalanceRequest::decode(bytes) {
        outcomes.push(payment::rebalance(request).map(|_| ()));
    }
    if let Ok(request) = v1::FindRouteRequest::decode(bytes) {
        outcomes.push(route::payee(request.to).map(|_| ()));
        outcomes.push(route::constraints(request.constraints).map(|_| ()));
    }
    if let Ok(request) = v1::KeysendRequest::decode(bytes) {
        outcomes.push(fields::node_id("node_id", &request.node_id).map(|_| ()));
        outcomes.push(payment::custom_records(request.custom_records).map(|_| ()));
    }
    if let Ok(request) = v1::ListPaymentsRequest::decode(bytes) {
        outcomes.push(fields::page(request.page).map(|_| ()));
    }
    if let Ok(request) = v1::CloseChannelRequest::decode(bytes) {
        outcomes.push(fields::channel_ref("channel", request.channel).map(|_| ()));
    }
    outcomes
}
