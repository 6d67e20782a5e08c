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

/// Which coins a transaction may spend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CoinChoice {
    /// These, all of them and no others; empty for a choice of the wallet.
    pub only: Vec<OutPoint>,
    /// Those with so many confirmations; 0 takes our own unconfirmed change as well.
    pub min_confirmations: u32,
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub(in crate::wallet) struct Order<'a> {
    /// Who gets how much; at most one gets all that is left. No script comes twice.
    pub(in crate::wallet) outputs: &'a [(ScriptBuf, Value)],
    pub(in crate::wallet) feerate: FeeRate,
    pub(in crate::wallet) reserve: AnchorReserve,
    pub(in crate::wallet) coins: &'a CoinChoice,
    /// Coins that are leased: they neither pay nor count for the reserve.
    pub(in crate::wallet) leased: &'a HashSet<OutPoint>,
}

/// An unsigned transaction and what it means.
#[derive(Debug)]
pub(in crate::wallet) struct Built {
    pub(in crate::wallet) psbt: Psbt,
    /// What all recipients get together.
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
    /// Whether the caller has named the coins: then all of them are spent.
    are_named: bool,
}

impl Available {
    /// Sets the confirmed reserve aside.
    pub(in crate::wallet) fn of(
        bdk: &Wallet,
        reserve: AnchorReserve,
        leased: &HashSet<OutPoint>,
    ) -> Self {
        let mut coins = super::spendable(bdk);
        coins.retain(|coin| !leased.contains(&coin.outpoint));
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
        Self { coins, all_sat, kept, kept_sat, back_sat, reserve, short_of, are_named: false }
    }

    /// [`Available::of`] for the coins that a caller has chosen; all others stay.
    fn chosen(
        bdk: &Wallet,
        reserve: AnchorReserve,
        leased: &HashSet<OutPoint>,
        choice: &CoinChoice,
    ) -> Result<Self, Error> {
        if choice.only.is_empty() {
            let mut available = Self::of(bdk, reserve, leased);
            available.coins.retain(|coin| is_deep(bdk, coin, choice.min_confirmations));
            return Ok(available);
        }
        let (named, others): (Vec<_>, Vec<_>) = super::spendable(bdk)
            .into_iter()
            .filter(|coin| !leased.contains(&coin.outpoint))
            .partition(|coin| choice.only.contains(&coin.outpoint));
        for outpoint in &choice.only {
            let coin = named.iter().find(|coin| coin.outpoint == *outpoint);
            if !coin.is_some_and(|coin| is_deep(bdk, coin, choice.min_confirmations)) {
                let why = why_not(bdk, *outpoint, leased, coin.is_some());
                return Err(Error::CoinNotSpendable(*outpoint, why));
            }
        }
        let kept: HashSet<OutPoint> = others
            .iter()
            .filter(|coin| coin.chain_position.is_confirmed())
            .map(|coin| coin.outpoint)
            .collect();
        let kept_sat =
            others.iter().filter(|coin| kept.contains(&coin.outpoint)).map(value_sat).sum();
        if kept_sat < reserve.confirmed_sat {
            return Err(Error::CoinsOfTheReserve {
                left_sat: kept_sat,
                needed_sat: reserve.confirmed_sat,
            });
        }
        Ok(Self {
            all_sat: sum_sat(&named) + sum_sat(&others),
            back_sat: reserve.total_sat.saturating_sub(sum_sat(&others)),
            coins: named,
            kept,
            kept_sat,
            reserve,
            short_of: None,
            are_named: true,
        })
    }

    /// The coins that may be spent.
    pub(in crate::wallet) fn outpoints(&self) -> HashSet<OutPoint> {
        self.coins.iter().map(|coin| coin.outpoint).collect()
    }

    /// Checks that one coin may leave the wallet's hands.
    pub(in crate::wallet) fn named(
        bdk: &Wallet,
        reserve: AnchorReserve,
        leased: &HashSet<OutPoint>,
        outpoint: OutPoint,
    ) -> Result<(), Error> {
        let choice = CoinChoice { only: vec![outpoint], min_confirmations: 0 };
        Self::chosen(bdk, reserve, leased, &choice).map(drop)
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
pub(in crate::wallet) fn build(bdk: &mut Wallet, order: Order<'_>) -> Result<Built, Error> {
    let Order { outputs, reserve, .. } = order;
    let available = Available::chosen(bdk, reserve, order.leased, order.coins)?;
    let mut least_sat = 0u64;
    for (script, value) in outputs {
        let minimum_sat = script.minimal_non_dust().to_sat();
        let sat = match value {
            Value::Exactly(amount_sat) if *amount_sat < minimum_sat => {
                return Err(Error::Dust { amount_sat: *amount_sat, minimum_sat });
            }
            Value::Exactly(amount_sat) => *amount_sat,
            Value::All => minimum_sat,
        };
        least_sat = least_sat.saturating_add(sat);
    }
    if available.spendable_sat() < least_sat {
        return Err(available.refusal(least_sat));
    }
    let whole = attempt(bdk, order, &available, 0)?;

    // Change that has to serve as the reserve becomes two coins: the next payment must not spend it all again.
    let change_sat = whole.change_sat();
    let left_sat = available.all_sat.saturating_sub(whole.inputs_sat());
    let piece_sat = reserve.total_sat.saturating_mul(2).min(change_sat / 2);
    let is_due = left_sat < reserve.total_sat && change_sat >= 4 * PER_CHANNEL_SAT;
    match order.drain() {
        None if is_due => Ok(attempt(bdk, order, &available, piece_sat).unwrap_or(whole)),
        Some(_) | None => Ok(whole),
    }
}

/// [`build`] of one payment of which the recipient pays the fee: amount and fee add up to `asked_sat`.
pub(in crate::wallet) fn build_with_fee_from_amount(
    bdk: &mut Wallet,
    script: &ScriptBuf,
    asked_sat: u64,
    order: Order<'_>,
) -> Result<Built, Error> {
    let minimum_sat = script.minimal_non_dust().to_sat();
    let mut fee_sat = 0;
    let mut last = None;
    for _ in 0..TRIES {
        let amount_sat = asked_sat.saturating_sub(fee_sat);
        if amount_sat < minimum_sat {
            return Err(Error::Dust { amount_sat, minimum_sat });
        }
        let outputs = [(script.clone(), Value::Exactly(amount_sat))];
        let built = build(bdk, Order { outputs: &outputs, ..order })?;
        if built.fee_sat == fee_sat {
            return Ok(built);
        }
        // Where two fees alternate, the dearer one leaves the difference to the miner.
        fee_sat = built.fee_sat.max(if last.is_some() { fee_sat } else { 0 });
        last = Some(built);
    }
    let built = last.expect("it was tried");
    match built.amount_sat.saturating_add(built.fee_sat) <= asked_sat {
        true => Ok(built),
        false => Err(Error::InsufficientFunds {
            needed_sat: asked_sat.saturating_add(built.fee_sat),
            spendable_sat: asked_sat,
            reserved_sat: order.reserve.total_sat,
        }),
    }
}

/// How often a fee is taken off an amount until it is the fee of what is left.
const TRIES: usize = 6;

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
    let paid = [(piece.1.clone(), Value::Exactly(piece_sat))];
    weigh(psbt, &paid, &[piece, rest])
}

fn attempt(
    bdk: &mut Wallet,
    order: Order<'_>,
    available: &Available,
    piece_sat: u64,
) -> Result<Built, Error> {
    let Order { outputs, feerate, .. } = order;
    let reserved_sat = available.back_sat;
    // A coin that costs more than it brings stays where it is, unless it was named.
    let cost = feerate.fee_wu(P2TR_INPUT_WEIGHT).unwrap_or(Amount::MAX);
    let worth_it = |coin: &&LocalOutput| available.are_named || coin.txout.value > cost;
    let coins: HashSet<OutPoint> =
        available.coins.iter().filter(worth_it).map(|coin| coin.outpoint).collect();
    let others = bdk.list_unspent().map(|coin| coin.outpoint);
    let others = others.filter(|outpoint| !coins.contains(outpoint)).collect();
    let change = next_change(bdk);
    let [(_, change_script), (_, piece_script)] = &change;
    let mut builder = bdk.build_tx();
    builder.fee_rate(feerate).unspendable(others);
    if available.are_named {
        let named: Vec<OutPoint> = coins.iter().copied().collect();
        builder.add_utxos(&named).map_err(|error| Error::Sign(error.to_string()))?;
        builder.manually_selected_only();
    }
    let mut exactly_sat = 0u64;
    for (script, value) in outputs {
        if let Value::Exactly(amount_sat) = value {
            builder.add_recipient(script.clone(), Amount::from_sat(*amount_sat));
            exactly_sat = exactly_sat.saturating_add(*amount_sat);
        }
    }
    match order.drain() {
        None => {
            if piece_sat > 0 {
                builder.add_recipient(piece_script.clone(), Amount::from_sat(piece_sat));
            }
            builder.drain_to(change_script.clone());
        }
        Some(script) => {
            // All coins go in: what must stay comes back as change, and the rest is drained.
            let kept_sat = match reserved_sat {
                0 => 0,
                kept_sat => kept_sat.max(change_script.minimal_non_dust().to_sat()),
            };
            if kept_sat > 0 {
                builder.add_recipient(change_script.clone(), Amount::from_sat(kept_sat));
            }
            if !available.are_named {
                builder.drain_wallet();
            }
            builder.drain_to(script.clone());
        }
    }
    let psbt = builder.finish().map_err(|error| match error {
        CreateTxError::CoinSelection(shortage) => available.refusal(match order.drain() {
            None => shortage.needed.to_sat(),
            Some(_) => shortage.needed.to_sat().saturating_sub(reserved_sat),
        }),
        error => Error::Build(error),
    })?;
    let built = weigh(psbt, outputs, &change)?;

    // The rule itself, whatever coin selection did: what stays is at least the reserve.
    let spent_sat = built.amount_sat.saturating_add(built.fee_sat);
    if sum_sat(&available.coins).saturating_sub(spent_sat) < reserved_sat {
        return Err(available.refusal(spent_sat));
    }
    if let Some(script) = order.drain() {
        let minimum_sat = script.minimal_non_dust().to_sat();
        if built.amount_sat < exactly_sat.saturating_add(minimum_sat) {
            let needed_sat = exactly_sat.saturating_add(minimum_sat).saturating_add(built.fee_sat);
            return Err(available.refusal(needed_sat));
        }
    }
    Ok(built)
}

/// Whether a coin has so many confirmations.
fn is_deep(bdk: &Wallet, coin: &LocalOutput, min_confirmations: u32) -> bool {
    let tip = bdk.latest_checkpoint().height();
    let height = coin.chain_position.confirmation_height_upper_bound();
    height.map_or(0, |height| (tip + 1).saturating_sub(height)) >= min_confirmations
}

/// Why a coin that a caller has named cannot be spent.
fn why_not(
    bdk: &Wallet,
    outpoint: OutPoint,
    leased: &HashSet<OutPoint>,
    is_shallow: bool,
) -> &'static str {
    if is_shallow {
        return "has too few confirmations";
    }
    if leased.contains(&outpoint) {
        return "is leased";
    }
    if bdk.is_outpoint_locked(outpoint) {
        return "funds a channel that is being opened";
    }
    match bdk.get_utxo(outpoint) {
        Some(_) => "is unconfirmed, or a coinbase output that is not mature",
        None if super::is_ours(bdk, outpoint) => "is spent",
        None => "is not an output of this wallet",
    }
}

/// Takes the transaction's change addresses out of those that may be given to others.
pub(in crate::wallet) fn take_change(bdk: &mut Wallet, built: &Built) {
    for index in &built.change {
        let _ = bdk.reveal_addresses_to(KeychainKind::Internal, *index);
        bdk.mark_used(KeychainKind::Internal, *index);
    }
}

/// The first two change addresses that nothing has paid, without revealing them yet.
pub(in crate::wallet) fn next_change(bdk: &Wallet) -> [(u32, ScriptBuf); 2] {
    let unused = bdk.spk_index().unused_keychain_spks(KeychainKind::Internal);
    let first = bdk.next_derivation_index(KeychainKind::Internal);
    let fresh = (first..)
        .map(|index| (index, bdk.peek_address(KeychainKind::Internal, index).script_pubkey()));
    let mut addresses = unused.chain(fresh);
    std::array::from_fn(|_| addresses.next().expect("there are two billion addresses"))
}

fn sum_sat(coins: &[LocalOutput]) -> u64 {
    coins.iter().map(value_sat).sum()
}

fn value_sat(coin: &LocalOutput) -> u64 {
    coin.txout.value.to_sat()
}

impl<'a> Order<'a> {
    /// Who gets all that is left, if somebody does.
    fn drain(&self) -> Option<&'a ScriptBuf> {
        let drains = self.outputs.iter().find(|(_, value)| *value == Value::All);
        drains.map(|(script, _)| script)
    }
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

/// What a transaction pays to `outputs` and to the miner, and which of the change addresses it pays.
pub(in crate::wallet) fn weigh(
    psbt: Psbt,
    outputs: &[(ScriptBuf, Value)],
    change: &[(u32, ScriptBuf)],
) -> Result<Built, Error> {
    let fee_sat = psbt.fee().map_err(|error| Error::Build(CreateTxError::Psbt(error)))?.to_sat();
    let paid = &psbt.unsigned_tx.output;
    let is_wanted = |script: &ScriptBuf| outputs.iter().any(|(wanted, _)| wanted == script);
    let wanted = paid.iter().filter(|output| is_wanted(&output.script_pubkey));
    let amount_sat = wanted.map(|output| output.value.to_sat()).sum();
    let is_paid = |script: &ScriptBuf| paid.iter().any(|output| output.script_pubkey == *script);
    let change = change.iter().filter(|(_, script)| is_paid(script)).map(|(index, _)| *index);
    Ok(Built { amount_sat, fee_sat, change: change.collect(), psbt })
}
