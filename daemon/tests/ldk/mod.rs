//! Two nodes of bare LDK with a channel, in this process: no sockets, no disk, no waiting.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::{self, PublicKey, Secp256k1};
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, ScriptBuf, Transaction, TxMerkleNode, TxOut, absolute,
    transaction,
};
use lightning::blinded_path::message::{BlindedMessagePath, MessageContext, MessageForwardNode};
use lightning::blinded_path::payment::{BlindedPaymentPath, ReceiveTlvs};
use lightning::chain::chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator};
use lightning::chain::chainmonitor::{ChainMonitor as LdkChainMonitor, Persist};
use lightning::chain::channelmonitor::{self, ChannelMonitorUpdate};
use lightning::chain::{BestBlock, ChannelMonitorUpdateStatus, Filter, Listen as _};
use lightning::events::{Event, EventsProvider as _, PaymentPurpose};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::{
    self, ChainParameters, ChannelManagerReadArgs, PaymentId, RecipientOnionFields,
};
use lightning::ln::msgs::{
    BaseMessageHandler as _, ChannelMessageHandler as _, Init, MessageSendEvent, UpdateAddHTLC,
};
use lightning::ln::types::ChannelId;
use lightning::onion_message::messenger::{Destination, MessageRouter, OnionMessagePath};
use lightning::routing::router::{InFlightHtlcs, Path, Route, RouteHop, RouteParameters, Router};
use lightning::sign::{
    EntropySource, InMemorySigner, KeysManager, NodeSigner as _, ReceiveAuthKey, Recipient,
};
use lightning::types::features::{ChannelFeatures, NodeFeatures};
use lightning::util::config::UserConfig;
use lightning::util::logger::{Logger, Record};
use lightning::util::persist::MonitorName;
use lightning::util::ser::{ReadableArgs as _, Writeable as _};

/// What each payment is worth; above dust, so that it is an HTLC on chain.
const AMOUNT_MSAT: u64 = 5_000_000;
const CAPACITY_SAT: u64 = 1_000_000;
const PUSHED_MSAT: u64 = 400_000_000;

pub struct Quiet;

impl FeeEstimator for Quiet {
    fn get_est_sat_per_1000_weight(&self, _: ConfirmationTarget) -> u32 {
        1_000
    }
}

impl BroadcasterInterface for Quiet {
    fn broadcast_transactions(&self, _: &[&Transaction]) {}
}

impl Logger for Quiet {
    fn log(&self, _: Record<'_>) {}
}

impl Router for Quiet {
    fn find_route(
        &self,
        _: &PublicKey,
        _: &RouteParameters,
        _: Option<&[&ChannelDetails]>,
        _: InFlightHtlcs,
    ) -> Result<Route, &'static str> {
        Err("payments name their route")
    }

    fn create_blinded_payment_paths<T: secp256k1::Signing + secp256k1::Verification>(
        &self,
        _: PublicKey,
        _: Vec<ChannelDetails>,
        _: ReceiveTlvs,
        _: Option<u64>,
        _: &Secp256k1<T>,
    ) -> Result<Vec<BlindedPaymentPath>, ()> {
        Err(())
    }
}

impl MessageRouter for Quiet {
    fn find_path(
        &self,
        _: PublicKey,
        _: Vec<PublicKey>,
        _: Destination,
    ) -> Result<OnionMessagePath, ()> {
        Err(())
    }

    fn create_blinded_paths<T: secp256k1::Signing + secp256k1::Verification>(
        &self,
        _: PublicKey,
        _: ReceiveAuthKey,
        _: MessageContext,
        _: Vec<MessageForwardNode>,
        _: &Secp256k1<T>,
    ) -> Result<Vec<BlindedMessagePath>, ()> {
        Err(())
    }
}

type ChannelMonitor = channelmonitor::ChannelMonitor<InMemorySigner>;
type ChainMonitor = LdkChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<Quiet>,
    Arc<Quiet>,
    Arc<Quiet>,
    Arc<Monitors>,
    Arc<KeysManager>,
>;
pub type Manager = channelmanager::ChannelManager<
    Arc<ChainMonitor>,
    Arc<Quiet>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Quiet>,
    Arc<Quiet>,
    Arc<Quiet>,
    Arc<Quiet>,
>;

/// The newest bytes of each monitor: what is deferred for the next checkpoint.
#[derive(Default)]
pub struct Monitors(Mutex<HashMap<ChannelId, Vec<u8>>>);

impl Monitors {
    pub fn newest(&self) -> HashMap<ChannelId, Vec<u8>> {
        self.0.lock().expect("no panic while held").clone()
    }

    fn keep(&self, monitor: &ChannelMonitor) -> ChannelMonitorUpdateStatus {
        let mut monitors = self.0.lock().expect("no panic while held");
        monitors.insert(monitor.channel_id(), monitor.encode());
        ChannelMonitorUpdateStatus::Completed
    }
}

impl Persist<InMemorySigner> for Monitors {
    fn persist_new_channel(
        &self,
        _: MonitorName,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        self.keep(monitor)
    }

    fn update_persisted_channel(
        &self,
        _: MonitorName,
        _: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        self.keep(monitor)
    }

    fn archive_persisted_channel(&self, _: MonitorName) {}
}

pub struct Node {
    pub manager: Manager,
    pub monitors: Arc<Monitors>,
    chain: Arc<ChainMonitor>,
    keys: Arc<KeysManager>,
}

impl Node {
    fn new(seed: u8) -> Self {
        let keys = Arc::new(KeysManager::new(&[seed; 32], 7, 7, true));
        let monitors = Arc::new(Monitors::default());
        let chain = Arc::new(chain_monitor(&keys, &monitors));
        let quiet = Arc::new(Quiet);
        let manager = Manager::new(
            quiet.clone(),
            chain.clone(),
            quiet.clone(),
            quiet.clone(),
            quiet.clone(),
            quiet,
            keys.clone(),
            keys.clone(),
            keys.clone(),
            UserConfig::default(),
            ChainParameters {
                network: bitcoin::Network::Regtest,
                best_block: BestBlock::from_network(bitcoin::Network::Regtest),
            },
            7,
        );
        Self { manager, monitors, chain, keys }
    }

    fn id(&self) -> PublicKey {
        self.keys.get_node_id(Recipient::Node).expect("the node's own key")
    }

    /// Reads a manager with the monitors that were stored with it; LDK closes channels whose monitors are newer.
    pub fn restore(&self, manager: &[u8], monitors: &HashMap<ChannelId, Vec<u8>>) -> Manager {
        let read = |bytes: &Vec<u8>| {
            let args = (&*self.keys, &*self.keys);
            <(BlockHash, ChannelMonitor)>::read(&mut &bytes[..], args).expect("a monitor").1
        };
        let monitors: Vec<ChannelMonitor> = monitors.values().map(read).collect();
        let quiet = Arc::new(Quiet);
        let args = ChannelManagerReadArgs::new(
            self.keys.clone(),
            self.keys.clone(),
            self.keys.clone(),
            quiet.clone(),
            Arc::new(chain_monitor(&self.keys, &Arc::default())),
            quiet.clone(),
            quiet.clone(),
            quiet.clone(),
            quiet,
            UserConfig::default(),
            monitors.iter().collect(),
        );
        <(BlockHash, Manager)>::read(&mut &manager[..], args).expect("a manager").1
    }
}

fn chain_monitor(keys: &Arc<KeysManager>, monitors: &Arc<Monitors>) -> ChainMonitor {
    let quiet = Arc::new(Quiet);
    ChainMonitor::new(
        None,
        quiet.clone(),
        quiet.clone(),
        quiet,
        monitors.clone(),
        keys.clone(),
        keys.get_peer_storage_key(),
    )
}

/// Alice, who opened a channel, and Bob.
pub struct Network {
    pub nodes: [Node; 2],
    tip: Mutex<(BlockHash, u32)>,
    funding: Mutex<Option<Transaction>>,
    holds: AtomicBool,
    claimed: AtomicUsize,
    failed: AtomicUsize,
}

impl Network {
    /// Opens a channel from the first to the second, with money on both sides.
    pub fn with_channel() -> Self {
        let genesis = BestBlock::from_network(bitcoin::Network::Regtest);
        let network = Self {
            nodes: [Node::new(1), Node::new(2)],
            tip: Mutex::new((genesis.block_hash, 0)),
            funding: Mutex::default(),
            holds: AtomicBool::new(false),
            claimed: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        };
        let [alice, bob] = &network.nodes;
        for (one, other, inbound) in [(alice, bob, false), (bob, alice, true)] {
            let features = other.manager.provided_init_features(one.id());
            let init = Init { features, networks: None, remote_network_address: None };
            one.manager.peer_connected(other.id(), &init, inbound).expect("a good peer");
        }
        alice
            .manager
            .create_channel(bob.id(), CAPACITY_SAT, PUSHED_MSAT, 1, None, None)
            .expect("it can be opened");
        network.settle();
        let funding = network.funding.lock().expect("no panic while held").take();
        network.mine(vec![funding.expect("alice made the funding")]);
        for _ in 0..6 {
            network.mine(Vec::new());
        }
        assert!(network.nodes.iter().all(|node| node.manager.list_usable_channels().len() == 1));
        network
    }

    /// Alice pays Bob over the channel, and everything that follows happens.
    pub fn pay(&self, number: u8) {
        let [alice, bob] = &self.nodes;
        let (hash, secret) =
            bob.manager.create_inbound_payment(None, 3_600, None).expect("an invoice");
        let channel = &alice.manager.list_usable_channels()[0];
        let hop = RouteHop {
            pubkey: bob.id(),
            node_features: NodeFeatures::empty(),
            short_channel_id: channel.get_outbound_payment_scid().expect("it is confirmed"),
            channel_features: ChannelFeatures::empty(),
            fee_msat: AMOUNT_MSAT,
            cltv_expiry_delta: 40,
            maybe_announced_channel: false,
        };
        let paths = vec![Path { hops: vec![hop], blinded_tail: None }];
        let onion = RecipientOnionFields::secret_only(secret);
        let mut id = alice.keys.get_secure_random_bytes();
        id[0] = number;
        let route = Route { paths, route_params: None };
        alice
            .manager
            .send_payment_with_route(route, hash, onion, PaymentId(id))
            .expect("it can be sent");
        self.settle();
    }

    /// Marks every HTLC from now on as one to be held, as a node does that refuses it.
    pub fn hold_htlcs(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// How many payments Bob has claimed.
    pub fn claimed(&self) -> usize {
        self.claimed.load(Ordering::SeqCst)
    }

    /// How many payments of Alice's have failed.
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    /// Mines a block.
    pub fn mine(&self, txdata: Vec<Transaction>) {
        let mut tip = self.tip.lock().expect("no panic while held");
        let (prev_blockhash, height) = (tip.0, tip.1 + 1);
        let header = Header {
            version: Version::NO_SOFT_FORK_SIGNALLING,
            prev_blockhash,
            merkle_root: TxMerkleNode::all_zeros(),
            time: 1_700_000_000 + height,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: height,
        };
        let block = Block { header, txdata };
        *tip = (block.block_hash(), height);
        drop(tip);
        for node in &self.nodes {
            node.manager.block_connected(&block, height);
            node.chain.block_connected(&block, height);
        }
        self.settle();
    }

    /// Delivers messages and events until there are none.
    fn settle(&self) {
        let [alice, bob] = &self.nodes;
        loop {
            let mut delivered = 0;
            for (from, to) in [(alice, bob), (bob, alice)] {
                from.manager.process_pending_htlc_forwards();
                from.manager.process_pending_events(&|event| {
                    self.handle(from, event);
                    Ok(())
                });
                for message in from.manager.get_and_clear_pending_msg_events() {
                    self.deliver(from.id(), to, message);
                    delivered += 1;
                }
            }
            if delivered == 0 {
                return;
            }
        }
    }

    fn handle(&self, node: &Node, event: Event) {
        match event {
            Event::FundingGenerationReady {
                temporary_channel_id,
                counterparty_node_id,
                channel_value_satoshis,
                output_script,
                ..
            } => {
                let funding = funding(channel_value_satoshis, output_script);
                *self.funding.lock().expect("no panic while held") = Some(funding.clone());
                node.manager
                    .funding_transaction_generated(
                        temporary_channel_id,
                        counterparty_node_id,
                        funding,
                    )
                    .expect("the funding fits");
            }
            Event::PaymentClaimable {
                purpose: PaymentPurpose::Bolt11InvoicePayment { payment_preimage, .. },
                ..
            } => node.manager.claim_funds(payment_preimage.expect("LDK made the hash")),
            Event::PaymentClaimed { .. } => {
                self.claimed.fetch_add(1, Ordering::SeqCst);
            }
            Event::PaymentFailed { .. } => {
                self.failed.fetch_add(1, Ordering::SeqCst);
            }
            Event::ChannelClosed { reason, .. } => panic!("the channel was closed: {reason}"),
            _ => (),
        }
    }

    fn deliver(&self, from: PublicKey, to: &Node, message: MessageSendEvent) {
        let to = &to.manager;
        match message {
            MessageSendEvent::SendOpenChannel { msg, .. } => to.handle_open_channel(from, &msg),
            MessageSendEvent::SendAcceptChannel { msg, .. } => to.handle_accept_channel(from, &msg),
            MessageSendEvent::SendFundingCreated { msg, .. } => {
                to.handle_funding_created(from, &msg);
            }
            MessageSendEvent::SendFundingSigned { msg, .. } => to.handle_funding_signed(from, &msg),
            MessageSendEvent::SendChannelReady { msg, .. } => to.handle_channel_ready(from, &msg),
            MessageSendEvent::SendRevokeAndACK { msg, .. } => to.handle_revoke_and_ack(from, &msg),
            MessageSendEvent::UpdateHTLCs { updates, .. } => {
                for add in updates.update_add_htlcs {
                    let hold_htlc = self.holds.load(Ordering::SeqCst).then_some(());
                    to.handle_update_add_htlc(from, &UpdateAddHTLC { hold_htlc, ..add });
                }
                for fulfill in updates.update_fulfill_htlcs {
                    to.handle_update_fulfill_htlc(from, fulfill);
                }
                for fail in &updates.update_fail_htlcs {
                    to.handle_update_fail_htlc(from, fail);
                }
                for commitment in &updates.commitment_signed {
                    to.handle_commitment_signed(from, commitment);
                }
            }
            MessageSendEvent::SendChannelUpdate { .. }
            | MessageSendEvent::SendAnnouncementSignatures { .. } => (),
            other => panic!("no such message is expected: {other:?}"),
        }
    }
}

/// A transaction from nowhere; LDK wants witnesses on it.
fn funding(value_sat: u64, script_pubkey: ScriptBuf) -> Transaction {
    let input = bitcoin::TxIn {
        // Not that of a coinbase, which has to mature.
        previous_output: bitcoin::OutPoint { txid: bitcoin::Txid::all_zeros(), vout: 0 },
        witness: bitcoin::Witness::from_slice(&[vec![1]]),
        ..bitcoin::TxIn::default()
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut { value: Amount::from_sat(value_sat), script_pubkey }],
    }
}
