//! `fulmen channel open-batch`: several channels with one funding transaction.
use std::str::FromStr;

use clap::Args;
use fulmen_proto::v1::open_channel_request::Amount;
use fulmen_proto::v1::open_channel_update::State;
use fulmen_proto::v1::{OpenBatchRequest, OpenChannelRequest};

use crate::amount::SatOrAll;
use crate::failure::Failure;
use crate::format::human;
use crate::ids::{Coin, NodeAt};
use crate::render::channel_progress;
use crate::session::{Session, next_state};
use crate::units::Feerate;

/// A channel of a batch: `NODE_ID[@HOST:PORT]=AMOUNT`.
#[derive(Debug, Clone)]
struct Member {
    node: NodeAt,
    sat: u64,
}

impl FromStr for Member {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a channel: write NODE_ID@HOST:PORT=0.01btc");
        let (node, amount) = text.rsplit_once('=').ok_or_else(wrong)?;
        match amount.parse().map_err(|error| format!("{error}"))? {
            SatOrAll::Sat(sat) => Ok(Self { node: node.parse()?, sat }),
            SatOrAll::All => Err("a channel of a batch needs an amount".to_owned()),
        }
    }
}

#[derive(Debug, Args)]
pub struct OpenBatch {
    /// The peers, and the capacity of the channel with each
    #[arg(required = true, value_name = "NODE_ID[@HOST:PORT]=AMOUNT")]
    channels: Vec<Member>,
    /// Do not announce the channels
    #[arg(long)]
    private: bool,
    /// Open none unless all peers accept
    #[arg(long)]
    all_or_none: bool,
    /// Feerate of the funding transaction in sat/vB [default: the daemon's estimate]
    #[arg(long, value_name = "SAT_PER_VB")]
    feerate: Option<Feerate>,
    /// Fund them from this coin of the wallet, TXID:VOUT; several times for several coins
    #[arg(long, value_name = "TXID:VOUT")]
    coins: Vec<Coin>,
    /// Fund them from coins with so many confirmations
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    min_confirmations: u32,
    /// The same key again follows the first batch, never opens a second one
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    idempotency_key: String,
    /// Return as soon as the funding transaction is broadcast
    #[arg(long)]
    no_wait: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl OpenBatch {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let screen = &session.screen;
        let count = self.channels.len();
        if !self.yes && screen.has_someone_to_ask() {
            let sum: u64 = self.channels.iter().map(|member| member.sat).sum();
            let channels = human::count(count as u64, "channel", "channels");
            screen.confirm(&format!("Open {channels} of {} together?", human::sat(sum)))?;
        }
        let (private, no_wait) = (self.private, self.no_wait);
        let channels = self.channels.into_iter().map(|member| OpenChannelRequest {
            node_id: member.node.node_id.0,
            address: member.node.address,
            amount: Some(Amount::CapacitySat(member.sat)),
            announce: !private,
            ..OpenChannelRequest::default()
        });
        let request = OpenBatchRequest {
            channels: channels.collect(),
            feerate_msat_per_vb: self.feerate.map_or(0, |feerate| feerate.msat_per_vb),
            coins: self.coins.into_iter().map(|Coin(outpoint)| outpoint).collect(),
            min_confirmations: self.min_confirmations,
            all_or_none: self.all_or_none,
            idempotency_key: self.idempotency_key,
        };
        let progress = screen.progress("asking the peers");
        let mut stream = session.channels().open_batch(request).await?.into_inner();
        let goes_on = "interrupted; the opening goes on in the daemon: see `fulmen channels`";
        let mut ended = vec![None; count];
        while let Some(update) = next_state(&mut stream, goes_on).await? {
            let Some(open) = &update.update else { continue };
            progress.doing(channel_progress::opening(open));
            if screen.json {
                screen.show_next(&update, |_, _| String::new())?;
            }
            let ends = match open.state() {
                State::Ready | State::Failed => true,
                State::FundingBroadcast => no_wait,
                State::Unspecified | State::Negotiating | State::AwaitingFunding => false,
            };
            if let Some(slot) = ended.get_mut(update.index as usize).filter(|_| ends) {
                *slot = Some(open.clone());
            }
            if ended.iter().all(Option::is_some) {
                break;
            }
        }
        drop(progress);
        let mut failures = Vec::new();
        for update in ended.into_iter().flatten() {
            if update.state() == State::Failed {
                failures.push(update.failure);
            } else if !screen.json {
                screen.show_next(&update, channel_progress::open_update)?;
            }
        }
        match failures.is_empty() {
            true => Ok(()),
            false => {
                let what = human::count(failures.len() as u64, "channel was", "channels were");
                Err(Failure::failed(format!("{what} not opened: {}", failures.join("; "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_of_a_batch_is_a_node_and_an_amount() {
        let id = format!("02{}", "11".repeat(32));
        let member: Member = format!("{id}@[::1]:9735=5000sat").parse().expect("well formed");
        assert_eq!((member.sat, member.node.address.as_str()), (5_000, "[::1]:9735"));
        for bad in [id.clone(), format!("{id}=all"), format!("{id}=5"), "x=5sat".to_owned()] {
            assert!(Member::from_str(&bad).is_err(), "{bad}");
        }
    }
}
