//! The `Invoices` service: hold invoices, and one invoice followed.

use fulmen_lnd_proto::invoicesrpc::invoices_server::Invoices;
use fulmen_lnd_proto::invoicesrpc::lookup_invoice_msg::InvoiceRef;
use fulmen_lnd_proto::{invoicesrpc, lnrpc};
use tonic::{Request, Response, Status};

use super::lightning::invoices;
use super::read;
use super::refusal::{self, refused};
use super::rooms::LndRooms;
use super::view::invoice::{Indices, invoice};
use crate::api::status::internal;
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::invoices::InvoiceFollower;

/// Serves `invoicesrpc.Invoices`.
#[derive(Clone)]
pub struct InvoicesService(pub LndRooms);

#[tonic::async_trait]
impl Invoices for InvoicesService {
    async fn add_hold_invoice(
        &self,
        request: Request<invoicesrpc::AddHoldInvoiceRequest>,
    ) -> Result<Response<invoicesrpc::AddHoldInvoiceResp>, Status> {
        invoices::add_hold(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn settle_invoice(
        &self,
        request: Request<invoicesrpc::SettleInvoiceMsg>,
    ) -> Result<Response<invoicesrpc::SettleInvoiceResp>, Status> {
        let preimage = read::hash(&request.into_inner().preimage)?;
        self.0.invoices.settle(None, preimage).await.map_err(refusal::invoices)?;
        Ok(Response::new(invoicesrpc::SettleInvoiceResp {}))
    }

    async fn cancel_invoice(
        &self,
        request: Request<invoicesrpc::CancelInvoiceMsg>,
    ) -> Result<Response<invoicesrpc::CancelInvoiceResp>, Status> {
        let hash = read::hash(&request.into_inner().payment_hash)?;
        self.0.invoices.cancel(&hash).await.map_err(refusal::invoices)?;
        Ok(Response::new(invoicesrpc::CancelInvoiceResp {}))
    }

    async fn subscribe_single_invoice(
        &self,
        request: Request<invoicesrpc::SubscribeSingleInvoiceRequest>,
    ) -> Result<Response<ResponseStream<lnrpc::Invoice>>, Status> {
        let hash = read::hash(&request.into_inner().r_hash)?;
        let following = self.0.invoices.follow(hash).map_err(refusal::invoice_lookup)?;
        Ok(Response::new(stream(Single(following, self.0.clone()), self.0.stopping.clone())))
    }

    async fn lookup_invoice_v2(
        &self,
        request: Request<invoicesrpc::LookupInvoiceMsg>,
    ) -> Result<Response<lnrpc::Invoice>, Status> {
        match request.into_inner().invoice_ref {
            Some(InvoiceRef::PaymentHash(hash)) => {
                invoices::look_up_hash(&self.0, &read::hash(&hash)?).map(Response::new)
            }
            Some(InvoiceRef::PaymentAddr(_) | InvoiceRef::SetId(_)) => {
                Err(refused("invoices are looked up by payment hash only"))
            }
            None => Err(refused("invoice ref must be set")),
        }
    }
}

/// The states of one invoice.
struct Single(InvoiceFollower, LndRooms);

impl Steps for Single {
    type Item = lnrpc::Invoice;

    async fn next(&mut self) -> Result<Option<lnrpc::Invoice>, Status> {
        let record = self.0.next().await.map_err(|error| internal(&error))?;
        let indices = Indices { height: self.1.height(), ..Indices::default() };
        Ok(record.map(|record| invoice(record, self.0.now(), indices)))
    }
}
