//! The gRPC API of lnd 0.20: messages, clients and servers of the packages that `fulmend` serves for lnd's clients.
//!
//! Names, numbers and types are lnd's, because they are the interface; what `fulmend` does with each method stands in
//! `README.md` beside this crate's manifest. A crate of its own, so that `fulmen.v1` can change without compiling it anew.
#![allow(missing_docs, reason = "generated from interfaces that lnd documents")]
#![allow(clippy::large_enum_variant, reason = "prost decides how oneofs are laid out")]
#![allow(clippy::doc_lazy_continuation, reason = "generated")]

/// The encoded descriptors of all packages, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lnd.bin"));

/// The main service, the start's state, and the wallet's unlocking.
pub mod lnrpc {
    tonic::include_proto!("lnrpc");
}

/// Payments.
pub mod routerrpc {
    tonic::include_proto!("routerrpc");
}

/// Hold invoices.
pub mod invoicesrpc {
    tonic::include_proto!("invoicesrpc");
}

/// The on-chain wallet.
pub mod walletrpc {
    tonic::include_proto!("walletrpc");
}

/// Signatures.
pub mod signrpc {
    tonic::include_proto!("signrpc");
}

/// Blocks.
pub mod chainrpc {
    tonic::include_proto!("chainrpc");
}

/// The version.
pub mod verrpc {
    tonic::include_proto!("verrpc");
}

/// The node's announcement.
pub mod peersrpc {
    tonic::include_proto!("peersrpc");
}
