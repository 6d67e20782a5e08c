//! Makes an unconfirmed transaction dearer, so that it confirms sooner, or takes it back.
//!
//! The new transaction is durable before bitcoind gets it; after a crash in between `rebroadcast` sends it. Where
//! bitcoind refuses it, the one before counts again. Whichever of two the chain takes in the end, blocks decide.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use bdk_wallet::KeychainKind;
use bdk_wallet::chain::{CanonicalizationParams, ChainPosition};
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Transaction, Txid};

use super::coins::build::{self, Available};
use super::coins::reserve::AnchorReserve;
use super::error::Error;
use super::ledger::Ledger;
use super::{Wallet, coins};
use crate::chain::Offer;
use crate::storage::{Batch, Commit};

/// What a replacement pays beyond the fee before for each of its own virtual bytes, at least: Bitcoin Core's
/// `incrementalrelayfee` (BIP 125, rule 4).
const RELAY_SAT_PER_VB: u64 = 1;
/// A child of one taproot input and one taproot output.
const CHILD_VBYTES: u64 = 111;
/// A signature of a taproot key spend with its lengths, in weight units.
const WITNESS_WU: u64 = 66;
/// How long bitcoind's verdict is waited for; the transaction goes out all the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a transaction is made dearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bump {
    /// Replace it by one that pays the same to the same, and more to the miner (BIP 125).
    Replace,
    /// Spend one of its outputs that is ours, and pay for both.
    Child,
    /// Replace it by one that pays all back to ourselves.
    Cancel,
}

/// What to make dearer.
#[derive(Clone, Debug)]
pub struct BumpRequest {
    /// A transaction that no block holds.
    pub txid: Txid,
    /// Of the replacement, or of the transaction and its child together.
    pub feerate: FeeRate,
    /// How; none replaces where that is possible, and adds a child elsewhere.
    pub how: Option<Bump>,
    /// Refuse to pay more than this in addition, in satoshis.
    pub max_fee_sat: Option<u64>,
    /// Say what it would cost, and do nothing.
    pub dry_run: bool,
}

/// What a bump does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bumped {
    /// The replacement, or the child.
    pub txid: Txid,
    /// How it was done.
    pub how: Bump,
    /// The fee of the new transaction, in satoshis.
    pub fee_sat: u64,
    /// What is paid in addition to the fee before, in satoshis.
    pub added_sat: u64,
    /// Virtual bytes of the new transaction.
    pub vsize: u64,
}

/// What is known of a transaction that is to be bumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    confirmed: bool,
    /// Another transaction has taken its place.
    replaced: bool,
    ours_alone: bool,
    funds_channel: bool,
    has_children: bool,
    /// An output of ours is unspent.
    has_output: bool,
}

/// Decides how a transaction is bumped, or why it cannot be.
fn decide(facts: Facts, wish: Option<Bump>) -> Result<Bump, &'static str> {
    if facts.confirmed {
        return Err("is confirmed");
    }
    if facts.replaced {
        return Err("was replaced by another one");
    }
    let replaceable = match facts {
        Facts { ours_alone: false, .. } => {
            Err("is signed by others as well, so it cannot be replaced")
        }
        Facts { funds_channel: true, .. } => {
            Err("funds a channel: a replacement would leave the channel without funding")
        }
        Facts { has_children: true, .. } => {
            Err("has its change spent already: bump the last transaction of the chain")
        }
        Facts { .. } => Ok(()),
    };
    let child = match facts.has_output {
        true => Ok(Bump::Child),
        false => Err("has no unspent output of ours that a child could spend"),
    };
    match wish {
        Some(how @ (Bump::Replace | Bump::Cancel)) => replaceable.map(|()| how),
        Some(Bump::Child) => child,
        None => replaceable.map(|()| Bump::Replace).or(child),
    }
}

/// A bump that is signed, and what is needed to take it back.
struct Prepared {
    bumped: Bumped,
    new: Transaction,
    replaced: Option<Transaction>,
}

impl Wallet {
    /// Makes a transaction dearer, and waits for bitcoind's verdict.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotBumpable`], [`Error::Argument`], [`Error::InsufficientFunds`], [`Error::Refused`],
    /// [`Error::Store`].
    pub async fn bump(
        &self,
        request: BumpRequest,
        network: &(dyn Offer + Send + Sync),
    ) -> Result<Bumped, Error> {
        let (prepared, commit) = self.prepare_bump(&request, self.reserve()?)?;
        let Some(commit) = commit else { return Ok(prepared.bumped) };
        commit.await?;
        let Prepared { bumped, new, replaced } = prepared;
        tracing::info!(
            txid = %bumped.txid,
            of = %request.txid,
            how = ?bumped.how,
            added_sat = bumped.added_sat,
            "bumping a transaction"
        );
        let answer = network.offer(vec![new]);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(Err(refusal))) => {
                self.take_back(bumped.txid, replaced).await?;
                Err(Error::Refused(refusal.to_string()))
            }
            // Taken, or it goes out when bitcoind is back.
            Ok(Ok(Ok(())) | Err(_)) | Err(_) => Ok(bumped),
        }
    }

    fn prepare_bump(
        &self,
        request: &BumpRequest,
        reserve: AnchorReserve,
    ) -> Result<(Prepared, Option<Commit>), Error> {
        let mut ledger = self.ledger();
        let ledger = &mut *ledger;
        let txid = request.txid;
        let old = ledger
            .bdk
            .tx_graph()
            .get_tx(txid)
            .filter(|tx| coins::concerns_us(&ledger.bdk, tx))
            .ok_or_else(|| Error::Unknown(format!("the transaction {txid}")))?;
        let facts = ledger.facts(&old, self.funding_label(txid)?.is_some());
        let how =
            decide(facts, request.how).map_err(|why| Error::NotBumpable(txid, why.to_owned()))?;
        let old_fee_sat = ledger.bdk.calculate_fee(&old).ok().map(Amount::to_sat);
        let leased = ledger.leased(self.now());
        let (psbt, change) = match how {
            Bump::Child => ledger.child(&old, old_fee_sat, request.feerate)?,
            Bump::Replace | Bump::Cancel => {
                ledger.replacement(&old, how, request.feerate, reserve, &leased)?
            }
        };
        let fee_sat = psbt.fee().map_err(|error| Error::Sign(error.to_string()))?.to_sat();
        ledger.check_reserve(&psbt, txid, reserve, &leased)?;
        let vsize = (psbt.unsigned_tx.weight().to_wu()
            + 2
            + WITNESS_WU * psbt.unsigned_tx.input.len() as u64)
            .div_ceil(4);
        let added_sat = match how {
            Bump::Child => fee_sat,
            Bump::Replace | Bump::Cancel => {
                let before_sat = old_fee_sat.unwrap_or(0);
                check_relay(before_sat, fee_sat, vsize)?;
                fee_sat.saturating_sub(before_sat)
            }
        };
        if let Some(most) = request.max_fee_sat.filter(|most| added_sat > *most) {
            let why = format!("{added_sat} sat would be paid in addition, {most} sat may be");
            return Err(Error::Argument("max_fee_sat", why));
        }
        let new_txid = psbt.unsigned_tx.compute_txid();
        let bumped = Bumped { txid: new_txid, how, fee_sat, added_sat, vsize };
        let replaced = (how != Bump::Child).then(|| old.as_ref().clone());
        if request.dry_run {
            let new = psbt.unsigned_tx;
            return Ok((Prepared { bumped, new, replaced }, None));
        }
        if let Some(index) = change {
            let _ = ledger.bdk.reveal_addresses_to(KeychainKind::Internal, index);
            ledger.bdk.mark_used(KeychainKind::Internal, index);
        }
        let new = self.sign_whole(&ledger.bdk, psbt)?;
        let now = self.now();
        let seen = ledger.bdk.tx_graph().get_tx_node(txid).and_then(|node| node.last_seen);
        if replaced.is_some() {
            ledger.evict(BTreeSet::from([txid]), now);
        }
        let seen_at = seen.map_or(now, |seen| now.max(seen + 1));
        ledger.bdk.apply_unconfirmed_txs([(new.clone(), seen_at)]);
        let label = self.label_of_bump(txid, how)?;
        let commit = self.keep(ledger, Batch::new(), &[(new_txid, label)])?;
        Ok((Prepared { bumped, new, replaced }, Some(commit)))
    }

    /// What the new transaction is called: as the one before, and what it does to it.
    fn label_of_bump(&self, txid: Txid, how: Bump) -> Result<String, Error> {
        let did = match how {
            Bump::Replace => "replaces",
            Bump::Child => "pays for",
            Bump::Cancel => "cancels",
        };
        let before = self.label(txid)?;
        let name = if before.is_empty() { txid.to_string() } else { before };
        Ok(format!("{did} {name}"))
    }

    /// Bitcoind has refused the new transaction: the one before counts again.
    async fn take_back(&self, new: Txid, replaced: Option<Transaction>) -> Result<(), Error> {
        let commit = {
            let mut ledger = self.ledger();
            let ledger = &mut *ledger;
            if coins::is_confirmed(&ledger.bdk, new) {
                return Ok(());
            }
            let now = self.now();
            ledger.evict(BTreeSet::from([new]), now);
            if let Some(old) = replaced {
                let evicted = ledger.bdk.tx_graph().get_last_evicted(old.compute_txid());
                let seen_at = evicted.map_or(now, |evicted| now.max(evicted + 1));
                ledger.bdk.apply_unconfirmed_txs([(old, seen_at)]);
            }
            self.keep(ledger, Batch::new(), &[])?
        };
        commit.await?;
        Ok(())
    }
}

impl Ledger {
    fn facts(&self, tx: &Transaction, funds_channel: bool) -> Facts {
        let (bdk, txid) = (&self.bdk, tx.compute_txid());
        let (chain, tip) = (bdk.local_chain(), bdk.latest_checkpoint().block_id());
        let canonical: HashSet<Txid> = bdk
            .tx_graph()
            .list_canonical_txs(chain, tip, CanonicalizationParams::default())
            .filter(|tx| matches!(tx.chain_position, ChainPosition::Unconfirmed { .. }))
            .map(|tx| tx.tx_node.txid)
            .collect();
        let children = (0..tx.output.len() as u32)
            .flat_map(|vout| bdk.tx_graph().outspends(OutPoint::new(txid, vout)))
            .any(|child| canonical.contains(child));
        let confirmed = coins::is_confirmed(bdk, txid);
        Facts {
            confirmed,
            replaced: !confirmed && !canonical.contains(&txid),
            ours_alone: coins::is_by_us_alone(bdk, tx),
            funds_channel,
            has_children: children,
            has_output: self.own_output(txid).is_some(),
        }
    }

    /// The largest output of a transaction that is ours and unspent.
    fn own_output(&self, txid: Txid) -> Option<(OutPoint, u64)> {
        let own = self.bdk.list_unspent().filter(|coin| coin.outpoint.txid == txid);
        let free = own.filter(|coin| !self.bdk.is_outpoint_locked(coin.outpoint));
        free.map(|coin| (coin.outpoint, coin.txout.value.to_sat())).max_by_key(|(_, sat)| *sat)
    }

    /// An unsigned child, and the index of its address. Where the fee of the parent is not known, since others paid it,
    /// the child pays for both.
    fn child(
        &mut self,
        old: &Transaction,
        old_fee_sat: Option<u64>,
        feerate: FeeRate,
    ) -> Result<(Psbt, Option<u32>), Error> {
        let txid = old.compute_txid();
        let (coin, sat) = self
            .own_output(txid)
            .ok_or_else(|| Error::NotBumpable(txid, "has no output of ours".to_owned()))?;
        let [(index, script), _] = build::next_change(&self.bdk);
        let fee_sat = child_fee_sat(feerate, old.vsize() as u64, old_fee_sat.unwrap_or(0))?;
        let dust_sat = script.minimal_non_dust().to_sat();
        if sat < fee_sat.saturating_add(dust_sat) {
            return Err(Error::NotBumpable(
                txid,
                format!("has an output of {sat} sat for a child, whose fee would be {fee_sat} sat"),
            ));
        }
        let mut builder = self.bdk.build_tx();
        builder.add_utxo(coin).map_err(|error| Error::Sign(error.to_string()))?;
        builder.manually_selected_only().fee_absolute(Amount::from_sat(fee_sat)).drain_to(script);
        Ok((builder.finish().map_err(Error::Build)?, Some(index)))
    }

    /// An unsigned replacement, and the index of its change address if that is a fresh one.
    fn replacement(
        &mut self,
        old: &Transaction,
        how: Bump,
        feerate: FeeRate,
        reserve: AnchorReserve,
        leased: &HashSet<OutPoint>,
    ) -> Result<(Psbt, Option<u32>), Error> {
        let txid = old.compute_txid();
        let usable = Available::of(&self.bdk, reserve, leased).outpoints();
        let unspendable = self
            .bdk
            .list_unspent()
            .map(|coin| coin.outpoint)
            .filter(|outpoint| outpoint.txid == txid || !usable.contains(outpoint))
            .collect();
        let is_change = |script: &ScriptBuf| {
            let known = self.bdk.spk_index().index_of_spk(script.clone());
            known.is_some_and(|(keychain, _)| *keychain == KeychainKind::Internal)
        };
        let change = old.output.iter().find(|output| is_change(&output.script_pubkey));
        let (change, index) = match change {
            Some(output) => (output.script_pubkey.clone(), None),
            None => {
                let [(index, script), _] = build::next_change(&self.bdk);
                (script, Some(index))
            }
        };
        let recipients = match how {
            Bump::Cancel | Bump::Child => Vec::new(),
            Bump::Replace => old
                .output
                .iter()
                .filter(|output| !is_change(&output.script_pubkey))
                .map(|output| (output.script_pubkey.clone(), output.value))
                .collect(),
        };
        let refuse = |why: String| Error::NotBumpable(txid, why);
        let mut builder = self
            .bdk
            .build_fee_bump(txid)
            .map_err(|error| refuse(format!("cannot be replaced: {error}")))?;
        builder
            .fee_rate(feerate)
            .unspendable(unspendable)
            .set_recipients(recipients)
            .drain_to(change);
        let psbt = builder
            .finish()
            .map_err(|error| refuse(format!("cannot be replaced at this feerate: {error}")))?;
        Ok((psbt, index))
    }

    /// Refuses what would leave less in the wallet than the whole reserve, the outputs of `txid` not counted.
    fn check_reserve(
        &self,
        psbt: &Psbt,
        txid: Txid,
        reserve: AnchorReserve,
        leased: &HashSet<OutPoint>,
    ) -> Result<(), Error> {
        let tx = &psbt.unsigned_tx;
        let spent: HashSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
        let left: u64 = coins::spendable(&self.bdk)
            .iter()
            .filter(|coin| coin.outpoint.txid != txid)
            .filter(|coin| !spent.contains(&coin.outpoint) && !leased.contains(&coin.outpoint))
            .map(|coin| coin.txout.value.to_sat())
            .sum();
        let index = self.bdk.spk_index();
        let back = tx
            .output
            .iter()
            .filter(|output| index.index_of_spk(output.script_pubkey.clone()).is_some());
        let left = left + back.map(|output| output.value.to_sat()).sum::<u64>();
        match left < reserve.total_sat {
            true => Err(Error::InsufficientFunds {
                needed_sat: reserve.total_sat,
                spendable_sat: left,
                reserved_sat: reserve.total_sat,
            }),
            false => Ok(()),
        }
    }
}

/// What a child pays so that both together pay `feerate`.
fn child_fee_sat(feerate: FeeRate, parent_vsize: u64, parent_fee_sat: u64) -> Result<u64, Error> {
    let both = feerate.to_sat_per_kwu().saturating_mul(4 * (parent_vsize + CHILD_VBYTES));
    let fee_sat = both.div_ceil(1_000).saturating_sub(parent_fee_sat);
    if fee_sat < CHILD_VBYTES * RELAY_SAT_PER_VB {
        let why = "the transaction pays this feerate already: ask for more".to_owned();
        return Err(Error::Argument("feerate_msat_per_vb", why));
    }
    Ok(fee_sat)
}

/// Refuses a replacement that no node would relay.
fn check_relay(before_sat: u64, fee_sat: u64, vsize: u64) -> Result<(), Error> {
    let least_sat = before_sat + vsize * RELAY_SAT_PER_VB;
    if fee_sat < least_sat {
        let per_vb = (least_sat * 1_000).div_ceil(vsize.max(1));
        let why = format!(
            "a replacement pays at least {least_sat} sat, {} sat/vB: the fee before and {RELAY_SAT_PER_VB} sat/vB of its own",
            format_args!("{}.{:03}", per_vb / 1_000, per_vb % 1_000)
        );
        return Err(Error::Argument("feerate_msat_per_vb", why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Facts = Facts {
        confirmed: false,
        replaced: false,
        ours_alone: true,
        funds_channel: false,
        has_children: false,
        has_output: true,
    };

    #[test]
    fn each_transaction_is_bumped_in_the_way_that_harms_nothing() {
        let table = [
            (GOOD, None, Ok(Bump::Replace)),
            (GOOD, Some(Bump::Child), Ok(Bump::Child)),
            (GOOD, Some(Bump::Cancel), Ok(Bump::Cancel)),
            (Facts { ours_alone: false, ..GOOD }, None, Ok(Bump::Child)),
            (Facts { ours_alone: false, ..GOOD }, Some(Bump::Cancel), Err("signed by others")),
            (Facts { funds_channel: true, ..GOOD }, None, Ok(Bump::Child)),
            (Facts { funds_channel: true, ..GOOD }, Some(Bump::Replace), Err("funds a channel")),
            (
                Facts { has_children: true, has_output: false, ..GOOD },
                None,
                Err("no unspent output"),
            ),
            (
                Facts { has_children: true, ..GOOD },
                Some(Bump::Replace),
                Err("change spent already"),
            ),
            (Facts { has_output: false, ..GOOD }, Some(Bump::Child), Err("no unspent output")),
            (Facts { confirmed: true, ..GOOD }, None, Err("is confirmed")),
            (Facts { replaced: true, ..GOOD }, None, Err("was replaced")),
        ];
        for (facts, wish, expected) in table {
            match (decide(facts, wish), expected) {
                (Ok(how), Ok(expected)) => assert_eq!(how, expected, "{facts:?}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (decided, expected) => panic!("{decided:?} instead of {expected:?} for {facts:?}"),
            }
        }
    }

    #[test]
    fn a_child_pays_for_both_and_a_replacement_for_its_relay() {
        let rate = FeeRate::from_sat_per_kwu(2_500);
        assert_eq!(child_fee_sat(rate, 154, 154).expect("due"), 10 * (154 + 111) - 154);
        assert_eq!(child_fee_sat(rate, 154, 0).expect("due"), 10 * (154 + 111));
        assert!(child_fee_sat(rate, 154, 2_600).is_err());
        assert!(check_relay(300, 453, 154).is_err());
        assert!(check_relay(300, 454, 154).is_ok());
    }
}
