//! LDK's `OffersMessageHandler`: requests for invoices reach LDK only while their offer is to be answered.
//!
//! The messages themselves need not wait for a checkpoint. An invoice that we send promises nothing that is stored:
//! its preimage and secret derive from the node's keys, so that it is as good after a crash. A request for an invoice
//! that we send binds nobody: if a crash makes LDK forget it, the invoice that comes back is not ours to pay.

use std::sync::{Arc, OnceLock};

use bitcoin::secp256k1::{All, Secp256k1};
use lightning::blinded_path::message::OffersContext;
use lightning::offers::invoice_error::InvoiceError;
use lightning::offers::invoice_request::InvoiceRequest;
use lightning::onion_message::messenger::{
    MessageSendInstructions, Responder, ResponseInstruction,
};
use lightning::onion_message::offers::{OffersMessage, OffersMessageHandler};
use lightning::sign::NodeSigner as _;

use super::keys::Keys;

/// Returns whether requests for an offer, named by its id, are answered; a refusal is in words for the payer.
pub type AnswerCheck = Box<dyn Fn(&[u8; 32]) -> Result<(), &'static str> + Send + Sync>;

/// Puts a check before LDK's handler.
pub struct OfferRequests<H> {
    handler: Arc<H>,
    keys: Arc<Keys>,
    check: OnceLock<AnswerCheck>,
    secp: Secp256k1<All>,
}

impl<H> OfferRequests<H> {
    /// Answers nobody until [`OfferRequests::attach`].
    pub fn new(handler: Arc<H>, keys: Arc<Keys>) -> Self {
        Self { handler, keys, check: OnceLock::new(), secp: Secp256k1::new() }
    }

    /// Hands in the check, once: the node does not know the room of offers.
    pub fn attach(&self, check: AnswerCheck) {
        // A second check would be a mistake of the composition root; the first one stays.
        let _ = self.check.set(check);
    }

    /// The id of the offer that a request is for, if the offer is ours.
    fn offer_id(
        &self,
        request: &InvoiceRequest,
        context: Option<&OffersContext>,
    ) -> Option<[u8; 32]> {
        let key = self.keys.get_expanded_key();
        let verified = match context {
            Some(OffersContext::InvoiceRequest { nonce }) => {
                request.clone().verify_using_recipient_data(*nonce, &key, &self.secp)
            }
            None => request.clone().verify_using_metadata(&key, &self.secp),
            Some(_) => Err(()),
        };
        verified.ok().map(|verified| verified.offer_id.0)
    }

    fn refusal(
        &self,
        request: &InvoiceRequest,
        context: Option<&OffersContext>,
    ) -> Option<&'static str> {
        // LDK ignores what is not for an offer of ours.
        let offer_id = self.offer_id(request, context)?;
        match self.check.get() {
            Some(check) => check(&offer_id).err(),
            None => Some("the node is starting"),
        }
    }
}

impl<H: OffersMessageHandler> OffersMessageHandler for OfferRequests<H> {
    fn handle_message(
        &self,
        message: OffersMessage,
        context: Option<OffersContext>,
        responder: Option<Responder>,
    ) -> Option<(OffersMessage, ResponseInstruction)> {
        if let OffersMessage::InvoiceRequest(request) = &message
            && let Some(why) = self.refusal(request, context.as_ref())
        {
            let error = OffersMessage::InvoiceError(InvoiceError::from_string(why.to_owned()));
            return responder.map(|responder| (error, responder.respond()));
        }
        self.handler.handle_message(message, context, responder)
    }

    fn release_pending_messages(&self) -> Vec<(OffersMessage, MessageSendInstructions)> {
        self.handler.release_pending_messages()
    }
}
