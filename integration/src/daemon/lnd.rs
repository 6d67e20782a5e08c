//! A daemon as lnd's clients see it.
use anyhow::Result;
use fulmen_lnd_proto::chainrpc::chain_notifier_client::ChainNotifierClient;
use fulmen_lnd_proto::invoicesrpc::invoices_client::InvoicesClient;
use fulmen_lnd_proto::lnrpc::lightning_client::LightningClient;
use fulmen_lnd_proto::lnrpc::state_client::StateClient;
use fulmen_lnd_proto::routerrpc::router_client::RouterClient;
use fulmen_lnd_proto::verrpc::versioner_client::VersionerClient;
use fulmen_lnd_proto::walletrpc::wallet_kit_client::WalletKitClient;
use fulmen_proto::dial::Connection;

use super::Node;

/// The clients of lnd's services, on one connection.
pub struct Lnd(Connection);

impl Lnd {
    /// Connects to a daemon with a macaroon of its directory: `admin`, `readonly`, `invoice`.
    pub async fn of(node: &Node, macaroon: &str) -> Result<Self> {
        Ok(Self(node.dial_as(macaroon).await?))
    }

    /// The main service.
    pub fn lightning(&self) -> LightningClient<Connection> {
        LightningClient::new(self.0.clone())
    }

    /// Payments.
    pub fn router(&self) -> RouterClient<Connection> {
        RouterClient::new(self.0.clone())
    }

    /// Hold invoices.
    pub fn invoices(&self) -> InvoicesClient<Connection> {
        InvoicesClient::new(self.0.clone())
    }

    /// The on-chain wallet.
    pub fn wallet_kit(&self) -> WalletKitClient<Connection> {
        WalletKitClient::new(self.0.clone())
    }

    /// Blocks.
    pub fn chain_notifier(&self) -> ChainNotifierClient<Connection> {
        ChainNotifierClient::new(self.0.clone())
    }

    /// The version.
    pub fn versioner(&self) -> VersionerClient<Connection> {
        VersionerClient::new(self.0.clone())
    }

    /// How far the start has come.
    pub fn state(&self) -> StateClient<Connection> {
        StateClient::new(self.0.clone())
    }
}
