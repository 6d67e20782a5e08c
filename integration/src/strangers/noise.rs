//! The initiator's side of the encrypted transport (BOLT 8): three acts, then two ciphers with rotating keys.
use anyhow::{Context as _, Result, bail, ensure};
use bitcoincore_rpc::bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use bitcoincore_rpc::bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey, ecdh::SharedSecret};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};

use crate::chaos::Chance;

const PROTOCOL: &[u8] = b"Noise_XK_secp256k1_ChaChaPoly_SHA256";
const PROLOGUE: &[u8] = b"lightning";
/// Messages, each with two encryptions, until a key is replaced.
const ROTATION: u64 = 1_000;
/// Bytes of the second act.
pub const ACT_TWO: usize = 50;
/// Bytes of the encrypted length of a message.
pub const LENGTH: usize = 18;
const TAG: usize = 16;

/// A handshake that waits for the second act.
pub struct Handshake {
    ephemeral: SecretKey,
    ours: SecretKey,
    hash: [u8; 32],
    chaining: [u8; 32],
}

/// The transport after the handshake.
pub struct Ciphers {
    sending: Cipher,
    receiving: Cipher,
}

impl Handshake {
    /// The first act, and what waits for the second.
    pub fn begin(
        ours: SecretKey,
        ephemeral: SecretKey,
        theirs: &PublicKey,
    ) -> Result<(Vec<u8>, Self)> {
        let chaining = sha256::Hash::hash(PROTOCOL).to_byte_array();
        let hash = mix(&mix(&chaining, PROLOGUE), &theirs.serialize());
        let public = PublicKey::from_secret_key(&Secp256k1::new(), &ephemeral).serialize();
        let hash = mix(&hash, &public);
        let (chaining, key) = derive(&chaining, SharedSecret::new(theirs, &ephemeral).as_ref());
        let tag = seal(&key, 0, &hash, &[])?;
        let hash = mix(&hash, &tag);
        let act = [&[0][..], &public, &tag].concat();
        Ok((act, Self { ephemeral, ours, hash, chaining }))
    }

    /// Reads the second act; the third act, and the ciphers that follow it.
    pub fn finish(self, act: &[u8; ACT_TWO]) -> Result<(Vec<u8>, Ciphers)> {
        ensure!(act[0] == 0, "a handshake of version {}", act[0]);
        let theirs = PublicKey::from_slice(&act[1..34]).context("their ephemeral key")?;
        let hash = mix(&self.hash, &act[1..34]);
        let secret = SharedSecret::new(&theirs, &self.ephemeral);
        let (chaining, key) = derive(&self.chaining, secret.as_ref());
        open(&key, 0, &hash, &act[34..])?;
        let hash = mix(&hash, &act[34..]);
        let public = PublicKey::from_secret_key(&Secp256k1::new(), &self.ours).serialize();
        let sealed = seal(&key, 1, &hash, &public)?;
        let hash = mix(&hash, &sealed);
        let secret = SharedSecret::new(&theirs, &self.ours);
        let (chaining, key) = derive(&chaining, secret.as_ref());
        let tag = seal(&key, 0, &hash, &[])?;
        let (sending, receiving) = derive(&chaining, &[]);
        let ciphers = Ciphers {
            sending: Cipher { chaining, key: sending, nonce: 0 },
            receiving: Cipher { chaining, key: receiving, nonce: 0 },
        };
        Ok(([&[0][..], &sealed, &tag].concat(), ciphers))
    }
}

impl Ciphers {
    /// A message as it goes over the wire.
    pub fn encrypt(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let length = u16::try_from(message.len()).context("a message has at most 65535 bytes")?;
        let mut wire = self.sending.seal(&length.to_be_bytes())?;
        wire.extend(self.sending.seal(message)?);
        Ok(wire)
    }

    /// How many bytes follow an encrypted length.
    pub fn length(&mut self, wire: &[u8; LENGTH]) -> Result<usize> {
        let length = self.receiving.open(wire)?;
        let length: [u8; 2] = length.try_into().ok().context("a length has two bytes")?;
        Ok(usize::from(u16::from_be_bytes(length)) + TAG)
    }

    /// The message in the bytes that follow the length.
    pub fn decrypt(&mut self, wire: &[u8]) -> Result<Vec<u8>> {
        self.receiving.open(wire)
    }
}

struct Cipher {
    chaining: [u8; 32],
    key: [u8; 32],
    nonce: u64,
}

impl Cipher {
    fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        let nonce = self.next();
        seal(&self.key, nonce, &[], text)
    }

    fn open(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        let nonce = self.next();
        open(&self.key, nonce, &[], text)
    }

    fn next(&mut self) -> u64 {
        if self.nonce == ROTATION {
            (self.chaining, self.key) = derive(&self.chaining, &self.key);
            self.nonce = 0;
        }
        self.nonce += 1;
        self.nonce - 1
    }
}

fn mix(hash: &[u8; 32], more: &[u8]) -> [u8; 32] {
    sha256::Hash::hash(&[hash, more].concat()).to_byte_array()
}

/// HKDF-SHA256 without info: the next chaining key, and a key.
fn derive(salt: &[u8; 32], secret: &[u8]) -> ([u8; 32], [u8; 32]) {
    let hmac = |key: &[u8], parts: &[&[u8]]| {
        let mut engine = HmacEngine::<sha256::Hash>::new(key);
        parts.iter().for_each(|part| engine.input(part));
        Hmac::from_engine(engine).to_byte_array()
    };
    let pseudorandom = hmac(salt, &[secret]);
    let first = hmac(&pseudorandom, &[&[1]]);
    let second = hmac(&pseudorandom, &[&first, &[2]]);
    (first, second)
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::from(nonce)
}

fn seal(key: &[u8; 32], number: u64, aad: &[u8], msg: &[u8]) -> Result<Vec<u8>> {
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    let sealed = cipher.encrypt(&nonce(number), Payload { msg, aad });
    sealed.ok().context("encrypting")
}

fn open(key: &[u8; 32], number: u64, aad: &[u8], msg: &[u8]) -> Result<Vec<u8>> {
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    match cipher.decrypt(&nonce(number), Payload { msg, aad }) {
        Ok(text) => Ok(text),
        Err(_) => bail!("the other side's bytes do not decrypt"),
    }
}

/// A secret key; nearly every number of 32 bytes is one.
pub(super) fn secret(chance: &mut Chance) -> Result<SecretKey> {
    SecretKey::from_slice(&chance.bytes()).context("a number that is no key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{hex, unhex};

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_slice(&[byte; 32]).expect("a small number is a key")
    }

    /// BOLT 8, "transport-initiator successful handshake".
    fn vector() -> (Vec<u8>, Vec<u8>, Ciphers) {
        let theirs = "028d7500dd4c12685d1f568b4c2b5048e8534b873319f3a8daa612b469132ec7f7";
        let theirs = PublicKey::from_slice(&unhex(theirs).expect("hex")).expect("a key");
        let (first, handshake) = Handshake::begin(key(0x11), key(0x12), &theirs).expect("begun");
        let second = unhex(
            "0002466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f276e2470b93aac583c9ef6eafca3f730ae",
        );
        let second = second.expect("hex").try_into().expect("50 bytes");
        let (third, ciphers) = handshake.finish(&second).expect("their act is right");
        (first, third, ciphers)
    }

    #[test]
    fn the_acts_are_those_of_the_specification() {
        let (first, third, _) = vector();
        assert_eq!(
            hex(&first),
            "00036360e856310ce5d294e8be33fc807077dc56ac80d95d9cd4ddbd21325eff73f70df6086551151f58b8afe6c195782c6a"
        );
        assert_eq!(
            hex(&third),
            "00b9e3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa22355361aa02e55a8fc28fef5bd6d71ad0c38228dc68b1c466263b47fdf31e560e139ba"
        );
    }

    #[test]
    fn keys_rotate_as_in_the_specification() {
        let (_, _, mut ciphers) = vector();
        let mut sent = Vec::new();
        for _ in 0..=501 {
            sent.push(hex(&ciphers.encrypt(b"hello").expect("short enough")));
        }
        for (number, wire) in [
            (0, "cf2b30ddf0cf3f80e7c35a6e6730b59fe802473180f396d88a8fb0db8cbcf25d2f214cf9ea1d95"),
            (1, "72887022101f0b6753e0c7de21657d35a4cb2a1f5cde2650528bbc8f837d0f0d7ad833b1a256a1"),
            (500, "178cb9d7387190fa34db9c2d50027d21793c9bc2d40b1e14dcf30ebeeeb220f48364f7a4c68bf8"),
            (501, "1b186c57d44eb6de4c057c49940d79bb838a145cb528d6e8fd26dbe50a60ca2c104b56b60e45bd"),
        ] {
            assert_eq!(sent[number], wire, "message {number}");
        }
    }
}
