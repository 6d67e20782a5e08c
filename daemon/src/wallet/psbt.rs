//! Partially signed transactions (BIP 174): the wallet chooses coins, signs what is its own, and puts the whole together.

use std::collections::HashSet;
use std::time::Duration;

use bdk_wallet::SignOptions;
use bitcoin::{Address, FeeRate, OutPoint, Psbt, Transaction, Txid};

use super::coins::build::{self, CoinChoice, Order, Value};
use super::coins::reserve::AnchorReserve;
use super::error::Error;
use super::lease::Lease;
use super::ledger::Ledger;
use super::send::{SendRequest, check};
use super::{Wallet, coins};
use crate::chain::Offer;
use crate::storage::Batch;

/// How long bitcoind's verdict is waited for; the transaction goes out all the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// A transaction that waits for signatures.
#[derive(Clone, Debug)]
pub struct FundedPsbt {
    /// The transaction.
    pub psbt: Psbt,
    /// What the recipients get together, in satoshis.
    pub amount_sat: u64,
    /// What the miner gets, in satoshis.
    pub fee_sat: u64,
    /// The outputs that are change.
    pub change: Vec<u32>,
    /// The coins that it spends, leased.
    pub leases: Vec<Lease>,
}

/// A transaction with our signatures.
#[derive(Clone, Debug)]
pub struct SignedPsbt {
    /// The transaction.
    pub psbt: Psbt,
    /// How many inputs we have signed.
    pub signed: usize,
    /// Whether all inputs are signed.
    pub complete: bool,
}

/// A transaction that can be published.
#[derive(Clone, Debug)]
pub struct Finalized {
    /// The transaction.
    pub transaction: Transaction,
    /// Its fee in satoshis.
    pub fee_sat: u64,
}

impl Wallet {
    /// Chooses coins for payments, adds change, and leases the coins under a name; durable when it returns.
    ///
    /// # Errors
    /// As [`Wallet::send`].
    pub async fn fund_psbt(
        &self,
        outputs: Vec<(Address, Value)>,
        coins: CoinChoice,
        feerate: FeeRate,
        name: String,
        secs: u64,
    ) -> Result<FundedPsbt, Error> {
        let request = SendRequest {
            outputs,
            coins,
            fee_from_amount: false,
            feerate,
            idempotency_key: None,
            label: String::new(),
        };
        check(&request)?;
        let reserve = self.reserve()?;
        let (funded, commit) = {
            let mut ledger = self.ledger();
            let ledger = &mut *ledger;
            let outputs: Vec<_> =
                request.outputs.iter().map(|(to, value)| (to.script_pubkey(), *value)).collect();
            let leased = ledger.leased(self.now());
            let coins = &request.coins;
            let order = Order { outputs: &outputs, feerate, reserve, coins, leased: &leased };
            let built = self.or_split(build::build(&mut ledger.bdk, order))?;
            build::take_change(&mut ledger.bdk, &built);
            let expires_at = self.now().saturating_add(secs);
            let inputs = built.psbt.unsigned_tx.input.iter();
            let leases: Vec<Lease> = inputs
                .map(|input| Lease {
                    outpoint: input.previous_output,
                    name: name.clone(),
                    expires_at,
                })
                .collect();
            let mut batch = Batch::new();
            ledger.lease(leases.clone(), &mut batch);
            let is_wanted = |script| outputs.iter().any(|(wanted, _)| wanted == script);
            let paid = (0u32..).zip(&built.psbt.unsigned_tx.output);
            let change = paid.filter(|(_, output)| !is_wanted(&output.script_pubkey));
            let change = change.map(|(vout, _)| vout).collect();
            let (amount_sat, fee_sat) = (built.amount_sat, built.fee_sat);
            let funded = FundedPsbt { psbt: built.psbt, amount_sat, fee_sat, change, leases };
            (funded, self.keep(ledger, batch, &[])?)
        };
        commit.await?;
        Ok(funded)
    }

    /// Signs the inputs that are ours; what must stay for anchors stays.
    ///
    /// # Errors
    /// [`Error::BadPsbt`], [`Error::CoinNotSpendable`], [`Error::CoinsOfTheReserve`], [`Error::InsufficientFunds`].
    pub fn sign_inputs(&self, mut psbt: Psbt) -> Result<SignedPsbt, Error> {
        let ledger = self.ledger();
        let ours = ledger.own_inputs(&mut psbt)?;
        let leased = ledger.leased(self.now());
        ledger.check_signed(&psbt, &ours, self.reserve()?, &leased)?;
        // Amounts that we know ourselves; taproot signatures commit to all of them (BIP 341).
        let options = SignOptions { trust_witness_utxo: true, ..SignOptions::default() };
        let complete = self.sign(&ledger.bdk, &mut psbt, options).map_err(|error| match error {
            Error::Sign(why) => Error::BadPsbt(format!("cannot be signed: {why}")),
            error => error,
        })?;
        let signed =
            ours.iter().filter(|at| psbt.inputs[**at].final_script_witness.is_some()).count();
        if signed < ours.len() {
            return Err(Error::BadPsbt("has an input of ours that could not be signed".to_owned()));
        }
        Ok(SignedPsbt { psbt, signed, complete })
    }

    /// Puts a transaction together whose inputs are all signed.
    ///
    /// # Errors
    /// [`Error::BadPsbt`].
    pub fn finalize_psbt(&self, mut psbt: Psbt) -> Result<Finalized, Error> {
        let done = self
            .ledger()
            .bdk
            .finalize_psbt(
                &mut psbt,
                SignOptions { trust_witness_utxo: true, ..SignOptions::default() },
            )
            .map_err(|error| Error::BadPsbt(format!("cannot be finished: {error}")))?;
        if !done {
            let waiting = psbt.inputs.iter().enumerate().filter(|(_, input)| {
                input.final_script_witness.is_none() && input.final_script_sig.is_none()
            });
            let waiting: Vec<String> = waiting.map(|(at, _)| at.to_string()).collect();
            let why = format!("waits for signatures of inputs {}", waiting.join(", "));
            return Err(Error::BadPsbt(why));
        }
        let fee =
            psbt.fee().map_err(|error| Error::BadPsbt(format!("has no known fee: {error}")))?;
        let transaction = psbt
            .extract_tx()
            .map_err(|error| Error::BadPsbt(format!("cannot be extracted: {error}")))?;
        Ok(Finalized { transaction, fee_sat: fee.to_sat() })
    }

    /// Publishes a transaction, and waits for bitcoind's verdict; the wallet lists it if it concerns the wallet.
    ///
    /// # Errors
    /// [`Error::CoinNotSpendable`], [`Error::Refused`], [`Error::Store`].
    pub async fn publish(
        &self,
        transaction: Transaction,
        label: String,
        network: &(dyn Offer + Send + Sync),
    ) -> Result<Txid, Error> {
        let txid = transaction.compute_txid();
        let was_known = {
            let ledger = self.ledger();
            for input in &transaction.input {
                ledger.check_unlocked(input.previous_output)?;
            }
            ledger.bdk.tx_graph().get_tx(txid).is_some()
        };
        match tokio::time::timeout(PATIENCE, network.offer(vec![transaction])).await {
            Ok(Ok(Err(refusal))) => {
                if !was_known {
                    self.forget(txid).await?;
                }
                Err(Error::Refused(refusal.to_string()))
            }
            Ok(Ok(Ok(())) | Err(_)) | Err(_) => {
                if !label.is_empty() && self.knows(txid) {
                    self.set_label(&super::Labelled::Transaction(txid), label).await?;
                }
                Ok(txid)
            }
        }
    }

    fn knows(&self, txid: Txid) -> bool {
        self.ledger().bdk.tx_graph().get_tx(txid).is_some()
    }

    async fn forget(&self, txid: Txid) -> Result<(), Error> {
        let commit = {
            let mut ledger = self.ledger();
            if ledger.bdk.tx_graph().get_tx(txid).is_none() {
                return Ok(());
            }
            ledger.evict([txid].into(), self.now());
            self.keep(&mut ledger, Batch::new(), &[])?
        };
        commit.await?;
        Ok(())
    }
}

impl Ledger {
    /// The positions of our inputs, with what we know of them filled in.
    fn own_inputs(&self, psbt: &mut Psbt) -> Result<Vec<usize>, Error> {
        let index = self.bdk.spk_index();
        let mut ours = Vec::new();
        for (position, input) in psbt.unsigned_tx.input.iter().enumerate() {
            let Some((_, output)) = index.txout(input.previous_output) else { continue };
            let known = &mut psbt.inputs[position];
            if known.final_script_witness.is_some() {
                return Err(Error::BadPsbt(format!("has input {position} signed already")));
            }
            known.witness_utxo = Some(output.clone());
            ours.push(position);
        }
        match ours.is_empty() {
            true => Err(Error::BadPsbt("spends no coin of this wallet".to_owned())),
            false => Ok(ours),
        }
    }

    /// Refuses to sign what spends a coin that funds a channel, or what leaves less than the anchor reserve.
    fn check_signed(
        &self,
        psbt: &Psbt,
        ours: &[usize],
        reserve: AnchorReserve,
        leased: &HashSet<OutPoint>,
    ) -> Result<(), Error> {
        let tx = &psbt.unsigned_tx;
        let spent: HashSet<OutPoint> =
            ours.iter().map(|at| tx.input[*at].previous_output).collect();
        for outpoint in &spent {
            self.check_unlocked(*outpoint)?;
            if self.bdk.get_utxo(*outpoint).is_none() {
                return Err(Error::CoinNotSpendable(*outpoint, "is spent"));
            }
        }
        let others = coins::spendable(&self.bdk);
        let stays = |outpoint| !spent.contains(outpoint) && !leased.contains(outpoint);
        let others = others.iter().filter(|coin| stays(&coin.outpoint));
        let (mut confirmed_sat, mut left_sat) = (0, 0);
        for coin in others {
            let sat = coin.txout.value.to_sat();
            left_sat += sat;
            confirmed_sat += if coin.chain_position.is_confirmed() { sat } else { 0 };
        }
        if confirmed_sat < reserve.confirmed_sat {
            let needed_sat = reserve.confirmed_sat;
            return Err(Error::CoinsOfTheReserve { left_sat: confirmed_sat, needed_sat });
        }
        let index = self.bdk.spk_index();
        let is_ours = |script: &bitcoin::ScriptBuf| index.index_of_spk(script.clone()).is_some();
        let back = tx.output.iter().filter(|output| is_ours(&output.script_pubkey));
        left_sat += back.map(|output| output.value.to_sat()).sum::<u64>();
        match left_sat < reserve.total_sat {
            true => Err(Error::InsufficientFunds {
                needed_sat: reserve.total_sat,
                spendable_sat: left_sat,
                reserved_sat: reserve.total_sat,
            }),
            false => Ok(()),
        }
    }

    fn check_unlocked(&self, outpoint: OutPoint) -> Result<(), Error> {
        match self.bdk.is_outpoint_locked(outpoint) {
            true => Err(Error::CoinNotSpendable(outpoint, "funds a channel that is being opened")),
            false => Ok(()),
        }
    }
}
