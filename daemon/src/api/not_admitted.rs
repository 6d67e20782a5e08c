//! The statuses of calls that their macaroon does not allow.

use tonic::{Code, Status};

use super::status::refuse;
use crate::access::NotAdmitted;
use crate::access::caveat::CaveatRefusal;

/// The status of a call that its macaroon does not allow.
pub fn not_admitted(error: &NotAdmitted) -> Status {
    let (code, reason) = match error {
        NotAdmitted::NotOurs => (Code::Unauthenticated, "MACAROON_INVALID"),
        NotAdmitted::Revoked => (Code::Unauthenticated, "MACAROON_REVOKED"),
        NotAdmitted::Refused(refusal) => match refusal {
            CaveatRefusal::Expired(_) => (Code::Unauthenticated, "MACAROON_EXPIRED"),
            CaveatRefusal::Unknown(_) => (Code::Unauthenticated, "MACAROON_INVALID"),
            CaveatRefusal::Permission(_) => (Code::PermissionDenied, "PERMISSION_MISSING"),
            CaveatRefusal::Method(_) => (Code::PermissionDenied, "METHOD_NOT_ALLOWED"),
            CaveatRefusal::Address => (Code::PermissionDenied, "ADDRESS_NOT_ALLOWED"),
            CaveatRefusal::Peer => (Code::PermissionDenied, "PEER_NOT_ALLOWED"),
            CaveatRefusal::Channel => (Code::PermissionDenied, "CHANNEL_NOT_ALLOWED"),
        },
    };
    refuse(code, reason, error.to_string())
}

/// [`not_admitted`] for a condition that a room has checked.
pub fn refused(refusal: CaveatRefusal) -> Status {
    not_admitted(&NotAdmitted::Refused(refusal))
}
