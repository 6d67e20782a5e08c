//! One file per group of commands: read the arguments, ask the daemon, hand the answer to the screen.
pub mod beliefs;
pub mod channel;
pub mod completions;
pub mod constraints;
pub mod create;
pub mod events;
pub mod forward;
mod fulmend;
pub mod graph;
pub mod invoice;
pub mod limits;
pub mod node;
pub mod paging;
pub mod payment;
pub mod peer;
pub mod probe;
pub mod rebalance;
pub mod route;
pub mod seed;
pub mod store;
pub mod wallet;

use fulmen_proto::dial::{Connection, dial};
use fulmen_proto::v1::channels_client::ChannelsClient;
use fulmen_proto::v1::events_client::EventsClient;
use fulmen_proto::v1::forwards_client::ForwardsClient;
use fulmen_proto::v1::graph_client::GraphClient;
use fulmen_proto::v1::invoices_client::InvoicesClient;
use fulmen_proto::v1::node_client::NodeClient;
use fulmen_proto::v1::payments_client::PaymentsClient;
use fulmen_proto::v1::peers_client::PeersClient;
use fulmen_proto::v1::store_client::StoreClient;
use fulmen_proto::v1::wallet_client::WalletClient;
use tonic::Streaming;

use crate::args::{Args, Command};
use crate::discover::{Place, discover};
use crate::failure::Failure;
use crate::render::Screen;

/// A page of 1,000 payments with all their parts and hops is larger than gRPC's default of 4 MiB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A connection to the daemon, and the screen.
pub struct Session {
    /// Where answers go.
    pub screen: Screen,
    connection: Connection,
}

macro_rules! clients {
    ($($name:ident: $client:ident),* $(,)?) => { $(
        /// A client of the service of this name.
        pub fn $name(&self) -> $client<Connection> {
            $client::new(self.connection.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
        }
    )* };
}

impl Session {
    async fn open(place: &Place, screen: Screen) -> Result<Self, Failure> {
        let found = discover(place, std::env::home_dir().as_deref())?;
        let connection = dial(&found.address, &found.tls_certificate_pem, &found.macaroon).await?;
        Ok(Self { screen, connection })
    }

    clients! {
        node: NodeClient,
        wallet: WalletClient,
        peers: PeersClient,
        channels: ChannelsClient,
        invoices: InvoicesClient,
        payments: PaymentsClient,
        forwards: ForwardsClient,
        graph: GraphClient,
        events: EventsClient,
        store: StoreClient,
    }
}

/// Carries out one command.
pub async fn run(args: Args, screen: Screen) -> Result<(), Failure> {
    let session = match args.command {
        // These need no daemon that runs.
        Command::Create(create) => return create.run(&args.place, screen).await,
        Command::Seed(group) => return group.run(&args.place).await,
        Command::Completions(completions) => return completions.run(screen),
        _ => Session::open(&args.place, screen).await?,
    };
    match args.command {
        Command::Create(_) | Command::Seed(_) | Command::Completions(_) => Ok(()),
        Command::Info(command) => command.run(&session).await,
        Command::Balance(command) => command.run(&session).await,
        Command::Address(command) => command.run(&session).await,
        Command::Send(command) => command.run(&session).await,
        Command::Connect(command) => command.run(&session).await,
        Command::Peers(command) => command.run(&session).await,
        Command::Open(command) => command.run(&session).await,
        Command::Close(command) => command.run(&session).await,
        Command::Channels(command) => command.run(&session).await,
        Command::Pay(command) => command.run(&session).await,
        Command::Keysend(command) => command.run(&session).await,
        Command::Payments(command) => command.run(&session).await,
        Command::Probe(command) => command.run(&session).await,
        Command::Invoice(group) => group.run(&session).await,
        Command::Invoices(command) => command.run(&session).await,
        Command::Decode(command) => command.run(&session).await,
        Command::Events(command) => command.run(&session).await,
        Command::Node(group) => group.run(&session).await,
        Command::Wallet(group) => group.run(&session).await,
        Command::Peer(group) => group.run(&session).await,
        Command::Channel(group) => group.run(&session).await,
        Command::Payment(group) => group.run(&session).await,
        Command::Forward(group) => group.run(&session).await,
        Command::Graph(group) => group.run(&session).await,
        Command::Store(group) => group.run(&session).await,
    }
}

/// The next state of something that goes on in the daemon whether we watch or not: after Ctrl-C
/// `goes_on` says so.
async fn next_state<M>(stream: &mut Streaming<M>, goes_on: &str) -> Result<Option<M>, Failure> {
    tokio::select! {
        message = stream.message() => Ok(message?),
        _ = tokio::signal::ctrl_c() => Err(Failure::failed(goes_on)),
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    #[test]
    fn every_method_of_the_api_has_a_command() {
        let sources = [
            ("Node", include_str!("node.rs")),
            ("Wallet", include_str!("wallet.rs")),
            ("Peers", include_str!("peer.rs")),
            ("Channels", include_str!("channel.rs")),
            ("Invoices", include_str!("invoice.rs")),
            (
                "Payments",
                concat!(
                    include_str!("payment.rs"),
                    include_str!("rebalance.rs"),
                    include_str!("probe.rs")
                ),
            ),
            ("Forwards", include_str!("forward.rs")),
            (
                "Graph",
                concat!(
                    include_str!("graph.rs"),
                    include_str!("route.rs"),
                    include_str!("beliefs.rs")
                ),
            ),
            ("Events", include_str!("events.rs")),
            ("Store", include_str!("store.rs")),
        ];
        let pool = DescriptorPool::decode(fulmen_proto::v1::FILE_DESCRIPTOR_SET).expect("compiled");
        for service in pool.services() {
            let (_, source) = sources
                .iter()
                .find(|(name, _)| *name == service.name())
                .unwrap_or_else(|| panic!("no commands for the service {}", service.name()));
            for method in service.methods() {
                let call = format!(".{}({}", snake(method.name()), method.input().name());
                let found = source.contains(&call)
                    || source.contains(&format!(".{}(request", snake(method.name())));
                assert!(found, "no command calls {}: {call}", method.full_name());
            }
        }
    }

    fn snake(name: &str) -> String {
        let mut snake = String::new();
        for c in name.chars() {
            if c.is_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.extend(c.to_lowercase());
        }
        snake
    }
}
