//! What could be delivered at most, if all balances were known.

use fulmen_routing::graph::overlay::OwnChannel;
use fulmen_routing::simulator::Payment;
use fulmen_routing::simulator::balances::Balances;
use fulmen_routing::simulator::ceiling::cheapest;
use fulmen_routing::simulator::parts::in_parts;
use fulmen_routing::{Beliefs, Overlay, Planner, Query, View};

/// Returns a line on how many of the payments fit into their fee budget and their number of parts.
pub fn tell(view: &View, balances: &Balances, payments: &[Payment]) -> String {
    let (mut bound, mut found, mut barred, mut shown, mut told) = (0, 0, 0, 0, 0);
    let mut planner = Planner::new();
    for payment in payments {
        let (payer, payee, amount) = (payment.payer, payment.payee, payment.amount_msat);
        let planned = plans_when_told(&mut planner, view, balances, payment);
        told += usize::from(planned);
        let least = cheapest(view, balances, payer, payee, amount);
        bound += usize::from(least.is_some_and(|it| it.bound_msat <= payment.max_fee_msat));
        found +=
            usize::from(planned || least.is_some_and(|it| it.found_msat <= payment.max_fee_msat));
        match in_parts(view, balances, (payer, payee), amount, payment.max_parts) {
            _ if planned => shown += 1,
            Some(true) => shown += 1,
            Some(false) => barred += 1,
            None => {}
        }
    }
    let pct = |count: usize| 100.0 * count as f64 / payments.len().max(1) as f64;
    format!(
        "{:>9} with balances known: {:.1} to {:.1} % within the fees, {:.1} to {:.1} % in so many parts, our planner {:.1} % within both",
        "",
        pct(found),
        pct(bound),
        pct(shown),
        pct(payments.len() - barred),
        pct(told)
    )
}

/// Returns whether our planner finds a plan when all balances are known to it.
fn plans_when_told(
    planner: &mut Planner,
    view: &View,
    balances: &Balances,
    payment: &Payment,
) -> bool {
    let payer = *view.key(payment.payer);
    let mut overlay = Overlay::new();
    for channel in view.channels() {
        for direction in [0, 1] {
            let balance = balances.of(view, channel.scid, direction);
            overlay.balance(channel.scid, direction, balance);
            let policy = channel.policies[usize::from(direction)];
            if channel.nodes[usize::from(direction)] == payer
                && let Some(policy) = policy
            {
                overlay.own_channel(OwnChannel {
                    scid: channel.scid,
                    peer: channel.nodes[usize::from(1 - direction)],
                    htlc_min_msat: policy.htlc_min_msat,
                    htlc_max_msat: policy.htlc_max_msat.min(balance),
                    spendable_msat: balance,
                });
            }
        }
    }
    let query = Query {
        max_fee_msat: payment.max_fee_msat,
        max_parts: payment.max_parts,
        ..Query::new(payer, *view.key(payment.payee), payment.amount_msat)
    };
    planner.plan(view, &overlay, &Beliefs::new(), 0, &query).is_ok()
}
