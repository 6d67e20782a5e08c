//! A connection to the daemon with a client for each service, and the screen.
use std::time::Duration;

use fulmen_proto::dial::{Connection, dial};
use fulmen_proto::v1::GetInfoRequest;
use fulmen_proto::v1::backup_client::BackupClient;
use fulmen_proto::v1::channels_client::ChannelsClient;
use fulmen_proto::v1::events_client::EventsClient;
use fulmen_proto::v1::forwards_client::ForwardsClient;
use fulmen_proto::v1::graph_client::GraphClient;
use fulmen_proto::v1::invoices_client::InvoicesClient;
use fulmen_proto::v1::node_client::NodeClient;
use fulmen_proto::v1::offers_client::OffersClient;
use fulmen_proto::v1::payments_client::PaymentsClient;
use fulmen_proto::v1::peers_client::PeersClient;
use fulmen_proto::v1::store_client::StoreClient;
use fulmen_proto::v1::wallet_client::WalletClient;
use tonic::Streaming;

use crate::discover::{Place, discover};
use crate::failure::{Exit, Failure, STARTING};
use crate::render::Screen;

/// A page of 1,000 payments with all their parts and hops is larger than gRPC's default of 4 MiB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The pause between attempts to reach a daemon that is starting.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(300);

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
    /// Finds the daemon and dials it.
    pub async fn open(place: &Place, screen: Screen) -> Result<Self, Failure> {
        let found = discover(place, std::env::home_dir().as_deref())?;
        let connection = dial(&found.address, &found.tls_certificate_pem, &found.macaroon).await?;
        Ok(Self { screen, connection })
    }

    /// [`Session::open`] as soon as a daemon is there that has started; shows what is being waited for.
    pub async fn open_once_started(place: &Place, screen: Screen) -> Result<Self, Failure> {
        let progress = screen.progress("waiting for the daemon");
        loop {
            let waits_for = match Self::open(place, screen).await {
                Ok(session) => match session.node().get_info(GetInfoRequest {}).await {
                    Ok(_) => return Ok(session),
                    Err(status) => {
                        let failure = Failure::from(status);
                        if failure.reason != STARTING && failure.exit != Exit::NotReachable {
                            // It has started; the command itself meets this failure, if it is one for it.
                            return Ok(session);
                        }
                        failure.what
                    }
                },
                Err(failure) if failure.exit == Exit::NotReachable => failure.what,
                Err(failure) => return Err(failure),
            };
            progress.doing(waits_for);
            tokio::time::sleep(BETWEEN_ATTEMPTS).await;
        }
    }

    clients! {
        node: NodeClient,
        wallet: WalletClient,
        peers: PeersClient,
        channels: ChannelsClient,
        invoices: InvoicesClient,
        offers: OffersClient,
        payments: PaymentsClient,
        forwards: ForwardsClient,
        graph: GraphClient,
        events: EventsClient,
        store: StoreClient,
        backup: BackupClient,
    }
}

/// The next state of something that goes on in the daemon whether we watch or not: after Ctrl-C
/// `goes_on` says so.
pub async fn next_state<M>(stream: &mut Streaming<M>, goes_on: &str) -> Result<Option<M>, Failure> {
    tokio::select! {
        message = stream.message() => Ok(message?),
        _ = tokio::signal::ctrl_c() => Err(Failure::failed(goes_on)),
    }
}
