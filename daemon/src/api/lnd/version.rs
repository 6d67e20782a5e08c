//! The `Versioner` service, and what clients of lnd compare: its version, its names of networks.

use fulmen_lnd_proto::verrpc;
use fulmen_lnd_proto::verrpc::versioner_server::Versioner;
use tonic::{Request, Response, Status};

/// The release of lnd whose API is served; clients switch features by it.
const MAJOR: u32 = 0;
const MINOR: u32 = 20;
const PATCH: u32 = 0;

/// The services beside `lnrpc`, as lnd's build tags name them: clients look here before they call.
const TAGS: [&str; 6] =
    ["signrpc", "walletrpc", "chainrpc", "invoicesrpc", "routerrpc", "peersrpc"];

/// Returns lnd's version with ours as the commit.
pub fn text() -> String {
    format!("{MAJOR}.{MINOR}.{PATCH}-beta commit=fulmen-{}", env!("CARGO_PKG_VERSION"))
}

/// Returns lnd's name of a network.
pub fn network_name(network: bitcoin::Network) -> &'static str {
    use bitcoin::Network;
    match network {
        Network::Bitcoin => "mainnet",
        Network::Testnet => "testnet",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    }
}

/// Serves `verrpc.Versioner`.
#[derive(Clone, Copy)]
pub struct VersionerService;

#[tonic::async_trait]
impl Versioner for VersionerService {
    async fn get_version(
        &self,
        _: Request<verrpc::VersionRequest>,
    ) -> Result<Response<verrpc::Version>, Status> {
        Ok(Response::new(verrpc::Version {
            commit: format!("fulmen-{}", env!("CARGO_PKG_VERSION")),
            // A hash of lnd's would claim that this is lnd.
            commit_hash: String::new(),
            version: text(),
            app_major: MAJOR,
            app_minor: MINOR,
            app_patch: PATCH,
            app_pre_release: "beta".to_owned(),
            build_tags: TAGS.map(str::to_owned).to_vec(),
            go_version: String::new(),
        }))
    }
}
