//! What a text asks to be paid: an invoice, an offer, a refund, a node, an address, a URI or a name.

use std::net::SocketAddr;
use std::str::FromStr as _;

use bitcoin::Network;
use bitcoin::secp256k1::PublicKey;
use bitcoin_payment_instructions::dns_resolver::DNSHrnResolver;
use bitcoin_payment_instructions::hrn_resolution::{
    DummyHrnResolver, HrnResolution, HrnResolver as _, HumanReadableName,
};
use bitcoin_payment_instructions::{
    ParseError, PaymentInstructions, PaymentMethod, PossiblyResolvedPaymentMethod,
};
use lightning::offers::offer::Offer;
use lightning::offers::refund::Refund;
use lightning_invoice::Bolt11Invoice;

use crate::bolt11;

/// A longer text cannot be anything that is worth reading.
const MAX_BYTES: usize = 7_089;

/// What is to be paid.
#[derive(Clone, Debug)]
pub enum Payable {
    /// A BOLT 11 invoice, of any network.
    Invoice(Box<Bolt11Invoice>),
    /// A BOLT 12 offer.
    Offer(Box<Offer>),
    /// A BOLT 12 refund: it gives money, and is redeemed rather than paid.
    Refund(Box<Refund>),
    /// A node, to be paid without an invoice.
    Node(PublicKey),
    /// An on-chain address of this network.
    Address(String),
}

/// What a text says.
#[derive(Clone, Debug)]
pub struct Understood {
    /// What is to be paid; Lightning where there is a choice.
    pub what: Payable,
    /// The on-chain address beside it, which is used only when asked for.
    pub address: Option<String>,
    /// The amount that a URI gives.
    pub amount_msat: Option<u64>,
    /// The name that was resolved (`user@domain`).
    pub name: Option<String>,
}

/// Why a text cannot be paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// Nothing, or far too much.
    #[error("an invoice, an offer, a node id, an address, a bitcoin: URI or user@domain is needed")]
    Nothing,
    /// It begins like something and is not.
    #[error("this begins like {what}, but is not: {why}")]
    Broken {
        /// What it begins like.
        what: &'static str,
        /// Why it is not.
        why: String,
    },
    /// It is known what it is, and this release does not pay it.
    #[error("{0}")]
    NotCarried(&'static str),
    /// It is for another network.
    #[error("this is for another network than {0}, on which this node runs")]
    OtherNetwork(Network),
    /// A URI demands something that is not known (`req-…`).
    #[error("this URI requires something that is not known here (a req- parameter)")]
    RequiredParameter,
    /// It has expired.
    #[error("this has expired")]
    Expired,
    /// A name that cannot be resolved with a proof.
    #[error("the name cannot be resolved: {0}")]
    Name(String),
    /// Its parts contradict each other or make no sense.
    #[error("this cannot be understood: {0}")]
    Senseless(String),
}

/// Reads a text; a name is asked of `dns_resolver` and believed only with a DNSSEC proof (BIP 353).
///
/// # Errors
/// See [`NotUnderstood`].
pub async fn understand(
    text: &str,
    network: Network,
    dns_resolver: Option<SocketAddr>,
) -> Result<Understood, NotUnderstood> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err(NotUnderstood::Nothing);
    }
    let text = without_scheme(text, "lightning:");
    match bare(text)? {
        Some(what) => Ok(Understood { what, address: None, amount_msat: None, name: None }),
        None => instructions(text, network, dns_resolver).await,
    }
}

fn without_scheme<'a>(text: &'a str, scheme: &str) -> &'a str {
    match text.get(..scheme.len()) {
        Some(start) if start.eq_ignore_ascii_case(scheme) => {
            text[scheme.len()..].trim_start_matches("//")
        }
        _ => text,
    }
}

/// Reads what stands by itself: Lightning's own texts and node ids.
fn bare(text: &str) -> Result<Option<Payable>, NotUnderstood> {
    let broken = |what, why: String| NotUnderstood::Broken { what, why };
    let lower = text.to_ascii_lowercase();
    if lower.len() == 66 && lower.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let node = PublicKey::from_str(&lower);
        return match node {
            Ok(node) => Ok(Some(Payable::Node(node))),
            Err(error) => Err(broken("a node id", error.to_string())),
        };
    }
    if lower.starts_with("lnurl") || lower.starts_with("keyauth:") {
        return Err(NotUnderstood::NotCarried(
            "this is an LNURL, which this node does not follow: ask the payee for an offer or an invoice",
        ));
    }
    // BOLT 12 lets a text be broken by `+` and white space anywhere between two characters.
    let joined: String = lower.chars().filter(|it| *it != '+' && !it.is_whitespace()).collect();
    if joined.starts_with("lno1") {
        return match Offer::from_str(text) {
            Ok(offer) => Ok(Some(Payable::Offer(Box::new(offer)))),
            Err(error) => Err(broken("an offer", format!("{error:?}"))),
        };
    }
    if joined.starts_with("lnr1") {
        return match Refund::from_str(text) {
            Ok(refund) => Ok(Some(Payable::Refund(Box::new(refund)))),
            Err(error) => Err(broken("a refund", format!("{error:?}"))),
        };
    }
    if joined.starts_with("lni1") {
        return Err(NotUnderstood::NotCarried(
            "this is a BOLT 12 invoice, which only the payer who asked for it can pay: ask for the offer",
        ));
    }
    if lower.starts_with("ln") && !lower.contains('@') {
        return match bolt11::read(text) {
            Ok(invoice) => Ok(Some(Payable::Invoice(Box::new(invoice)))),
            Err(fault) => Err(broken("an invoice", fault.to_string())),
        };
    }
    Ok(None)
}

/// Reads an address, a `bitcoin:` URI or a name.
async fn instructions(
    text: &str,
    network: Network,
    dns_resolver: Option<SocketAddr>,
) -> Result<Understood, NotUnderstood> {
    let (uri, name) = match HumanReadableName::from_encoded(text) {
        Ok(name) => {
            let uri = resolve(&name, dns_resolver).await.map_err(NotUnderstood::Name)?;
            (uri, Some(text.trim_start_matches('₿').to_owned()))
        }
        Err(()) => (text.to_owned(), None),
    };
    bolt11::check_uri(&uri)
        .map_err(|fault| NotUnderstood::Broken { what: "an invoice", why: fault.to_string() })?;
    let parsed = PaymentInstructions::parse(&uri, network, &DummyHrnResolver, false).await;
    let parsed = parsed.map_err(|error| not_understood(error, network))?;
    let (methods, amount_msat): (Vec<PaymentMethod>, Option<u64>) = match &parsed {
        PaymentInstructions::ConfigurableAmount(any) => {
            let resolved = any.methods().filter_map(|method| match method {
                PossiblyResolvedPaymentMethod::Resolved(method) => Some(method.clone()),
                PossiblyResolvedPaymentMethod::LNURLPay { .. } => None,
            });
            (resolved.collect(), None)
        }
        PaymentInstructions::FixedAmount(fixed) => {
            let amount = fixed.ln_payment_amount().or(fixed.onchain_payment_amount());
            (fixed.methods().to_vec(), amount.map(|amount| amount.milli_sats()))
        }
    };
    chosen(methods, amount_msat, name)
}

/// Returns the `bitcoin:` URI that a name stands for.
async fn resolve(
    name: &HumanReadableName,
    dns_resolver: Option<SocketAddr>,
) -> Result<String, String> {
    let resolver = dns_resolver
        .ok_or_else(|| "no DNS resolver is configured (payments.dns_resolver)".to_owned())?;
    match DNSHrnResolver(resolver).resolve_hrn(name).await {
        // Another name would be resolved again, without end.
        Ok(HrnResolution::DNSSEC { result, .. }) if is_uri(&result) => Ok(result),
        Ok(HrnResolution::DNSSEC { .. } | HrnResolution::LNURLPay { .. }) => {
            Err("it does not stand for a bitcoin: URI".to_owned())
        }
        Err(why) => Err(why.to_owned()),
    }
}

fn is_uri(text: &str) -> bool {
    without_scheme(text, "bitcoin:").len() < text.len()
}

/// Lightning first; the address is kept beside it.
fn chosen(
    methods: Vec<PaymentMethod>,
    amount_msat: Option<u64>,
    name: Option<String>,
) -> Result<Understood, NotUnderstood> {
    let (mut invoice, mut offer, mut address) = (None, None, None);
    for method in methods {
        match method {
            PaymentMethod::LightningBolt11(found) => {
                invoice = invoice.or(Some(Payable::Invoice(Box::new(found))));
            }
            PaymentMethod::LightningBolt12(found) => {
                offer = offer.or(Some(Payable::Offer(Box::new(found))));
            }
            PaymentMethod::OnChain(found) => address = address.or(Some(found.to_string())),
            PaymentMethod::Bark(_) | PaymentMethod::Cashu(_) => (),
        }
    }
    let what = offer.or(invoice).or_else(|| address.clone().map(Payable::Address));
    let why = "it offers only ways of payment that this node does not have";
    let what = what.ok_or(NotUnderstood::NotCarried(why))?;
    Ok(Understood { what, address, amount_msat, name })
}

fn not_understood(error: ParseError, network: Network) -> NotUnderstood {
    match error {
        ParseError::InvalidBolt11(error) => {
            NotUnderstood::Broken { what: "an invoice", why: error.to_string() }
        }
        ParseError::InvalidBolt12(error) => {
            NotUnderstood::Broken { what: "an offer", why: format!("{error:?}") }
        }
        ParseError::InvalidOnChain(error) => {
            NotUnderstood::Broken { what: "an address", why: error.to_string() }
        }
        ParseError::InvalidArk(_) | ParseError::InvalidCashu(_) | ParseError::InvalidLnurl(_) => {
            NotUnderstood::NotCarried("this is a way of payment that this node does not have")
        }
        ParseError::WrongNetwork => NotUnderstood::OtherNetwork(network),
        ParseError::InconsistentInstructions(why) | ParseError::InvalidInstructions(why) => {
            NotUnderstood::Senseless(why.to_owned())
        }
        ParseError::UnknownPaymentInstructions => NotUnderstood::Nothing,
        ParseError::UnknownRequiredParameter => NotUnderstood::RequiredParameter,
        ParseError::HrnResolutionError(why) => NotUnderstood::Name(why.to_owned()),
        ParseError::InstructionsExpired => NotUnderstood::Expired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt11::samples;

    /// BOLT 12, offer vectors: "Minimal bolt12 offer".
    const OFFER: &str = "lno1pgx2qttyypzhsf";
    /// BOLT 11, examples: "Please send $3 for a cup of coffee to the same peer, within one minute".
    const INVOICE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqf\
            qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85f\
            kpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
    const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    const NODE: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    async fn read(text: &str) -> Result<Understood, NotUnderstood> {
        understand(text, Network::Regtest, None).await
    }

    fn kind(understood: &Understood) -> &'static str {
        match understood.what {
            Payable::Invoice(_) => "invoice",
            Payable::Offer(_) => "offer",
            Payable::Refund(_) => "refund",
            Payable::Node(_) => "node",
            Payable::Address(_) => "address",
        }
    }

    #[tokio::test]
    async fn each_kind_of_text_is_known() {
        let upper = INVOICE.to_ascii_uppercase();
        for (text, expected) in [
            (INVOICE.to_owned(), "invoice"),
            (upper.clone(), "invoice"),
            (format!("lightning:{INVOICE}"), "invoice"),
            (format!("LIGHTNING:{upper}"), "invoice"),
            (format!("  {NODE}\n"), "node"),
            (NODE.to_ascii_uppercase(), "node"),
            (ADDRESS.to_owned(), "address"),
            (format!("bitcoin:{ADDRESS}?amount=0.001"), "address"),
            (format!("BITCOIN:{}", ADDRESS.to_ascii_uppercase()), "address"),
        ] {
            let understood = read(&text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(kind(&understood), expected, "{text}");
        }
        let uri = read(&format!("bitcoin:{ADDRESS}?amount=0.001")).await.expect("it is a URI");
        assert_eq!(uri.amount_msat, Some(100_000_000));
        assert_eq!(uri.address.as_deref(), Some(ADDRESS));
    }

    /// BOLT 12, `offers-test.json`, one vector a line: verdict, what it shows, text.
    const OFFERS: &str = include_str!("bolt12_offers.txt");
    /// BOLT 12, `format-string-test.json`: "A complete string is valid".
    const COMPLETE: &str = "lno1pqps7sjqpgtyzm3qv4uxzmtsd3jjqer9wd3hy6tsw35k7msjzfpy7nz5yqcnygrfdej82um5wf5k2uckyypwa3e\
            yt44h6txtxquqh7lz5djge4afgfjn7k4rgrkuag0jsd5xvxg";

    #[tokio::test]
    async fn the_offers_of_the_specification_are_read_or_refused() {
        let (mut good, mut bad) = (0, 0);
        for line in OFFERS.lines().filter(|line| !line.starts_with('#')) {
            let [verdict, shows, offer] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("three columns: {line}")
            };
            let understood = read(offer).await;
            match verdict {
                "invalid" => {
                    let error = understood.expect_err(shows);
                    assert!(error.to_string().contains("is not"), "{shows}: {error}");
                    bad += 1;
                }
                _ => {
                    let understood = understood.unwrap_or_else(|error| panic!("{shows}: {error}"));
                    let Payable::Offer(offer) = &understood.what else { panic!("{shows}") };
                    let unknown = offer.offer_features().requires_unknown_bits();
                    assert_eq!(unknown, verdict == "unpayable", "{shows}");
                    good += 1;
                }
            }
        }
        assert_eq!((good, bad), (21, 27), "all vectors are there");
    }

    #[tokio::test]
    async fn an_offer_may_be_broken_as_the_specification_says() {
        let upper = COMPLETE.to_ascii_uppercase();
        let at = |cuts: &[usize], by: &str, text: &str| {
            let mut text = text.to_owned();
            cuts.iter().rev().for_each(|cut| text.insert_str(*cut, by));
            text
        };
        for good in [
            COMPLETE.to_owned(),
            upper.clone(),
            at(&[1], "+", COMPLETE),
            at(&[17, 50, 70, 130], "+", COMPLETE),
            at(&[17, 50, 70], "+ \r\n ", COMPLETE),
            at(&[17, 50, 70], "+\n", &upper),
            format!("lightning:{upper}"),
        ] {
            let read = read(&good).await.unwrap_or_else(|error| panic!("{good}: {error}"));
            assert_eq!(kind(&read), "offer", "{good}");
        }
        for bad in [
            format!("{COMPLETE}+"),
            format!("{COMPLETE}+ "),
            format!("+{COMPLETE}"),
            format!("+ {COMPLETE}"),
            at(&[2], "++", COMPLETE),
            // Upper and lower case must not be mixed (BIP 173).
            at(&[], "", COMPLETE).replace("lno1pqps7", "LnO1PqPs7"),
        ] {
            let error = read(&bad).await.expect_err(&bad).to_string();
            assert!(error.contains("begins like an offer"), "{bad}: {error}");
        }
    }

    #[tokio::test]
    async fn what_is_not_payable_says_why() {
        let sound = samples::signed(None);
        let not_minimal = samples::under("lnbcrt01m", &sound);
        let in_uri = format!("bitcoin:{ADDRESS}?lightning={not_minimal}");
        let too_much = samples::under("lnbcrt18446744073709551615", &sound);
        for (text, part) in [
            ("", "is needed"),
            ("nonsense", "is needed"),
            ("lnbc1nonsense", "begins like an invoice"),
            (not_minimal.as_str(), "other bytes were signed"),
            (in_uri.as_str(), "other bytes were signed"),
            (too_much.as_str(), "more than all bitcoin"),
            ("lno1nonsense", "begins like an offer"),
            (OFFER, "begins like an offer"),
            ("lnr1nonsense", "begins like a refund"),
            ("lni1nonsense", "BOLT 12 invoice"),
            ("lnurl1dp68gurn8ghj7", "LNURL"),
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "another network"),
            (
                "bitcoin:bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080?req-somethingelse=1",
                "a req- parameter",
            ),
            ("someone@example.com", "no DNS resolver is configured"),
        ] {
            let error = read(text).await.expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let off_curve = format!("02{}", "ff".repeat(32));
        assert!(read(&off_curve).await.expect_err("off").to_string().contains("a node id"));
    }
}
