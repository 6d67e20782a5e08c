//! The gRPC API of `fulmend`, a Lightning daemon: messages, clients and servers of package `fulmen.v1`.
//!
//! A client needs three things of a daemon, all in its directory (`~/.fulmen/NETWORK/`): the address in `grpc.address`,
//! the certificate in `tls.cert`, and a macaroon, which says what its bearer may do (`admin.macaroon`,
//! `readonly.macaroon`, `invoice.macaroon`). This one pays an invoice and prints each state of the payment:
//!
//! ```no_run
//! use fulmen_proto::dial::dial;
//! use fulmen_proto::v1::node_client::NodeClient;
//! use fulmen_proto::v1::payments_client::PaymentsClient;
//! use fulmen_proto::v1::{GetInfoRequest, PayRequest};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let directory = std::path::Path::new("/home/alice/.fulmen/bitcoin");
//!     let certificate = std::fs::read(directory.join("tls.cert"))?;
//!     let macaroon = std::fs::read(directory.join("admin.macaroon"))?;
//!     let connection = dial("127.0.0.1:10009", &certificate, &macaroon).await?;
//!
//!     let info = NodeClient::new(connection.clone()).get_info(GetInfoRequest {}).await?.into_inner();
//!     println!("{} at block {}", info.alias, info.block_height);
//!
//!     let request = PayRequest { bolt11: "lnbc…".to_owned(), ..Default::default() };
//!     let mut payments = PaymentsClient::new(connection);
//!     let mut states = payments.pay(request).await?.into_inner();
//!     while let Some(payment) = states.message().await? {
//!         println!("{}: {} msat", payment.state().as_str_name(), payment.amount_msat);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! - **Conventions** (units, ids, times, reasons) stand at the head of `fulmen/v1/types.proto`; each service has a
//!   `.proto` of its own with the documentation of its methods and fields.
//! - **Errors** are gRPC statuses with a `google.rpc.ErrorInfo` of domain `fulmen`: programs decide on its `reason`, an
//!   UPPER_SNAKE word that is stable across releases; the message is a sentence for people.
//! - **Calls that move money** take an idempotency key: the same key again returns the first outcome.
//! - **Other languages** generate a client from the `.proto` files, or from the server's reflection, and send the
//!   macaroon in hex under the metadata key [`dial::MACAROON_KEY`].
#![allow(missing_docs, reason = "the documentation of generated code is in the .proto files")]
#![allow(clippy::large_enum_variant, reason = "prost decides how oneofs are laid out")]

pub mod dial;

/// Package `fulmen.v1`.
pub mod v1 {
    tonic::include_proto!("fulmen.v1");

    /// The encoded descriptors of the package, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fulmen.bin"));
}
