//! How lnd answers calls before they reach a method: unknown services and methods, and macaroons that do not allow a call.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The packages of lnd's protos; a path of one of them is a call by a client of lnd.
const PACKAGES: [&str; 13] = [
    "lnrpc",
    "routerrpc",
    "invoicesrpc",
    "walletrpc",
    "signrpc",
    "chainrpc",
    "verrpc",
    "peersrpc",
    "autopilotrpc",
    "watchtowerrpc",
    "wtclientrpc",
    "neutrinorpc",
    "devrpc",
];

/// Services of which some methods are served: the others are unknown methods, not unknown services.
const SERVICES: [&str; 8] = [
    "lnrpc.Lightning",
    "lnrpc.State",
    "routerrpc.Router",
    "invoicesrpc.Invoices",
    "walletrpc.WalletKit",
    "chainrpc.ChainNotifier",
    "verrpc.Versioner",
    "signrpc.Signer",
];

/// Returns whether a path (`/package.Service/Method`) is of lnd's API.
pub fn is_lnd(path: &str) -> bool {
    let package = path.trim_start_matches('/').split('.').next().unwrap_or_default();
    PACKAGES.contains(&package)
}

/// The status of a method that is not served, with grpc-go's text.
pub fn unimplemented(path: &str) -> Status {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let words = match SERVICES.contains(&service) {
        true => format!("unknown method {method} for service {service}"),
        false => format!("unknown service {service}"),
    };
    Status::new(Code::Unimplemented, words)
}

/// Words a refusal of a macaroon as lnd does; other refusals stay as they are.
pub fn refusal(status: Status) -> Status {
    let Some(info) = status.get_details_error_info() else { return status };
    let words = match info.reason.as_str() {
        "MACAROON_MISSING" => "expected 1 macaroon, got 0".to_owned(),
        "PERMISSION_MISSING" | "METHOD_NOT_ALLOWED" => "permission denied".to_owned(),
        "MACAROON_EXPIRED" => "verification failed: macaroon has expired".to_owned(),
        "ADDRESS_NOT_ALLOWED" => {
            "verification failed: macaroon locked to different IP address".to_owned()
        }
        "MACAROON_INVALID" | "MACAROON_REVOKED" => {
            "verification failed: signature mismatch after caveat verification".to_owned()
        }
        _ => return status,
    };
    Status::new(Code::Unknown, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_named_as_grpc_go_names_it() {
        let words = |path| unimplemented(path).message().to_owned();
        assert_eq!(
            words("/lnrpc.Lightning/ChannelAcceptor"),
            "unknown method ChannelAcceptor for service lnrpc.Lightning"
        );
        assert_eq!(
            words("/lnrpc.WalletUnlocker/InitWallet"),
            "unknown service lnrpc.WalletUnlocker"
        );
        assert!(is_lnd("/walletrpc.WalletKit/NextAddr"));
        assert!(!is_lnd("/fulmen.v1.Node/GetInfo") && !is_lnd("/grpc.health.v1.Health/Check"));
    }
}
