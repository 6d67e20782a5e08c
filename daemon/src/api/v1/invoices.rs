//! The `Invoices` service.

use bitcoin::hashes::Hash as _;
use fulmen_proto::v1;
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::convert::fields as convert;
use super::payments::bolt11;
use crate::api::status::{internal, malformed, refuse, unknown};
use crate::api::stream::{Answers, Steps, stream};
use crate::invoices::{
    self, Create, Describe, Error, Following, InvoiceRecord, Invoices, Kind, State,
};
use crate::storage;

/// Serves `fulmen.v1.Invoices`.
#[derive(Clone)]
pub struct InvoicesService {
    /// The room behind it.
    pub invoices: Invoices,
    /// Cancelled when calls are to end.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::invoices_server::Invoices for InvoicesService {
    type WatchStream = Answers<v1::Invoice>;

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
                Describe::Hash(convert::bytes32("description_hash", &hash)?)
            }
        };
        let preimage = match request.preimage.as_slice() {
            [] => None,
            bytes => Some(convert::bytes32("preimage", bytes)?),
        };
        let create = Create {
            amount_msat: convert::optional_amount_msat("amount_msat", request.amount_msat)?,
            describe,
            expiry_secs: request.expiry_secs,
            preimage,
            min_final_cltv_expiry_delta: request.min_final_cltv_expiry_delta,
            idempotency_key: convert::idempotency_key(request.idempotency_key)?,
        };
        let record = self.invoices.create(create).await;
        let record = record.map_err(|error| refusal("preimage", error))?;
        Ok(Response::new(v1::CreateInvoiceResponse {
            invoice: Some(invoice(record, self.invoices.now())),
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
                ("payment_hash", convert::payment_hash("payment_hash", &hash)?.0)
            }
            Some(By::Bolt11(text)) => ("bolt11", decoded(text)?.payment_hash().to_byte_array()),
        };
        let record = self.invoices.get(&hash).map_err(|error| refusal(argument, error))?;
        Ok(Response::new(v1::GetInvoiceResponse {
            invoice: Some(invoice(record, self.invoices.now())),
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
            Ok(Wire::Open) => Some(State::Open),
            Ok(Wire::Claiming) => Some(State::Claiming),
            Ok(Wire::Settled) => Some(State::Settled),
            Ok(Wire::Cancelled) => Some(State::Cancelled),
            Ok(Wire::Expired) => Some(State::Expired),
            Err(_) => return Err(malformed("state", "is not a state of an invoice")),
        };
        let page = convert::page(request.page)?;
        let page = self.invoices.page(&page.token, page.limit, state);
        let page = page.map_err(|error| refusal("page_token", error))?;
        let now = self.invoices.now();
        Ok(Response::new(v1::ListInvoicesResponse {
            invoices: page.items.into_iter().map(|(_, record)| invoice(record, now)).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelInvoiceRequest>,
    ) -> Result<Response<v1::CancelInvoiceResponse>, Status> {
        let hash = convert::payment_hash("payment_hash", &request.into_inner().payment_hash)?;
        let record = self.invoices.cancel(&hash.0).await;
        let record = record.map_err(|error| refusal("payment_hash", error))?;
        Ok(Response::new(v1::CancelInvoiceResponse {
            invoice: Some(invoice(record, self.invoices.now())),
        }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchInvoiceRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let hash = convert::payment_hash("payment_hash", &request.into_inner().payment_hash)?;
        let following =
            self.invoices.follow(hash.0).map_err(|error| refusal("payment_hash", error))?;
        Ok(Response::new(stream(following, self.stopping.clone())))
    }

    async fn decode(
        &self,
        request: Request<v1::DecodeInvoiceRequest>,
    ) -> Result<Response<v1::DecodeInvoiceResponse>, Status> {
        Ok(Response::new(read(&decoded(request.into_inner().bolt11)?, self.invoices.now())))
    }
}

impl Steps for Following {
    type Item = v1::Invoice;

    async fn next(&mut self) -> Result<Option<v1::Invoice>, Status> {
        match Following::next(self).await {
            Ok(record) => Ok(record.map(|record| invoice(record, self.now()))),
            Err(error) => Err(internal(&error)),
        }
    }
}

fn decoded(text: String) -> Result<Bolt11Invoice, Status> {
    let text = bolt11("bolt11", text)?;
    invoices::decode(&text).map_err(|error| refusal("bolt11", error))
}

/// The status of a refusal; `argument` is what named the invoice.
pub(super) fn refusal(argument: &'static str, error: Error) -> Status {
    let words = error.to_string();
    match error {
        Error::Bad { argument, why } => malformed(argument, why),
        Error::NotAnInvoice(_) => malformed(argument, words),
        Error::HashTaken => {
            refuse(Code::AlreadyExists, "PREIMAGE_TAKEN", format!("preimage: {words}"))
        }
        Error::KeyReused => refuse(
            Code::InvalidArgument,
            "IDEMPOTENCY_KEY_REUSED",
            format!("idempotency_key: {words}"),
        ),
        Error::Unknown => unknown("INVOICE_NOT_FOUND", format!("{argument}: {words}")),
        Error::TooLate(_) => {
            refuse(Code::FailedPrecondition, "INVOICE_NOT_OPEN", format!("{argument}: {words}"))
        }
        Error::NotMade(_) => internal(&error),
        Error::Store(storage::Error::BadToken) => malformed("page_token", storage::Error::BadToken),
        Error::Store(error) => internal(&error),
    }
}

fn invoice(record: InvoiceRecord, now: u64) -> v1::Invoice {
    use v1::invoice;
    let preimage = record.receipt().map(Vec::from).unwrap_or_default();
    v1::Invoice {
        payment_hash: record.payment_hash.to_vec(),
        state: match record.state(now) {
            State::Open => invoice::State::Open,
            State::Claiming => invoice::State::Claiming,
            State::Settled => invoice::State::Settled,
            State::Cancelled => invoice::State::Cancelled,
            State::Expired => invoice::State::Expired,
        }
        .into(),
        kind: kind(record.kind).into(),
        bolt11: record.bolt11.unwrap_or_default(),
        amount_msat: record.amount_msat.unwrap_or(0),
        received_msat: record.received_msat,
        description: record.description.unwrap_or_default(),
        description_hash: record.description_hash.map(Vec::from).unwrap_or_default(),
        created_at: record.created_at,
        expires_at: record.expires_at,
        settled_at: record.settled_at.unwrap_or(0),
        preimage,
        custom_records: record
            .custom_records
            .into_iter()
            .map(|custom| v1::CustomRecord { r#type: custom.kind, value: custom.value })
            .collect(),
        parts: record.parts,
    }
}

fn kind(kind: Kind) -> v1::invoice::Kind {
    match kind {
        Kind::Bolt11 => v1::invoice::Kind::Bolt11,
        Kind::Keysend => v1::invoice::Kind::Keysend,
        Kind::Rebalance => v1::invoice::Kind::Rebalance,
        Kind::Bolt12 => v1::invoice::Kind::Unspecified,
    }
}

fn read(invoice: &Bolt11Invoice, now: u64) -> v1::DecodeInvoiceResponse {
    let created_at = invoice.duration_since_epoch();
    let expires_at = created_at.saturating_add(invoice.expiry_time()).as_secs();
    let (description, description_hash) = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => (text.to_string(), Vec::new()),
        Bolt11InvoiceDescriptionRef::Hash(hash) => (String::new(), hash.0.to_byte_array().to_vec()),
    };
    v1::DecodeInvoiceResponse {
        payment_hash: invoice.payment_hash().to_byte_array().to_vec(),
        payee: invoice.get_payee_pub_key().serialize().to_vec(),
        amount_msat: invoice.amount_milli_satoshis().unwrap_or(0),
        description,
        description_hash,
        created_at: created_at.as_secs(),
        expires_at,
        min_final_cltv_expiry_delta: u32::try_from(invoice.min_final_cltv_expiry_delta())
            .unwrap_or(u32::MAX),
        route_hints: u32::try_from(invoice.route_hints().len()).unwrap_or(u32::MAX),
        network: invoice.network().to_string(),
        expired: now > expires_at,
        features: features(invoice),
    }
}

/// The features that an invoice speaks of, by their BOLT 9 names; a required one ends in `(required)`.
fn features(invoice: &Bolt11Invoice) -> Vec<String> {
    let Some(features) = invoice.features() else { return Vec::new() };
    [
        (
            "var_onion_optin",
            features.supports_variable_length_onion(),
            features.requires_variable_length_onion(),
        ),
        ("payment_secret", features.supports_payment_secret(), features.requires_payment_secret()),
        ("basic_mpp", features.supports_basic_mpp(), features.requires_basic_mpp()),
        (
            "option_payment_metadata",
            features.supports_payment_metadata(),
            features.requires_payment_metadata(),
        ),
    ]
    .into_iter()
    .filter(|(_, supported, _)| *supported)
    .map(
        |(name, _, required)| if required { format!("{name} (required)") } else { name.to_owned() },
    )
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_code_of_their_kind_and_name_the_argument() {
        for (error, code, begins) in [
            (
                Error::Bad { argument: "expiry_secs", why: "x".to_owned() },
                Code::InvalidArgument,
                "expiry_secs: x",
            ),
            (Error::NotAnInvoice("x".to_owned()), Code::InvalidArgument, "bolt11: "),
            (Error::HashTaken, Code::AlreadyExists, "preimage: "),
            (Error::KeyReused, Code::InvalidArgument, "idempotency_key: "),
            (Error::Unknown, Code::NotFound, "bolt11: "),
            (Error::TooLate(State::Settled), Code::FailedPrecondition, "bolt11: "),
        ] {
            let status = refusal("bolt11", error.clone());
            assert_eq!(status.code(), code, "{error:?}");
            assert!(status.message().starts_with(begins), "{}", status.message());
        }
    }

    #[test]
    fn an_invoice_of_another_network_is_read_too() {
        // BOLT 11, examples: "Please send $3 for a cup of coffee to the same peer, within one minute".
        let text = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqf\
            qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85f\
            kpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
        let answer = read(
            &decoded(text.replace(char::is_whitespace, "")).expect("it is an invoice"),
            u64::MAX,
        );
        assert_eq!((answer.amount_msat, answer.network.as_str()), (250_000_000, "bitcoin"));
        assert_eq!(answer.description, "1 cup coffee");
        assert_eq!(answer.expires_at - answer.created_at, 60);
        assert!(answer.expired);
        assert!(answer.features.contains(&"payment_secret (required)".to_owned()));
        assert!(decoded("lnbc1nonsense".to_owned()).is_err());
    }
}
