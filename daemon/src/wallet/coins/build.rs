//! Builds an unsigned transaction that leaves the anchor reserve in the wallet.

use std::collections::HashSet;

use bdk_wallet::error::CreateTxError;
use bdk_wallet::{KeychainKind, LocalOutput, Wallet};
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Weight};

use super::reserve::{self, AnchorReserve, PER_CHANNEL_SAT, above_reserve_sat};
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
pub(in crate::wallet) struct Built {
    pub(in crate::wallet) psbt: Psbt,
    pub(in crate::wallet) amount_sat: u64,
    pub(in crate::wallet) fee_sat: u64,
    /// The change addresses that it pays, by their indices among the internal addresses.
    pub(in crate::wallet) change: Vec<u32>,
}

/// The coins that a transaction may spend, and those that stay.
#[derive(Debug)]
pub(in crate::wallet) struct Available {
    coins: Vec<LocalOutput>,
    /// What all coins hold that could be spent if there were no reserve.
    all_sat: u64,
    /// Confirmed coins of the reserve that are not spent.
    pub(in crate::wallet) kept: HashSet<OutPoint>,
    pub(in crate::wallet) kept_sat: u64,
    /// What must come back as change, since the kept coins hold less than the whole reserve.
    back_sat: u64,
    reserve: AnchorReserve,
    /// What the wallet has in blocks, less than the confirmed reserve.
    short_of: Option<u64>,
}

impl Available {
    /// Sets the confirmed reserve aside.
    pub(in crate::wallet) fn of(bdk: &Wallet, reserve: AnchorReserve) -> Self {
        let mut coins = super::spendable(bdk);
        let all_sat = sum_sat(&coins);
        let confirmed: Vec<(OutPoint, u64)> = coins
            .iter()
            .filter(|coin| coin.chain_position.is_confirmed())
            .map(|coin| (coin.outpoint, coin.txout.value.to_sat()))
            .collect();
        let confirmed_sat: u64 = confirmed.iter().map(|(_, sat)| sat).sum();
        let kept = reserve::keep(&confirmed, reserve.confirmed_sat);
        let kept_sat =
            confirmed.iter().filter(|(of, _)| kept.contains(of)).map(|(_, sat)| sat).sum();
        coins.retain(|coin| !kept.contains(&coin.outpoint));
        let back_sat = reserve.total_sat.saturating_sub(kept_sat);
        let short_of = (confirmed_sat < reserve.confirmed_sat).then_some(confirmed_sat);
        Self { coins, all_sat, kept, kept_sat, back_sat, reserve, short_of }
    }

    /// What can be spent now, fees included, in satoshis.
    pub(in crate::wallet) fn spendable_sat(&self) -> u64 {
        match self.short_of {
            Some(_) => 0,
            None => above_reserve_sat(sum_sat(&self.coins), self.back_sat),
        }
    }

    /// Why `needed_sat` cannot be spent.
    fn refusal(&self, needed_sat: u64) -> Error {
        let (spendable_sat, reserved_sat) = (self.spendable_sat(), self.reserve.total_sat);
        let enough = above_reserve_sat(self.all_sat, reserved_sat) >= needed_sat;
        match self.short_of {
            Some(confirmed_sat) if enough => {
                Error::ReserveUnconfirmed { confirmed_sat, needed_sat: self.reserve.confirmed_sat }
            }
            None if enough && self.kept_sat > self.reserve.confirmed_sat => {
                Error::ReserveInOneCoin { reserved_sat, coin_sat: self.kept_sat }
            }
            Some(_) | None => Error::InsufficientFunds { needed_sat, spendable_sat, reserved_sat },
        }
    }
}

/// Selects coins and builds a payment; changes nothing in the wallet but what it has cached.
pub(in crate::wallet) fn build(
    bdk: &mut Wallet,
    script: &ScriptBuf,
    value: Value,
    feerate: FeeRate,
    reserve: AnchorReserve,
) -> Result<Built, Error> {
    let available = Available::of(bdk, reserve);
    let minimum_sat = script.minimal_non_dust().to_sat();
    let least_sat = match value {
        Value::Exactly(amount_sat) if amount_sat < minimum_sat => {
            return Err(Error::Dust { amount_sat, minimum_sat });
        }
        Value::Exactly(amount_sat) => amount_sat,
        Value::All => minimum_sat,
    };
    if available.spendable_sat() < least_sat {
        return Err(available.refusal(least_sat));
    }
    let whole = attempt(bdk, script, value, feerate, &available, 0)?;

    // Change that has to serve as the reserve becomes two coins: the next payment must not spend it all again.
    let change_sat = whole.change_sat();
    let left_sat = available.all_sat.saturating_sub(whole.inputs_sat());
    let piece_sat = reserve.total_sat.saturating_mul(2).min(change_sat / 2);
    let is_due = left_sat < reserve.total_sat && change_sat >= 4 * PER_CHANNEL_SAT;
    match value {
        Value::Exactly(_) if is_due => {
            Ok(attempt(bdk, script, value, feerate, &available, piece_sat).unwrap_or(whole))
        }
        Value::Exactly(_) | Value::All => Ok(whole),
    }
}

/// Builds a payment to ourselves that makes two coins of a large one, `piece_sat` and the rest.
pub(in crate::wallet) fn split(
    bdk: &mut Wallet,
    coin: OutPoint,
    piece_sat: u64,
    feerate: FeeRate,
) -> Result<Built, Error> {
    let [piece, rest] = next_change(bdk);
    let mut builder = bdk.build_tx();
    builder.add_utxo(coin).map_err(|error| Error::Sign(error.to_string()))?;
    builder.manually_selected_only().fee_rate(feerate);
    builder.add_recipient(piece.1.clone(), Amount::from_sat(piece_sat)).drain_to(rest.1.clone());
    let psbt = builder.finish().map_err(Error::Build)?;
    weigh(psbt, &piece.1.clone(), &[piece, rest])
}

fn attempt(
    bdk: &mut Wallet,
    script: &ScriptBuf,
    value: Value,
    feerate: FeeRate,
    available: &Available,
    piece_sat: u64,
) -> Result<Built, Error> {
    let reserved_sat = available.back_sat;
    // A coin that costs more than it brings stays where it is.
    let cost = feerate.fee_wu(P2TR_INPUT_WEIGHT).unwrap_or(Amount::MAX);
    let worth_it = available.coins.iter().filter(|coin| coin.txout.value > cost);
    let coins: HashSet<OutPoint> = worth_it.map(|coin| coin.outpoint).collect();
    let others = bdk.list_unspent().map(|coin| coin.outpoint);
    let others = others.filter(|outpoint| !coins.contains(outpoint)).collect();
    let change = next_change(bdk);
    let [(_, change_script), (_, piece_script)] = &change;
    let mut builder = bdk.build_tx();
    builder.fee_rate(feerate).unspendable(others);
    match value {
        Value::Exactly(amount_sat) => {
            builder.add_recipient(script.clone(), Amount::from_sat(amount_sat));
            if piece_sat > 0 {
                builder.add_recipient(piece_script.clone(), Amount::from_sat(piece_sat));
            }
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
        CreateTxError::CoinSelection(shortage) => available.refusal(match value {
            Value::Exactly(_) => shortage.needed.to_sat(),
            Value::All => shortage.needed.to_sat().saturating_sub(reserved_sat),
        }),
        error => Error::Build(error),
    })?;
    let built = weigh(psbt, script, &change)?;

    // The rule itself, whatever coin selection did: what stays is at least the reserve.
    let spent_sat = built.amount_sat.saturating_add(built.fee_sat);
    if sum_sat(&available.coins).saturating_sub(spent_sat) < reserved_sat {
        return Err(available.refusal(spent_sat));
    }
    let minimum_sat = script.minimal_non_dust().to_sat();
    if built.amount_sat < minimum_sat {
        return Err(available.refusal(minimum_sat.saturating_add(built.fee_sat)));
    }
    Ok(built)
}

/// Takes the transaction's change addresses out of those that may be given to others.
pub(in crate::wallet) fn take_change(bdk: &mut Wallet, built: &Built) {
    for index in &built.change {
        let _ = bdk.reveal_addresses_to(KeychainKind::Internal, *index);
        bdk.mark_used(KeychainKind::Internal, *index);
    }
}

/// The first two change addresses that nothing has paid, without revealing them yet.
fn next_change(bdk: &Wallet) -> [(u32, ScriptBuf); 2] {
    let unused = bdk.spk_index().unused_keychain_spks(KeychainKind::Internal);
    let first = bdk.next_derivation_index(KeychainKind::Internal);
    let fresh = (first..)
        .map(|index| (index, bdk.peek_address(KeychainKind::Internal, index).script_pubkey()));
    let mut addresses = unused.chain(fresh);
    std::array::from_fn(|_| addresses.next().expect("there are two billion addresses"))
}

fn sum_sat(coins: &[LocalOutput]) -> u64 {
    coins.iter().map(|coin| coin.txout.value.to_sat()).sum()
}

impl Built {
    fn inputs_sat(&self) -> u64 {
        let outputs = self.psbt.unsigned_tx.output.iter().map(|output| output.value.to_sat());
        outputs.sum::<u64>().saturating_add(self.fee_sat)
    }

    fn change_sat(&self) -> u64 {
        self.inputs_sat().saturating_sub(self.amount_sat).saturating_sub(self.fee_sat)
    }
}

fn weigh(psbt: Psbt, script: &ScriptBuf, change: &[(u32, ScriptBuf)]) -> Result<Built, Error> {
    let fee_sat = psbt.fee().map_err(|error| Error::Build(CreateTxError::Psbt(error)))?.to_sat();
    let outputs = &psbt.unsigned_tx.output;
    let paid = outputs.iter().find(|output| output.script_pubkey == *script);
    let amount_sat = paid.map_or(0, |output| output.value.to_sat());
    let is_paid = |script: &ScriptBuf| outputs.iter().any(|output| output.script_pubkey == *script);
    let change = change.iter().filter(|(_, script)| is_paid(script)).map(|(index, _)| *index);
    Ok(Built { amount_sat, fee_sat, change: change.collect(), psbt })
}
