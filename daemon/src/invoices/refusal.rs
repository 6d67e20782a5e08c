//! Why money that has arrived is given back.

/// Why money is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimRefusal {
    /// No invoice of ours asks for it.
    Unknown,
    /// The invoice was paid before, or another payment for it is being claimed.
    AlreadyPaid,
    /// The invoice was cancelled.
    Cancelled,
    /// The invoice has expired.
    Expired,
    /// Less than the invoice asks for.
    TooLittle,
    /// More than twice what the invoice asks for (BOLT 4).
    TooMuch,
    /// Payments without invoice are switched off.
    KeysendOff,
    /// A payment without invoice that is smaller than the operator takes.
    KeysendTooSmall,
    /// Too many payments without invoice came within a minute.
    TooManyKeysends,
    /// A custom record of an even type, which must be understood, comes with an invoice's payment.
    CustomRecord,
    /// The metadata of the invoice did not come back with the payment, or other metadata did.
    WrongMetadata,
    /// Neither LDK nor the record knows the preimage.
    NoPreimage,
}

impl ClaimRefusal {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            ClaimRefusal::Unknown => "unknown",
            ClaimRefusal::AlreadyPaid => "already_paid",
            ClaimRefusal::Cancelled => "cancelled",
            ClaimRefusal::Expired => "expired",
            ClaimRefusal::TooLittle => "too_little",
            ClaimRefusal::TooMuch => "too_much",
            ClaimRefusal::KeysendOff => "keysend_off",
            ClaimRefusal::KeysendTooSmall => "keysend_too_small",
            ClaimRefusal::TooManyKeysends => "too_many_keysends",
            ClaimRefusal::CustomRecord => "custom_record",
            ClaimRefusal::WrongMetadata => "wrong_metadata",
            ClaimRefusal::NoPreimage => "no_preimage",
        }
    }

    /// Whether the custom records, rather than the payment itself, are at fault.
    pub fn is_about_payload(self) -> bool {
        self == ClaimRefusal::CustomRecord
    }
}
