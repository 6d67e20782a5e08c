//! Builds an unsigned transaction that leaves the anchor reserve in the wallet.

use std::collections::HashSet;

use bdk_wallet::error::CreateTxError;
use bdk_wallet::{KeychainKind, Wallet};
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Weight};

use super::reserve::above_reserve_sat;
use crate::wallet::error::Error;

/// Spending a taproot output by its key: 41 bytes of input, and a witness of 66.
const P2TR_INPUT_WEIGHT: Weight = Weight::from_wu(41 * 4 + 66);

/// How much to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// So many satoshis; the fee comes on top.
    Exactly(u64),
    /// All that may be spent; the fee is taken from it.
    All,
}

/// An unsigned transaction and what it means.
#[derive(Debug)]
pub(in crate::wallet) struct Draft {
    pub(in crate::wallet) psbt: Psbt,
    pub(in crate::wallet) amount_sat: u64,
    pub(in crate::wallet) fee_sat: u64,
    /// The change address that it pays, by its index among the internal addresses.
    pub(in crate::wallet) change_index: Option<u32>,
}

/// Drafts a payment; changes nothing in the wallet but what it has cached.
pub(in crate::wallet) fn draft(
    bdk: &mut Wallet,
    script: &ScriptBuf,
    value: Value,
    feerate: FeeRate,
    reserved_sat: u64,
) -> Result<Draft, Error> {
    let coins = super::spendable(bdk);
    let available_sat: u64 = coins.iter().map(|coin| coin.txout.value.to_sat()).sum();
    let spendable_sat = above_reserve_sat(available_sat, reserved_sat);
    let insufficient =
        |needed_sat| Error::InsufficientFunds { needed_sat, spendable_sat, reserved_sat };
    let minimum_sat = script.minimal_non_dust().to_sat();
    let least_sat = match value {
        Value::Exactly(amount_sat) if amount_sat < minimum_sat => {
            return Err(Error::Dust { amount_sat, minimum_sat });
        }
        Value::Exactly(amount_sat) => amount_sat,
        Value::All => minimum_sat,
    };
    if spendable_sat < least_sat {
        return Err(insufficient(least_sat));
    }

    // A coin that costs more than it brings stays where it is.
    let cost = feerate.fee_wu(P2TR_INPUT_WEIGHT).unwrap_or(Amount::MAX);
    let coins: HashSet<OutPoint> =
        coins.iter().filter(|coin| coin.txout.value > cost).map(|coin| coin.outpoint).collect();
    let others = bdk.list_unspent().map(|coin| coin.outpoint);
    let others = others.filter(|outpoint| !coins.contains(outpoint)).collect();
    let (change_index, change_script) = next_change(bdk);
    let mut builder = bdk.build_tx();
    builder.fee_rate(feerate).unspendable(others);
    match value {
        Value::Exactly(amount_sat) => {
            builder.add_recipient(script.clone(), Amount::from_sat(amount_sat));
            builder.drain_to(change_script.clone());
        }
        Value::All => {
            // All coins go in: what must stay comes back as change, and the rest is drained.
            let kept_sat = match reserved_sat {
                0 => 0,
                kept_sat => kept_sat.max(change_script.minimal_non_dust().to_sat()),
            };
            if kept_sat > 0 {
                builder.add_recipient(change_script.clone(), Amount::from_sat(kept_sat));
            }
            builder.drain_wallet().drain_to(script.clone());
        }
    }
    let psbt = builder.finish().map_err(|error| match error {
        CreateTxError::CoinSelection(shortage) => insufficient(match value {
            Value::Exactly(_) => shortage.needed.to_sat(),
            Value::All => shortage.needed.to_sat().saturating_sub(reserved_sat),
        }),
        error => Error::Build(error),
    })?;
    let draft = weigh(psbt, script, &change_script, change_index)?;

    // The rule itself, whatever coin selection did: what stays is at least the reserve.
    let spent_sat = draft.amount_sat.saturating_add(draft.fee_sat);
    if available_sat.saturating_sub(spent_sat) < reserved_sat {
        return Err(insufficient(spent_sat));
    }
    if draft.amount_sat < minimum_sat {
        return Err(insufficient(minimum_sat.saturating_add(draft.fee_sat)));
    }
    Ok(draft)
}

/// Takes the draft's change address out of those that may be given to others.
pub(in crate::wallet) fn take_change(bdk: &mut Wallet, draft: &Draft) {
    if let Some(index) = draft.change_index {
        let _ = bdk.reveal_addresses_to(KeychainKind::Internal, index);
        bdk.mark_used(KeychainKind::Internal, index);
    }
}

/// The first change address that nothing has paid, without revealing it yet.
fn next_change(bdk: &Wallet) -> (u32, ScriptBuf) {
    if let Some(unused) = bdk.spk_index().unused_keychain_spks(KeychainKind::Internal).next() {
        return unused;
    }
    let index = bdk.next_derivation_index(KeychainKind::Internal);
    (index, bdk.peek_address(KeychainKind::Internal, index).script_pubkey())
}

fn weigh(
    psbt: Psbt,
    script: &ScriptBuf,
    change_script: &ScriptBuf,
    change_index: u32,
) -> Result<Draft, Error> {
    let fee_sat = psbt.fee().map_err(|error| Error::Build(CreateTxError::Psbt(error)))?.to_sat();
    let outputs = &psbt.unsigned_tx.output;
    let paid = outputs.iter().find(|output| output.script_pubkey == *script);
    let amount_sat = paid.map_or(0, |output| output.value.to_sat());
    let has_change = outputs.iter().any(|output| output.script_pubkey == *change_script);
    Ok(Draft { amount_sat, fee_sat, change_index: has_change.then_some(change_index), psbt })
}
