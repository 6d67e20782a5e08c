//! Messages signed by the node's key.

use fulmen_lnd_proto::lnrpc;
use lightning::routing::gossip::NodeId;
use lightning::sign::NodeSigner as _;
use lightning::util::message_signing::recover_pk;
use tonic::Status;

use crate::api::lnd::refusal::refused;
use crate::api::lnd::rooms::LndRooms;

/// The longest text that is signed, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

pub(super) fn sign(
    rooms: &LndRooms,
    request: &lnrpc::SignMessageRequest,
) -> Result<lnrpc::SignMessageResponse, Status> {
    if request.single_hash {
        return Err(refused("single_hash is not supported by this daemon"));
    }
    if request.msg.is_empty() {
        return Err(refused("need a message to sign"));
    }
    bounded(&request.msg)?;
    let signature = rooms.node.keys.sign_message(&request.msg);
    let signature = signature.map_err(|()| refused("the node's key could not sign a message"))?;
    Ok(lnrpc::SignMessageResponse { signature })
}

/// A signature counts if its signer is in the graph.
pub(super) fn verify(
    rooms: &LndRooms,
    request: &lnrpc::VerifyMessageRequest,
) -> Result<lnrpc::VerifyMessageResponse, Status> {
    if request.msg.is_empty() {
        return Err(refused("need a message to verify"));
    }
    bounded(&request.msg)?;
    // 65 bytes in zbase32.
    let signer = (request.signature.len() == 104)
        .then(|| recover_pk(&request.msg, &request.signature).ok())
        .flatten();
    let Some(signer) = signer else { return Ok(lnrpc::VerifyMessageResponse::default()) };
    let valid = rooms.node.graph.read_only().node(&NodeId::from_pubkey(&signer)).is_some();
    Ok(lnrpc::VerifyMessageResponse { valid, pubkey: signer.to_string() })
}

fn bounded(message: &[u8]) -> Result<(), Status> {
    match message.len() {
        0..=MAX_MESSAGE_BYTES => Ok(()),
        length => Err(refused(format!("message too large: {length} bytes"))),
    }
}
