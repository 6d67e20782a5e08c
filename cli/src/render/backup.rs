//! Backups and recoveries for people.
use std::path::Path;

use fulmen_proto::v1::lost_channel::{KnownFrom, State as LostState};
use fulmen_proto::v1::recovered_output::State as OutputState;
use fulmen_proto::v1::{
    BackupStatus, ChannelBackup, LostChannel, RecoveredOutput, RestoreBackupResponse,
    VerifyBackupResponse,
};

use crate::format::human;
use crate::format::table::{
    Cell, Column, Facts, Look, Tone, id, shortenable, table, text, toned, txid, words,
};

/// Where a backup was written.
pub fn written(backup: &ChannelBackup, file: &Path) -> String {
    format!(
        "{}: {}, as of {}",
        human::one_line(&file.display().to_string()),
        human::count(backup.channels.into(), "channel", "channels"),
        human::time(backup.created_at)
    )
}

/// What a backup holds.
pub fn verified(verified: &VerifyBackupResponse, look: Look) -> String {
    let count = u64::try_from(verified.channels.len()).unwrap_or(u64::MAX);
    let facts = Facts::new(look)
        .add("node", human::hex(&verified.node_id))
        .add("made at", human::time(verified.created_at))
        .add("holds", human::count(count, "channel", "channels"))
        .lines();
    if verified.channels.is_empty() {
        return facts;
    }
    let columns = [
        Column::Left("channel"),
        Column::Right("capacity"),
        Column::Left("peer"),
        Column::Left("address"),
    ];
    let rows = verified.channels.iter().map(|channel| {
        [
            name(channel.short_channel_id, &channel.channel_id),
            text(human::sat(channel.capacity_sat)),
            id(&channel.node_id),
            shortenable(human::one_line(channel.addresses.first().map_or("", String::as_str))),
        ]
    });
    format!("{facts}\n{}", table(look, columns, rows.collect()))
}

/// What restoring has begun.
pub fn restored(restored: &RestoreBackupResponse) -> String {
    let channels = human::count(restored.channels.into(), "channel", "channels");
    match restored.newly_lost {
        0 => format!("The backup names {channels}; none of them has newly been lost."),
        lost => format!(
            "The backup names {channels}; {} of them lost. Their peers are asked to close them: follow it with `fulmen backup status`.",
            human::grouped(lost.into())
        ),
    }
}

/// What came back, and what is awaited.
pub fn status(status: &BackupStatus, look: Look) -> String {
    if status.lost.is_empty() && status.recovered.is_empty() {
        return "Nothing is lost and nothing is being recovered.\n".to_owned();
    }
    let mut shown = Facts::new(look)
        .add("recovered", human::sat(status.recovered_sat))
        .add("searched", format!("up to block {}", human::grouped(status.searched_height.into())))
        .lines();
    if !status.lost.is_empty() {
        let columns = [
            Column::Left("lost channel"),
            Column::Right("capacity"),
            Column::Left("peer"),
            Column::Left("known from"),
            Column::Left("state"),
        ];
        let rows = status.lost.iter().map(|lost| {
            [
                name(lost.short_channel_id, &lost.channel_id),
                text(human::sat(lost.capacity_sat)),
                id(&lost.node_id),
                text(match lost.known_from() {
                    KnownFrom::Backup => "backup",
                    KnownFrom::Gossip => "gossip",
                    KnownFrom::Unspecified => human::NONE,
                }),
                lost_state(lost, status),
            ]
        });
        shown.push('\n');
        shown.push_str(&table(look, columns, rows.collect()));
    }
    if !status.recovered.is_empty() {
        let columns = [
            Column::Left("closing transaction"),
            Column::Right("block"),
            Column::Right("amount"),
            Column::Left("state"),
            Column::Left("sweep"),
        ];
        let rows = status.recovered.iter().map(|output| {
            let closing = output.outpoint.as_ref().map(|outpoint| outpoint.txid.clone());
            [
                txid(&closing.unwrap_or_default()),
                text(human::grouped(output.height.into())),
                text(human::sat(output.amount_sat)),
                output_state(output),
                txid(&output.sweep_txid),
            ]
        });
        shown.push('\n');
        shown.push_str(&table(look, columns, rows.collect()));
    }
    shown
}

fn name(short_channel_id: u64, channel_id: &[u8]) -> Cell {
    match short_channel_id {
        0 => id(channel_id),
        short => text(human::scid(short)),
    }
}

fn lost_state(lost: &LostChannel, status: &BackupStatus) -> Cell {
    match lost.state() {
        LostState::PeerAway if lost.last_error.is_empty() => toned("peer away", Tone::Waiting),
        LostState::PeerAway => words(&format!("peer away: {}", lost.last_error)),
        LostState::Asked => toned("asked to close", Tone::Waiting),
        LostState::Closed => {
            match status.recovered.iter().any(|output| output.funding == lost.funding) {
                true => toned("closed", Tone::Good),
                false => toned("closed, nothing for us", Tone::Bad),
            }
        }
        LostState::Unspecified => text(human::NONE),
    }
}

fn output_state(output: &RecoveredOutput) -> Cell {
    match output.state() {
        OutputState::Found => toned("found", Tone::Waiting),
        OutputState::Swept if output.sweep_txid.is_empty() => toned("to be swept", Tone::Waiting),
        OutputState::Swept if output.swept_height == 0 => toned("sweep sent", Tone::Waiting),
        OutputState::Swept => toned("swept", Tone::Good),
        OutputState::Spent => toned("swept before", Tone::Faint),
        OutputState::Unspecified => text(human::NONE),
    }
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::OutPoint;

    use super::*;

    #[test]
    fn a_closed_channel_without_an_output_of_ours_says_so() {
        let funding = |byte: u8| Some(OutPoint { txid: vec![byte; 32], vout: 0 });
        let lost = |byte: u8| LostChannel {
            funding: funding(byte),
            channel_id: vec![byte; 32],
            state: LostState::Closed.into(),
            ..LostChannel::default()
        };
        let recovered = RecoveredOutput {
            funding: funding(1),
            amount_sat: 21_000,
            state: OutputState::Swept.into(),
            ..RecoveredOutput::default()
        };
        let shown = status(
            &BackupStatus {
                lost: vec![lost(1), lost(2)],
                recovered: vec![recovered],
                ..BackupStatus::default()
            },
            Look::default(),
        );
        assert_eq!(shown.matches("closed, nothing for us").count(), 1, "{shown}");
        assert!(shown.contains("21,000"), "{shown}");
        assert!(status(&BackupStatus::default(), Look::default()).starts_with("Nothing is lost"));
    }
}
