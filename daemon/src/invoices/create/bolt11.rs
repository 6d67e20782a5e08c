//! BOLT 11 fields that LDK does not write: its invoice is taken apart, completed, and signed again.
//!
//! LDK makes the payment secret, which commits to the hash, the amount and the expiry, but not to these fields: an
//! invoice that is completed here is paid as any other.

use bitcoin::Address;
use bitcoin::secp256k1::ecdsa::RecoverableSignature;
use lightning::ln::channel_state::ChannelDetails;
use lightning::types::routing::{RouteHint, RouteHintHop, RoutingFees};
use lightning_invoice::{
    Bolt11Invoice, Fallback, PrivateRoute, RawBolt11Invoice, RawTaggedField, TaggedField,
};

use crate::invoices::Error;

/// The most channels that one invoice names.
pub const MAX_HINTS: usize = 10;
/// The longest metadata of a payment, in bytes: it shares the onion with the route.
pub const MAX_METADATA_BYTES: usize = 512;

/// Which channels an invoice names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hints {
    /// Those that LDK chooses, where the node is not announced.
    #[default]
    Automatic,
    /// None.
    Nowhere,
    /// These channels of ours, by their ids.
    Through(Vec<[u8; 32]>),
}

/// What an invoice says besides LDK's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// How payers find the node.
    pub hints: Hints,
    /// Takes the payment on chain, too.
    pub fallback: Option<Address>,
    /// What payers send back; empty for nothing.
    pub payment_metadata: Vec<u8>,
}

impl Extras {
    /// What tells one request from another under an idempotency key; empty where nothing was asked for.
    pub(super) fn fingerprint(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match &self.hints {
            Hints::Automatic => (),
            Hints::Nowhere => bytes.push(0),
            Hints::Through(channels) => {
                bytes.push(1);
                channels.iter().for_each(|channel| bytes.extend(channel));
            }
        }
        if let Some(address) = &self.fallback {
            bytes.push(2);
            bytes.extend(address.to_string().bytes());
        }
        if !self.payment_metadata.is_empty() {
            bytes.push(3);
            bytes.extend(&self.payment_metadata);
        }
        bytes
    }

    /// Checks what does not depend on channels.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Hints::Through(channels) = &self.hints
            && channels.len() > MAX_HINTS
        {
            let why = format!("{} are named, at most {MAX_HINTS} are taken", channels.len());
            return Err(Error::Bad { argument: "hint_channels", why });
        }
        let bytes = self.payment_metadata.len();
        if bytes > MAX_METADATA_BYTES {
            let why = format!("has {bytes} bytes, at most {MAX_METADATA_BYTES} are taken");
            return Err(Error::Bad { argument: "payment_metadata", why });
        }
        Ok(())
    }

    /// The hints that take the place of LDK's, if any do; `channels` are those that are open.
    pub(crate) fn route_hints(
        &self,
        channels: &[ChannelDetails],
    ) -> Result<Option<Vec<RouteHint>>, Error> {
        let named = match &self.hints {
            Hints::Automatic => return Ok(None),
            Hints::Nowhere => return Ok(Some(Vec::new())),
            Hints::Through(named) => named,
        };
        let hint_of = |id: &[u8; 32]| {
            let details = channels.iter().find(|details| details.channel_id.0 == *id);
            details.ok_or("is not open").and_then(hint).map_err(|why| Error::Bad {
                argument: "hint_channels",
                why: format!("channel {} {why}", bitcoin::hex::DisplayHex::to_lower_hex_string(id)),
            })
        };
        named.iter().map(hint_of).collect::<Result<_, _>>().map(Some)
    }
}

/// How payers reach us through a channel; or why they cannot.
fn hint(details: &ChannelDetails) -> Result<RouteHint, &'static str> {
    let policy = details.counterparty.forwarding_info.as_ref();
    let policy = policy.ok_or("cannot be named yet: its peer has not sent its policy")?;
    let short_channel_id =
        details.get_inbound_payment_scid().ok_or("cannot be named yet: it is not confirmed")?;
    Ok(RouteHint(vec![RouteHintHop {
        src_node_id: details.counterparty.node_id,
        short_channel_id,
        fees: RoutingFees {
            base_msat: policy.fee_base_msat,
            proportional_millionths: policy.fee_proportional_millionths,
        },
        cltv_expiry_delta: policy.cltv_expiry_delta,
        htlc_minimum_msat: None,
        htlc_maximum_msat: None,
    }]))
}

/// Adds to LDK's invoice what it lacks, and signs it again; `hints` take the place of LDK's.
///
/// # Errors
/// [`Error::NotMade`] where it cannot be signed.
pub(crate) fn complete(
    invoice: Bolt11Invoice,
    extras: &Extras,
    hints: Option<Vec<RouteHint>>,
    sign: impl FnOnce(&RawBolt11Invoice) -> Result<RecoverableSignature, ()>,
) -> Result<Bolt11Invoice, Error> {
    if *extras == Extras::default() {
        return Ok(invoice);
    }
    let not_made = |why: String| Error::NotMade(why);
    let (mut raw, _, _) = invoice.into_signed_raw().into_parts();
    let fields = &mut raw.data.tagged_fields;
    let mut add = |field| fields.push(RawTaggedField::KnownSemantics(field));
    if let Some(address) = &extras.fallback {
        add(TaggedField::Fallback(fallback(address)?));
    }
    if !extras.payment_metadata.is_empty() {
        add(TaggedField::PaymentMetadata(extras.payment_metadata.clone()));
        for field in fields.iter_mut() {
            if let RawTaggedField::KnownSemantics(TaggedField::Features(features)) = field {
                features.set_payment_metadata_required();
            }
        }
    }
    if let Some(hints) = hints {
        fields.retain(|field| {
            !matches!(field, RawTaggedField::KnownSemantics(TaggedField::PrivateRoute(_)))
        });
        for hint in hints {
            let route = PrivateRoute::new(hint).map_err(|error| not_made(error.to_string()))?;
            fields.push(RawTaggedField::KnownSemantics(TaggedField::PrivateRoute(route)));
        }
    }
    let signature = sign(&raw).map_err(|()| not_made("the key did not sign it".to_owned()))?;
    let signed = raw.sign(|_| Ok::<_, ()>(signature));
    let signed = signed.map_err(|()| not_made("it cannot be signed".to_owned()))?;
    Bolt11Invoice::from_signed(signed).map_err(|error| not_made(error.to_string()))
}

fn fallback(address: &Address) -> Result<Fallback, Error> {
    if let Some(program) = address.witness_program() {
        let bytes = program.program().as_bytes().to_vec();
        return Ok(Fallback::SegWitProgram { version: program.version(), program: bytes });
    }
    let hash = address.pubkey_hash().map(Fallback::PubKeyHash);
    hash.or(address.script_hash().map(Fallback::ScriptHash)).ok_or_else(|| Error::Bad {
        argument: "fallback_address",
        why: "is of a kind that invoices cannot name".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;
    use std::time::Duration;

    use bitcoin::hashes::{Hash as _, sha256};
    use bitcoin::secp256k1::{Message, PublicKey, Secp256k1, SecretKey};
    use lightning::types::payment::PaymentSecret;
    use lightning_invoice::{Currency, InvoiceBuilder};

    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_slice(&[7; 32]).expect("a key")
    }

    fn ldks() -> Bolt11Invoice {
        let secp = Secp256k1::new();
        InvoiceBuilder::new(Currency::Regtest)
            .description("bread".to_owned())
            .payee_pub_key(PublicKey::from_secret_key(&secp, &key()))
            .payment_hash(sha256::Hash::hash(&[1]))
            .payment_secret(PaymentSecret([2; 32]))
            .duration_since_epoch(Duration::from_secs(1_790_000_000))
            .min_final_cltv_expiry_delta(144)
            .basic_mpp()
            .private_route(a_hint(1))
            .build_signed(|message| secp.sign_ecdsa_recoverable(message, &key()))
            .expect("an invoice")
    }

    fn a_hint(short_channel_id: u64) -> RouteHint {
        let fees = RoutingFees { base_msat: 1, proportional_millionths: 2 };
        RouteHint(vec![RouteHintHop {
            src_node_id: PublicKey::from_secret_key(&Secp256k1::new(), &key()),
            short_channel_id,
            fees,
            cltv_expiry_delta: 40,
            htlc_minimum_msat: None,
            htlc_maximum_msat: None,
        }])
    }

    fn completed(extras: &Extras, hints: Option<Vec<RouteHint>>) -> Bolt11Invoice {
        let sign = |raw: &RawBolt11Invoice| {
            let message = Message::from_digest(raw.signable_hash());
            Ok(Secp256k1::new().sign_ecdsa_recoverable(&message, &key()))
        };
        let made = complete(ldks(), extras, hints, sign).expect("it is made");
        // As a payer reads it.
        Bolt11Invoice::from_str(&made.to_string()).expect("it is read back, signature and all")
    }

    #[test]
    fn an_invoice_without_extras_is_ldks() {
        assert_eq!(completed(&Extras::default(), None), ldks());
    }

    #[test]
    fn what_was_asked_for_is_in_the_invoice_and_the_rest_is_ldks() {
        for address in [
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
            "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6",
            "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
            "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
        ] {
            let address = Address::from_str(address).expect("an address").assume_checked();
            let extras = Extras {
                hints: Hints::Nowhere,
                fallback: Some(address.clone()),
                payment_metadata: vec![9; 40],
            };
            let hints = vec![a_hint(5), a_hint(6)];
            let made = completed(&extras, Some(hints.clone()));
            let fallbacks: Vec<_> = made.fallback_addresses();
            assert_eq!(fallbacks.len(), 1);
            assert_eq!(fallbacks[0].script_pubkey(), address.script_pubkey());
            assert_eq!(made.payment_metadata(), Some(&vec![9; 40]));
            let features = made.features().expect("it has features");
            assert!(features.requires_payment_metadata() && features.supports_basic_mpp());
            assert_eq!(made.route_hints(), hints);
            assert_eq!(made.payment_secret(), ldks().payment_secret());
            assert_eq!(made.min_final_cltv_expiry_delta(), 144);
        }
        let only_address = Extras {
            fallback: Some(
                Address::from_str("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn")
                    .expect("one")
                    .assume_checked(),
            ),
            ..Extras::default()
        };
        assert_eq!(completed(&only_address, None).route_hints(), [a_hint(1)]);
    }

    #[test]
    fn too_much_is_refused_and_requests_differ() {
        let many = Extras { hints: Hints::Through(vec![[1; 32]; 11]), ..Extras::default() };
        let long = Extras { payment_metadata: vec![0; 513], ..Extras::default() };
        for (extras, argument) in [(&many, "hint_channels"), (&long, "payment_metadata")] {
            let refused = extras.check().expect_err("too much");
            assert!(refused.to_string().starts_with(argument), "{refused}");
        }
        let closed = Extras { hints: Hints::Through(vec![[1; 32]]), ..Extras::default() };
        assert!(
            closed.route_hints(&[]).expect_err("no such channel").to_string().contains("not open")
        );
        assert_eq!(Extras::default().route_hints(&[]).expect("LDK chooses"), None);
        assert!(Extras::default().fingerprint().is_empty());
        assert_ne!(many.fingerprint(), closed.fingerprint());
        assert_ne!(long.fingerprint(), closed.fingerprint());
    }
}
