//! The `Invoices` service.

use bitcoin::hashes::Hash as _;
use fulmen_proto::v1;
use lightning_invoice::Bolt11Invoice;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert::filter::{among, filter};
use super::convert::{self, fields};
use super::{refusal, view};
use crate::api::status::{internal, malformed};
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::channels::Channels;
use crate::invoices::{
    self, CreateInvoice, Describe, Extras, Hints, InvoiceFollower, InvoiceRecord, InvoiceState,
    Invoices, MAX_HINTS, Receiving,
};

/// Serves `fulmen.v1.Invoices`.
#[derive(Clone)]
pub struct InvoicesService {
    /// The room that it serves.
    pub invoices: Invoices,
    /// Knows the names of channels.
    pub channels: Channels,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::invoices_server::Invoices for InvoicesService {
    type WatchStream = ResponseStream<v1::Invoice>;
    type SubscribeReceivedStream = ResponseStream<v1::Received>;

    async fn create(
        &self,
        request: Request<v1::CreateInvoiceRequest>,
    ) -> Result<Response<v1::CreateInvoiceResponse>, Status> {
        use v1::create_invoice_request::Describe as Wire;
        let request = request.into_inner();
        let describe = match request.describe {
            None => Describe::Text(String::new()),
            Some(Wire::Description(text)) => Describe::Text(text),
            Some(Wire::DescriptionHash(hash)) => {
                Describe::Hash(fields::bytes32("description_hash", &hash)?)
            }
        };
        let preimage = match request.preimage.as_slice() {
            [] => None,
            bytes => Some(fields::bytes32("preimage", bytes)?),
        };
        let hold_hash = match request.payment_hash.as_slice() {
            [] => None,
            bytes => Some(fields::bytes32("payment_hash", bytes)?),
        };
        let extras = Extras {
            hints: self.hints(request.hint_channels, request.no_hints)?,
            fallback: match request.fallback_address.as_str() {
                "" => None,
                text => Some(fields::address("fallback_address", text, self.channels.network())?),
            },
            payment_metadata: request.payment_metadata,
        };
        let create = CreateInvoice {
            extras,
            amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?,
            describe,
            expiry_secs: request.expiry_secs,
            preimage,
            hold_hash,
            min_final_cltv_expiry_delta: request.min_final_cltv_expiry_delta,
            idempotency_key: fields::idempotency_key(request.idempotency_key)?,
        };
        let record = self.invoices.create(create).await;
        let record = record.map_err(|error| refusal::invoices("preimage", error))?;
        Ok(Response::new(v1::CreateInvoiceResponse {
            invoice: Some(view::invoice::invoice(record, self.invoices.now())),
        }))
    }

    async fn get(
        &self,
        request: Request<v1::GetInvoiceRequest>,
    ) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        use v1::get_invoice_request::By;
        let (argument, hash) = match request.into_inner().by {
            None => return Err(malformed("payment_hash", "it or a bolt11 is needed")),
            Some(By::PaymentHash(hash)) => {
                ("payment_hash", fields::payment_hash("payment_hash", &hash)?.0)
            }
            Some(By::Bolt11(text)) => ("bolt11", decoded(text)?.payment_hash().to_byte_array()),
        };
        let record =
            self.invoices.get(&hash).map_err(|error| refusal::invoices(argument, error))?;
        Ok(Response::new(v1::GetInvoiceResponse {
            invoice: Some(view::invoice::invoice(record, self.invoices.now())),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListInvoicesRequest>,
    ) -> Result<Response<v1::ListInvoicesResponse>, Status> {
        use v1::invoice::State as Wire;
        let request = request.into_inner();
        let state = match Wire::try_from(request.state) {
            Ok(Wire::Unspecified) => None,
            Ok(Wire::Open) => Some(InvoiceState::Open),
            Ok(Wire::Accepted) => Some(InvoiceState::Accepted),
            Ok(Wire::Claiming) => Some(InvoiceState::Claiming),
            Ok(Wire::Settled) => Some(InvoiceState::Settled),
            Ok(Wire::Cancelled) => Some(InvoiceState::Cancelled),
            Ok(Wire::Expired) => Some(InvoiceState::Expired),
            Err(_) => return Err(malformed("state", "is not a state of an invoice")),
        };
        let offer_id = match request.offer_id.as_slice() {
            [] => None,
            bytes => Some(fields::bytes32("offer_id", bytes)?),
        };
        let page = fields::page(request.page)?;
        let wanted = filter::<InvoiceRecord>(request.filter, among(&self.channels))?;
        let page = self.invoices.page(&page.token, page.limit, state, offer_id, &wanted);
        let page = page.map_err(|error| refusal::invoices("page_token", error))?;
        let now = self.invoices.now();
        Ok(Response::new(v1::ListInvoicesResponse {
            invoices: page
                .items
                .into_iter()
                .map(|(_, record)| view::invoice::invoice(record, now))
                .collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelInvoiceRequest>,
    ) -> Result<Response<v1::CancelInvoiceResponse>, Status> {
        let hash = fields::payment_hash("payment_hash", &request.into_inner().payment_hash)?;
        let record = self.invoices.cancel(&hash.0).await;
        let record = record.map_err(|error| refusal::invoices("payment_hash", error))?;
        Ok(Response::new(v1::CancelInvoiceResponse {
            invoice: Some(view::invoice::invoice(record, self.invoices.now())),
        }))
    }

    async fn settle(
        &self,
        request: Request<v1::SettleInvoiceRequest>,
    ) -> Result<Response<v1::SettleInvoiceResponse>, Status> {
        let request = request.into_inner();
        let preimage = fields::bytes32("preimage", &request.preimage)?;
        let hash = match request.payment_hash.as_slice() {
            [] => None,
            bytes => Some(fields::bytes32("payment_hash", bytes)?),
        };
        let record = self.invoices.settle(hash, preimage).await;
        let record = record.map_err(|error| refusal::invoices("preimage", error))?;
        Ok(Response::new(v1::SettleInvoiceResponse {
            invoice: Some(view::invoice::invoice(record, self.invoices.now())),
        }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchInvoiceRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let hash = fields::payment_hash("payment_hash", &request.into_inner().payment_hash)?;
        let following = self
            .invoices
            .follow(hash.0)
            .map_err(|error| refusal::invoices("payment_hash", error))?;
        Ok(Response::new(stream(following, self.stopping.clone())))
    }

    async fn subscribe_received(
        &self,
        request: Request<v1::SubscribeReceivedRequest>,
    ) -> Result<Response<Self::SubscribeReceivedStream>, Status> {
        let request = request.into_inner();
        let start = fields::Start {
            argument: "after_index",
            after: request.after_index,
            from_now: request.from_now,
            until_now: request.until_now,
        };
        let refused = |error| refusal::invoices("after_index", error);
        let (after, last) = start.of(self.invoices.received_head().map_err(refused)?)?;
        let receiving = self.invoices.receiving(after, last).map_err(refused)?;
        Ok(Response::new(stream(receiving, self.stopping.clone())))
    }

    async fn decode(
        &self,
        request: Request<v1::DecodeInvoiceRequest>,
    ) -> Result<Response<v1::DecodeInvoiceResponse>, Status> {
        Ok(Response::new(view::decoded::decoded(
            &decoded(request.into_inner().bolt11)?,
            self.invoices.now(),
        )))
    }
}

impl InvoicesService {
    fn hints(&self, named: Vec<v1::ChannelRef>, none: bool) -> Result<Hints, Status> {
        if none && !named.is_empty() {
            return Err(malformed("no_hints", "is set together with hint_channels"));
        }
        if none {
            return Ok(Hints::Nowhere);
        }
        // Looked at before the channels are: each look costs as much as there are channels.
        if named.len() > MAX_HINTS {
            let why = format!("{} are named, at most {MAX_HINTS} are taken", named.len());
            return Err(malformed("hint_channels", why));
        }
        let id_of = |reference| {
            let reference = fields::channel_ref("hint_channels", Some(reference))?;
            let names = self.channels.names(&reference).map_err(refusal::channels)?;
            Ok(names.channel_id)
        };
        match named.len() {
            0 => Ok(Hints::Automatic),
            _ => named.into_iter().map(id_of).collect::<Result<_, Status>>().map(Hints::Through),
        }
    }
}

impl Steps for Receiving {
    type Item = v1::Received;

    async fn next(&mut self) -> Result<Option<v1::Received>, Status> {
        let received = Receiving::next(self).await.map_err(|error| internal(&error))?;
        Ok(received.map(|received| view::invoice::received(received, self.now())))
    }
}

impl Steps for InvoiceFollower {
    type Item = v1::Invoice;

    async fn next(&mut self) -> Result<Option<v1::Invoice>, Status> {
        match InvoiceFollower::next(self).await {
            Ok(record) => Ok(record.map(|record| view::invoice::invoice(record, self.now()))),
            Err(error) => Err(internal(&error)),
        }
    }
}

fn decoded(text: String) -> Result<Bolt11Invoice, Status> {
    let text = convert::bolt11::bolt11("bolt11", &text)?;
    invoices::decode(&text).map_err(|error| refusal::invoices("bolt11", error))
}
