//! Package `fulmen.v1`: one file a service; a method converts, calls a room, and converts back.

pub mod backup;
pub mod channels;
pub mod convert;
pub mod events;
pub mod forwards;
pub mod graph;
pub mod invoices;
mod liquidity;
pub mod node;
pub mod offers;
mod payable;
pub mod payments;
pub mod peers;
mod refusal;
pub mod store;
mod view;
pub mod wallet;

use tonic::service::Routes;

use self::backup::BackupService;
use self::channels::ChannelsService;
use self::events::EventsService;
use self::forwards::ForwardsService;
use self::graph::GraphService;
use self::invoices::InvoicesService;
use self::node::NodeService;
use self::offers::OffersService;
use self::payments::PaymentsService;
use self::peers::PeersService;
use self::store::StoreService;
use self::wallet::WalletService;

/// All services.
pub struct Services {
    /// `fulmen.v1.Node`.
    pub node: NodeService,
    /// `fulmen.v1.Wallet`.
    pub wallet: WalletService,
    /// `fulmen.v1.Peers`.
    pub peers: PeersService,
    /// `fulmen.v1.Channels`.
    pub channels: ChannelsService,
    /// `fulmen.v1.Invoices`.
    pub invoices: InvoicesService,
    /// `fulmen.v1.Offers`.
    pub offers: OffersService,
    /// `fulmen.v1.Payments`.
    pub payments: PaymentsService,
    /// `fulmen.v1.Forwards`.
    pub forwards: ForwardsService,
    /// `fulmen.v1.Graph`.
    pub graph: GraphService,
    /// `fulmen.v1.Events`.
    pub events: EventsService,
    /// `fulmen.v1.Store`.
    pub store: StoreService,
    /// `fulmen.v1.Backup`.
    pub backup: BackupService,
}

impl Services {
    /// Returns the routes of all services; a request of more than `max_request_bytes` is refused.
    pub fn into_routes(self, max_request_bytes: usize) -> Routes {
        use fulmen_proto::v1::{
            backup_server::BackupServer, channels_server::ChannelsServer,
            events_server::EventsServer, forwards_server::ForwardsServer,
            graph_server::GraphServer, invoices_server::InvoicesServer, node_server::NodeServer,
            offers_server::OffersServer, payments_server::PaymentsServer,
            peers_server::PeersServer, store_server::StoreServer, wallet_server::WalletServer,
        };
        let limit = max_request_bytes;
        let mut routes = Routes::builder();
        routes
            .add_service(NodeServer::new(self.node).max_decoding_message_size(limit))
            .add_service(WalletServer::new(self.wallet).max_decoding_message_size(limit))
            .add_service(PeersServer::new(self.peers).max_decoding_message_size(limit))
            .add_service(ChannelsServer::new(self.channels).max_decoding_message_size(limit))
            .add_service(InvoicesServer::new(self.invoices).max_decoding_message_size(limit))
            .add_service(OffersServer::new(self.offers).max_decoding_message_size(limit))
            .add_service(PaymentsServer::new(self.payments).max_decoding_message_size(limit))
            .add_service(ForwardsServer::new(self.forwards).max_decoding_message_size(limit))
            .add_service(GraphServer::new(self.graph).max_decoding_message_size(limit))
            .add_service(EventsServer::new(self.events).max_decoding_message_size(limit))
            .add_service(StoreServer::new(self.store).max_decoding_message_size(limit))
            .add_service(BackupServer::new(self.backup).max_decoding_message_size(limit));
        routes.routes()
    }
}
