//! What could be delivered at most, if all balances were known.

use fulmen_routing::View;
use fulmen_routing::simulator::Payment;
use fulmen_routing::simulator::balances::Balances;
use fulmen_routing::simulator::ceiling::{cheapest, in_parts};

/// Returns a line on how many of the payments fit into their fee budget and their number of parts.
pub fn tell(view: &View, balances: &Balances, payments: &[Payment]) -> String {
    let (mut bound, mut found, mut barred, mut shown) = (0, 0, 0, 0);
    for payment in payments {
        let (payer, payee, amount) = (payment.payer, payment.payee, payment.amount_msat);
        if let Some(least) = cheapest(view, balances, payer, payee, amount) {
            bound += usize::from(least.bound_msat <= payment.max_fee_msat);
            found += usize::from(least.found_msat <= payment.max_fee_msat);
        }
        match in_parts(view, balances, (payer, payee), amount, payment.max_parts) {
            Some(true) => shown += 1,
            Some(false) => barred += 1,
            None => {}
        }
    }
    let pct = |count: usize| 100.0 * count as f64 / payments.len().max(1) as f64;
    format!(
        "{:>9} with balances known: {:.1} % within the fees ({:.1} % without base fees); {:.1} to {:.1} % in so many parts",
        "",
        pct(found),
        pct(bound),
        pct(shown),
        pct(payments.len() - barred)
    )
}
