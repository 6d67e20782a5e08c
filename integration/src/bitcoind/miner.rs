//! The source of all money of a scenario: mines for a script that anybody may spend, and gives.
use anyhow::{Context as _, Result};
use bitcoincore_rpc::RpcApi as _;
use bitcoincore_rpc::bitcoin::absolute::LockTime;
use bitcoincore_rpc::bitcoin::script::Builder;
use bitcoincore_rpc::bitcoin::transaction::Version;
use bitcoincore_rpc::bitcoin::{
    Address, Amount, Network, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Witness,
};

use super::Bitcoind;

/// Confirmations that a coinbase needs before it can be spent, and one.
const MATURE: u64 = 101;
/// Fee of a gift transaction per output and in sum: far above any floor of regtest.
const FEE_SAT_PER_OUTPUT: u64 = 200;
/// Scripts `OP_1` to `OP_16` are all true: one for each branch of the chain that a scenario makes.
const BRANCHES: u8 = 16;

/// Mines to P2WSH outputs whose witness script is a true constant, so that gifts need no signature
/// and bitcoind needs no wallet.
#[derive(Debug, Default)]
pub struct Faucet {
    branch: u8,
    given: Vec<Gift>,
}

/// What a scenario handed out.
#[derive(Clone, Copy, Debug)]
pub struct Gift {
    /// The output.
    pub outpoint: OutPoint,
    /// Its value.
    pub amount_sat: u64,
}

impl Faucet {
    /// Mines until there is a coin to give.
    pub fn open(bitcoind: &Bitcoind) -> Result<Self> {
        let faucet = Self::default();
        faucet.mine(bitcoind, MATURE)?;
        Ok(faucet)
    }

    /// Mines blocks with what the mempool holds.
    pub fn mine(&self, bitcoind: &Bitcoind, blocks: u64) -> Result<()> {
        bitcoind.mine_to(blocks, &self.address()).map(|_| ())
    }

    /// Mines blocks that leave the mempool where it is.
    pub fn mine_empty(&self, bitcoind: &Bitcoind, blocks: u64) -> Result<()> {
        bitcoind.mine_empty_to(blocks, &self.address())
    }

    /// Takes `depth` blocks away; blocks mined from now on differ from them, though mined in the
    /// same second at the same height: bitcoind would refuse the very same block as known and invalid.
    pub fn disconnect(&mut self, bitcoind: &Bitcoind, depth: u64) -> Result<()> {
        bitcoind.disconnect(depth)?;
        self.branch = (self.branch + 1) % BRANCHES;
        Ok(())
    }

    /// One transaction with an output for each (address, satoshis); not mined yet.
    pub fn give(&mut self, bitcoind: &Bitcoind, gifts: &[(Address, u64)]) -> Result<OutPoint> {
        let (coin, value_sat, script) = self.coin(bitcoind)?;
        let mut outputs: Vec<TxOut> = gifts
            .iter()
            .map(|(address, amount_sat)| TxOut {
                value: Amount::from_sat(*amount_sat),
                script_pubkey: address.script_pubkey(),
            })
            .collect();
        let given_sat: u64 = gifts.iter().map(|(_, amount_sat)| amount_sat).sum();
        let outputs_with_change = u64::try_from(outputs.len() + 1)?;
        let change_sat = value_sat
            .checked_sub(given_sat + FEE_SAT_PER_OUTPUT * outputs_with_change)
            .context("the scenario gives more than a coinbase holds")?;
        outputs.push(TxOut {
            value: Amount::from_sat(change_sat),
            script_pubkey: self.address().script_pubkey(),
        });
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: coin,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::from_slice(&[script.to_bytes()]),
            }],
            output: outputs,
        };
        let txid = bitcoind.broadcast(&transaction)?;
        for (vout, (_, amount_sat)) in (0..).zip(gifts) {
            let outpoint = OutPoint { txid, vout };
            self.given.push(Gift { outpoint, amount_sat: *amount_sat });
        }
        Ok(OutPoint { txid, vout: 0 })
    }

    /// Spends a gift that no block holds yet once more, for a higher fee, so that it is never given.
    pub fn take_back(&mut self, bitcoind: &Bitcoind, gift: OutPoint) -> Result<()> {
        let mut transaction = bitcoind.client()?.get_raw_transaction(&gift.txid, None)?;
        let value_sat: u64 = transaction.output.iter().map(|output| output.value.to_sat()).sum();
        let fee_sat = FEE_SAT_PER_OUTPUT * u64::try_from(transaction.output.len())?;
        transaction.output = vec![TxOut {
            value: Amount::from_sat(value_sat - fee_sat),
            script_pubkey: self.address().script_pubkey(),
        }];
        bitcoind.broadcast(&transaction)?;
        self.given.retain(|given| given.outpoint.txid != gift.txid);
        Ok(())
    }

    /// All that was given.
    pub fn given(&self) -> &[Gift] {
        &self.given
    }

    /// Whether an output is the faucet's own.
    pub fn owns(script_pubkey: &Script) -> bool {
        (0..BRANCHES).any(|branch| address(branch).script_pubkey().as_script() == script_pubkey)
    }

    /// Where mined money goes.
    pub fn address(&self) -> Address {
        address(self.branch)
    }

    /// A mature coinbase that is not spent, with its witness script.
    fn coin(&self, bitcoind: &Bitcoind) -> Result<(OutPoint, u64, ScriptBuf)> {
        let client = bitcoind.client()?;
        let tip = client.get_block_count()?;
        for height in 1..=(tip + 1).saturating_sub(MATURE) {
            let block = client.get_block(&client.get_block_hash(height)?)?;
            let coinbase = block.txdata.first().context("a block has a coinbase")?;
            let outpoint = OutPoint { txid: coinbase.compute_txid(), vout: 0 };
            let unspent = client.get_tx_out(&outpoint.txid, 0, Some(true))?.is_some();
            let Some(output) = coinbase.output.first().filter(|_| unspent) else { continue };
            let branch = (0..BRANCHES)
                .find(|branch| address(*branch).script_pubkey() == output.script_pubkey);
            if let Some(branch) = branch {
                return Ok((outpoint, output.value.to_sat(), witness_script(branch)));
            }
        }
        anyhow::bail!("no mature coin is left at height {tip}")
    }
}

fn witness_script(branch: u8) -> ScriptBuf {
    Builder::new().push_int(i64::from(branch) + 1).into_script()
}

fn address(branch: u8) -> Address {
    Address::p2wsh(&witness_script(branch), Network::Regtest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_have_addresses_of_their_own_and_are_all_ours() {
        let one = address(0);
        let two = address(1);
        assert_ne!(one, two);
        assert!(Faucet::owns(&one.script_pubkey()) && Faucet::owns(&two.script_pubkey()));
        assert!(!Faucet::owns(&ScriptBuf::new()));
    }
}
