//! `fulmen graph liquidity …`: what payments have learnt about other nodes' channels.
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fulmen_proto::v1::{
    ChannelLiquidity, ExportLiquidityRequest, ImportLiquidityRequest, LiquidityBounds,
    ResetLiquidityRequest,
};
use serde_json::Value;

use crate::failure::{Exit, Failure};
use crate::format::{human, json};
use crate::ids::ShortChannelId;
use crate::session::Session;

/// Rows that are sent in one call.
const ROWS_AT_ONCE: usize = 10_000;

/// Commands about the liquidity of other nodes' channels.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Print what is known, one channel a line as JSON, for `import`
    Export(Export),
    /// Merge what another node knows, where it is younger than what this one knows
    Import(Import),
    /// Forget what was learnt about some channels, or about all
    Reset(Reset),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Export(command) => command.run(session).await,
            Self::Import(command) => command.run(session).await,
            Self::Reset(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Export {}

impl Export {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut stream =
            session.graph().export_liquidity(ExportLiquidityRequest {}).await?.into_inner();
        while let Some(piece) = stream.message().await? {
            for channel in &piece.channels {
                session.screen.text(&json::json(channel).to_string())?;
            }
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Import {
    /// The output of `export`; `-` for the standard input
    file: PathBuf,
}

impl Import {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let channels = read(&self.file)?;
        let (mut taken, mut ignored) = (0_u64, 0_u64);
        for rows in channels.chunks(ROWS_AT_ONCE) {
            let request = ImportLiquidityRequest { channels: rows.to_vec() };
            let done = session.graph().import_liquidity(request).await?.into_inner();
            taken += u64::from(done.taken);
            ignored += u64::from(done.ignored);
        }
        if session.screen.json {
            let counts = serde_json::json!({"taken": taken, "ignored": ignored});
            return session.screen.text(&counts.to_string());
        }
        let channels = human::count(taken, "channel", "channels");
        session.screen.text(&format!(
            "Imported {channels}, ignored {} (own or unknown)",
            human::grouped(ignored)
        ))
    }
}

#[derive(Debug, Args)]
pub struct Reset {
    /// Only of these channels
    #[arg(value_name = "CHANNEL")]
    channels: Vec<ShortChannelId>,
    /// Do not ask (it is asked only at a terminal)
    #[arg(long, short)]
    yes: bool,
}

impl Reset {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        if !self.yes && session.screen.has_someone_to_ask() {
            session.screen.confirm("Forget what was learnt about other nodes' channels?")?;
        }
        let short_channel_ids = self.channels.into_iter().map(|ShortChannelId(it)| it).collect();
        let request = ResetLiquidityRequest { short_channel_ids };
        let done = session.graph().reset_liquidity(request).await?.into_inner();
        session.screen.show(&done, |done, _| {
            let channels = human::count(u64::from(done.forgotten), "channel", "channels");
            format!("Forgot what was learnt about {channels}")
        })
    }
}

/// Reads what `export` printed.
fn read(file: &Path) -> Result<Vec<ChannelLiquidity>, Failure> {
    let cannot =
        |error: std::io::Error| Failure::failed(format!("cannot read {}: {error}", file.display()));
    let lines: Vec<String> = if file.as_os_str() == "-" {
        std::io::stdin().lock().lines().collect::<Result<_, _>>().map_err(cannot)?
    } else {
        let text = std::fs::read_to_string(file).map_err(cannot)?;
        text.lines().map(str::to_owned).collect()
    };
    let lines = (1..).zip(&lines).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line): (u32, _)| {
            channel(line).ok_or_else(|| {
                let place = format!("line {number} of {}", file.display());
                Failure::new(Exit::Usage, format!("{place} is not what `export` prints"))
            })
        })
        .collect()
}

fn channel(line: &str) -> Option<ChannelLiquidity> {
    let value: Value = serde_json::from_str(line).ok()?;
    let scid: ShortChannelId = value.get("short_channel_id")?.as_str()?.parse().ok()?;
    Some(ChannelLiquidity {
        short_channel_id: scid.0,
        one_to_two: Some(bounds(value.get("one_to_two")?)?),
        two_to_one: Some(bounds(value.get("two_to_one")?)?),
    })
}

fn bounds(value: &Value) -> Option<LiquidityBounds> {
    let number = |name| value.get(name)?.as_u64();
    Some(LiquidityBounds {
        least_msat: number("least_msat")?,
        least_learnt_at: number("least_learnt_at")?,
        most_msat: match value.get("most_msat")? {
            Value::Null => None,
            most => Some(most.as_u64()?),
        },
        most_learnt_at: number("most_learnt_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_can_be_read_again() {
        let known = LiquidityBounds {
            least_msat: 1,
            least_learnt_at: 2,
            most_msat: Some(3),
            most_learnt_at: 4,
        };
        let one = ChannelLiquidity {
            short_channel_id: 539 << 40 | 1 << 16,
            one_to_two: Some(known),
            two_to_one: Some(LiquidityBounds::default()),
        };
        assert_eq!(channel(&json::json(&one).to_string()), Some(one));
        for bad in ["", "{}", "[]", "{\"short_channel_id\": 5}"] {
            assert_eq!(channel(bad), None, "{bad}");
        }
    }
}
