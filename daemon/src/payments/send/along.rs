//! Paying over a route that the caller names, once: LDK looks for no other.

use std::str::FromStr as _;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::PublicKey;
use fulmen_routing::Plan;
use lightning::ln::channelmanager::RecipientOnionFields;
use lightning::routing::router::{PaymentParameters, RouteHint, RouteParameters};
use lightning::sign::EntropySource as _;
use lightning::types::payment::PaymentPreimage;
use lightning_invoice::Bolt11Invoice;

use super::attempt::SendRequest;
use super::non_empty;
use crate::idempotency::Key;
use crate::payments::check::{self, AskedLimits, PaymentLimits};
use crate::payments::named::{self, Bounds, BuildRoute, NamedHop};
use crate::payments::records::book::{NewPayment, PaymentAdmission};
use crate::payments::records::record::{PaymentKind, PaymentRecord};
use crate::payments::route::{KEYSEND_FINAL_CLTV_DELTA, Payee};
use crate::payments::{Error, PaymentFollower, Payments};

/// A payment over a given route.
#[derive(Clone, Debug)]
pub struct SendToRoute {
    /// The invoice that is paid, or the node that is paid without one.
    pub to: Payee,
    /// What arrives; may be left to an invoice.
    pub amount_msat: Option<u64>,
    /// The paths, each from our channel to the payee.
    pub route: Vec<Vec<NamedHop>>,
    /// The caller's bounds; the time is of no account.
    pub limits: AskedLimits,
    /// The same key again follows the first payment.
    pub idempotency_key: Option<String>,
    /// The payer's own words.
    pub label: String,
}

/// What is paid over the route.
enum Order {
    Invoice(Box<Bolt11Invoice>),
    Keysend(PaymentPreimage),
}

impl Payments {
    /// Builds a route over given nodes, from what our graph knows of the channels between them.
    ///
    /// # Errors
    /// [`Error::BadRoute`], and what makes no sense in the request.
    pub fn build_route(&self, request: BuildRoute) -> Result<Plan, Error> {
        let invoice = request.bolt11.as_deref().map(invoice).transpose()?;
        let terms = match &invoice {
            Some(invoice) => Some(check::terms(invoice, request.amount_msat, &self.facts())?),
            None => None,
        };
        let amount_msat = match &terms {
            Some(terms) => terms.amount_msat,
            None => check::amount(request.amount_msat.unwrap_or(0))?,
        };
        let payee = request.nodes.last().ok_or(named::Fault::Empty)?;
        if let Some(terms) = terms.filter(|terms| terms.payee.serialize() != *payee) {
            tracing::debug!(payee = %terms.payee, "the nodes lead to another payee");
            return Err(named::Fault::OtherPayee(*payee).into());
        }
        let payee = key(payee)?;
        let of_payee = invoice.as_ref().map_or(KEYSEND_FINAL_CLTV_DELTA, final_delta);
        let final_cltv_delta = request.final_cltv_delta.unwrap_or(of_payee);
        let hints = invoice.as_ref().map_or_else(Vec::new, Bolt11Invoice::route_hints);
        let own = self.0.node.channel_manager.list_channels();
        let us = self.0.node.id().serialize();
        let edges = |from, to| self.edges((from, to), &own, &hints, &payee);
        let out = request.out_through;
        Ok(named::build(us, &request.nodes, amount_msat, final_cltv_delta, out, edges)?)
    }

    /// Pays over the given route and follows the payment; where the route fails, so does the payment.
    ///
    /// # Errors
    /// [`Error::BadRoute`] before anything is recorded, and what stands in the way of any payment.
    pub async fn send_to_route(&self, request: SendToRoute) -> Result<PaymentFollower, Error> {
        let (order, record, hints, of_payee) = self.order(&request)?;
        let (key, known_hash) = match &order {
            Order::Invoice(_) => {
                (key_of(&request, &record.payment_hash), Some(record.payment_hash))
            }
            Order::Keysend(_) => (key_of(&request, &payee_of(&record)), None),
        };
        if let PaymentAdmission::Follow(payment_id) =
            self.0.book.look(key.as_ref(), known_hash.as_ref())?
        {
            return self.follow(payment_id);
        }
        let limits = check::budget(request.limits, record.amount_msat, &self.0.config)?;
        let max_parts = match &order {
            Order::Invoice(invoice) => {
                check::not_expired(invoice, self.0.clock.since_epoch())?;
                let features = invoice.features();
                if features.is_some_and(|features| features.requires_unknown_bits()) {
                    let why = "it needs a feature that is not known here".to_owned();
                    return Err(Error::Unpayable(why));
                }
                match features.is_some_and(|features| features.supports_basic_mpp()) {
                    true => limits.max_parts,
                    false => 1,
                }
            }
            // Parts need a secret of the recipient, which a keysend does not have.
            Order::Keysend(_) => 1,
        };
        (self.0.admission)()?;
        let bounds = Bounds {
            payee: payee_of(&record),
            amount_msat: record.amount_msat,
            final_cltv_delta: of_payee,
            max_fee_msat: limits.max_fee_msat,
            max_total_cltv_delta: limits.max_total_cltv_delta,
            max_parts,
        };
        let own = self.0.node.channel_manager.list_channels();
        let plan = self.verified(&request.route, &bounds, &own, &hints)?;
        let own: Vec<_> = own.iter().collect();
        let paths = self.0.node.router.planner().paths(&plan, &own);
        let paths = paths.ok_or(Error::Unpayable("a node of the route is no key".to_owned()))?;
        let send = send_request(order, &record, limits)?;
        self.start_along(NewPayment { record, key }, send, limits, paths)
    }

    /// What the request pays, its record, the hints to the payee, and the blocks that the payee asks for.
    fn order(
        &self,
        request: &SendToRoute,
    ) -> Result<(Order, PaymentRecord, Vec<RouteHint>, u32), Error> {
        let label = non_empty(request.label.clone());
        match &request.to {
            Payee::Invoice(text) => {
                let invoice = invoice(text)?;
                let terms = check::terms(&invoice, request.amount_msat, &self.facts())?;
                let record = PaymentRecord {
                    payment_hash: terms.payment_hash,
                    payee: Some(terms.payee),
                    amount_msat: terms.amount_msat,
                    bolt11: Some(invoice.to_string()),
                    description: non_empty(terms.description),
                    label,
                    ..self.blank(PaymentKind::Bolt11)
                };
                let (hints, delta) = (invoice.route_hints(), final_delta(&invoice));
                Ok((Order::Invoice(Box::new(invoice)), record, hints, delta))
            }
            Payee::Node(node) => {
                let preimage = PaymentPreimage(self.0.node.keys.get_secure_random_bytes());
                let record = PaymentRecord {
                    payment_hash: sha256::Hash::hash(&preimage.0).to_byte_array(),
                    payee: Some(check::payee(*node, &self.facts())?),
                    amount_msat: check::amount(request.amount_msat.unwrap_or(0))?,
                    label,
                    ..self.blank(PaymentKind::Keysend)
                };
                Ok((Order::Keysend(preimage), record, Vec::new(), KEYSEND_FINAL_CLTV_DELTA))
            }
        }
    }

    fn verified(
        &self,
        route: &[Vec<NamedHop>],
        bounds: &Bounds,
        own: &[lightning::ln::channel_state::ChannelDetails],
        hints: &[RouteHint],
    ) -> Result<Plan, Error> {
        let us = self.0.node.id().serialize();
        let payee = key(&bounds.payee)?;
        let plan = named::plan(us, route)?;
        named::verify(us, &plan, bounds, |from, to| self.edges((from, to), own, hints, &payee))?;
        Ok(plan)
    }
}

fn send_request(
    order: Order,
    record: &PaymentRecord,
    limits: PaymentLimits,
) -> Result<SendRequest, Error> {
    let amount_msat = record.amount_msat;
    Ok(match order {
        Order::Invoice(invoice) => SendRequest::Bolt11 { invoice, amount_msat },
        Order::Keysend(preimage) => {
            let payee = key(&payee_of(record))?;
            let parameters = PaymentParameters::for_keysend(payee, KEYSEND_FINAL_CLTV_DELTA, false)
                .with_max_total_cltv_expiry_delta(limits.max_total_cltv_delta)
                .with_max_path_count(1);
            let mut route = RouteParameters::from_payment_params_and_value(parameters, amount_msat);
            route.max_total_routing_fee_msat = Some(limits.max_fee_msat);
            let onion = RecipientOnionFields::spontaneous_empty();
            SendRequest::Keysend { route: Box::new(route), onion, preimage }
        }
    })
}

fn invoice(text: &str) -> Result<Bolt11Invoice, Error> {
    Bolt11Invoice::from_str(text.trim()).map_err(|error| Error::NotAnInvoice(error.to_string()))
}

fn final_delta(invoice: &Bolt11Invoice) -> u32 {
    invoice.min_final_cltv_expiry_delta().try_into().unwrap_or(u32::MAX)
}

fn payee_of(record: &PaymentRecord) -> [u8; 33] {
    record.payee.map_or([0; 33], |payee| payee.serialize())
}

fn key(node: &[u8; 33]) -> Result<PublicKey, Error> {
    PublicKey::from_slice(node).map_err(|_| named::Fault::OtherPayee(*node).into())
}

/// The caller's key with what it stands for: what is paid, how much, and the way.
fn key_of(request: &SendToRoute, what: &[u8]) -> Option<Key> {
    let hops = request.route.iter().flat_map(|path| [0; 8].into_iter().chain(scids(path)));
    let named: Vec<u8> = what.iter().copied().chain(hops).collect();
    let fingerprint = check::fingerprint(&named, request.amount_msat);
    Key::new(request.idempotency_key.clone(), fingerprint)
}

fn scids(path: &[NamedHop]) -> impl Iterator<Item = u8> {
    path.iter().flat_map(|hop| hop.scid.to_be_bytes())
}
