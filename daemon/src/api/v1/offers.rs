//! The `Offers` service.

use fulmen_proto::v1;
use tonic::{Request, Response, Status};

use super::convert::filter::{filter, no_channels};
use super::convert::{self, fields};
use super::{refusal, view};
use crate::api::status::malformed;
use crate::invoices::Invoices;
use crate::offers::{CreateOffer, OfferRecord, Offers};
use crate::payments::{GiveRefund, Payments};

/// A longer text cannot be a refund that is worth reading.
const MAX_REFUND_BYTES: usize = 7_089;

/// Serves `fulmen.v1.Offers`.
#[derive(Clone)]
pub struct OffersService {
    /// The room behind it.
    pub offers: Offers,
    /// Pays refunds.
    pub payments: Payments,
    /// Records what refunds of others bring.
    pub invoices: Invoices,
}

#[tonic::async_trait]
impl v1::offers_server::Offers for OffersService {
    async fn create(
        &self,
        request: Request<v1::CreateOfferRequest>,
    ) -> Result<Response<v1::CreateOfferResponse>, Status> {
        let request = request.into_inner();
        let create = CreateOffer {
            amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?,
            description: request.description,
            issuer: request.issuer,
            max_quantity: request.max_quantity.filter(|most| *most != 1),
            expiry_secs: request.expiry_secs,
            idempotency_key: fields::idempotency_key(request.idempotency_key)?,
        };
        let record =
            self.offers.create(create).await.map_err(|error| refusal::offers("offer", error))?;
        let offer = Some(view::offer::offer(record, self.offers.now()));
        Ok(Response::new(v1::CreateOfferResponse { offer }))
    }

    async fn get(
        &self,
        request: Request<v1::GetOfferRequest>,
    ) -> Result<Response<v1::GetOfferResponse>, Status> {
        let offer_id = fields::bytes32("offer_id", &request.into_inner().offer_id)?;
        let record =
            self.offers.get(&offer_id).map_err(|error| refusal::offers("offer_id", error))?;
        let offer = Some(view::offer::offer(record, self.offers.now()));
        Ok(Response::new(v1::GetOfferResponse { offer }))
    }

    async fn list(
        &self,
        request: Request<v1::ListOffersRequest>,
    ) -> Result<Response<v1::ListOffersResponse>, Status> {
        let request = request.into_inner();
        let page = fields::page(request.page)?;
        let wanted = filter::<OfferRecord>(request.filter, no_channels)?;
        let page = self.offers.page(&page.token, page.limit, request.only_enabled, &wanted);
        let page = page.map_err(|error| refusal::offers("page_token", error))?;
        let now = self.offers.now();
        Ok(Response::new(v1::ListOffersResponse {
            offers: page
                .items
                .into_iter()
                .map(|(_, record)| view::offer::offer(record, now))
                .collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn set_enabled(
        &self,
        request: Request<v1::SetOfferEnabledRequest>,
    ) -> Result<Response<v1::SetOfferEnabledResponse>, Status> {
        let request = request.into_inner();
        let offer_id = fields::bytes32("offer_id", &request.offer_id)?;
        let record = self.offers.set_enabled(&offer_id, request.enabled).await;
        let record = record.map_err(|error| refusal::offers("offer_id", error))?;
        let offer = Some(view::offer::offer(record, self.offers.now()));
        Ok(Response::new(v1::SetOfferEnabledResponse { offer }))
    }

    async fn give_refund(
        &self,
        request: Request<v1::GiveRefundRequest>,
    ) -> Result<Response<v1::GiveRefundResponse>, Status> {
        let request = request.into_inner();
        let give = GiveRefund {
            amount_msat: request.amount_msat,
            description: request.description,
            expiry_secs: request.expiry_secs,
            limits: convert::payment::limits(request.limits),
            idempotency_key: fields::idempotency_key(request.idempotency_key)?,
            label: fields::label(request.label)?,
        };
        let record = self.payments.give_refund(give).await;
        let record = record.map_err(|error| refusal::payments("refund", error))?;
        Ok(Response::new(v1::GiveRefundResponse {
            refund: record.offer.clone().unwrap_or_default(),
            payment: Some(view::payment::payment(record)),
        }))
    }

    async fn redeem_refund(
        &self,
        request: Request<v1::RedeemRefundRequest>,
    ) -> Result<Response<v1::RedeemRefundResponse>, Status> {
        let refund = request.into_inner().refund;
        if refund.len() > MAX_REFUND_BYTES {
            return Err(malformed("refund", "is too long for a refund"));
        }
        let redeemed =
            self.offers.redeem(&refund).map_err(|error| refusal::offers("refund", error))?;
        let record = self.invoices.expect_refund(
            redeemed.payment_hash,
            redeemed.amount_msat,
            redeemed.description,
            redeemed.expires_at,
        );
        let record = record.await.map_err(|error| refusal::invoices("refund", error))?;
        Ok(Response::new(v1::RedeemRefundResponse {
            invoice: Some(view::invoice::invoice(record, self.invoices.now())),
        }))
    }
}
