//! LDK's `SignerProvider` and its kin: keys from the seed, destinations from the wallet.

use bitcoin::bech32::Fe32;
use bitcoin::secp256k1::ecdh::SharedSecret;
use bitcoin::secp256k1::ecdsa::{RecoverableSignature, Signature};
use bitcoin::secp256k1::{All, PublicKey, Scalar, Secp256k1, schnorr};
use bitcoin::{ScriptBuf, Transaction, TxOut};
use lightning::ln::inbound_payment::ExpandedKey;
use lightning::ln::msgs::UnsignedGossipMessage;
use lightning::ln::script::ShutdownScript;
use lightning::offers::invoice::UnsignedBolt12Invoice;
use lightning::sign::{
    ChangeDestinationSourceSync, EntropySource, InMemorySigner, KeysManager, NodeSigner,
    OutputSpender, PeerStorageKey, ReceiveAuthKey, Recipient, SignerProvider,
    SpendableOutputDescriptor,
};
use lightning_invoice::RawBolt11Invoice;

use super::shutdown::ShutdownScripts;
use crate::wallet::Wallet;

/// The node's secrets; closing outputs pay directly to the on-chain wallet.
pub struct Keys {
    ldk: KeysManager,
    wallet: Wallet,
    /// Which peers take only old shutdown scripts.
    pub shutdown: ShutdownScripts,
}

impl Keys {
    /// Derives all keys from the node's 32-byte seed.
    ///
    /// `started_at` (seconds and nanoseconds of the clock) makes the random bytes of each start unique.
    /// Keys of our balances on counterparty commitments use LDK's second derivation, with which the
    /// seed alone recovers them; a channel opened without it cannot switch later.
    pub fn new(seed: &[u8; 32], started_at: std::time::Duration, wallet: Wallet) -> Self {
        let ldk = KeysManager::new(seed, started_at.as_secs(), started_at.subsec_nanos(), true);
        Self { ldk, wallet, shutdown: ShutdownScripts::default() }
    }

    /// Returns the P2WPKH script that closes pay with peers that do not take the wallet's scripts; the sweeper spends it.
    pub fn plain_shutdown_script(&self) -> ScriptBuf {
        let script = self.ldk.get_shutdown_scriptpubkey();
        script.expect("the keys of LDK always have one").into_inner()
    }

    /// Returns the key that signs for the node as a whole.
    pub fn node_secret(&self) -> bitcoin::secp256k1::SecretKey {
        self.ldk.get_node_secret_key()
    }
}

impl EntropySource for Keys {
    fn get_secure_random_bytes(&self) -> [u8; 32] {
        self.ldk.get_secure_random_bytes()
    }
}

impl NodeSigner for Keys {
    fn get_expanded_key(&self) -> ExpandedKey {
        self.ldk.get_expanded_key()
    }

    fn get_peer_storage_key(&self) -> PeerStorageKey {
        self.ldk.get_peer_storage_key()
    }

    fn get_receive_auth_key(&self) -> ReceiveAuthKey {
        self.ldk.get_receive_auth_key()
    }

    fn get_node_id(&self, recipient: Recipient) -> Result<PublicKey, ()> {
        self.ldk.get_node_id(recipient)
    }

    fn ecdh(
        &self,
        recipient: Recipient,
        other_key: &PublicKey,
        tweak: Option<&Scalar>,
    ) -> Result<SharedSecret, ()> {
        self.ldk.ecdh(recipient, other_key, tweak)
    }

    fn sign_invoice(
        &self,
        invoice: &RawBolt11Invoice,
        recipient: Recipient,
    ) -> Result<RecoverableSignature, ()> {
        self.ldk.sign_invoice(invoice, recipient)
    }

    fn sign_bolt12_invoice(
        &self,
        invoice: &UnsignedBolt12Invoice,
    ) -> Result<schnorr::Signature, ()> {
        self.ldk.sign_bolt12_invoice(invoice)
    }

    fn sign_gossip_message(&self, message: UnsignedGossipMessage<'_>) -> Result<Signature, ()> {
        self.ldk.sign_gossip_message(message)
    }

    fn sign_message(&self, message: &[u8]) -> Result<String, ()> {
        self.ldk.sign_message(message)
    }
}

impl SignerProvider for Keys {
    type EcdsaSigner = InMemorySigner;

    fn generate_channel_keys_id(&self, inbound: bool, user_channel_id: u128) -> [u8; 32] {
        self.ldk.generate_channel_keys_id(inbound, user_channel_id)
    }

    fn derive_channel_signer(&self, channel_keys_id: [u8; 32]) -> InMemorySigner {
        self.ldk.derive_channel_signer(channel_keys_id)
    }

    fn get_destination_script(&self, _channel_keys_id: [u8; 32]) -> Result<ScriptBuf, ()> {
        self.wallet.get_change_destination_script()
    }

    fn get_shutdown_scriptpubkey(&self) -> Result<ShutdownScript, ()> {
        if let Some(fixed) = self.shutdown.fixed() {
            return Ok(fixed);
        }
        if self.shutdown.is_plain() {
            return self.ldk.get_shutdown_scriptpubkey();
        }
        let script = self.wallet.get_change_destination_script()?;
        let program = script.witness_version().ok_or(())?;
        let program = bitcoin::WitnessProgram::new(
            bitcoin::WitnessVersion::try_from(Fe32::try_from(program as u8).map_err(drop)?)
                .map_err(drop)?,
            &script.as_bytes()[2..],
        )
        .map_err(drop)?;
        ShutdownScript::new_witness_program(&program).map_err(drop)
    }
}

impl OutputSpender for Keys {
    fn spend_spendable_outputs(
        &self,
        descriptors: &[&SpendableOutputDescriptor],
        outputs: Vec<TxOut>,
        change_destination_script: ScriptBuf,
        feerate_sat_per_1000_weight: u32,
        locktime: Option<bitcoin::absolute::LockTime>,
        secp_ctx: &Secp256k1<All>,
    ) -> Result<Transaction, ()> {
        self.ldk.spend_spendable_outputs(
            descriptors,
            outputs,
            change_destination_script,
            feerate_sat_per_1000_weight,
            locktime,
            secp_ctx,
        )
    }
}
