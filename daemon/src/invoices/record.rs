//! What is kept of an invoice and of the money that came for it.

use bitcoin::secp256k1::PublicKey;
use lightning::{impl_writeable_tlv_based, impl_writeable_tlv_based_enum};

use crate::idempotency::KeyTable;
use crate::listing::{Ask, ChannelNames, Listed};
use crate::storage::{History, Table, record};

/// Invoices and keysends received, by payment hash, newest first.
pub(super) const INVOICES: History<InvoiceRecord> = History::new("invoices");
/// What was asked for under an idempotency key.
pub(super) const BY_KEY: KeyTable<31> = KeyTable::new("invoices_by_key");
/// Hold invoices for which HTLCs have arrived that are neither claimed nor failed yet; a start completes them.
pub(super) const HELD: Table<HeldName> = Table::new("invoices_held");
/// Invoices that can be paid, by the time of their expiry and their hash: the journal gets an entry when it comes.
pub(super) const EXPIRIES: Table<HeldName> = Table::new("invoices_expiring");

/// How far an invoice has come, on disk; that it has expired is seen from the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stored {
    /// Can be paid until it expires.
    Open,
    /// All parts have arrived and are being claimed.
    Claiming,
    /// The money is ours.
    Settled,
    /// Cancelled by us, or what came for it went back.
    Cancelled,
    /// All parts of a hold invoice have arrived, but a crash may still undo that.
    Arrived,
    /// All parts of a hold invoice are held, durably, until they are settled or cancelled.
    Accepted,
}
impl_writeable_tlv_based_enum!(Stored,
    (1, Open) => {},
    (2, Claiming) => {},
    (3, Settled) => {},
    (4, Cancelled) => {},
    (5, Arrived) => {},
    (6, Accepted) => {},
);

/// How far an invoice has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvoiceState {
    /// Can be paid.
    Open,
    /// All parts of a hold invoice are held until they are settled or cancelled.
    Accepted,
    /// All parts have arrived and are being claimed.
    Claiming,
    /// The money is ours.
    Settled,
    /// Cancelled by us, or what came for it went back.
    Cancelled,
    /// Nobody paid in time.
    Expired,
}

impl InvoiceState {
    /// Tells whether nothing will change any more.
    pub fn is_final(self) -> bool {
        match self {
            InvoiceState::Open | InvoiceState::Accepted | InvoiceState::Claiming => false,
            InvoiceState::Settled | InvoiceState::Cancelled | InvoiceState::Expired => true,
        }
    }
}

/// How the money was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvoiceKind {
    /// By an invoice.
    Bolt11,
    /// Not at all.
    Keysend,
    /// By an invoice for one of our offers.
    Bolt12,
    /// By an invoice for ourselves, to move money from one of our channels to another.
    Rebalance,
    /// By an invoice for a payment hash whose preimage the user gives later, or never.
    Hold,
}
impl_writeable_tlv_based_enum!(InvoiceKind,
    (1, Bolt11) => {},
    (2, Keysend) => {},
    (3, Bolt12) => {},
    (4, Rebalance) => {},
    (5, Hold) => {},
);

impl InvoiceKind {
    /// As which kind the HTLCs for it come.
    pub fn on_the_wire(self) -> Self {
        match self {
            InvoiceKind::Rebalance | InvoiceKind::Hold => InvoiceKind::Bolt11,
            InvoiceKind::Bolt11 | InvoiceKind::Keysend | InvoiceKind::Bolt12 => self,
        }
    }
}

/// Why an invoice is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// The user asked for it.
    ByUser,
    /// The claim deadline of the held HTLCs came near, and nobody had settled them.
    Deadline,
    /// The HTLCs went back although nobody had asked for it: LDK failed them.
    HtlcsFailed,
}
impl_writeable_tlv_based_enum!(CancelReason,
    (1, ByUser) => {},
    (2, Deadline) => {},
    (3, HtlcsFailed) => {},
);

impl CancelReason {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            CancelReason::ByUser => "by_user",
            CancelReason::Deadline => "deadline",
            CancelReason::HtlcsFailed => "htlcs_failed",
        }
    }
}

/// A custom record that the payer sent with the payment (BOLT 4, TLV types of 65536 and above).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRecord {
    /// Its type, 65536 or more.
    pub kind: u64,
    /// Its bytes.
    pub value: Vec<u8>,
}
impl_writeable_tlv_based!(CustomRecord, { (0, kind, required), (2, value, required_vec) });

/// What the payer of an offer put into the request for the invoice (BOLT 12, `invoice_request`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferRequest {
    /// The offer.
    pub offer_id: [u8; 32],
    /// The key with which the payer signed the request; of this payment only, unless the payer chose otherwise.
    pub payer_id: PublicKey,
    /// The payer's note, at most 512 characters of it.
    pub payer_note: Option<String>,
    /// How many items the payment is for.
    pub quantity: Option<u64>,
}
impl_writeable_tlv_based!(OfferRequest, {
    (0, offer_id, required),
    (1, payer_note, option),
    (2, payer_id, required),
    (3, quantity, option),
});

/// All that is kept of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceRecord {
    /// What payments for it are locked to.
    pub payment_hash: [u8; 32],
    /// How far it has come, but for its expiry.
    pub stored: Stored,
    /// How the money was asked for.
    pub kind: InvoiceKind,
    /// The text to pay.
    pub bolt11: Option<String>,
    /// What it asks for; none lets the payer choose.
    pub amount_msat: Option<u64>,
    /// What came.
    pub received_msat: u64,
    /// What it is for.
    pub description: Option<String>,
    /// What it is for, hashed.
    pub description_hash: Option<[u8; 32]>,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970.
    pub expires_at: u64,
    /// Seconds since 1970.
    pub settled_at: Option<u64>,
    /// The preimage that the user chose, or the one that was given to the payer.
    pub preimage: Option<[u8; 32]>,
    /// Custom records that the payer sent with the payment.
    pub custom_records: Vec<CustomRecord>,
    /// In how many parts it came.
    pub parts: u32,
    /// Which set of HTLCs is being or was claimed: a replayed event names the same set, a second payment
    /// of another one.
    pub claim_id: Option<[u8; 32]>,
    /// The caller's key, which goes when the record goes.
    pub idempotency_key: Option<String>,
    /// Block height from which LDK fails held HTLCs back; a hold invoice is cancelled a few blocks earlier.
    pub claim_deadline_height: Option<u32>,
    /// Seconds since 1970 at which all parts of a hold invoice were held.
    pub accepted_at: Option<u64>,
    /// Why it is cancelled; none in records of older releases.
    pub cancel_reason: Option<CancelReason>,
    /// What the payer of one of our offers put into the request for the invoice.
    pub request: Option<OfferRequest>,
    /// What the payer has to send back with the payment.
    pub payment_metadata: Option<Vec<u8>>,
    /// The channels by which its HTLCs came; none in records of older releases.
    pub channels: Vec<[u8; 32]>,
}
impl_writeable_tlv_based!(InvoiceRecord, {
    (0, payment_hash, required),
    (1, bolt11, option),
    (2, stored, required),
    (3, amount_msat, option),
    (4, kind, required),
    (5, description, option),
    (6, received_msat, required),
    (7, description_hash, option),
    (8, created_at, required),
    (9, settled_at, option),
    (10, expires_at, required),
    (11, preimage, option),
    (12, parts, required),
    (13, custom_records, optional_vec),
    (15, claim_id, option),
    (17, idempotency_key, option),
    (19, claim_deadline_height, option),
    (21, accepted_at, option),
    (23, cancel_reason, option),
    (25, request, option),
    (27, payment_metadata, option),
    (29, channels, optional_vec),
});
record!(InvoiceRecord, kind = 30, version = 1);

impl InvoiceRecord {
    /// How far it has come at a time in seconds since 1970.
    pub fn state(&self, now: u64) -> InvoiceState {
        match self.stored {
            Stored::Open if now > self.expires_at => InvoiceState::Expired,
            // Until a crash can no longer undo the arrival, nobody may rely on it.
            Stored::Open | Stored::Arrived => InvoiceState::Open,
            Stored::Accepted => InvoiceState::Accepted,
            Stored::Claiming => InvoiceState::Claiming,
            Stored::Settled => InvoiceState::Settled,
            Stored::Cancelled => InvoiceState::Cancelled,
        }
    }

    /// The preimage, once the payer has it too.
    pub fn receipt(&self) -> Option<[u8; 32]> {
        match self.stored {
            Stored::Settled => self.preimage,
            Stored::Open
            | Stored::Arrived
            | Stored::Accepted
            | Stored::Claiming
            | Stored::Cancelled => None,
        }
    }

    /// Whether HTLCs for it are held until the user settles or cancels it.
    pub fn is_held(&self) -> bool {
        match self.stored {
            Stored::Arrived | Stored::Accepted => true,
            Stored::Open | Stored::Claiming | Stored::Settled | Stored::Cancelled => false,
        }
    }
}

impl Listed for InvoiceRecord {
    const ASKS: &'static [Ask] = &[Ask::Time, Ask::Amount, Ask::Channel, Ask::Words];

    fn at(&self) -> u64 {
        self.created_at
    }

    /// What came, or what is asked for where nothing has come yet.
    fn amount_msat(&self) -> u64 {
        match self.received_msat {
            0 => self.amount_msat.unwrap_or(0),
            received_msat => received_msat,
        }
    }

    fn is_of_channel(&self, channel: &ChannelNames) -> bool {
        self.channels.contains(&channel.channel_id)
    }

    fn texts(&self) -> Vec<&str> {
        let note = self.request.as_ref().and_then(|request| request.payer_note.as_deref());
        self.description.as_deref().into_iter().chain(note).collect()
    }
}

/// Names an invoice, in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldName {
    /// Its payment hash.
    pub payment_hash: [u8; 32],
}
impl_writeable_tlv_based!(HeldName, { (0, payment_hash, required) });
record!(HeldName, kind = 32, version = 1);

#[cfg(test)]
pub(super) mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;
    use crate::storage::Record;

    /// What release 0.1 writes; never to be edited, only joined by what later versions write.
    const VERSION_1: &str = "eb00200101010101010101010101010101010101010101010101010101010101010101010700056c6e626331\
        02020300030800000000000001f4040201000507000562726561640608000000000000025807200202020202\
        0202020202020202020202020202020202020202020202020202020808000000000000000309080000000000\
        0000050a0800000000000000040b200606060606060606060606060606060606060606060606060606060606\
        0606060c04000000090d0f0e00080000000000010001020207080f200a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\
        0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

    pub(crate) fn whole() -> InvoiceRecord {
        InvoiceRecord {
            payment_hash: [1; 32],
            stored: Stored::Settled,
            kind: InvoiceKind::Bolt11,
            bolt11: Some("lnbc1".to_owned()),
            amount_msat: Some(500),
            received_msat: 600,
            description: Some("bread".to_owned()),
            description_hash: Some([2; 32]),
            created_at: 3,
            expires_at: 4,
            settled_at: Some(5),
            preimage: Some([6; 32]),
            custom_records: vec![CustomRecord { kind: 65_537, value: vec![7, 8] }],
            parts: 9,
            claim_id: Some([10; 32]),
            idempotency_key: None,
            claim_deadline_height: None,
            accepted_at: None,
            cancel_reason: None,
            request: None,
            payment_metadata: None,
            channels: Vec::new(),
        }
    }

    #[test]
    fn what_was_stored_stays_readable() {
        assert_eq!(Record::encode(&whole()).to_lower_hex_string(), VERSION_1);
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(InvoiceRecord::decode(1, &stored), Ok(whole()));
    }

    #[test]
    fn what_came_later_is_read_back() {
        let record = InvoiceRecord {
            stored: Stored::Accepted,
            kind: InvoiceKind::Hold,
            idempotency_key: Some("order 7".to_owned()),
            claim_deadline_height: Some(144),
            accepted_at: Some(7),
            cancel_reason: Some(CancelReason::Deadline),
            payment_metadata: Some(vec![1, 2, 3]),
            channels: vec![[4; 32], [5; 32]],
            ..whole()
        };
        assert_eq!(InvoiceRecord::decode(1, &Record::encode(&record)), Ok(record));
    }
}
