//! What went wrong, in one sentence with advice and an exit code.
mod arguments;

use std::error::Error as _;

use fulmen_proto::dial::{DialError, FIRST_ANSWER_TIMEOUT};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The daemon's reason for refusing a call while it starts.
pub const STARTING: &str = "STARTING";

/// How the command ends when it does not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The reader of our output has closed the pipe: not an error.
    PipeClosed,
    /// The operation failed, or was not carried out.
    Failed,
    /// The command line is wrong, or the daemon calls an argument malformed.
    Usage,
    /// No daemon answers.
    NotReachable,
    /// The daemon does not let this macaroon do that.
    NotPermitted,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::PipeClosed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotReachable => 3,
            Self::NotPermitted => 4,
        }
    }
}

/// Why a command did not do what it was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// One sentence.
    pub what: String,
    /// What to do about it, where we know.
    pub advice: Option<String>,
    /// The daemon's stable word for it; empty where the failure is our own.
    pub reason: String,
}

impl Failure {
    /// A failure of our own.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), advice: None, reason: String::new() }
    }

    /// The operation failed.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Exit::Failed, what)
    }

    /// The same with advice.
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// The same with the daemon's word for it, and its advice if we have one.
    pub fn because(self, reason: &str) -> Self {
        let advice = self.advice.or_else(|| advice(reason).map(str::to_owned));
        Self { advice, reason: reason.to_owned(), ..self }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Exit::PipeClosed, "the output is closed"),
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        match &error {
            DialError::Address { .. } => Self::new(Exit::Usage, error.to_string())
                .advise("Give --rpc as HOST:PORT: --rpc 127.0.0.1:10009"),
            DialError::Certificate { source } => {
                Self::new(Exit::NotReachable, format!("{error}: {}", innermost(source)))
                    .advise("Give the daemon's own tls.cert with --tls-cert")
            }
            DialError::Connect { address, source } => {
                let why = innermost(source);
                let advice = if why.contains("certificate") {
                    "Another program answers there, or the daemon made a new certificate: \
                     check --rpc and --tls-cert"
                } else {
                    "Is fulmend running? Name another place with --dir, --network and --rpc"
                };
                Self::new(Exit::NotReachable, format!("no daemon answers at {address}: {why}"))
                    .advise(advice)
            }
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let Some(reason) = info.map(|info| info.reason) else { return without_reason(&status) };
        let exit = match status.code() {
            Code::InvalidArgument => Exit::Usage,
            Code::Unauthenticated | Code::PermissionDenied => Exit::NotPermitted,
            _ => Exit::Failed,
        };
        Self::new(exit, arguments::in_our_words(status.message()))
            .because(&reason)
            .or_advise(of_code(status.code()))
    }
}

impl Failure {
    /// The same with advice, unless it has some.
    pub fn or_advise(mut self, advice: Option<&str>) -> Self {
        self.advice = self.advice.or_else(|| advice.map(str::to_owned));
        self
    }
}

/// A status that our daemon did not write: the transport's, or tonic's own.
fn without_reason(status: &Status) -> Failure {
    let message = match status.source() {
        Some(source) => innermost(source),
        None => status.message().to_owned(),
    };
    if status.code() == Code::Cancelled {
        // Only our own deadline cancels calls.
        let secs = FIRST_ANSWER_TIMEOUT.as_secs();
        let what = format!("the daemon has not answered for {secs} s");
        return Failure::new(Exit::NotReachable, what).advise(
            "What was asked for may have been carried out all the same: look before repeating it",
        );
    }
    if status.source().is_some() || status.code() == Code::Unavailable {
        let what = format!("the connection to the daemon was lost: {message}");
        return Failure::new(Exit::NotReachable, what).advise(
            "What was asked for may have been carried out all the same: look before repeating it",
        );
    }
    let exit = match status.code() {
        Code::InvalidArgument => Exit::Usage,
        Code::Unauthenticated | Code::PermissionDenied => Exit::NotPermitted,
        _ => Exit::Failed,
    };
    let what = if message.is_empty() { status.code().description().to_owned() } else { message };
    Failure::new(exit, what).or_advise(of_code(status.code()))
}

fn of_code(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some(
            "Give a macaroon of this daemon with --macaroon (admin.macaroon may do everything)",
        ),
        Code::PermissionDenied => {
            Some("This macaroon is too weak: give a stronger one by --macaroon")
        }
        Code::Unimplemented => {
            Some("The daemon is older than this fulmen: install the same release")
        }
        _ => None,
    }
}

/// The cause at the bottom: "connection refused" says more than "transport error".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// What to do about a reason that the daemon gives, in a status or as the end of a payment.
pub fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "NOT_SYNCED" => {
            "Wait until `fulmen info` says that the node is synced; is bitcoind up and synced?"
        }
        STARTING => "Try again when it has started, or give --wait-start to wait for it",
        "STOPPING" => "Start fulmend again, then repeat the command",
        "INTERNAL" => "Please report it, with what the daemon's log says at this time",
        "MACAROON_MISSING" | "MACAROON_INVALID" => {
            "Give a macaroon of this very daemon by --macaroon (admin.macaroon may do everything)"
        }
        "MACAROON_EXPIRED" => "Ask for a new macaroon, or use admin.macaroon",
        "MACAROON_REVOKED" => "Ask the operator for another macaroon: `fulmen macaroon bake`",
        "METHOD_NOT_ALLOWED" | "PEER_NOT_ALLOWED" | "CHANNEL_NOT_ALLOWED" => {
            "`fulmen macaroon inspect` shows what the macaroon allows; give another by --macaroon"
        }
        "MACAROON_UNKNOWN" => "`fulmen macaroon list` lists the macaroons",
        "REVOKES_ITSELF" => {
            "Use another macaroon for the call, or make all worthless: `fulmen macaroon rotate`"
        }
        "PERMISSION_MISSING" => "Give a stronger macaroon by --macaroon",
        "ADDRESS_NOT_ALLOWED" => "This macaroon may be used from another address only",
        "IDEMPOTENCY_KEY_REUSED" => "Use a fresh --idempotency-key: nothing was done this time",
        "OTHER_NETWORK" => "Check --network, or ask for one that is made for this network",

        "INSUFFICIENT_FUNDS" => {
            "See `fulmen wallet balance`: part of the money may be reserved or unconfirmed"
        }
        "COIN_NOT_SPENDABLE" => {
            "`fulmen wallet utxos` lists the coins, `fulmen wallet leases` the leases"
        }
        "COIN_LEASED" => "`fulmen wallet leases` shows under which name",
        "ANCHOR_RESERVE" => "See `fulmen wallet balance`: channels need the rest to close safely",
        "NOT_BUMPABLE" => "`fulmen wallet list` shows the unconfirmed transactions",
        "WALLET_UNKNOWN" => "`fulmen wallet list` lists the transactions",
        "DECIDER_TAKEN" => "End the other program first: there is one answer to each proposal",
        "INSUFFICIENT_BALANCE" | "NO_USABLE_CHANNEL" => {
            "See `fulmen channels` for what each can send now"
        }
        "IN_FLIGHT_LIMIT" => "See `fulmen channels` for what each can send at one moment",
        "ALREADY_PAID" => "See `fulmen payments`: nothing was paid twice",
        "PAYMENT_UNDER_WAY" => "See `fulmen payments`: nothing was paid twice",
        "PAYMENT_NOT_FOUND" => "`fulmen payments` lists the payments",
        "PAYMENT_ENDED" => "`fulmen payment show` shows how it ended",
        "TOO_MANY_PAYMENTS_WAITING" => "Wait until some have ended: see `fulmen payments`",
        "INVOICE_EXPIRED" => "Ask the payee for a new invoice",
        "INVOICE_UNPAYABLE" => "Ask the payee for another invoice",
        "OFFER_EXPIRED" => "Ask the payee for a new offer",
        "OFFER_NOT_FOUND" => "`fulmen offers --disabled` lists the offers",
        "NO_MESSAGE_PATH" => "See `fulmen peers`: connect to a public node that is up",
        "ONCHAIN_ONLY" => "Pay it with `fulmen send ADDRESS AMOUNT`",
        "IS_A_REFUND" => "Ask for it with `fulmen refund redeem`",
        "NAME_NOT_RESOLVED" => {
            "Check the name, and payments.dns_resolver in fulmen.toml; or ask for an offer"
        }
        "INVOICE_NOT_FOUND" => "`fulmen invoices` lists the invoices",
        "INVOICE_NOT_OPEN" => "`fulmen invoice show` shows its state",
        "PAYMENT_HASH_TAKEN" => "Leave --preimage or --hash out for a random one",
        "NOT_ACCEPTED_YET" => "`fulmen invoice watch` shows when it is accepted",
        "NOT_A_HOLD_INVOICE" => "`fulmen invoices --state accepted` lists those that wait",
        "DEADLINE_REACHED" => "The payment goes back to the payer: make another invoice",

        "CHANNEL_UNKNOWN" => {
            "`fulmen channels` lists the open ones, `fulmen channel closed` the others"
        }
        "CHANNEL_CLOSED" => "`fulmen channel show` shows why it closed",
        "CHANNEL_BUSY" => "Try again in a moment",
        "TOO_MANY_PENDING_CHANNELS" => "Wait until those with this peer are confirmed",
        "CLOSE_ADDRESS_FIXED" => {
            "Leave --to out: the address was fixed when the channel was opened"
        }
        "PEER_UNKNOWN" => "`fulmen peers` lists the peers",
        "PEER_WITHOUT_ANCHORS" => {
            "Ask its operator to turn anchor outputs on, or open to another node"
        }
        "PEER_NOT_CONNECTED" => "Connect first: fulmen connect NODE_ID@HOST:PORT",
        "PEER_ADDRESS_UNKNOWN" => "Give the address: NODE_ID@HOST:PORT",
        "PEER_UNREACHABLE" => "Check the address, and that the other node is up",
        "PEER_HAS_CHANNELS" => "Disconnect all the same with --force; it will be connected again",
        "NODE_UNKNOWN" => {
            "Gossip has not brought it (yet): `fulmen graph summary` counts what is known"
        }

        // Why there is no route.
        "CONTRADICTION" => "Change the options that contradict each other",
        "UNKNOWN_PAYEE" => {
            "Ask the payee for an invoice with a route hint, or wait for gossip: `fulmen graph \
             summary` counts what is known"
        }
        "NO_OWN_CHANNEL" => "See `fulmen channels`: is a peer connected, and its channel usable?",
        "OWN_BALANCE" => {
            "See `fulmen channels` for what each can send now: pay less, rebalance, or open another"
        }
        "PAYEE_INBOUND" => {
            "The payee's channels cannot take so much: pay less, or let the payee get more inbound \
             capacity"
        }
        "NO_PATH" => "Open a channel to a node that is better connected",
        "FEE_LIMIT" => "Allow more with --max-fee",
        "CLTV_LIMIT" => "Allow more blocks with --max-cltv-delta",
        "PARTS_LIMIT" => "Allow more parts with --max-parts, or pay less",
        "LIQUIDITY" => "Pay less, or try again later: channels on the way may have money then",
        "CHANNEL_BROKEN" => {
            "Ask the payee for a new invoice: the one you have names a channel that is gone"
        }
        "SEARCH_TOO_LONG" => "Try again with fewer constraints",
        "NO_ROUTE" => "`fulmen graph route` explains why there is no route",

        // How payments end.
        "ROUTE_NOT_FOUND" => {
            "Is there enough to send (`fulmen channels`), is --max-fee high enough, and does gossip \
             know the payee (`fulmen graph node`)?"
        }
        "RETRIES_EXHAUSTED" => {
            "Channels on the way lack the money now: try later, or with more --max-fee or --timeout"
        }
        "RECIPIENT_REJECTED" => {
            "Ask the payee: the invoice may be paid, cancelled or expired there"
        }
        "PAYMENT_EXPIRED" => "Ask the payee for a new invoice, or give more --timeout",
        "NOT_SENT_BEFORE_RESTART" => "Nothing was paid: pay again",
        "TOO_MANY_IN_FLIGHT" => "The channels carry as many payments as they can: try again soon",
        "UNKNOWN_REQUIRED_FEATURES" => "The payee needs something that this release cannot do",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn told(code: Code, reason: &str) -> Failure {
        let details = ErrorDetails::with_error_info(reason, "fulmen", []);
        Status::with_error_details(code, "said the daemon", details).into()
    }

    #[test]
    fn each_situation_has_its_exit_code() {
        let table = [
            (told(Code::FailedPrecondition, "NOT_SYNCED"), 1),
            (told(Code::NotFound, "CHANNEL_UNKNOWN"), 1),
            (told(Code::Unavailable, "STOPPING"), 1),
            (told(Code::Internal, "INTERNAL"), 1),
            (told(Code::InvalidArgument, "MALFORMED_ARGUMENT"), 2),
            (told(Code::Unauthenticated, "MACAROON_MISSING"), 4),
            (told(Code::PermissionDenied, "PERMISSION_MISSING"), 4),
            (Status::unavailable("tcp connect error").into(), 3),
            (Status::cancelled("Timeout expired").into(), 3),
            (Status::permission_denied("").into(), 4),
            (Status::unauthenticated("").into(), 4),
            (Status::invalid_argument("x").into(), 2),
            (Status::unimplemented("").into(), 1),
            (DialError::Address { address: "x".into() }.into(), 2),
            (std::io::Error::from(std::io::ErrorKind::BrokenPipe).into(), 0),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), 1),
            (Failure::failed("x"), 1),
        ];
        for (failure, code) in table {
            assert_eq!(failure.exit.code(), code, "{failure:?}");
        }
    }

    #[test]
    fn the_reason_brings_advice_and_the_daemon_the_sentence() {
        let failure = told(Code::FailedPrecondition, "NOT_SYNCED");
        assert_eq!(failure.what, "said the daemon");
        assert_eq!(failure.reason, "NOT_SYNCED");
        assert!(failure.advice.is_some_and(|advice| advice.contains("bitcoind")));
        let unheard_of = told(Code::FailedPrecondition, "SOMETHING_NEW");
        assert_eq!(unheard_of.advice, None);
        assert!(told(Code::PermissionDenied, "SOMETHING_NEW").advice.is_some());
    }

    #[test]
    fn a_bare_status_still_says_something() {
        assert!(!Failure::from(Status::internal("")).what.is_empty());
    }
}
