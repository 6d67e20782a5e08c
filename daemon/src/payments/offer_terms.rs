//! What an offer asks for, against what the payer gives: the pure checks.

use std::time::Duration;

use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::offers::offer::{Amount, Offer, Quantity};

use super::Error;
use super::check::{self, PaymentFacts};

/// What is paid for an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferTerms {
    /// In all.
    pub amount_msat: u64,
    /// How many items; none where the offer is for a single one.
    pub quantity: Option<u64>,
    /// What it is for, in the payee's words.
    pub description: String,
    /// The key that signs the invoice, where the offer names it.
    pub payee: Option<PublicKey>,
}

/// Checks what an offer asks for; whether it has expired is another question.
pub fn terms(
    offer: &Offer,
    given_msat: Option<u64>,
    quantity: Option<u64>,
    facts: &PaymentFacts,
) -> Result<OfferTerms, Error> {
    if !offer.supports_chain(ChainHash::using_genesis_block(facts.network)) {
        return Err(Error::OfferOtherNetwork(facts.network));
    }
    if offer.offer_features().requires_unknown_bits() {
        return Err(Error::Unpayable("it needs a feature that is not known here".to_owned()));
    }
    if offer.issuer_signing_pubkey() == Some(facts.node_id) {
        return Err(Error::ToSelf);
    }
    let quantity = items(offer, quantity)?;
    let given_msat = given_msat.map(check::amount).transpose()?;
    let amount_msat = match (offer.amount(), given_msat) {
        (Some(Amount::Currency { iso4217_code, .. }), _) => {
            let why = format!("it asks for an amount in {}", iso4217_code.as_str());
            return Err(Error::Unpayable(why));
        }
        (None, None) => return Err(Error::AmountMissing),
        (None, Some(given_msat)) => given_msat,
        (Some(Amount::Bitcoin { amount_msats }), given_msat) => {
            let asked_msat = amount_msats.saturating_mul(quantity.unwrap_or(1));
            match given_msat {
                None => check::amount(asked_msat)?,
                Some(given_msat) if given_msat < asked_msat => {
                    return Err(Error::AmountTooSmall { asked_msat, given_msat });
                }
                Some(given_msat) if given_msat > asked_msat.saturating_mul(2) => {
                    return Err(Error::AmountTooLarge { asked_msat, given_msat });
                }
                Some(given_msat) => given_msat,
            }
        }
    };
    Ok(OfferTerms {
        amount_msat,
        quantity,
        description: offer.description().map(|text| text.to_string()).unwrap_or_default(),
        payee: offer.issuer_signing_pubkey(),
    })
}

/// An offer of several items is paid for one unless the payer says how many.
fn items(offer: &Offer, asked: Option<u64>) -> Result<Option<u64>, Error> {
    let bad = |why: String| Err(Error::BadLimit("quantity", why));
    match (offer.supported_quantity(), asked) {
        (Quantity::One, None | Some(1)) => Ok(None),
        (Quantity::One, Some(_)) => bad("this offer is for one item".to_owned()),
        (Quantity::Bounded(_) | Quantity::Unbounded, Some(0)) => bad("is 0".to_owned()),
        (Quantity::Bounded(most), Some(asked)) if asked > most.get() => {
            bad(format!("{asked} is more than the {most} that one payment may be for"))
        }
        (Quantity::Bounded(_) | Quantity::Unbounded, asked) => Ok(Some(asked.unwrap_or(1))),
    }
}

/// Refuses an offer that has expired.
pub fn not_expired(offer: &Offer, now: Duration) -> Result<(), Error> {
    match offer.absolute_expiry().and_then(|at| now.checked_sub(at)) {
        Some(ago) if !ago.is_zero() => Err(Error::OfferExpired { ago_secs: ago.as_secs() }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use bitcoin::Network;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning::offers::offer::OfferBuilder;

    use super::*;

    fn key(byte: u8) -> PublicKey {
        let secret = SecretKey::from_slice(&[byte; 32]).expect("it is a key");
        PublicKey::from_secret_key(&Secp256k1::new(), &secret)
    }

    fn offer(amount_msat: Option<u64>, quantity: Quantity) -> Offer {
        let builder = OfferBuilder::new(key(7))
            .chain(Network::Regtest)
            .description("bread".to_owned())
            .supported_quantity(quantity);
        let builder = match amount_msat {
            Some(msat) => builder.amount_msats(msat),
            None => builder,
        };
        builder.build().expect("it is complete")
    }

    #[test]
    fn amount_and_quantity_must_fit_the_offer() {
        let facts = PaymentFacts { network: Network::Regtest, node_id: key(1) };
        let several = Quantity::Bounded(NonZeroU64::new(3).expect("three"));
        let (one, any) = (Quantity::One, Quantity::Unbounded);
        for (price, limit, given, asked, expected) in [
            (Some(500), one, None, None, Ok((500, None))),
            (Some(500), one, Some(700), None, Ok((700, None))),
            (Some(500), one, Some(499), None, Err("less than")),
            (Some(500), one, Some(1_001), None, Err("more than twice")),
            (None, one, None, None, Err("give one")),
            (None, one, Some(5), None, Ok((5, None))),
            (None, one, Some(0), None, Err("not an amount")),
            (Some(500), one, None, Some(2), Err("quantity: ")),
            (Some(500), several, None, None, Ok((500, Some(1)))),
            (Some(500), several, None, Some(3), Ok((1_500, Some(3)))),
            (Some(500), several, Some(1_499), Some(3), Err("less than")),
            (Some(500), several, None, Some(4), Err("quantity: 4")),
            (Some(500), several, None, Some(0), Err("quantity: ")),
            (Some(500), any, None, Some(1_000), Ok((500_000, Some(1_000)))),
            (Some(500), any, None, Some(u64::MAX), Err("not an amount")),
        ] {
            match (terms(&offer(price, limit), given, asked, &facts), expected) {
                (Ok(terms), Ok(expected)) => {
                    assert_eq!((terms.amount_msat, terms.quantity), expected);
                }
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{error}, not {part}");
                }
                (decided, expected) => panic!("{decided:?}, not {expected:?}"),
            }
        }
        let main = PaymentFacts { network: Network::Bitcoin, ..facts };
        let elsewhere = terms(&offer(None, Quantity::One), Some(5), None, &main);
        assert!(matches!(elsewhere, Err(Error::OfferOtherNetwork(Network::Bitcoin))));
        let ours = PaymentFacts { node_id: key(7), ..facts };
        let ours = terms(&offer(None, Quantity::One), Some(5), None, &ours);
        assert!(matches!(ours, Err(Error::ToSelf)));
    }

    #[test]
    fn an_expired_offer_is_refused() {
        let offer = OfferBuilder::new(key(7)).absolute_expiry(Duration::from_secs(100)).build();
        let offer = offer.expect("it is complete");
        assert!(not_expired(&offer, Duration::from_secs(100)).is_ok());
        let late = not_expired(&offer, Duration::from_secs(103));
        assert!(matches!(late, Err(Error::OfferExpired { ago_secs: 3 })));
    }
}
