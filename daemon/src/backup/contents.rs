//! What a static channel backup holds: which channels there are and where their peers are, sealed by the node's seed.
//!
//! A backup holds no state of a channel, so an old one is never dangerous: it only tells which peers to ask for a forced
//! close. Version 1: the magic (8 bytes), the version (1), the nonce (24), and the contents, encrypted with
//! XChaCha20-Poly1305 and followed by its tag (16). The key is HMAC-SHA256 of a constant under the 32 bytes of the
//! node's seed; what stands before the contents is authenticated with them.

use bitcoin::OutPoint;
use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use bitcoin::secp256k1::PublicKey;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use lightning::impl_writeable_tlv_based;
use lightning::ln::types::ChannelId;
use lightning::util::ser::{Readable as _, Writeable as _};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"FULMCHBK";
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = MAGIC.len() + 1 + NONCE_BYTES;
/// A channel takes about 150 bytes.
const MOST_BYTES: usize = 16 << 20;

/// A channel in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUpChannel {
    /// LDK's name for it.
    pub channel_id: ChannelId,
    /// Its funding output.
    pub funding: OutPoint,
    /// The peer.
    pub node_id: PublicKey,
    /// Where the peer was reached, each as host:port.
    pub addresses: Vec<String>,
    /// The capacity.
    pub capacity_sat: u64,
    /// Its place in the chain, once it has one.
    pub short_channel_id: Option<u64>,
}

impl_writeable_tlv_based!(BackedUpChannel, {
    (0, channel_id, required),
    (2, funding, required),
    (4, node_id, required),
    (6, addresses, required_vec),
    (8, capacity_sat, required),
    (9, short_channel_id, option),
});

/// The contents of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Whose channels these are.
    pub node_id: PublicKey,
    /// Unix time in seconds.
    pub created_at: u64,
    /// The channels, in no order.
    pub channels: Vec<BackedUpChannel>,
}

impl_writeable_tlv_based!(Contents, {
    (0, node_id, required),
    (2, created_at, required),
    (4, channels, required_vec),
});

/// Why bytes are no backup of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another kind of file, or cut short.
    #[error("this is no static channel backup")]
    NotABackup,
    /// A later release wrote it.
    #[error("the backup was written by a newer release (version {0}): use that release")]
    Newer(u8),
    /// Changed on its way, or another seed's: nobody can tell which.
    #[error("the backup does not open: it belongs to another seed, or it is damaged")]
    OtherSeedOrDamaged,
}

/// Seals and opens the backups of one seed.
pub struct Sealer(Zeroizing<[u8; 32]>);

impl Sealer {
    /// Derives the key from the 32 bytes of the node's seed.
    pub fn new(node_seed: &[u8; 32]) -> Self {
        let mut engine = HmacEngine::<sha256::Hash>::new(node_seed);
        engine.input(b"fulmen static channel backup 1");
        Self(Zeroizing::new(Hmac::from_engine(engine).to_byte_array()))
    }

    /// Seals a backup under a nonce that was never used before.
    pub fn seal(&self, contents: &Contents, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let mut sealed = Vec::new();
        sealed.extend(MAGIC);
        sealed.push(VERSION);
        sealed.extend(nonce);
        let encoded = contents.encode();
        let payload = Payload { msg: &encoded, aad: &sealed };
        let encrypted = self.cipher().encrypt(&XNonce::from(nonce), payload);
        sealed.extend(encrypted.expect("a backup is far smaller than the cipher's limit"));
        sealed
    }

    /// Opens a backup.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn open(&self, sealed: &[u8]) -> Result<Contents, Refusal> {
        if !sealed.starts_with(MAGIC) || sealed.len() > MOST_BYTES {
            return Err(Refusal::NotABackup);
        }
        match sealed.get(MAGIC.len()) {
            Some(&VERSION) => (),
            Some(&newer) if newer > VERSION => return Err(Refusal::Newer(newer)),
            Some(_) | None => return Err(Refusal::NotABackup),
        }
        let (header, encrypted) =
            sealed.split_at_checked(HEADER_BYTES).ok_or(Refusal::NotABackup)?;
        let nonce: [u8; NONCE_BYTES] =
            header[MAGIC.len() + 1..].try_into().expect("the header ends with the nonce");
        let payload = Payload { msg: encrypted, aad: header };
        let encoded = self.cipher().decrypt(&XNonce::from(nonce), payload);
        let encoded = encoded.map_err(|_| Refusal::OtherSeedOrDamaged)?;
        Contents::read(&mut &encoded[..]).map_err(|_| Refusal::OtherSeedOrDamaged)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Txid;
    use bitcoin::hex::{DisplayHex as _, FromHex as _};
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;

    fn contents() -> Contents {
        let secret = SecretKey::from_slice(&[9; 32]).expect("a key");
        let node_id = secret.public_key(&Secp256k1::new());
        let channel = BackedUpChannel {
            channel_id: ChannelId([1; 32]),
            funding: OutPoint { txid: Txid::from_byte_array([2; 32]), vout: 3 },
            node_id,
            addresses: vec!["192.0.2.1:9735".to_owned()],
            capacity_sat: 4_000_000,
            short_channel_id: Some(5),
        };
        Contents { node_id, created_at: 1_700_000_000, channels: vec![channel] }
    }

    fn sealed() -> Vec<u8> {
        Sealer::new(&[7; 32]).seal(&contents(), [8; NONCE_BYTES])
    }

    #[test]
    fn only_the_seed_opens_it() {
        assert_eq!(Sealer::new(&[7; 32]).open(&sealed()), Ok(contents()));
        assert_eq!(Sealer::new(&[6; 32]).open(&sealed()), Err(Refusal::OtherSeedOrDamaged));
    }

    #[test]
    fn every_flipped_bit_and_every_lost_byte_is_refused() {
        let sealer = Sealer::new(&[7; 32]);
        let stored = sealed();
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..stored.len() {
            assert!(sealer.open(&stored[..length]).is_err(), "{length} bytes");
        }
        let mut newer = stored;
        newer[MAGIC.len()] = 2;
        assert_eq!(sealer.open(&newer), Err(Refusal::Newer(2)));
    }

    #[test]
    fn what_was_stored_stays_readable() {
        let hex = sealed().to_lower_hex_string();
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(hex, VERSION_1);
        assert_eq!(Sealer::new(&[7; 32]).open(&stored), Ok(contents()));
    }

    /// What the first release with backups writes.
    const VERSION_1: &str = "\
        46554c4d4348424b010808080808080808080808080808080808080808080808088bc89e184d43bf554c479bf9b70202f83e\
        f76b38ccbe2c3a59a6fec272428e619e2106647625ebed0232a57a0b08c0a90aa8806b03bc6312ee65b14214ad2485f8df9e\
        60619830541d199ed61e0a12dd5027f06c56f9e4b96a2fc18ed31b150901a75cbc7884939b080ef44ebf5bedecc3bedab338\
        4797edd6beb604fab0d0c3f1a0329b11058cedcd769ba958460ddfe0b2385dd6a4d27a6497402ba3ade83c755c806977437e\
        edd3388e4d186509797f4eb88a6aaf2d1a070cc18807ccdc24161fa8b5430c84f17f33a0c726b4ede479d1";
}
