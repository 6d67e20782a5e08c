//! Errors on the wire: a gRPC code, a stable machine reason, and words for people.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::tasks::chain_of;

/// The `domain` of every `google.rpc.ErrorInfo` that the daemon sends.
pub const DOMAIN: &str = "fulmen";

/// Returns a status with `google.rpc.ErrorInfo` in its details.
///
/// Programs decide on `reason`: UPPER_SNAKE, stable across releases.
pub fn refuse(code: Code, reason: &'static str, message: impl Into<String>) -> Status {
    with_info(code, reason, message.into(), HashMap::new())
}

/// The status of an argument that is malformed or absurd; the message begins with its name.
pub fn malformed(argument: &'static str, message: impl std::fmt::Display) -> Status {
    let named = HashMap::from([("argument".to_owned(), argument.to_owned())]);
    let message = format!("{argument}: {message}");
    with_info(Code::InvalidArgument, "MALFORMED_ARGUMENT", message, named)
}

/// The status of a name of something that does not exist.
pub fn unknown(reason: &'static str, message: impl Into<String>) -> Status {
    refuse(Code::NotFound, reason, message)
}

/// The status of a call that the daemon's stop cuts off.
pub fn stopping() -> Status {
    refuse(Code::Unavailable, "STOPPING", "the daemon is stopping")
}

/// The status of a broken invariant or a failing store: the caller gets an id, the log has the error under it.
pub fn internal(error: &(dyn Error + 'static)) -> Status {
    internal_because(chain_of(error))
}

/// [`internal`] for a sentence instead of an error value.
pub fn internal_because(what: impl std::fmt::Display) -> Status {
    let id = incident_id();
    tracing::error!(incident = %id, error = %what, "a call failed with an internal error");
    let named = HashMap::from([("incident".to_owned(), id.clone())]);
    let message = format!("internal error {id}; see this id in the daemon's log");
    with_info(Code::Internal, "INTERNAL", message, named)
}

/// [`refuse`] with named values for programs.
pub fn with_info(
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

fn incident_id() -> String {
    let mut random = [0; 6];
    // Without randomness the id is all zeros; the first error matters more.
    let _ = getrandom::fill(&mut random);
    random.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_code_reason_domain_and_words() {
        let status = refuse(Code::FailedPrecondition, "NOT_SYNCED", "the tip is 2 hours old");
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "the tip is 2 hours old");
        let info = status.get_details_error_info().expect("every refusal has it");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("NOT_SYNCED", "fulmen"));
    }

    #[test]
    fn a_malformed_argument_is_named() {
        let status = malformed("node_id", "33 bytes are expected");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "node_id: 33 bytes are expected");
        let info = status.get_details_error_info().expect("every refusal has it");
        assert_eq!(info.metadata["argument"], "node_id");
    }

    #[test]
    fn an_internal_error_keeps_its_text_in_the_log() {
        let status = internal(&std::io::Error::other("secret path"));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"));
        let info = status.get_details_error_info().expect("every refusal has it");
        assert!(status.message().contains(&info.metadata["incident"]));
    }
}
