//! The encrypted form of a seed: its entropy, sealed under a passphrase.
//!
//! Version 1, numbers big-endian: the magic (8 bytes), the version (1), Argon2id's memory in KiB (4), passes (4) and
//! lanes (1), its salt (16), the nonce (24), the 32 bytes of entropy encrypted with XChaCha20-Poly1305, and the tag
//! (16). The key is Argon2id's output for the passphrase; all that stands before the entropy is authenticated with it.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"FULMSEED";
const VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4 + 4 + 1 + SALT_BYTES + NONCE_BYTES;
const TAG_BYTES: usize = 16;

/// The entropy of 24 words.
pub(super) const ENTROPY_BYTES: usize = 32;
const SEALED_BYTES: usize = HEADER_BYTES + ENTROPY_BYTES + TAG_BYTES;

/// What one guess of the passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u8,
}

/// A quarter of a GiB and about a second: paid once a start.
pub(super) const COST: Cost = Cost { memory_kib: 256 << 10, passes: 3, lanes: 1 };
/// A header that asks for more is not one of ours.
const MOST: Cost = Cost { memory_kib: 512 << 10, passes: 64, lanes: 16 };

/// What has to be new each time.
pub(super) struct Chance {
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) nonce: [u8; NONCE_BYTES],
}

impl Chance {
    pub(super) fn draw() -> Result<Self, getrandom::Error> {
        let mut chance = Self { salt: [0; SALT_BYTES], nonce: [0; NONCE_BYTES] };
        getrandom::fill(&mut chance.salt)?;
        getrandom::fill(&mut chance.nonce)?;
        Ok(chance)
    }
}

/// Why sealed bytes do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnsealError {
    /// A later release wrote them.
    Newer(u8),
    /// They are not what any release writes.
    Damaged,
    /// They were changed, or the passphrase is another one: nobody can tell which.
    Wrong,
}

/// Whether a file holds a sealed seed, rather than words.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Seals entropy.
pub(super) fn seal(
    entropy: &[u8; ENTROPY_BYTES],
    passphrase: &str,
    cost: Cost,
    chance: &Chance,
) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SEALED_BYTES);
    sealed.extend(MAGIC);
    sealed.push(VERSION);
    sealed.extend(cost.memory_kib.to_be_bytes());
    sealed.extend(cost.passes.to_be_bytes());
    sealed.push(cost.lanes);
    sealed.extend(chance.salt);
    sealed.extend(chance.nonce);
    let key = key(passphrase, cost, &chance.salt).expect("the cost is one of ours");
    let payload = Payload { msg: entropy, aad: &sealed };
    let encrypted = XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&XNonce::from(chance.nonce), payload)
        .expect("32 bytes are not too many");
    sealed.extend(encrypted);
    sealed
}

/// Opens what [`seal`] made.
pub(super) fn open(
    sealed: &[u8],
    passphrase: &str,
) -> Result<Zeroizing<[u8; ENTROPY_BYTES]>, UnsealError> {
    let rest = sealed.strip_prefix(MAGIC).ok_or(UnsealError::Damaged)?;
    match rest.first() {
        Some(&VERSION) => (),
        Some(&newer) if newer > VERSION => return Err(UnsealError::Newer(newer)),
        Some(_) | None => return Err(UnsealError::Damaged),
    }
    if sealed.len() != SEALED_BYTES {
        return Err(UnsealError::Damaged);
    }
    let (header, encrypted) = sealed.split_at(HEADER_BYTES);
    let mut fields = &header[MAGIC.len() + 1..];
    let cost = Cost {
        memory_kib: u32::from_be_bytes(take(&mut fields)),
        passes: u32::from_be_bytes(take(&mut fields)),
        lanes: u8::from_be_bytes(take(&mut fields)),
    };
    let (salt, nonce) = (take(&mut fields), take(&mut fields));
    let key = key(passphrase, cost, &salt).ok_or(UnsealError::Damaged)?;
    let opened = XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(&XNonce::from(nonce), Payload { msg: encrypted, aad: header })
        .map(Zeroizing::new)
        .map_err(|_| UnsealError::Wrong)?;
    let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
    entropy.copy_from_slice(&opened);
    Ok(entropy)
}

/// The next bytes of a header, whose length was checked.
fn take<const N: usize>(fields: &mut &[u8]) -> [u8; N] {
    let (field, rest) = fields.split_first_chunk().expect("the header is as long as its fields");
    *fields = rest;
    *field
}

/// None for a cost that is not one of ours.
fn key(passphrase: &str, cost: Cost, salt: &[u8; SALT_BYTES]) -> Option<Zeroizing<[u8; 32]>> {
    let Cost { memory_kib, passes, lanes } = cost;
    if memory_kib > MOST.memory_kib || passes > MOST.passes || lanes > MOST.lanes {
        return None;
    }
    let params = Params::new(memory_kib, passes, lanes.into(), Some(32)).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;

    /// What release 0.1 writes, at a low cost; made with libsodium, not with this code. It is to be read forever.
    const VERSION_1: &str = "46554c4d53454544010000004000000002010102030405060708090a0b0c0d0e0f1065666768696a6b6c6d\
        6e6f707172737475767778797a7b7cb8e748bb80da8e1d11eea0a5b373ad735126b2180656c1a079704a1eeac34ddcf94a45c534fb243083\
        b865818c574ab5";
    const PASSPHRASE: &str = "correct horse battery staple";
    const LOW: Cost = Cost { memory_kib: 64, passes: 2, lanes: 1 };

    fn entropy() -> [u8; ENTROPY_BYTES] {
        std::array::from_fn(|index| 200 + index as u8)
    }

    fn chance() -> Chance {
        Chance {
            salt: std::array::from_fn(|index| 1 + index as u8),
            nonce: std::array::from_fn(|index| 101 + index as u8),
        }
    }

    #[test]
    fn what_was_stored_stays_readable() {
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(*open(&stored, PASSPHRASE).expect("it opens"), entropy());
        let sealed = seal(&entropy(), PASSPHRASE, LOW, &chance());
        assert_eq!(sealed.to_lower_hex_string(), VERSION_1);
    }

    #[test]
    fn nothing_but_the_passphrase_opens_it() {
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        for other in ["", "Correct horse battery staple", "correct horse battery staple "] {
            assert_eq!(open(&stored, other), Err(UnsealError::Wrong), "{other:?}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_lost_byte_is_refused() {
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&flipped, PASSPHRASE).is_err(), "bit {bit}");
        }
        for length in 0..stored.len() {
            assert!(open(&stored[..length], PASSPHRASE).is_err(), "{length} bytes");
        }
        assert_eq!(open(&[&stored[..], &[0]].concat(), PASSPHRASE), Err(UnsealError::Damaged));
        let mut newer = stored;
        newer[MAGIC.len()] = 2;
        assert_eq!(open(&newer, PASSPHRASE), Err(UnsealError::Newer(2)));
    }

    #[test]
    fn two_seals_of_one_seed_differ() {
        let seal = || seal(&entropy(), PASSPHRASE, LOW, &Chance::draw().expect("randomness"));
        let (one, two) = (seal(), seal());
        assert!(is_sealed(&one) && one[HEADER_BYTES..] != two[HEADER_BYTES..]);
        assert!(!is_sealed(b"abandon abandon"));
    }
}
