//! Invoices: made, looked up, listed, followed.

use fulmen_lnd_proto::{invoicesrpc, lnrpc};
use lightning_invoice::Bolt11Invoice;
use tonic::Status;

use crate::api::lnd::journal::{JournalFollower, Reader};
use crate::api::lnd::read;
use crate::api::lnd::refusal::{self, refused};
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::invoice::{Indices, decoded, invoice};
use crate::api::status::internal;
use crate::api::stream::{ResponseStream, stream};
use crate::api::v1::convert::bolt11::bolt11;
use crate::invoices::{
    self, CreateInvoice, Describe, Extras, InvoiceKind, InvoiceRecord, Invoices,
};
use crate::journal::{Entry, Numbered};

/// The longest memo, in bytes, as lnd has it.
const MAX_MEMO_BYTES: usize = 1_024;
/// What lnd lists where the caller names no number, and the most that is listed at once.
const DEFAULT_LISTED: u64 = 100;
const MAX_LISTED: u64 = 10_000;
/// Among how many of the newest invoices the position of one is looked for.
const RECENT: usize = 1_000;
/// lnd's expiry of an invoice for which the caller names none, in seconds.
const DEFAULT_EXPIRY_SECS: u32 = 86_400;

pub(super) async fn add(
    rooms: &LndRooms,
    request: lnrpc::Invoice,
) -> Result<lnrpc::AddInvoiceResponse, Status> {
    for (is_asked, field) in [(request.is_amp, "is_amp"), (request.is_blinded, "is_blinded")] {
        if is_asked {
            return Err(refused(format!("{field} is not supported by this daemon")));
        }
    }
    let preimage = match request.r_preimage.as_slice() {
        [] => None,
        bytes => Some(read::hash(bytes)?),
    };
    let made = make(
        rooms,
        Terms {
            memo: request.memo,
            description_hash: request.description_hash,
            amount_msat: read::amount_msat(request.value, request.value_msat)?,
            expiry: request.expiry,
            cltv_expiry: request.cltv_expiry,
            fallback_addr: request.fallback_addr,
            has_hints: !request.route_hints.is_empty(),
            preimage,
            hold_hash: None,
        },
    )
    .await?;
    Ok(lnrpc::AddInvoiceResponse {
        r_hash: made.payment_hash,
        payment_request: made.bolt11,
        add_index: made.add_index,
        payment_addr: made.payment_addr,
    })
}

pub(in crate::api::lnd) async fn add_hold(
    rooms: &LndRooms,
    request: invoicesrpc::AddHoldInvoiceRequest,
) -> Result<invoicesrpc::AddHoldInvoiceResp, Status> {
    let made = make(
        rooms,
        Terms {
            memo: request.memo,
            description_hash: request.description_hash,
            amount_msat: read::amount_msat(request.value, request.value_msat)?,
            expiry: request.expiry,
            cltv_expiry: request.cltv_expiry,
            fallback_addr: request.fallback_addr,
            has_hints: !request.route_hints.is_empty(),
            preimage: None,
            hold_hash: Some(read::hash(&request.hash)?),
        },
    )
    .await?;
    Ok(invoicesrpc::AddHoldInvoiceResp {
        payment_request: made.bolt11,
        add_index: made.add_index,
        payment_addr: made.payment_addr,
    })
}

/// What both kinds of invoices are made from.
struct Terms {
    memo: String,
    description_hash: Vec<u8>,
    amount_msat: Option<u64>,
    expiry: i64,
    cltv_expiry: u64,
    fallback_addr: String,
    has_hints: bool,
    preimage: Option<[u8; 32]>,
    hold_hash: Option<[u8; 32]>,
}

struct Made {
    payment_hash: Vec<u8>,
    bolt11: String,
    add_index: u64,
    payment_addr: Vec<u8>,
}

async fn make(rooms: &LndRooms, terms: Terms) -> Result<Made, Status> {
    if terms.memo.len() > MAX_MEMO_BYTES {
        let words =
            format!("memo too large: {} bytes (maxsize={MAX_MEMO_BYTES})", terms.memo.len());
        return Err(refused(words));
    }
    if terms.has_hints {
        return Err(refused("route_hints is not supported by this daemon"));
    }
    let fallback = match terms.fallback_addr.as_str() {
        "" => None,
        text => Some(read::address(text, rooms.channels.network())?),
    };
    let describe = match terms.description_hash.as_slice() {
        [] => Describe::Text(terms.memo),
        bytes => Describe::Hash(read::hash(bytes)?),
    };
    let expiry_secs = match terms.expiry {
        0 => DEFAULT_EXPIRY_SECS,
        secs => u32::try_from(secs).map_err(|_| refused("expiry is out of range"))?,
    };
    let delta =
        u32::try_from(terms.cltv_expiry).map_err(|_| refused("cltv_expiry is out of range"))?;
    let create = CreateInvoice {
        amount_msat: terms.amount_msat,
        describe,
        expiry_secs,
        preimage: terms.preimage,
        hold_hash: terms.hold_hash,
        min_final_cltv_expiry_delta: delta,
        idempotency_key: None,
        extras: Extras { fallback, ..Extras::default() },
    };
    let record = rooms.invoices.create(create).await.map_err(refusal::invoices)?;
    let bolt11 = record.bolt11.unwrap_or_default();
    let secret = invoices::decode(&bolt11).map(|invoice| invoice.payment_secret().0.to_vec());
    Ok(Made {
        payment_hash: record.payment_hash.to_vec(),
        add_index: position(&rooms.invoices, &record.payment_hash)?,
        bolt11,
        payment_addr: secret.unwrap_or_default(),
    })
}

/// The position of a recent invoice; 0 where it is not among the newest.
fn position(invoices: &Invoices, payment_hash: &[u8; 32]) -> Result<u64, Status> {
    let looks = std::cell::Cell::new(0);
    let found = invoices.before(None, 1, |record| {
        looks.set(looks.get() + 1);
        record.payment_hash == *payment_hash || looks.get() > RECENT
    });
    let found = found.map_err(refusal::invoices)?;
    let found = found.into_iter().find(|(_, record)| record.payment_hash == *payment_hash);
    Ok(found.map_or(0, |(at, _)| at))
}

pub(super) fn look_up(
    rooms: &LndRooms,
    request: &lnrpc::PaymentHash,
) -> Result<lnrpc::Invoice, Status> {
    let text = &request.r_hash_str;
    let hash = match text.as_str() {
        "" => read::hash(&request.r_hash)?,
        text => read::hash_hex(text)?,
    };
    look_up_hash(rooms, &hash)
}

pub(in crate::api::lnd) fn look_up_hash(
    rooms: &LndRooms,
    hash: &[u8; 32],
) -> Result<lnrpc::Invoice, Status> {
    let record = rooms.invoices.get(hash).map_err(refusal::invoice_lookup)?;
    let add = position(&rooms.invoices, hash)?;
    Ok(invoice(record, rooms.invoices.now(), Indices { add, settle: 0, height: rooms.height() }))
}

pub(super) fn list(
    rooms: &LndRooms,
    request: &lnrpc::ListInvoiceRequest,
) -> Result<lnrpc::ListInvoiceResponse, Status> {
    let now = rooms.invoices.now();
    let (start, end) = (request.creation_date_start, request.creation_date_end);
    let wanted = |record: &InvoiceRecord| {
        let is_pending = matches!(
            record.state(now),
            invoices::InvoiceState::Open
                | invoices::InvoiceState::Accepted
                | invoices::InvoiceState::Claiming
        );
        is_shown(record)
            && (!request.pending_only || is_pending)
            && record.created_at >= start
            && (end == 0 || record.created_at <= end)
    };
    let limit = match request.num_max_invoices {
        0 => DEFAULT_LISTED,
        most => most.min(MAX_LISTED),
    } as usize;
    let offset = request.index_offset;
    let found = match request.reversed {
        false => rooms.invoices.after(offset, limit, wanted),
        // Ascending in every mode.
        true => rooms
            .invoices
            .before((offset > 0).then_some(offset), limit, wanted)
            .map(|found| found.into_iter().rev().collect()),
    };
    let found = found.map_err(refusal::invoices)?;
    let at = |entry: Option<&(u64, InvoiceRecord)>| entry.map_or(0, |(at, _)| *at);
    Ok(lnrpc::ListInvoiceResponse {
        first_index_offset: at(found.first()),
        last_index_offset: at(found.last()),
        invoices: found
            .into_iter()
            .map(|(add, record)| {
                invoice(record, now, Indices { add, settle: 0, height: rooms.height() })
            })
            .collect(),
    })
}

/// Invoices from `add_index` on and settlements from `settle_index` on, then both as they come.
///
/// A settlement's index is the journal's number of it: it grows, and an entry of it is never lost or repeated.
pub(super) fn subscribe(
    rooms: &LndRooms,
    request: &lnrpc::InvoiceSubscription,
) -> Result<ResponseStream<lnrpc::Invoice>, Status> {
    let head = rooms.journal.head();
    let invoices = rooms.invoices.clone();
    let mut ready = Vec::new();
    let mut last_added = request.add_index;
    if request.add_index > 0 {
        let added = invoices.after(request.add_index, usize::MAX, is_shown);
        for (add, record) in added.map_err(refusal::invoices)? {
            last_added = add;
            ready.push(invoice(
                record,
                invoices.now(),
                Indices { add, settle: 0, height: rooms.height() },
            ));
        }
    }
    let resumes = request.settle_index > 0 && request.settle_index < head;
    let after = if resumes { request.settle_index } else { head };
    let reader = Changes { rooms: rooms.clone(), last_added, live_after: head };
    let following = JournalFollower::new(&rooms.journal, after, ready, reader);
    Ok(stream(following, rooms.stopping.clone()))
}

/// Makes messages of the journal's entries about invoices.
struct Changes {
    rooms: LndRooms,
    /// The newest invoice that was sent as added.
    last_added: u64,
    /// Entries up to this one are settlements to catch up with; what was added by then is sent already or not asked for.
    live_after: u64,
}

impl Reader for Changes {
    type Item = lnrpc::Invoice;

    fn read(&mut self, entry: Numbered) -> Result<Vec<lnrpc::Invoice>, Status> {
        let (hash, settle) = match entry.entry {
            Entry::InvoiceCreated { payment_hash, .. } if entry.sequence > self.live_after => {
                (payment_hash, 0)
            }
            Entry::InvoiceSettled { payment_hash, .. } => (payment_hash, entry.sequence),
            _ => return Ok(Vec::new()),
        };
        // Retention may have removed it.
        let record = match self.rooms.invoices.get(&hash) {
            Ok(record) if is_shown(&record) => record,
            Ok(_) | Err(invoices::Error::Unknown) => return Ok(Vec::new()),
            Err(error) => return Err(internal(&error)),
        };
        let add = position(&self.rooms.invoices, &hash)?;
        if settle == 0 {
            if add > 0 && add <= self.last_added {
                return Ok(Vec::new());
            }
            self.last_added = self.last_added.max(add);
        }
        Ok(vec![invoice(
            record,
            self.rooms.invoices.now(),
            Indices { add, settle, height: self.rooms.height() },
        )])
    }
}

/// What this node asks of itself is none of lnd's invoices.
fn is_shown(record: &InvoiceRecord) -> bool {
    match record.kind {
        InvoiceKind::Bolt11 | InvoiceKind::Keysend | InvoiceKind::Bolt12 | InvoiceKind::Hold => {
            true
        }
        InvoiceKind::Rebalance => false,
    }
}

pub(super) fn decode(request: &lnrpc::PayReqString) -> Result<lnrpc::PayReq, Status> {
    Ok(decoded(&read_invoice(&request.pay_req)?))
}

/// Reads an invoice.
///
/// # Errors
/// The text is none.
pub(in crate::api::lnd) fn read_invoice(text: &str) -> Result<Bolt11Invoice, Status> {
    let text = bolt11("payment_request", text).map_err(|status| refused(status.message()))?;
    invoices::decode(&text).map_err(refusal::invoices)
}
