//! `fulmen wallet bump` and `cancel`: an unconfirmed transaction made dearer, or taken back.
use clap::{Args, ValueEnum};
use fulmen_proto::v1::BumpTransactionRequest;
use fulmen_proto::v1::bump_transaction_request::How;

use crate::failure::Failure;
use crate::format::human;
use crate::ids::TxId;
use crate::render::wallet;
use crate::session::Session;
use crate::units::Feerate;

/// How a transaction is made dearer.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Way {
    /// Replace it by one that pays the same to the same, and more to the miner
    Replace,
    /// Spend one of its outputs that is ours, and pay for both
    Child,
}

#[derive(Debug, Args)]
struct Price {
    /// Feerate in sat/vB of the replacement, or of the transaction and its child together
    #[arg(long, value_name = "SAT_PER_VB", conflicts_with = "target")]
    feerate: Option<Feerate>,
    /// Confirm within so many blocks, by the daemon's estimate [default: 2]
    #[arg(long, value_name = "BLOCKS", default_value_t = 0, hide_default_value = true)]
    target: u32,
    /// Refuse to pay more than this in addition, in satoshis
    #[arg(long, value_name = "SAT", default_value_t = 0, hide_default_value = true)]
    max_fee: u64,
    /// Say what it would cost, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; needed where nobody is at a terminal
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Args)]
pub struct Bump {
    /// The transaction
    txid: TxId,
    /// How [default: replace where that is possible, else child]
    #[arg(long, value_enum)]
    by: Option<Way>,
    #[command(flatten)]
    price: Price,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// The transaction
    txid: TxId,
    #[command(flatten)]
    price: Price,
}

impl Bump {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let how = match self.by {
            None => How::Unspecified,
            Some(Way::Replace) => How::Replace,
            Some(Way::Child) => How::Child,
        };
        bump(session, self.txid, how, self.price, "Make it dearer").await
    }
}

impl Cancel {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        bump(session, self.txid, How::Cancel, self.price, "Take it back").await
    }
}

async fn bump(
    session: &Session,
    TxId(txid): TxId,
    how: How,
    price: Price,
    question: &str,
) -> Result<(), Failure> {
    let request = BumpTransactionRequest {
        txid,
        feerate_msat_per_vb: price.feerate.map_or(0, |feerate| feerate.msat_per_vb),
        target_blocks: price.target,
        how: how.into(),
        max_fee_sat: price.max_fee,
        dry_run: true,
    };
    if !price.dry_run && !price.yes {
        let quote = session.wallet().bump(request.clone()).await?.into_inner();
        let question = format!("{question} for {} more?", human::sat(quote.added_sat));
        session.screen.confirm_unless(false, &question)?;
    }
    let dry_run = price.dry_run;
    let request = BumpTransactionRequest { dry_run, ..request };
    let bumped = session.wallet().bump(request).await?.into_inner();
    session.screen.show(&bumped, |bumped, look| wallet::bumped(bumped, dry_run, look))
}
