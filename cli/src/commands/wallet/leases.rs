//! `fulmen wallet lease`, `release` and `leases`: coins that are reserved for a time.
use clap::Args;
use fulmen_proto::v1::{LeaseOutputRequest, ListLeasesRequest, ReleaseOutputRequest};

use crate::failure::Failure;
use crate::ids::Coin;
use crate::render::wallet;
use crate::session::Session;
use crate::units::Span;

#[derive(Debug, Args)]
pub struct Lease {
    /// The coin, TXID:VOUT
    coin: Coin,
    /// The name of the lease; the same name renews or ends it
    name: String,
    /// How long: 10m, 24h, 7d [default: 10m]
    #[arg(long, value_name = "SPAN")]
    expiry: Option<Span>,
}

impl Lease {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = LeaseOutputRequest {
            outpoint: Some(self.coin.0),
            name: self.name,
            expiry_secs: self.expiry.map_or(0, |span| span.secs.into()),
        };
        let leased = session.wallet().lease_output(request).await?.into_inner();
        session.screen.show(&leased, |leased, look| wallet::leases(leased.lease.as_slice(), look))
    }
}

#[derive(Debug, Args)]
pub struct Release {
    /// The coin, TXID:VOUT
    coin: Coin,
    /// The name of the lease
    name: String,
}

impl Release {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = ReleaseOutputRequest { outpoint: Some(self.coin.0), name: self.name };
        let released = session.wallet().release_output(request).await?.into_inner();
        session.screen.show(&released, |_, _| "The coin can be spent again.\n".to_owned())
    }
}

#[derive(Debug, Args)]
pub struct Leases {}

impl Leases {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let list = session.wallet().list_leases(ListLeasesRequest {}).await?.into_inner();
        session.screen.show(&list, |list, look| wallet::leases(&list.leases, look))
    }
}
