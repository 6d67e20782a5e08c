//! The messages of strangers, byte by byte as BOLT 1, 2, 4 and 7 lay them out.
use bitcoincore_rpc::bitcoin::blockdata::constants::ChainHash;
use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256d};
use bitcoincore_rpc::bitcoin::secp256k1::{Message, PublicKey, Secp256k1, SecretKey};

use super::Mischief;
use super::noise::secret;
use crate::chaos::Chance;

const INIT: u16 = 16;
const PING: u16 = 18;
const OPEN_CHANNEL: u16 = 32;
const CHANNEL_ANNOUNCEMENT: u16 = 256;
const QUERY_SHORT_CHANNEL_IDS: u16 = 261;
const QUERY_CHANNEL_RANGE: u16 = 263;
const ONION_MESSAGE: u16 = 513;
/// The features of an ordinary node, as bits of BOLT 9: data loss protection, gossip queries, variable onions, static
/// remote keys, payment secrets, multi-part payments, anchors, any segwit for shutdowns, onion messages, channel types.
const FEATURES: [usize; 10] = [1, 7, 9, 13, 15, 17, 23, 27, 39, 45];
/// Static remote keys and anchors without fees for HTLCs.
const CHANNEL_TYPE: [usize; 2] = [12, 22];
/// The longest answer to a ping that must be given (BOLT 1).
const LONGEST_PONG: u16 = 65_531;
const ONION_BYTES: usize = 1_366;

/// The next messages of a mischief that needs a connection.
pub(super) fn of(mischief: Mischief, chance: &mut Chance) -> Vec<Vec<u8>> {
    match mischief {
        Mischief::Idle | Mischief::HalfOpen | Mischief::Garbage => Vec::new(),
        Mischief::Gossip => gossip(chance).into_iter().flatten().collect(),
        Mischief::Onions => onion(chance).into_iter().collect(),
        Mischief::Pings => vec![ping(); 8],
        Mischief::Opens => open(chance).into_iter().collect(),
    }
}

/// `init` with ordinary features.
pub(super) fn init() -> Vec<u8> {
    let features = bits(&FEATURES);
    Writer::new(INIT).u16(0).sized(&features).done()
}

/// `ping` that asks for the longest answer.
pub(super) fn ping() -> Vec<u8> {
    Writer::new(PING).u16(LONGEST_PONG).u16(0).done()
}

/// A well-signed announcement of a channel that does not exist, and two questions.
fn gossip(chance: &mut Chance) -> Option<[Vec<u8>; 3]> {
    let keys: Vec<SecretKey> = (0..4).map(|_| secret(chance).ok()).collect::<Option<_>>()?;
    let height = u64::try_from(chance.below(100)).ok()? + 1;
    let scid = height << 40 | u64::from(chance.number() as u16) << 16;
    let range = Writer::new(QUERY_CHANNEL_RANGE).bytes(chain()).u32(0).u32(u32::MAX).done();
    // Encoding 0: short ids one after the other.
    let ids: Vec<u8> = (0..500).flat_map(|_| chance.number().to_be_bytes()).collect();
    let ids = [&[0][..], &ids].concat();
    let query = Writer::new(QUERY_SHORT_CHANNEL_IDS).bytes(chain()).sized(&ids).done();
    Some([announcement(&keys, scid), range, query])
}

/// `channel_announcement` of two nodes by their node keys and funding keys.
fn announcement(keys: &[SecretKey], scid: u64) -> Vec<u8> {
    let secp = Secp256k1::new();
    let mut keys = keys.to_vec();
    let public = |key: &SecretKey| PublicKey::from_secret_key(&secp, key).serialize();
    // The lesser node id is the first.
    if public(&keys[0]) > public(&keys[1]) {
        keys.swap(0, 1);
        keys.swap(2, 3);
    }
    let mut signed = vec![0, 0];
    signed.extend_from_slice(chain());
    signed.extend_from_slice(&scid.to_be_bytes());
    keys.iter().for_each(|key| signed.extend_from_slice(&public(key)));
    let digest = Message::from_digest(sha256d::Hash::hash(&signed).to_byte_array());
    let mut writer = Writer::new(CHANNEL_ANNOUNCEMENT);
    for key in &keys {
        writer = writer.bytes(&secp.sign_ecdsa(&digest, key).serialize_compact());
    }
    writer.bytes(&signed).done()
}

/// `onion_message` for nobody: its key is a point, its layers are noise.
fn onion(chance: &mut Chance) -> Option<Vec<u8>> {
    let (point, key) = (point(chance)?, point(chance)?);
    let mut onion = vec![0];
    onion.extend_from_slice(&key);
    while onion.len() < ONION_BYTES {
        onion.extend_from_slice(&chance.bytes());
    }
    onion.truncate(ONION_BYTES);
    Some(Writer::new(ONION_MESSAGE).bytes(&point).sized(&onion).done())
}

/// `open_channel` that an ordinary node would accept.
fn open(chance: &mut Chance) -> Option<Vec<u8>> {
    let mut writer = Writer::new(OPEN_CHANNEL)
        .bytes(chain())
        .bytes(&chance.bytes())
        // Funding, push, dust limit, most in flight, reserve, least HTLC.
        .u64(1_000_000)
        .u64(0)
        .u64(354)
        .u64(450_000_000)
        .u64(10_000)
        .u64(1)
        // Feerate per 1,000 weight, delay in blocks, HTLCs.
        .u32(2_500)
        .u16(144)
        .u16(483);
    for _ in 0..6 {
        writer = writer.bytes(&point(chance)?);
    }
    let kind = bits(&CHANNEL_TYPE);
    // Not announced; no shutdown script; the type.
    let length = u8::try_from(kind.len()).ok()?;
    Some(writer.bytes(&[0, 0, 0, 1, length]).bytes(&kind).done())
}

fn point(chance: &mut Chance) -> Option<[u8; 33]> {
    let key = secret(chance).ok()?;
    Some(PublicKey::from_secret_key(&Secp256k1::new(), &key).serialize())
}

/// The chain hash of regtest.
fn chain() -> &'static [u8; 32] {
    const CHAIN: &ChainHash = &ChainHash::REGTEST;
    CHAIN.as_bytes()
}

/// Feature bits as BOLT 9 writes them: big-endian, as short as they can be.
fn bits(set: &[usize]) -> Vec<u8> {
    let length = set.iter().max().map_or(0, |most| most / 8 + 1);
    let mut bytes = vec![0; length];
    for bit in set {
        bytes[length - 1 - bit / 8] |= 1 << (bit % 8);
    }
    bytes
}

/// Writes a message field by field.
struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: u16) -> Self {
        Self(kind.to_be_bytes().to_vec())
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes behind their length.
    fn sized(self, bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len()).expect("a message has at most 65535 bytes");
        self.u16(length).bytes(bytes)
    }

    fn u16(self, number: u16) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    fn u32(self, number: u32) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    fn u64(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    fn done(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_big_endian_and_short() {
        assert_eq!(bits(&[0]), [1]);
        assert_eq!(bits(&[12, 22]), [0x40, 0x10, 0x00]);
        assert_eq!(bits(&[]), [] as [u8; 0]);
    }

    #[test]
    fn messages_have_the_length_of_their_fields() {
        let mut chance = Chance::from_seed(1);
        assert_eq!(ping().len(), 6);
        assert_eq!(onion(&mut chance).expect("keys").len(), 2 + 33 + 2 + ONION_BYTES);
        // BOLT 2: 319 bytes without the type and TLVs; here a type of two bytes and two TLVs.
        assert_eq!(open(&mut chance).expect("keys").len(), 2 + 319 + 2 + 5);
        let [announcement, ..] = gossip(&mut chance).expect("keys");
        assert_eq!(announcement.len(), 2 + 4 * 64 + 2 + 32 + 8 + 4 * 33);
    }
}
