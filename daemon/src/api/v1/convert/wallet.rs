//! Requests for on-chain payments.

use bitcoin::{Address, Network, OutPoint};
use fulmen_proto::v1;
use tonic::Status;

use super::fields;
use crate::api::status::malformed;
use crate::wallet::{CoinChoice, Value};

/// The most coins that a caller names.
const MAX_COINS: usize = 1_000;
/// No coin has more confirmations before the year 2100.
const MAX_CONFIRMATIONS: u32 = 10_000_000;

/// Reads payments to addresses.
pub fn outputs(
    outputs: Vec<v1::WalletOutput>,
    network: Network,
) -> Result<Vec<(Address, Value)>, Status> {
    use v1::wallet_output::Amount;
    let read = |output: v1::WalletOutput| {
        let address = fields::address("outputs", &output.address, network)?;
        let value = match output.amount {
            Some(Amount::AmountSat(sat)) => Value::Exactly(fields::amount_sat("outputs", sat)?),
            Some(Amount::All(true)) => Value::All,
            Some(Amount::All(false)) | None => {
                return Err(malformed("outputs", format!("{address} has no amount")));
            }
        };
        Ok((address, value))
    };
    outputs.into_iter().map(read).collect()
}

/// Reads which coins may be spent.
pub fn coins(coins: Vec<v1::OutPoint>, min_confirmations: u32) -> Result<CoinChoice, Status> {
    if coins.len() > MAX_COINS {
        return Err(malformed("coins", format!("name more than {MAX_COINS} coins")));
    }
    if min_confirmations > MAX_CONFIRMATIONS {
        return Err(malformed("min_confirmations", "is more than any coin has"));
    }
    let read = |coin| outpoint("coins", Some(coin));
    let only: Vec<OutPoint> = coins.into_iter().map(read).collect::<Result<_, _>>()?;
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = only.iter().find(|coin| !seen.insert(**coin)) {
        return Err(malformed("coins", format!("name {twice} twice")));
    }
    Ok(CoinChoice { only, min_confirmations })
}

/// Reads an output of a transaction.
pub fn outpoint(
    argument: &'static str,
    outpoint: Option<v1::OutPoint>,
) -> Result<OutPoint, Status> {
    let outpoint = outpoint.ok_or_else(|| malformed(argument, "is needed"))?;
    Ok(OutPoint { txid: fields::txid(argument, &outpoint.txid)?, vout: outpoint.vout })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_are_named_once_and_payments_have_amounts() {
        let coin = |vout| v1::OutPoint { txid: vec![7; 32], vout };
        assert_eq!(coins(vec![coin(0), coin(1)], 3).expect("sound").only.len(), 2);
        let says = |refused: Result<CoinChoice, Status>| {
            refused.expect_err("refused").message().to_owned()
        };
        assert!(says(coins(vec![coin(0), coin(0)], 0)).contains("twice"));
        assert!(says(coins(vec![v1::OutPoint::default()], 0)).starts_with("coins: "));
        assert!(says(coins(Vec::new(), u32::MAX)).starts_with("min_confirmations: "));
        let address = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw".to_owned();
        let bare = v1::WalletOutput { address, amount: None };
        let refused = outputs(vec![bare], Network::Regtest).expect_err("refused");
        assert!(refused.message().ends_with("has no amount"), "{}", refused.message());
    }
}
