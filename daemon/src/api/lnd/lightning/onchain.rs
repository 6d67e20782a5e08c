//! On-chain money: balance, addresses, sends, transactions, unspent outputs.

use std::collections::HashMap;

use fulmen_lnd_proto::lnrpc;
use tonic::Status;

use crate::api::lnd::read;
use crate::api::lnd::refusal::{self, refused};
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::channel::signed;
use crate::api::lnd::view::wallet;
use crate::listing::Filter;
use crate::wallet::{SendRequest, Value, WalletTransaction};

/// Transactions that are read from the wallet at once.
const PAGE: usize = 500;
/// The longest label, in bytes, as lnd has it.
const MAX_LABEL_BYTES: usize = 500;

pub(super) fn balance(rooms: &LndRooms) -> lnrpc::WalletBalanceResponse {
    let balance = rooms.wallet.balance();
    let account = lnrpc::WalletAccountBalance {
        confirmed_balance: signed(balance.confirmed_sat),
        unconfirmed_balance: signed(balance.unconfirmed_sat),
    };
    lnrpc::WalletBalanceResponse {
        total_balance: signed(balance.confirmed_sat.saturating_add(balance.unconfirmed_sat)),
        confirmed_balance: account.confirmed_balance,
        unconfirmed_balance: account.unconfirmed_balance,
        locked_balance: 0,
        reserved_balance_anchor_chan: signed(balance.reserved_sat),
        account_balance: HashMap::from([("default".to_owned(), account)]),
    }
}

/// The wallet's addresses are taproot; a caller of plain segwit is served with one, as any sender of today can pay it.
pub(super) async fn new_address(
    rooms: &LndRooms,
    request: lnrpc::NewAddressRequest,
) -> Result<lnrpc::NewAddressResponse, Status> {
    use lnrpc::AddressType;
    default_account(&request.account)?;
    let kind = request.r#type();
    if matches!(kind, AddressType::NestedPubkeyHash | AddressType::UnusedNestedPubkeyHash) {
        return Err(refused("nested segwit addresses are not supported"));
    }
    let address = rooms.wallet.new_address().await.map_err(refusal::wallet)?.to_string();
    Ok(lnrpc::NewAddressResponse { address })
}

pub(super) async fn send_coins(
    rooms: &LndRooms,
    request: lnrpc::SendCoinsRequest,
) -> Result<lnrpc::SendCoinsResponse, Status> {
    let sat_per_byte = request.sat_per_byte;
    let coins = read::coins(request.outpoints, request.min_confs, request.spend_unconfirmed)?;
    if request.label.len() > MAX_LABEL_BYTES {
        return Err(refused(format!("label exceeds maximum length of {MAX_LABEL_BYTES}")));
    }
    let value = match (request.send_all, request.amount) {
        (true, 0) => Value::All,
        (true, _) => {
            return Err(refused("amount set while SendAll is active"));
        }
        (false, sat) => Value::Exactly(read::amount_sat(sat)?),
    };
    let address = read::address(&request.addr, rooms.wallet.network())?;
    let (rate, target) = (request.sat_per_vbyte, request.target_conf);
    let feerate = read::feerate_or_default(&rooms.feerates, rate, sat_per_byte, target)?;
    let send = SendRequest {
        outputs: vec![(address, value)],
        coins,
        fee_from_amount: false,
        feerate,
        idempotency_key: None,
        label: request.label,
    };
    let sent = rooms.wallet.send(send).await.map_err(refusal::wallet)?;
    Ok(lnrpc::SendCoinsResponse { txid: sent.txid.to_string() })
}

pub(super) fn unspent(
    rooms: &LndRooms,
    request: &lnrpc::ListUnspentRequest,
) -> Result<lnrpc::ListUnspentResponse, Status> {
    default_account(&request.account)?;
    Ok(lnrpc::ListUnspentResponse { utxos: utxos(rooms, request.min_confs, request.max_confs)? })
}

/// Unspent outputs with at least `min` and at most `max` confirmations; a `max` of 0 is none.
pub(in crate::api::lnd) fn utxos(
    rooms: &LndRooms,
    min: i32,
    max: i32,
) -> Result<Vec<lnrpc::Utxo>, Status> {
    let (Ok(min), Ok(max)) = (u32::try_from(min), u32::try_from(max)) else {
        return Err(refused("confirmations must not be negative"));
    };
    if max > 0 && min > max {
        return Err(refused("min_confs must not be more than max_confs"));
    }
    let coins = rooms.wallet.unspent().into_iter();
    let wanted =
        coins.filter(|coin| coin.confirmations >= min && (max == 0 || coin.confirmations <= max));
    Ok(wanted.map(wallet::utxo).collect())
}

/// All transactions, newest first, within the heights; an end of -1 includes unconfirmed ones.
pub(super) fn transactions(
    rooms: &LndRooms,
    request: &lnrpc::GetTransactionsRequest,
) -> Result<lnrpc::TransactionDetails, Status> {
    default_account(&request.account)?;
    let (start, end) = (request.start_height, request.end_height);
    let wanted = |tx: &WalletTransaction| match tx.block_height {
        None => end == -1 || end == 0,
        Some(height) => {
            let height = i64::from(height);
            height >= i64::from(start) && (end <= 0 || height <= i64::from(end))
        }
    };
    let skip = usize::try_from(request.index_offset).unwrap_or(usize::MAX);
    let take = match request.max_transactions {
        0 => usize::MAX,
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };
    let (mut found, mut token) = (Vec::new(), Vec::new());
    loop {
        let page = rooms
            .wallet
            .transactions(&token, PAGE, &Filter::default(), |_| true)
            .map_err(refusal::wallet)?;
        found.extend(page.transactions.into_iter().filter(|tx| wanted(tx)));
        if page.next_token.is_empty() || found.len() >= skip.saturating_add(take) {
            break;
        }
        token = page.next_token;
    }
    let transactions: Vec<_> =
        found.into_iter().skip(skip).take(take).map(wallet::transaction).collect();
    let last_index = (skip + transactions.len()).saturating_sub(1) as u64;
    Ok(lnrpc::TransactionDetails { transactions, last_index, first_index: skip as u64 })
}

/// The newest transaction with this id, where the wallet has one.
pub(in crate::api::lnd) fn transaction(
    rooms: &LndRooms,
    wanted: &bitcoin::Txid,
) -> Result<Option<lnrpc::Transaction>, Status> {
    let mut token = Vec::new();
    loop {
        let page = rooms
            .wallet
            .transactions(&token, PAGE, &Filter::default(), |_| true)
            .map_err(refusal::wallet)?;
        if let Some(found) = page.transactions.into_iter().find(|tx| tx.txid == *wanted) {
            return Ok(Some(wallet::transaction(found)));
        }
        if page.next_token.is_empty() {
            return Ok(None);
        }
        token = page.next_token;
    }
}

/// The wallet has one account.
pub(in crate::api::lnd) fn default_account(account: &str) -> Result<(), Status> {
    match account {
        "" | "default" => Ok(()),
        other => Err(refused(format!("account '{other}' not found"))),
    }
}
