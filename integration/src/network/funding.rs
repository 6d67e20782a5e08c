//! Brings a topology to life: money on chain, channels, gossip.
use std::collections::BTreeSet;
use std::str::FromStr as _;

use anyhow::{Context as _, Result, bail};
use bitcoincore_rpc::bitcoin::hashes::Hash as _;
use bitcoincore_rpc::bitcoin::{Address, Network as BitcoinNetwork, Txid};
use fulmen_proto::v1::open_channel_update::State;
use fulmen_proto::v1::{
    GetGraphChannelRequest, GetWalletBalanceRequest, NewAddressRequest, OpenChannelRequest,
    OpenChannelUpdate, open_channel_request,
};
use tonic::{Code, Streaming};

use super::{Network, Topology};
use crate::daemon::{Node, channels};
use crate::poll::{self, Look};

/// Confirmations after which a channel may be announced (BOLT 7).
pub const ANNOUNCE_DEPTH: u64 = 6;

/// A small coin for the anchor reserve, in satoshis.
const RESERVE_COIN_SAT: u64 = 200_000;

/// A topology in satoshis.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The shape.
    pub topology: Topology,
    /// Of each channel.
    pub capacity_sat: u64,
    /// Given to the accepter at the start, of each channel.
    pub push_sat: u64,
    /// Announced to the network.
    pub announce: bool,
    /// On-chain outputs that each node gets beside what its channels take.
    pub spare_outputs: usize,
}

impl Plan {
    /// Public channels of 10,000,000 sat, half of which is the accepter's.
    pub fn balanced(topology: Topology) -> Self {
        Self {
            topology,
            capacity_sat: 10_000_000,
            push_sat: 5_000_000,
            announce: true,
            spare_outputs: 1,
        }
    }

    /// [`Plan::balanced`], but all the money is the opener's.
    pub fn one_sided(topology: Topology) -> Self {
        Self { push_sat: 0, ..Self::balanced(topology) }
    }
}

impl Network {
    /// Starts the daemons of a plan, funds them, opens the channels and waits for gossip.
    pub async fn build(&mut self, plan: &Plan) -> Result<()> {
        self.add_nodes(plan.topology.nodes()).await?;
        self.fund(plan).await?;
        self.open(plan).await?;
        if plan.announce {
            self.wait_for_graph().await?;
        }
        Ok(())
    }

    /// Gives every node an output for each channel that it opens, and spare ones for fees and
    /// anchors; waits until the wallets know them.
    pub async fn fund(&mut self, plan: &Plan) -> Result<()> {
        let edges = plan.topology.edges();
        // Room for the funding's fee, and for change above dust.
        let output_sat = plan.capacity_sat + 100_000;
        let mut gifts = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let opens = edges.iter().filter(|(opener, _)| *opener == number).count();
            for _ in 0..opens + plan.spare_outputs {
                gifts.push((new_address(node).await?, output_sat));
            }
            // The anchor reserve lies in these, so that the large coins can fund channels later.
            for _ in 0..if plan.spare_outputs > 0 { 2 } else { 0 } {
                gifts.push((new_address(node).await?, RESERVE_COIN_SAT));
            }
        }
        self.give(&gifts).await
    }

    /// Gives money to addresses and mines it.
    pub async fn give(&mut self, gifts: &[(Address, u64)]) -> Result<()> {
        self.faucet.give(&self.bitcoind, gifts)?;
        self.mine(1).await
    }

    /// Gives one node money in `outputs` outputs.
    pub async fn give_node(&mut self, node: usize, amount_sat: u64, outputs: usize) -> Result<()> {
        let mut gifts = Vec::new();
        for _ in 0..outputs {
            gifts.push((new_address(&self.nodes[node]).await?, amount_sat));
        }
        let before = spendable_sat(&self.nodes[node]).await?;
        self.give(&gifts).await?;
        let node = &self.nodes[node];
        poll::eventually("the gift is in the wallet", async || {
            let now = spendable_sat(node).await?;
            Ok(if now > before { Look::Done(()) } else { Look::NotYet(format!("{now} sat")) })
        })
        .await
    }

    /// Opens all channels of a plan at once and waits until every one is ready on both sides.
    pub async fn open(&mut self, plan: &Plan) -> Result<()> {
        let mut opens = Vec::new();
        for (opener, accepter) in plan.topology.edges() {
            let request = OpenChannelRequest {
                node_id: self.nodes[accepter].id(),
                address: self.nodes[accepter].address(),
                amount: Some(open_channel_request::Amount::CapacitySat(plan.capacity_sat)),
                push_msat: plan.push_sat * 1_000,
                announce: plan.announce,
                ..OpenChannelRequest::default()
            };
            let what = || format!("{} opens", self.nodes[opener].name());
            let stream = self.nodes[opener].channels().open(request).await.with_context(what)?;
            let mut stream = stream.into_inner();
            // One after the other as far as the broadcast: each funding needs inputs of its own.
            self.follow_to_mempool(&mut stream).await.with_context(what)?;
            opens.push(stream);
        }
        let expected = u64::try_from(opens.len())?;
        if expected > 0 {
            self.mine(ANNOUNCE_DEPTH).await?;
        }
        for mut stream in opens {
            follow_open(&mut stream, State::Ready).await?;
        }
        self.wait_usable().await
    }

    /// Reads an open's stream until its funding waits in the mempool: blocks mined any earlier would not
    /// confirm it.
    pub async fn follow_to_mempool(
        &self,
        stream: &mut Streaming<OpenChannelUpdate>,
    ) -> Result<OpenChannelUpdate> {
        let update = follow_open(stream, State::FundingBroadcast).await?;
        let funding = update.funding.as_ref().context("a broadcast funding has an outpoint")?;
        let txid = Txid::from_slice(&funding.txid).context("which transaction?")?;
        poll::eventually("the funding waits in the mempool", async || {
            let waiting = self.bitcoind.mempool()?;
            let waits = waiting.contains(&txid);
            Ok(if waits { Look::Done(()) } else { Look::NotYet(format!("{waiting:?}")) })
        })
        .await?;
        Ok(update)
    }

    /// Waits until every channel of every running node is ready and its peer connected.
    pub async fn wait_usable(&self) -> Result<()> {
        for node in self.nodes.iter().filter(|node| node.runs()) {
            poll::eventually(&format!("{}'s channels are usable", node.name()), async || {
                let channels = channels::all(node).await?;
                let waiting: Vec<_> = channels
                    .iter()
                    .filter(|channel| !channel.usable)
                    .map(|channel| {
                        let state = channel.state().as_str_name();
                        format!("{state} (connected: {})", channel.peer_connected)
                    })
                    .collect();
                Ok(if waiting.is_empty() {
                    Look::Done(())
                } else {
                    Look::NotYet(waiting.join(", "))
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until every running node knows every announced channel with both policies.
    pub async fn wait_for_graph(&self) -> Result<()> {
        let running = || self.nodes.iter().filter(|node| node.runs());
        let mut announced = BTreeSet::new();
        for node in running() {
            let channels = channels::all(node).await?.into_iter();
            announced.extend(channels.filter(|it| it.announced).map(|it| it.short_channel_id));
        }
        for node in running() {
            let what = format!("{} knows {} channels", node.name(), announced.len());
            poll::eventually(&what, async || {
                let mut lacking = Vec::new();
                for &short_channel_id in &announced {
                    let known = known_policies(node, short_channel_id).await?;
                    if known < 2 {
                        lacking.push(format!("{known} policies of {short_channel_id}"));
                    }
                }
                Ok(if lacking.is_empty() {
                    Look::Done(())
                } else {
                    Look::NotYet(format!("only {}", lacking.join(", ")))
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until payments can go everywhere: all channels usable, and known to all with both policies.
    pub async fn wait_ready(&self) -> Result<()> {
        self.wait_usable().await?;
        self.wait_for_graph().await
    }
}

async fn known_policies(node: &Node, short_channel_id: u64) -> Result<usize> {
    match node.graph().get_channel(GetGraphChannelRequest { short_channel_id }).await {
        Ok(answer) => {
            let channel = answer.into_inner().channel.unwrap_or_default();
            Ok([channel.one_to_two, channel.two_to_one].into_iter().flatten().count())
        }
        Err(status) if status.code() == Code::NotFound => Ok(0),
        Err(status) => Err(status.into()),
    }
}

/// A fresh address of a node's wallet.
pub async fn new_address(node: &Node) -> Result<Address> {
    let answer = node.wallet().new_address(NewAddressRequest {}).await?.into_inner();
    Address::from_str(&answer.address)
        .with_context(|| format!("{:?} is not an address", answer.address))?
        .require_network(BitcoinNetwork::Regtest)
        .context("the wallet's address is for another network")
}

async fn spendable_sat(node: &Node) -> Result<u64> {
    Ok(node.wallet().get_balance(GetWalletBalanceRequest {}).await?.into_inner().spendable_sat)
}

/// Reads an open's stream until it reaches a state; its failure is ours.
pub async fn follow_open(
    stream: &mut Streaming<OpenChannelUpdate>,
    until: State,
) -> Result<OpenChannelUpdate> {
    poll::bounded(&format!("the open reaches {}", until.as_str_name()), async {
        while let Some(update) = stream.message().await? {
            if update.state() == State::Failed {
                bail!("the open failed: {}", update.failure);
            }
            if update.state() == until {
                return Ok(update);
            }
        }
        bail!("the stream of the open ended before {}", until.as_str_name())
    })
    .await
}
