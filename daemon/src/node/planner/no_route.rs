//! Why there is no route, in texts that a payer can act on.

use fulmen_routing::NoRoute;
use lightning::{impl_writeable_tlv_based, impl_writeable_tlv_based_enum};

/// The cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The request contradicts itself.
    Contradiction,
    /// The payee is not in the graph, and the invoice has no route hint.
    UnknownPayee,
    /// None of the payer's channels can be used.
    NoOwnChannel,
    /// The payer's channels hold too little.
    OwnBalance,
    /// The payee's channels can receive too little.
    PayeeInbound,
    /// Nothing connects the two.
    NoPath,
    /// Every route costs more than the fee limit.
    FeeLimit,
    /// Every route locks the money for longer than the limit.
    CltvLimit,
    /// The amount needs more parts than the limit.
    Parts,
    /// Channels on the way are too small, or known to lack liquidity.
    Liquidity,
    /// The search took too long.
    Effort,
    /// LDK's router found nothing and gives no reason.
    Unexplained,
    /// A channel that leads to the payee failed for good.
    Broken,
}
impl_writeable_tlv_based_enum!(Cause,
    (1, Contradiction) => {},
    (2, UnknownPayee) => {},
    (3, NoOwnChannel) => {},
    (4, OwnBalance) => {},
    (5, PayeeInbound) => {},
    (6, NoPath) => {},
    (7, FeeLimit) => {},
    (8, CltvLimit) => {},
    (9, Parts) => {},
    (10, Liquidity) => {},
    (11, Effort) => {},
    (12, Unexplained) => {},
    (13, Broken) => {},
);

impl Cause {
    /// Returns the machine-readable reason; stable across releases.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Contradiction => "CONTRADICTION",
            Cause::UnknownPayee => "UNKNOWN_PAYEE",
            Cause::NoOwnChannel => "NO_OWN_CHANNEL",
            Cause::OwnBalance => "OWN_BALANCE",
            Cause::PayeeInbound => "PAYEE_INBOUND",
            Cause::NoPath => "NO_PATH",
            Cause::FeeLimit => "FEE_LIMIT",
            Cause::CltvLimit => "CLTV_LIMIT",
            Cause::Parts => "PARTS_LIMIT",
            Cause::Liquidity => "LIQUIDITY",
            Cause::Effort => "SEARCH_TOO_LONG",
            Cause::Unexplained => "NO_ROUTE",
            Cause::Broken => "CHANNEL_BROKEN",
        }
    }
}

/// Why there is no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRouteReason {
    /// The cause.
    pub cause: Cause,
    /// The cause with its numbers, as part of a sentence.
    pub words: String,
}
impl_writeable_tlv_based!(NoRouteReason, { (0, cause, required), (2, words, required) });

impl NoRouteReason {
    /// Wraps the message of LDK's router, which gives no cause.
    pub fn of_ldk(words: &str) -> Self {
        Self { cause: Cause::Unexplained, words: words.to_owned() }
    }
}

impl From<NoRoute> for NoRouteReason {
    fn from(why: NoRoute) -> Self {
        let (cause, words) = match why {
            NoRoute::Malformed(what) => (Cause::Contradiction, what.to_owned()),
            NoRoute::UnknownPayee => (
                Cause::UnknownPayee,
                "the payee is not in the network graph, and no usable route hint leads to it"
                    .to_owned(),
            ),
            NoRoute::NoOwnChannel => {
                (Cause::NoOwnChannel, "no channel of the payer can be used for this".to_owned())
            }
            NoRoute::OwnBalance { spendable_msat, amount_msat } => (
                Cause::OwnBalance,
                format!(
                    "the payer's channels that may be used can send {} now, {} are needed",
                    sat(spendable_msat),
                    sat(amount_msat)
                ),
            ),
            NoRoute::PayeeInbound { receivable_msat, amount_msat } => (
                Cause::PayeeInbound,
                format!(
                    "the payee's channels that may be used can receive {} at most, {} are needed",
                    sat(receivable_msat),
                    sat(amount_msat)
                ),
            ),
            NoRoute::NoPath => {
                (Cause::NoPath, "no channels that may be used lead to the payee".to_owned())
            }
            NoRoute::FeeLimit { fee_msat, max_fee_msat } => (
                Cause::FeeLimit,
                format!(
                    "the cheapest way that was found costs {}, the limit is {}",
                    sat(fee_msat),
                    sat(max_fee_msat)
                ),
            ),
            NoRoute::CltvLimit { cltv, max_cltv } => (
                Cause::CltvLimit,
                format!("the money would be locked for {cltv} blocks, the limit is {max_cltv}"),
            ),
            NoRoute::Parts { max_parts, deliverable_msat, amount_msat } => (
                Cause::Parts,
                format!(
                    "with {max_parts} parts at most {} of {} can be delivered",
                    sat(deliverable_msat),
                    sat(amount_msat)
                ),
            ),
            NoRoute::Liquidity { deliverable_msat, amount_msat } => (
                Cause::Liquidity,
                format!(
                    "channels on the way can deliver about {} of {} as far as is known",
                    sat(deliverable_msat),
                    sat(amount_msat)
                ),
            ),
            NoRoute::Broken { scid } => (
                Cause::Broken,
                format!(
                    "the channel {}x{}x{} of a route hint to the payee is closed, or its node does not know it",
                    scid >> 40,
                    (scid >> 16) & 0xff_ffff,
                    scid & 0xffff
                ),
            ),
            NoRoute::Effort { visits } => {
                (Cause::Effort, format!("the search was given up after {visits} steps"))
            }
            NoRoute::Unsound(fault) => {
                // A fault of our planner: the payment is not sent, and the operator has to know.
                tracing::error!(%fault, "a plan did not pass its check");
                (Cause::Unexplained, format!("the plan that was found is unsound: {fault}"))
            }
        };
        Self { cause, words }
    }
}

/// Formats millisatoshis in satoshis: 1,234.500 sat.
fn sat(msat: u64) -> String {
    let digits = (msat / 1_000).to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match msat % 1_000 {
        0 => format!("{grouped} sat"),
        rest => format!("{grouped}.{rest:03} sat"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_carry_the_numbers() {
        for (msat, expected) in [
            (0, "0 sat"),
            (1, "0.001 sat"),
            (999_000, "999 sat"),
            (1_000_000, "1,000 sat"),
            (12_345_678_900, "12,345,678.900 sat"),
        ] {
            assert_eq!(sat(msat), expected);
        }
        let why = NoRouteReason::from(NoRoute::FeeLimit { fee_msat: 2_500, max_fee_msat: 1_000 });
        assert_eq!(why.cause.word(), "FEE_LIMIT");
        assert!(why.words.contains("2.500 sat") && why.words.contains("1 sat"), "{}", why.words);
        let why =
            NoRouteReason::from(NoRoute::OwnBalance { spendable_msat: 7, amount_msat: 9_000 });
        assert!(why.words.contains("0.007 sat") && why.words.contains("9 sat"), "{}", why.words);
    }
}
