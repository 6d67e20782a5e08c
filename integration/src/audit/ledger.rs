//! The chain's own ledger: every satoshi that the faucet gave is in a wallet, in a channel, on its way, or was a fee.
use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result};
use bitcoincore_rpc::bitcoin::hashes::Hash as _;
use bitcoincore_rpc::bitcoin::{OutPoint, Transaction, TxOut, Txid};

use crate::bitcoind::Faucet;
use crate::network::Network;
use crate::steps::{channel, wallet};

/// The value of an anchor output (BOLT 3). Anchors that nobody needed for bumping stay where they are.
const ANCHOR_SAT: u64 = 330;

/// What the daemons' transactions cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Onchain {
    /// Without the faucet's.
    pub transactions: u64,
    /// Virtual bytes of these.
    pub vbytes: u64,
    /// Fees of these.
    pub fees_sat: u64,
}

/// Follows all money from the gifts to where it is, and asks the daemons where they have it.
pub(super) async fn audit(network: &Network) -> Result<(Onchain, Vec<String>)> {
    let mut chain = Chain::default();
    for mined in network.bitcoind.transactions()? {
        chain.apply(&mined.transaction).with_context(|| format!("height {:?}", mined.height))?;
    }
    let mut differences = Vec::new();

    let given: u64 = network.faucet.given().iter().map(|gift| gift.amount_sat).sum();
    let mut unclaimed = chain.unspent;
    let left: u64 = unclaimed.values().map(|output| output.value.to_sat()).sum();
    if given != left + chain.onchain.fees_sat {
        differences.push(format!(
            "given {given} sat, but {left} are unspent and {} were fees",
            chain.onchain.fees_sat
        ));
    }

    let mut closing_sat = 0;
    for node in &network.nodes {
        let mut wallet_sat = 0;
        for utxo in wallet::unspent(node).await? {
            let outpoint = outpoint_of(utxo.outpoint).context("a UTXO without outpoint")?;
            wallet_sat += utxo.amount_sat;
            let found = unclaimed.remove(&outpoint);
            if found.is_none_or(|output| output.value.to_sat() != utxo.amount_sat) {
                differences.push(format!(
                    "{} lists {outpoint} of {} sat, which the chain does not have",
                    node.name(),
                    utxo.amount_sat
                ));
            }
        }
        let balance = wallet::balance(node).await?;
        let balance_sat = balance.confirmed_sat + balance.unconfirmed_sat + balance.immature_sat;
        if balance_sat != wallet_sat {
            differences.push(format!(
                "{}'s balance is {balance_sat} sat, its outputs hold {wallet_sat}",
                node.name()
            ));
        }
        closing_sat += wallet::balances(node).await?.closing_sat;
    }
    let mut fundings = HashSet::new();
    for node in &network.nodes {
        for channel in channel::all(node).await? {
            if let Some(outpoint) = outpoint_of(channel.funding) {
                fundings.insert((outpoint, channel.capacity_sat));
            }
        }
    }
    for (outpoint, capacity_sat) in fundings {
        let found = unclaimed.remove(&outpoint);
        if found.is_none_or(|output| output.value.to_sat() != capacity_sat) {
            differences.push(format!(
                "the funding {outpoint} of {capacity_sat} sat is not unspent on the chain"
            ));
        }
    }
    let abandoned = |output: &TxOut| {
        let value_sat = output.value.to_sat();
        let is_anchor = value_sat == ANCHOR_SAT && output.script_pubkey.is_p2wsh();
        is_anchor || value_sat <= network.abandoned_at_most_sat
    };
    unclaimed.retain(|_, output| !abandoned(output));
    let orphaned_sat: u64 = unclaimed.values().map(|output| output.value.to_sat()).sum();
    if orphaned_sat != closing_sat {
        let outputs: Vec<_> = unclaimed
            .iter()
            .map(|(outpoint, output)| format!("{outpoint}: {}", output.value.to_sat()))
            .collect();
        differences.push(format!(
            "daemons wait for {closing_sat} sat of closed channels, the chain holds {orphaned_sat}: \
             {outputs:?}"
        ));
    }
    Ok((chain.onchain, differences))
}

/// Money that is not the faucet's.
#[derive(Default)]
struct Chain {
    unspent: HashMap<OutPoint, TxOut>,
    onchain: Onchain,
}

impl Chain {
    fn apply(&mut self, transaction: &Transaction) -> Result<()> {
        let txid = transaction.compute_txid();
        let mut spent_sat = 0;
        let mut ours = false;
        for input in &transaction.input {
            if let Some(output) = self.unspent.remove(&input.previous_output) {
                spent_sat += output.value.to_sat();
                ours = true;
            }
        }
        for (vout, output) in (0..).zip(&transaction.output) {
            let from_faucet = Faucet::owns(&output.script_pubkey);
            if !from_faucet && !output.script_pubkey.is_op_return() {
                self.unspent.insert(OutPoint { txid, vout }, output.clone());
            }
        }
        if ours {
            let made_sat: u64 = transaction.output.iter().map(|output| output.value.to_sat()).sum();
            self.onchain.transactions += 1;
            self.onchain.vbytes += u64::try_from(transaction.vsize())?;
            self.onchain.fees_sat += spent_sat
                .checked_sub(made_sat)
                .with_context(|| format!("{txid} spends what the audit did not see"))?;
        }
        Ok(())
    }
}

/// The outpoint on the wire as the chain's; None where a pending channel has none yet.
fn outpoint_of(outpoint: Option<fulmen_proto::v1::OutPoint>) -> Option<OutPoint> {
    let outpoint = outpoint?;
    let txid = Txid::from_slice(&outpoint.txid).ok()?;
    Some(OutPoint { txid, vout: outpoint.vout })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoincore_rpc::bitcoin::absolute::LockTime;
    use bitcoincore_rpc::bitcoin::transaction::Version;
    use bitcoincore_rpc::bitcoin::{Amount, ScriptBuf, Sequence, TxIn, Witness};

    fn transaction(from: OutPoint, outputs: &[(u64, ScriptBuf)]) -> Transaction {
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: from,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: outputs
                .iter()
                .map(|(value_sat, script)| TxOut {
                    value: Amount::from_sat(*value_sat),
                    script_pubkey: script.clone(),
                })
                .collect(),
        }
    }

    #[test]
    fn fees_are_what_inputs_have_over_outputs_and_the_faucets_are_not_counted() {
        let somebody = ScriptBuf::from_bytes(vec![0x51, 0x20]);
        let faucet = Faucet::default().address().script_pubkey();
        let coinbase = OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 0 };
        let gift = transaction(coinbase, &[(1_000, somebody.clone()), (9_000, faucet)]);
        let mut chain = Chain::default();
        chain.apply(&gift).expect("a gift spends the faucet's money only");
        assert_eq!(chain.onchain, Onchain::default());
        let received = OutPoint { txid: gift.compute_txid(), vout: 0 };
        let spend = transaction(received, &[(900, somebody)]);
        chain.apply(&spend).expect("the audit has seen the gift");
        assert_eq!((chain.onchain.transactions, chain.onchain.fees_sat), (1, 100));
        assert_eq!(chain.unspent.len(), 1);
    }
}
