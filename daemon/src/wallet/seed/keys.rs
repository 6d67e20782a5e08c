//! What is derived from the seed, and along which path.
//!
//! | for | path | how |
//! |---|---|---|
//! | on-chain money, receiving | `m/86'/COIN'/0'/0/*` | BIP 86 (taproot, single key) |
//! | on-chain money, change | `m/86'/COIN'/0'/1/*` | BIP 86 |
//! | the Lightning node | `m/535'/COIN'` | the private key's 32 bytes seed LDK's `KeysManager` |
//!
//! `COIN` is 0 on mainnet and 1 elsewhere (SLIP 44). 535' is the path that LDK's documentation uses
//! for its seed. All three are hardened siblings: knowing one tells nothing of the others.

use bdk_wallet::KeychainKind;
use bdk_wallet::descriptor::IntoWalletDescriptor as _;
use bdk_wallet::signer::SignersContainer;
use bdk_wallet::template::Bip86;
use bitcoin::bip32::{ChildNumber, Xpriv};
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Network, NetworkKind};

use super::Seed;

/// The keys of one seed on one network.
#[derive(Clone)]
pub struct SeedKeys {
    master: Xpriv,
    network: Network,
}

impl std::fmt::Debug for SeedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SeedKeys({}, secret)", self.network)
    }
}

impl SeedKeys {
    /// Derives the master key of BIP 32.
    pub fn new(seed: &Seed, network: Network) -> Self {
        let master = Xpriv::new_master(network, &seed.bip32_seed())
            .expect("a hash is an invalid key once in 2^127 seeds");
        Self { master, network }
    }

    /// The network whose paths are used.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The 32 bytes for LDK's `KeysManager`.
    pub fn node_seed(&self) -> [u8; 32] {
        let coin = match NetworkKind::from(self.network) {
            NetworkKind::Main => 0,
            NetworkKind::Test => 1,
        };
        let path = [535, coin].map(|index| {
            ChildNumber::from_hardened_idx(index).expect("below 2^31, as BIP 32 wants")
        });
        self.master
            .derive_priv(&Secp256k1::new(), &path)
            .expect("a derived key is invalid once in 2^127")
            .private_key
            .secret_bytes()
    }

    pub(in crate::wallet) fn descriptor(&self, keychain: KeychainKind) -> Bip86<Xpriv> {
        Bip86(self.master, keychain)
    }

    pub(in crate::wallet) fn signers(&self, secp: &Secp256k1<All>) -> [SignersContainer; 2] {
        [KeychainKind::External, KeychainKind::Internal].map(|keychain| {
            let (descriptor, keys) = self
                .descriptor(keychain)
                .into_wallet_descriptor(secp, NetworkKind::from(self.network))
                .expect("BIP 86 of a master key is a valid descriptor");
            SignersContainer::build(keys, &descriptor, secp)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The values below were computed by an independent script, which also reproduces the vectors of BIP 86.
    // A change of them would lose money.
    const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon art";

    #[test]
    fn paths_never_change() {
        let seed = Seed::parse(WORDS).expect("valid");
        let hex = |network| {
            let bytes = SeedKeys::new(&seed, network).node_seed();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(hex(Network::Regtest), hex(Network::Signet));
        assert_ne!(hex(Network::Regtest), hex(Network::Bitcoin));
        let address = |network| {
            let keys = SeedKeys::new(&seed, network);
            bdk_wallet::Wallet::create(
                keys.descriptor(KeychainKind::External),
                keys.descriptor(KeychainKind::Internal),
            )
            .network(network)
            .create_wallet_no_persist()
            .expect("valid descriptors")
            .peek_address(KeychainKind::External, 0)
            .to_string()
        };
        assert_eq!(
            [hex(Network::Bitcoin), hex(Network::Regtest), address(Network::Bitcoin)],
            FROZEN.map(str::to_owned)
        );
    }

    const FROZEN: [&str; 3] = [
        "32616dbf226b771a86dfeea639d45a5f6d2b7bebefecf981421e3e7c8781b7b1",
        "e0e4215ec6e92e5cf29734d6620179a2bf079773678d144091125fcca944a839",
        "bc1p68a8a3vuv2cxzs7e2gjc5v3qy3zdnfaxwftyqe9k9nquvm6r4w2ssldtzp",
    ];
}
