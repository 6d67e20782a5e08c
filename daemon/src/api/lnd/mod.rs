//! lnd's packages: one file a service; a method converts, calls a room, and converts back.
//!
//! What is served and what answers differently stands in `proto/lnd/README.md`.

mod chain;
mod config;
pub mod door;
mod invoices;
mod journal;
pub mod layout;
mod lightning;
mod read;
mod refusal;
pub mod rooms;
mod router;
pub mod state;
mod version;
mod view;
mod walletkit;

pub use config::Config;

use tonic::service::Routes;

use self::chain::ChainNotifierService;
use self::invoices::InvoicesService;
use self::lightning::LightningService;
use self::rooms::LndRooms;
use self::router::RouterService;
use self::version::VersionerService;
use self::walletkit::WalletKitService;

/// Adds the services to `routes`; a request of more than `max_request_bytes` is refused.
pub fn add_services(routes: Routes, rooms: &LndRooms, max_request_bytes: usize) -> Routes {
    use fulmen_lnd_proto::chainrpc::chain_notifier_server::ChainNotifierServer;
    use fulmen_lnd_proto::invoicesrpc::invoices_server::InvoicesServer;
    use fulmen_lnd_proto::lnrpc::lightning_server::LightningServer;
    use fulmen_lnd_proto::routerrpc::router_server::RouterServer;
    use fulmen_lnd_proto::verrpc::versioner_server::VersionerServer;
    use fulmen_lnd_proto::walletrpc::wallet_kit_server::WalletKitServer;
    let limit = max_request_bytes;
    let lightning = LightningService(rooms.clone());
    let router = RouterService(rooms.clone());
    let invoices = InvoicesService(rooms.clone());
    let walletkit = WalletKitService(rooms.clone());
    let chain = ChainNotifierService(rooms.clone());
    routes
        .add_service(LightningServer::new(lightning).max_decoding_message_size(limit))
        .add_service(RouterServer::new(router).max_decoding_message_size(limit))
        .add_service(InvoicesServer::new(invoices).max_decoding_message_size(limit))
        .add_service(WalletKitServer::new(walletkit).max_decoding_message_size(limit))
        .add_service(ChainNotifierServer::new(chain).max_decoding_message_size(limit))
        .add_service(VersionerServer::new(VersionerService).max_decoding_message_size(limit))
}
