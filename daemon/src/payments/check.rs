//! Whether a payment is worth recording: the pure checks of a request.

use std::time::Duration;

use bitcoin::Network;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::PublicKey;
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef};

use super::{Config, Error};
use crate::idempotency;

const MAX_MONEY_MSAT: u64 = 21_000_000 * 100_000_000 * 1_000;
const MAX_TIMEOUT_SECS: u32 = 24 * 3_600;
const MAX_PARTS: u32 = 100;
const MAX_CLTV_DELTA: u32 = 2_016;

/// Bounds as a call gives them; 0 and none stand for the configured ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedLimits {
    /// The most that nodes on the way may get.
    pub max_fee_msat: Option<u64>,
    /// Seconds in which attempts are made.
    pub timeout_secs: u32,
    /// The most parts.
    pub max_parts: u32,
    /// Blocks that the money may be locked.
    pub max_total_cltv_delta: u32,
}

/// Bounds that hold for one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentLimits {
    /// The most that nodes on the way may get.
    pub max_fee_msat: u64,
    /// The time in which attempts are made.
    pub timeout: Duration,
    /// The most parts.
    pub max_parts: u8,
    /// Blocks that the money may be locked.
    pub max_total_cltv_delta: u32,
}

/// What is true of this node at the moment.
#[derive(Clone, Copy, Debug)]
pub struct PaymentFacts {
    /// Our network.
    pub network: Network,
    /// Our key.
    pub node_id: PublicKey,
}

/// What the open and connected channels can send when nothing else is in flight.
#[derive(Clone, Copy, Debug)]
pub struct Purse {
    /// How many channels there are.
    pub channels: usize,
    /// What they hold together, less reserves.
    pub balance_msat: u64,
    /// What their peers let be in flight at one moment, all together (BOLT 2, `max_htlc_value_in_flight_msat`).
    pub at_once_msat: u64,
    /// The same for the channel that carries most.
    pub largest_msat: u64,
}

/// Whether a payment may be split into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splitting {
    /// Parts may take several channels (BOLT 4, basic multi-part payments).
    Parts,
    /// One channel carries the whole amount.
    Whole,
}

impl Splitting {
    /// Returns how a payee's features and the caller's limit let a payment be split.
    pub fn of(supports_parts: bool, max_parts: u8) -> Self {
        if supports_parts && max_parts > 1 { Self::Parts } else { Self::Whole }
    }
}

/// What an invoice asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whom to pay.
    pub payee: PublicKey,
    /// What it gets.
    pub amount_msat: u64,
    /// What the HTLCs are locked to.
    pub payment_hash: [u8; 32],
    /// What it is for.
    pub description: String,
}

/// Completes the bounds of a call by the configured ones.
pub fn limits(
    asked: AskedLimits,
    amount_msat: u64,
    config: &Config,
) -> Result<PaymentLimits, Error> {
    let timeout_secs =
        bounded("timeout_secs", asked.timeout_secs, config.timeout_secs, MAX_TIMEOUT_SECS)?;
    let max_parts = bounded("max_parts", asked.max_parts, config.max_parts, MAX_PARTS)?;
    let max_total_cltv_delta = bounded(
        "max_total_cltv_delta",
        asked.max_total_cltv_delta,
        config.max_total_cltv_delta,
        MAX_CLTV_DELTA,
    )?;
    let share = u128::from(amount_msat) * u128::from(config.max_fee_millionths) / 1_000_000;
    let max_fee_msat = match asked.max_fee_msat {
        Some(msat) if msat > MAX_MONEY_MSAT => {
            return Err(Error::BadLimit("max_fee_msat", "is more than all bitcoin".to_owned()));
        }
        Some(msat) => msat,
        None => u64::try_from(share).unwrap_or(u64::MAX).max(config.max_fee_base_msat),
    };
    Ok(PaymentLimits {
        max_fee_msat,
        timeout: Duration::from_secs(timeout_secs.into()),
        max_parts: u8::try_from(max_parts).unwrap_or(u8::MAX),
        max_total_cltv_delta,
    })
}

/// The bounds of a payment, within what one payment may be and cost here whatever the call asks for.
///
/// # Errors
/// [`Error::OverBudget`], [`Error::BadLimit`].
pub fn budget(
    asked: AskedLimits,
    amount_msat: u64,
    config: &Config,
) -> Result<PaymentLimits, Error> {
    let max_msat = config.max_amount_sat.saturating_mul(1_000);
    if max_msat != 0 && amount_msat > max_msat {
        return Err(Error::OverBudget { amount_msat, max_msat });
    }
    fee_budget(asked, amount_msat, config)
}

/// The same where only the fee leaves this node.
///
/// # Errors
/// [`Error::BadLimit`].
pub fn fee_budget(
    asked: AskedLimits,
    amount_msat: u64,
    config: &Config,
) -> Result<PaymentLimits, Error> {
    let limits = limits(asked, amount_msat, config)?;
    let most_msat = config.max_fee_sat.saturating_mul(1_000);
    match (most_msat, asked.max_fee_msat) {
        (0, _) => Ok(limits),
        (_, Some(asked_msat)) if asked_msat > most_msat => {
            let why = format!(
                "{asked_msat} msat are more than the {most_msat} msat that one payment may cost here \
                 (payments.max_fee_sat)"
            );
            Err(Error::BadLimit("max_fee_msat", why))
        }
        (_, _) => Ok(PaymentLimits { max_fee_msat: limits.max_fee_msat.min(most_msat), ..limits }),
    }
}

fn bounded(argument: &'static str, asked: u32, default: u32, max: u32) -> Result<u32, Error> {
    match asked {
        0 => Ok(default.clamp(1, max)),
        asked if asked > max => {
            Err(Error::BadLimit(argument, format!("{asked} is more than {max}")))
        }
        asked => Ok(asked),
    }
}

/// Checks an amount by itself.
pub fn amount(msat: u64) -> Result<u64, Error> {
    match msat {
        0 => Err(Error::AmountAbsurd(0)),
        msat if msat > MAX_MONEY_MSAT => Err(Error::AmountAbsurd(msat)),
        msat => Ok(msat),
    }
}

/// Checks what an invoice asks for against what the payer gives; whether it has expired is another question.
pub fn terms(
    invoice: &Bolt11Invoice,
    given_msat: Option<u64>,
    facts: &PaymentFacts,
) -> Result<Terms, Error> {
    if invoice.network() != facts.network {
        return Err(Error::OtherNetwork { invoice: invoice.network(), ours: facts.network });
    }
    let given_msat = given_msat.map(amount).transpose()?;
    let amount_msat = match (invoice.amount_milli_satoshis(), given_msat) {
        (None, None) => return Err(Error::AmountMissing),
        (None, Some(msat)) => msat,
        (Some(msat), None) => amount(msat)?,
        (Some(asked_msat), Some(given_msat)) if given_msat < asked_msat => {
            return Err(Error::AmountTooSmall { asked_msat, given_msat });
        }
        (Some(asked_msat), Some(given_msat)) if given_msat > asked_msat.saturating_mul(2) => {
            return Err(Error::AmountTooLarge { asked_msat, given_msat });
        }
        (Some(_), Some(given_msat)) => given_msat,
    };
    let payee = payee(invoice.get_payee_pub_key(), facts)?;
    let description = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(description) => description.to_string(),
        Bolt11InvoiceDescriptionRef::Hash(_) => String::new(),
    };
    let payment_hash = invoice.payment_hash().to_byte_array();
    Ok(Terms { payee, amount_msat, payment_hash, description })
}

/// Refuses to pay ourselves: nobody would route it.
pub fn payee(node_id: PublicKey, facts: &PaymentFacts) -> Result<PublicKey, Error> {
    if node_id == facts.node_id { Err(Error::ToSelf) } else { Ok(node_id) }
}

/// Refuses an invoice that has expired.
pub fn not_expired(invoice: &Bolt11Invoice, now: Duration) -> Result<(), Error> {
    let expires_at = invoice.duration_since_epoch().saturating_add(invoice.expiry_time());
    match now.checked_sub(expires_at) {
        Some(ago) if !ago.is_zero() => Err(Error::Expired { ago_secs: ago.as_secs() }),
        _ => Ok(()),
    }
}

/// Refuses what the channels do not hold, or what their peers never let be in flight at one moment.
pub fn affordable(amount_msat: u64, purse: Purse, splitting: Splitting) -> Result<(), Error> {
    let Purse { channels, balance_msat, at_once_msat, largest_msat } = purse;
    let needed_msat = amount_msat;
    if channels == 0 {
        return Err(Error::NoUsableChannel);
    }
    if balance_msat < needed_msat {
        return Err(Error::TooLittleMoney { needed_msat, available_msat: balance_msat });
    }
    if at_once_msat < needed_msat {
        return Err(Error::TooMuchInFlight { needed_msat, at_once_msat });
    }
    if splitting == Splitting::Whole && largest_msat < needed_msat {
        return Err(Error::TooMuchForOneChannel { needed_msat, largest_msat });
    }
    Ok(())
}

/// Names a request, so that another one under the same key is noticed.
pub fn fingerprint(what: &[u8], amount_msat: Option<u64>) -> [u8; 32] {
    idempotency::fingerprint([&amount_msat.unwrap_or(0).to_be_bytes()[..], what])
}

/// Tells whether a payment without route may find one once others have ended: the channels can send it
/// in all, but not beside what they carry now. A payment that cannot be split needs one channel for itself.
pub fn crowded(amount_msat: u64, next_htlc_msat: &[u64], splittable: bool) -> bool {
    let sendable = next_htlc_msat.iter().copied();
    let at_once = if splittable {
        sendable.fold(0, u64::saturating_add)
    } else {
        sendable.max().unwrap_or(0)
    };
    at_once < amount_msat
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::sha256;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning::types::payment::PaymentSecret;
    use lightning_invoice::{Currency, InvoiceBuilder};

    use super::*;

    fn key(byte: u8) -> (SecretKey, PublicKey) {
        let secret = SecretKey::from_slice(&[byte; 32]).expect("it is a key");
        (secret, PublicKey::from_secret_key(&Secp256k1::new(), &secret))
    }

    fn invoice(amount_msat: Option<u64>) -> Bolt11Invoice {
        let builder = InvoiceBuilder::new(Currency::Regtest)
            .description("bread".to_owned())
            .payment_hash(sha256::Hash::from_byte_array([5; 32]))
            .payment_secret(PaymentSecret([6; 32]))
            .duration_since_epoch(Duration::from_secs(1_000))
            .expiry_time(Duration::from_secs(60))
            .min_final_cltv_expiry_delta(42);
        let builder = match amount_msat {
            Some(msat) => builder.amount_milli_satoshis(msat),
            None => builder,
        };
        builder
            .build_signed(|hash| Secp256k1::new().sign_ecdsa_recoverable(hash, &key(1).0))
            .expect("it is whole")
    }

    fn facts(network: Network, us: u8) -> PaymentFacts {
        PaymentFacts { network, node_id: key(us).1 }
    }

    fn said(result: Result<impl std::fmt::Debug, Error>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn an_invoice_is_paid_on_its_terms_only() {
        let ours = facts(Network::Regtest, 2);
        let agreed =
            |asked, given| terms(&invoice(asked), given, &ours).map(|terms| terms.amount_msat);
        for (asked, given, expected) in [
            (Some(500), None, Ok(500)),
            (Some(500), Some(500), Ok(500)),
            (Some(500), Some(1_000), Ok(1_000)),
            (None, Some(7), Ok(7)),
            (None, None, Err("amount is left to the payer")),
            (Some(500), Some(499), Err("less than the 500 msat")),
            (Some(500), Some(1_001), Err("more than twice")),
            (None, Some(0), Err("not an amount")),
            (None, Some(u64::MAX), Err("not an amount")),
        ] {
            match expected {
                Ok(msat) => assert_eq!(agreed(asked, given).expect("it is fine"), msat),
                Err(words) => {
                    let said = said(agreed(asked, given));
                    assert!(said.contains(words), "{asked:?} {given:?}: {said}");
                }
            }
        }
        let terms_for = |facts| terms(&invoice(Some(500)), None, &facts);
        assert_eq!(terms_for(ours).expect("it is fine").description, "bread");
        assert!(said(terms_for(facts(Network::Bitcoin, 2))).contains("is for regtest"));
        assert!(said(terms_for(facts(Network::Regtest, 1))).contains("this node itself"));
    }

    #[test]
    fn an_invoice_expires_after_its_last_second() {
        let at = |secs| not_expired(&invoice(None), Duration::from_secs(secs));
        assert!(at(1_000).is_ok() && at(1_060).is_ok());
        assert!(matches!(at(1_061), Err(Error::Expired { ago_secs: 1 })));
    }

    #[test]
    fn limits_are_those_of_the_call_or_the_configured_ones() {
        let config = Config::default();
        let of = |asked, amount_msat| limits(asked, amount_msat, &config);
        let none = AskedLimits::default();
        let default = of(none, 5_000_000).expect("fine");
        assert_eq!((default.max_fee_msat, default.max_parts), (50_000, 16));
        assert_eq!((default.timeout.as_secs(), default.max_total_cltv_delta), (60, 2_016));
        assert_eq!(of(none, 1_000).expect("fine").max_fee_msat, 10_000);
        let free = AskedLimits { max_fee_msat: Some(0), ..none };
        assert_eq!(of(free, 5_000_000).expect("fine").max_fee_msat, 0);
        for (asked, argument) in [
            (AskedLimits { max_fee_msat: Some(u64::MAX), ..none }, "max_fee_msat"),
            (AskedLimits { timeout_secs: u32::MAX, ..none }, "timeout_secs"),
            (AskedLimits { max_parts: 101, ..none }, "max_parts"),
            (AskedLimits { max_total_cltv_delta: 2_017, ..none }, "max_total_cltv_delta"),
        ] {
            assert!(said(of(asked, 1)).starts_with(argument), "{asked:?}");
        }
    }

    #[test]
    fn what_the_channels_cannot_send_is_refused() {
        let purse = |channels, balance_msat, at_once_msat, largest_msat| Purse {
            channels,
            balance_msat,
            at_once_msat,
            largest_msat,
        };
        let of = |purse, splitting| affordable(5, purse, splitting);
        let (parts, whole) = (Splitting::Parts, Splitting::Whole);
        assert!(of(purse(1, 5, 5, 5), whole).is_ok());
        assert!(matches!(of(purse(1, 4, 4, 4), parts), Err(Error::TooLittleMoney { .. })));
        assert!(matches!(of(purse(0, 0, 0, 0), parts), Err(Error::NoUsableChannel)));
        // The balance would do, but the peers do not let so much be in flight.
        let refused = of(purse(1, 9, 4, 4), parts);
        assert!(matches!(refused, Err(Error::TooMuchInFlight { needed_msat: 5, at_once_msat: 4 })));
        assert!(of(purse(2, 9, 6, 3), parts).is_ok());
        let refused = of(purse(2, 9, 6, 3), whole);
        assert!(matches!(refused, Err(Error::TooMuchForOneChannel { largest_msat: 3, .. })));
        assert_eq!(Splitting::of(true, 16), parts);
        assert_eq!((Splitting::of(true, 1), Splitting::of(false, 16)), (whole, whole));
    }

    #[test]
    fn one_payment_stays_within_the_budget() {
        let config = Config { max_amount_sat: 100, max_fee_sat: 5, ..Config::default() };
        let asked = |max_fee_msat| AskedLimits { max_fee_msat, ..AskedLimits::default() };
        let fee =
            |asked, amount_msat| budget(asked, amount_msat, &config).map(|it| it.max_fee_msat);
        assert_eq!(fee(asked(None), 100_000).ok(), Some(5_000), "the default is 10,000 msat");
        assert_eq!(fee(asked(Some(4_000)), 100_000).ok(), Some(4_000));
        assert!(said(fee(asked(Some(5_001)), 100_000)).contains("payments.max_fee_sat"));
        assert!(said(fee(asked(None), 100_001)).contains("payments.max_amount_sat"));
        assert!(fee_budget(asked(None), 100_001, &config).is_ok(), "our own money");
        let unbound = budget(asked(Some(70_000)), 1_000_000, &Config::default());
        assert_eq!(unbound.map(|it| it.max_fee_msat).ok(), Some(70_000));
    }

    #[test]
    fn it_is_crowded_when_no_room_is_left_beside_the_others() {
        for (amount_msat, next, splittable, expected) in [
            (5, vec![3, 3], true, false),
            (5, vec![3, 3], false, true),
            (5, vec![5], false, false),
            (5, vec![0, 0], true, true),
            (5, vec![], true, true),
            (u64::MAX, vec![u64::MAX, u64::MAX], true, false),
        ] {
            assert_eq!(crowded(amount_msat, &next, splittable), expected, "{next:?}");
        }
    }
}
