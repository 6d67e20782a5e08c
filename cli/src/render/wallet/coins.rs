//! Bumps, leases and partially signed transactions for people.
use fulmen_proto::v1::bump_transaction_request::How;
use fulmen_proto::v1::{
    BumpTransactionResponse, FinalizePsbtResponse, FundPsbtResponse, Lease, PublishResponse,
    SignPsbtResponse,
};

use crate::format::human;
use crate::format::table::{Column, Facts, Look, shortenable, table, text, time};

/// What a bump did, or would do.
pub fn bumped(bumped: &BumpTransactionResponse, dry_run: bool, look: Look) -> String {
    let how = match bumped.how() {
        How::Unspecified => "",
        How::Replace => "a replacement",
        How::Child => "a child that pays for both",
        How::Cancel => "a replacement that pays this wallet",
    };
    let feerate = match bumped.vsize {
        0 => String::new(),
        vsize => format!(" ({})", human::feerate(bumped.fee_sat.saturating_mul(1_000) / vsize)),
    };
    let txid = if dry_run { String::new() } else { human::txid(&bumped.txid) };
    Facts::new(look)
        .add(if dry_run { "would be" } else { "by" }, how)
        .add("costs more", human::sat(bumped.added_sat))
        .add("its fee", format!("{}{feerate}", human::sat(bumped.fee_sat)))
        .add_if_any("txid", txid)
        .lines()
}

/// Leases.
pub fn leases(leases: &[Lease], look: Look) -> String {
    if leases.is_empty() {
        return "No leases.\n".to_owned();
    }
    let columns = [
        Column::Left("until (UTC)"),
        Column::Left("name"),
        Column::Right("sat"),
        Column::Left("outpoint"),
    ];
    let rows = leases.iter().map(|lease| {
        let amount = match lease.amount_sat {
            0 => human::NONE.to_owned(),
            sat => human::grouped(sat),
        };
        [
            time(lease.expires_at),
            text(human::one_line(&lease.name)),
            text(amount),
            shortenable(human::outpoint(lease.outpoint.as_ref())),
        ]
    });
    table(look, columns, rows.collect())
}

/// A transaction that waits for signatures.
pub fn funded_psbt(funded: &FundPsbtResponse, look: Look) -> String {
    let coins = human::count(funded.leases.len() as u64, "coin", "coins");
    let until = funded.leases.iter().map(|lease| lease.expires_at).min().unwrap_or(0);
    Facts::new(look)
        .add("sends", human::sat(funded.amount_sat))
        .add("fee", human::sat(funded.fee_sat))
        .add("leased", format!("{coins} until {} UTC", human::time(until)))
        .add("psbt", human::hex(&funded.psbt))
        .lines()
}

/// A transaction with our signatures.
pub fn signed_psbt(signed: &SignPsbtResponse, look: Look) -> String {
    let inputs = human::count(signed.signed_inputs.into(), "input", "inputs");
    let rest = if signed.complete { "complete" } else { "others must sign as well" };
    Facts::new(look)
        .add("signed", format!("{inputs}, {rest}"))
        .add("psbt", human::hex(&signed.psbt))
        .lines()
}

/// A transaction that can be published.
pub fn finalized_psbt(whole: &FinalizePsbtResponse, look: Look) -> String {
    Facts::new(look)
        .add("txid", human::txid(&whole.txid))
        .add("fee", human::sat(whole.fee_sat))
        .add("transaction", human::hex(&whole.transaction))
        .lines()
}

/// A transaction on its way.
pub fn published(published: &PublishResponse, look: Look) -> String {
    Facts::new(look).add("txid", human::txid(&published.txid)).lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bump_says_what_it_costs_and_a_dry_run_names_no_transaction() {
        let done = BumpTransactionResponse {
            txid: vec![0xab; 32],
            how: How::Child.into(),
            fee_sat: 1_110,
            added_sat: 1_110,
            vsize: 111,
        };
        let shown = bumped(&done, false, Look::default());
        for part in ["a child", "1,110 sat", "10 sat/vB", &"ab".repeat(32)] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert!(!bumped(&done, true, Look::default()).contains("abab"));
        assert_eq!(leases(&[], Look::default()), "No leases.\n");
    }
}
