//! `fulmen channel …`: open, close, look at, and price channels.
mod batch;
mod decide;
mod fund;
mod policy;

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use fulmen_proto::v1::channel::State;
use fulmen_proto::v1::close_channel_update::State as CloseState;
use fulmen_proto::v1::open_channel_request::Amount;
use fulmen_proto::v1::open_channel_update::State as OpenState;
use fulmen_proto::v1::{
    Channel, ChannelRef, CloseChannelRequest, ClosedChannel, ForwardPolicy, GetChannelRequest,
    GetWalletBalanceRequest, ListChannelsRequest, ListClosedChannelsRequest, OpenChannelRequest,
};

use super::options::filter::Filtering;
use super::options::paging;
use super::rebalance::Rebalance;
use crate::amount::{Msat, SatOrAll};
use crate::failure::Failure;
use crate::format::human;
use crate::ids::{ChannelName, Coin, NodeAt};
use crate::render::{channel_progress, channels};
use crate::session::{Session, next_state};
use crate::units::Feerate;

/// Commands about channels. CHANNEL is a short id (539x1x0), a channel id, or TXID:VOUT.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Open a channel, and wait until it can be used
    Open(Open),
    /// Open several channels with one funding transaction
    OpenBatch(batch::OpenBatch),
    /// Fund a channel that was opened with --psbt, or give it up
    Fund(fund::Fund),
    /// Close a channel with the peer's agreement, or by force
    Close(Close),
    /// List the open and pending channels
    List(List),
    /// Show all about one channel, open or closed
    Show(Show),
    /// List the closed channels, and why they closed
    Closed(Closed),
    /// Show or change what is charged for forwarding
    ///
    /// Without --base-fee, --ppm, --cltv-delta and --reset it shows the policies as they are. LDK fixes the smallest
    /// HTLC when a channel is opened, announces the largest itself, and disables a channel only while the peer is away:
    /// none of these can be set.
    Policy(policy::Policy),
    /// Decide about each channel that a peer wants to open, while this command runs
    ///
    /// It asks on the terminal; elsewhere it reads a line for each: `yes`, or `no` and a reason for the peer.
    Decide(decide::Decide),
    /// Move money from one of your channels to another, by a payment to yourself
    ///
    /// It says first which way the money goes; with --dry-run it only says that.
    Rebalance(Rebalance),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Open(command) => command.run(session).await,
            Self::OpenBatch(command) => command.run(session).await,
            Self::Fund(command) => command.run(session).await,
            Self::Close(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Closed(command) => command.run(session).await,
            Self::Policy(command) => command.run(session).await,
            Self::Decide(command) => command.run(session).await,
            Self::Rebalance(command) => command.run(session).await,
        }
    }
}

/// Parses the base fee of a policy: at most 2^32 - 1 millisatoshis.
fn base_fee(text: &str) -> Result<u32, String> {
    let Msat(msat) = Msat::from_str(text).map_err(|error| error.to_string())?;
    u32::try_from(msat).map_err(|_| "a base fee is at most 4294967295msat".to_owned())
}

#[derive(Debug, Args)]
pub struct Open {
    /// The peer, and its address if it is not connected
    #[arg(value_name = "NODE_ID[@HOST:PORT]")]
    node: NodeAt,
    /// The capacity: 0.01btc, or `all` on-chain money that is not reserved
    amount: SatOrAll,
    /// Do not announce the channel: nobody forwards through it, invoices carry a hint to it
    #[arg(long)]
    private: bool,
    /// Give this much to the peer at the start
    #[arg(long, value_name = "AMOUNT")]
    push: Option<Msat>,
    /// Feerate of the funding transaction in sat/vB [default: the daemon's estimate]
    #[arg(long, value_name = "SAT_PER_VB")]
    feerate: Option<Feerate>,
    /// What is charged per forwarded payment (with --ppm and --cltv-delta) [default: configured]
    #[arg(long, value_name = "AMOUNT", value_parser = base_fee, requires_all = ["ppm", "cltv_delta"])]
    base_fee: Option<u32>,
    /// And per million of its amount
    #[arg(long, requires_all = ["base_fee", "cltv_delta"])]
    ppm: Option<u32>,
    /// And how many blocks our HTLC outlives the next
    #[arg(long, value_name = "BLOCKS", requires_all = ["base_fee", "ppm"])]
    cltv_delta: Option<u32>,
    /// Fund it from this coin of the wallet, TXID:VOUT; several times for several coins
    #[arg(long, value_name = "TXID:VOUT")]
    coins: Vec<Coin>,
    /// Fund it from coins with so many confirmations
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    min_confirmations: u32,
    /// Another wallet pays: says where to, and waits for `fulmen channel fund` with the signed transaction
    #[arg(long, conflicts_with_all = ["coins", "min_confirmations", "feerate"])]
    psbt: bool,
    /// Open it only if the peer, which must trust us, uses it before its funding is confirmed
    #[arg(long)]
    zero_conf: bool,
    /// Where the money of an agreed close goes, for good: nobody can change it later
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    close_address: String,
    /// The same key again follows the first open, never opens a second channel
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    idempotency_key: String,
    /// Return as soon as the funding transaction is broadcast
    #[arg(long)]
    no_wait: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Open {
    fn question(&self) -> String {
        let what = match self.amount {
            SatOrAll::Sat(sat) => human::sat(sat),
            SatOrAll::All => "all unreserved on-chain money".to_owned(),
        };
        let kind = if self.private { "private" } else { "public" };
        let node = human::hex(&self.node.node_id.0);
        let gift = match self.push {
            Some(Msat(msat)) if msat > 0 => format!(", giving it {}", human::msat(msat)),
            _ => String::new(),
        };
        format!("Open a {kind} channel of {what} with {node}{gift}?")
    }

    fn policy(&self) -> Option<ForwardPolicy> {
        Some(ForwardPolicy {
            base_fee_msat: self.base_fee?,
            proportional_millionths: self.ppm?,
            cltv_expiry_delta: self.cltv_delta?,
        })
    }

    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let screen = &session.screen;
        if !self.yes && screen.has_someone_to_ask() {
            screen.confirm(&self.question())?;
        }
        if let Some(Msat(msat)) = self.push.filter(|Msat(msat)| *msat > 0) {
            let gift = human::msat(msat);
            screen.note(&format!("The peer gets {gift} at once, and need not give it back."));
        }
        let available_sat = match self.amount {
            SatOrAll::All => available_sat(session).await?,
            SatOrAll::Sat(_) => 0,
        };
        let request = OpenChannelRequest {
            policy: self.policy(),
            node_id: self.node.node_id.0,
            address: self.node.address,
            amount: Some(match self.amount {
                SatOrAll::Sat(sat) => Amount::CapacitySat(sat),
                SatOrAll::All => Amount::All(true),
            }),
            push_msat: self.push.map_or(0, |Msat(msat)| msat),
            announce: !self.private,
            feerate_msat_per_vb: self.feerate.map_or(0, |feerate| feerate.msat_per_vb),
            idempotency_key: self.idempotency_key,
            coins: self.coins.into_iter().map(|Coin(outpoint)| outpoint).collect(),
            min_confirmations: self.min_confirmations,
            zero_conf: self.zero_conf,
            psbt: self.psbt,
            close_address: self.close_address,
        };
        let progress = screen.progress("asking the peer");
        let mut stream = session.channels().open(request).await?.into_inner();
        let mut left_noted = false;
        let goes_on = "interrupted; the opening goes on in the daemon: see `fulmen channels`";
        while let Some(update) = next_state(&mut stream, goes_on).await? {
            let state = update.state();
            progress.doing(channel_progress::opening(&update));
            if screen.json {
                screen.show_next(&update, channel_progress::open_update)?;
            }
            if let Some(left) = left_on_chain(available_sat, update.capacity_sat)
                && !std::mem::replace(&mut left_noted, true)
            {
                screen.note(&left);
            }
            match state {
                OpenState::Failed => {
                    let what = format!("no channel was opened: {}", update.failure);
                    return Err(Failure::failed(what));
                }
                OpenState::AwaitingFunding => {
                    screen.note(&channel_progress::awaiting(&update));
                    continue;
                }
                OpenState::FundingBroadcast if !self.no_wait => continue,
                OpenState::Unspecified | OpenState::Negotiating => continue,
                OpenState::Ready | OpenState::FundingBroadcast if screen.json => return Ok(()),
                OpenState::Ready | OpenState::FundingBroadcast => {
                    drop(progress);
                    return screen.show_next(&update, channel_progress::open_update);
                }
            }
        }
        Err(Failure::failed("the daemon ended the opening without saying how"))
    }
}

async fn available_sat(session: &Session) -> Result<u64, Failure> {
    let balance = session.wallet().get_balance(GetWalletBalanceRequest {}).await?.into_inner();
    Ok(balance.spendable_sat)
}

/// What `open … all` leaves on chain beyond any funding fee, in words: a channel has a largest size.
fn left_on_chain(available_sat: u64, capacity_sat: u64) -> Option<String> {
    const MOST_FUNDING_FEE_SAT: u64 = 100_000;
    let left_sat = available_sat.checked_sub(capacity_sat)?;
    (capacity_sat > 0 && left_sat > MOST_FUNDING_FEE_SAT).then(|| {
        format!(
            "The channel takes {}; about {} stay on chain, because this is the largest channel that \
             the daemon opens.",
            human::sat(capacity_sat),
            human::sat(left_sat)
        )
    })
}

#[derive(Debug, Args)]
pub struct Close {
    /// Short id, channel id or TXID:VOUT
    channel: ChannelName,
    /// Without the peer's agreement: costs more, and the money is locked for a while
    #[arg(long, conflicts_with_all = ["feerate", "to"])]
    force: bool,
    /// Feerate of the closing transaction in sat/vB [default: the daemon's estimate]
    #[arg(long, value_name = "SAT_PER_VB")]
    feerate: Option<Feerate>,
    /// Where the money goes [default: the node's wallet]
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    to: String,
    /// Wait until the closing transaction is confirmed
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Say what it would cost, and close nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask (only --force asks; without a terminal it needs this)
    #[arg(long, short)]
    yes: bool,
}

impl Close {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let screen = &session.screen;
        if self.force && !self.dry_run {
            let name = self.channel.0.by.as_ref().map(human::channel).unwrap_or_default();
            let question = format!(
                "Force-close {name}? It costs more than closing together, and your money is locked \
                 until the delay is over."
            );
            screen.confirm_unless(self.yes, &question)?;
        }
        let request = CloseChannelRequest {
            channel: Some(self.channel.0),
            force: self.force,
            feerate_msat_per_vb: self.feerate.map_or(0, |feerate| feerate.msat_per_vb),
            address: self.to,
            wait_confirmed: self.wait,
            dry_run: self.dry_run,
        };
        let progress = screen.progress("closing");
        let mut stream = session.channels().close(request).await?.into_inner();
        let goes_on = "interrupted; the closing goes on in the daemon: see `fulmen channel closed`";
        let mut last = None;
        while let Some(update) = next_state(&mut stream, goes_on).await? {
            progress.doing(channel_progress::closing(update.state()));
            if screen.json {
                screen.show_next(&update, channel_progress::close_update)?;
            }
            last = Some(update);
        }
        drop(progress);
        let Some(update) = last else {
            return Err(Failure::failed("the daemon ended the closing without saying how"));
        };
        if update.state() == CloseState::Failed {
            return Err(Failure::failed(format!("the channel was not closed: {}", update.reason)));
        }
        if screen.json { Ok(()) } else { screen.show_next(&update, channel_progress::close_update) }
    }
}

/// The states to list by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnlyState {
    PendingOpen,
    PendingConfirmation,
    Ready,
    ShuttingDown,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those in this state
    #[arg(long)]
    state: Option<OnlyState>,
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Whole,
}

impl List {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let state = match self.state {
            None => State::Unspecified,
            Some(OnlyState::PendingOpen) => State::PendingOpen,
            Some(OnlyState::PendingConfirmation) => State::PendingConfirmation,
            Some(OnlyState::Ready) => State::Ready,
            Some(OnlyState::ShuttingDown) => State::ShuttingDown,
        };
        let mut client = session.channels();
        let filter = self.filtering.wire();
        let fetch = async |page| {
            let (state, filter) = (state.into(), filter.clone());
            let request =
                ListChannelsRequest { page: Some(page), state, filter, ..Default::default() };
            client.list(request).await
        };
        let peer = |channel: &Channel| vec![channel.node_id.clone()];
        paging::show_named(session, &self.paging.into(), fetch, peer, channels::list).await
    }
}

#[derive(Debug, Args)]
pub struct Show {
    /// Short id, channel id or TXID:VOUT
    channel: ChannelName,
}

impl Show {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let channel = get(session, self.channel.0).await?;
        session.screen.show(&channel, channels::show)
    }
}

async fn get(
    session: &Session,
    channel: ChannelRef,
) -> Result<fulmen_proto::v1::GetChannelResponse, Failure> {
    Ok(session.channels().get(GetChannelRequest { channel: Some(channel) }).await?.into_inner())
}

#[derive(Debug, Args)]
pub struct Closed {
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Paging,
}

impl Closed {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut client = session.channels();
        let filter = self.filtering.wire();
        let fetch = async |page| {
            let (page, filter) = (Some(page), filter.clone());
            client
                .list_closed(ListClosedChannelsRequest { page, filter, ..Default::default() })
                .await
        };
        let peer = |channel: &ClosedChannel| vec![channel.node_id.clone()];
        paging::show_named(session, &self.paging, fetch, peer, channels::closed).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_of_all_says_what_does_not_fit() {
        assert_eq!(left_on_chain(0, 1_000_000), None, "an amount was given");
        assert_eq!(left_on_chain(1_000_000, 0), None, "no capacity is known yet");
        assert_eq!(left_on_chain(1_000_000, 995_000), None, "the rest is the fee");
        let words = left_on_chain(2_000_000_000, 1_000_000_000).expect("half of it stays");
        assert!(words.contains("1,000,000,000 sat stay on chain"), "{words}");
    }
}
