//! The wire between `fulmend` and whoever talks to it: generated messages, clients and servers.
#![allow(missing_docs, reason = "the documentation of generated code is in the .proto files")]

pub mod dial;

/// Package `fulmen.v1`.
pub mod v1 {
    tonic::include_proto!("fulmen.v1");

    /// The encoded descriptors of the package, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fulmen.bin"));
}
