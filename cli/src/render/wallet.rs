//! On-chain money for people.
mod coins;

pub use coins::{bumped, finalized_psbt, funded_psbt, leases, published, signed_psbt};

use fulmen_proto::v1::{GetWalletBalanceResponse, Utxo, WalletSendResponse, WalletTransaction};

use crate::format::human;
use crate::format::table::{
    Column, Facts, Look, Tone, shortenable, table, text, time, toned, txid, words,
};

/// The on-chain balance.
pub fn balance(balance: &GetWalletBalanceResponse, look: Look) -> String {
    let immature = match balance.immature_sat {
        0 => String::new(),
        sat => human::sat(sat),
    };
    Facts::new(look)
        .add("spendable", human::sat(balance.spendable_sat))
        .add("confirmed", human::sat(balance.confirmed_sat))
        .add("unconfirmed", human::sat(balance.unconfirmed_sat))
        .add_if_any("immature", immature)
        .add("reserved", format!("{} for closing channels", human::sat(balance.reserved_sat)))
        .lines()
}

/// What was sent.
pub fn sent(sent: &WalletSendResponse, look: Look) -> String {
    // The feerate only informs; in thousandths, as the API has it.
    let feerate = match sent.vsize {
        0 => String::new(),
        vsize => format!(" ({})", human::feerate(sent.fee_sat.saturating_mul(1_000) / vsize)),
    };
    Facts::new(look)
        .add("sent", human::sat(sent.amount_sat))
        .add("fee", format!("{}{feerate}", human::sat(sent.fee_sat)))
        .add("txid", human::txid(&sent.txid))
        .lines()
}

/// The wallet's transactions.
pub fn transactions(transactions: &[WalletTransaction], look: Look) -> String {
    if transactions.is_empty() {
        return "No transactions.\n".to_owned();
    }
    let columns = [
        Column::Left("seen (UTC)"),
        Column::Right("sat"),
        Column::Right("fee"),
        Column::Right("block"),
        Column::Left("txid"),
        Column::Left("label"),
    ];
    let rows = transactions.iter().map(|transaction| {
        let block = match transaction.block_height {
            0 => toned("unconfirmed", Tone::Waiting),
            height => text(human::grouped(height.into())),
        };
        let tone = if transaction.net_sat > 0 { Tone::Good } else { Tone::Plain };
        let fee = match transaction.fee_sat {
            0 => human::NONE.to_owned(),
            sat => human::grouped(sat),
        };
        [
            time(transaction.seen_at),
            toned(human::signed(transaction.net_sat), tone),
            text(fee),
            block,
            txid(&transaction.txid),
            words(&transaction.label),
        ]
    });
    table(look, columns, rows.collect())
}

/// The unspent outputs.
pub fn utxos(unspent: &[Utxo], look: Look) -> String {
    if unspent.is_empty() {
        return "No unspent outputs.\n".to_owned();
    }
    let columns = [
        Column::Right("sat"),
        Column::Right("confirmations"),
        Column::Left("address"),
        Column::Left("outpoint"),
    ];
    let rows = unspent.iter().map(|utxo| {
        let confirmations = match utxo.confirmations {
            0 => toned("unconfirmed", Tone::Waiting),
            number => text(human::grouped(number.into())),
        };
        [
            text(human::grouped(utxo.amount_sat)),
            confirmations,
            shortenable(utxo.address.clone()),
            shortenable(human::outpoint(utxo.outpoint.as_ref())),
        ]
    });
    table(look, columns, rows.collect())
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::OutPoint;

    use super::*;

    fn reversed() -> (Vec<u8>, String) {
        let mut wire = vec![0; 32];
        wire[31] = 0xab;
        (wire, format!("ab{}", "00".repeat(31)))
    }

    #[test]
    fn txids_are_in_explorer_order() {
        let (wire, explorer) = reversed();
        let response =
            WalletSendResponse { txid: wire.clone(), amount_sat: 5, fee_sat: 250, vsize: 200 };
        let shown = sent(&response, Look::default());
        assert!(shown.contains(&explorer) && shown.contains("1.25 sat/vB"), "{shown}");
        let transaction =
            WalletTransaction { txid: wire.clone(), net_sat: -5, ..Default::default() };
        let shown = transactions(&[transaction], Look::default());
        assert!(shown.contains(&explorer) && shown.contains("unconfirmed"), "{shown}");
        let outpoint = Some(OutPoint { txid: wire, vout: 3 });
        let utxo = Utxo { outpoint, amount_sat: 1_000, ..Default::default() };
        let shown = utxos(&[utxo], Look::default());
        assert!(shown.contains(&format!("{explorer}:3")) && shown.contains("1,000"), "{shown}");
    }

    #[test]
    fn nothing_is_said_in_words() {
        assert_eq!(transactions(&[], Look::default()), "No transactions.\n");
        assert_eq!(utxos(&[], Look::default()), "No unspent outputs.\n");
        let shown = balance(&GetWalletBalanceResponse::default(), Look::default());
        assert!(shown.starts_with("spendable    0 sat\n"), "{shown}");
    }
}
