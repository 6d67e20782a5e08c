//! The daemon's disk, for people.
use fulmen_proto::v1::store_mirror::State;
use fulmen_proto::v1::{
    CheckStoreUpdate, CompactStoreUpdate, ExportStoreUpdate, StoreGrowth, StoreMirror,
    StoreStatsResponse,
};

use crate::format::human;
use crate::format::table::{Column, Facts, Look, Tone, paint, shortenable, table, text};

const SECS_PER_DAY: u64 = 86_400;

/// What a check found.
pub fn checked(update: &CheckStoreUpdate, look: Look) -> String {
    let findings = update.findings.clone().unwrap_or_default();
    let (verdict, tone) = match findings.sound {
        true => ("the store is sound".to_owned(), Tone::Good),
        false => (human::count(findings.problem_count, "problem", "problems"), Tone::Bad),
    };
    let mut shown = Facts::new(look)
        .add("rows", human::grouped(update.rows))
        .add("bytes", human::size(update.bytes))
        .add("of LDK's", format!("{} decoded", human::grouped(findings.decoded)))
        .add_toned("found", &verdict, tone)
        .lines();
    for problem in &findings.problems {
        shown.push_str(&format!("{}\n", paint(look, &human::one_line(problem), Tone::Bad)));
    }
    shown
}

/// Where the export is.
pub fn exported(update: &ExportStoreUpdate, path: &str) -> String {
    format!(
        "{} and {}, up to commit {}, are in {}",
        human::count(update.rows, "row", "rows"),
        human::size(update.bytes),
        human::grouped(update.commit),
        human::one_line(path)
    )
}

/// What compaction gained.
pub fn compacted(update: &CompactStoreUpdate) -> String {
    let sizes = [update.before_bytes, update.after_bytes].map(human::size);
    format!("{} on disk before, {} now", sizes[0], sizes[1])
}

/// Sizes, growth and the state of the disks.
pub fn stats(stats: &StoreStatsResponse, look: Look) -> String {
    let columns = [Column::Left("table"), Column::Right("rows"), Column::Right("size")];
    let rows = stats.tables.iter().map(|table| {
        [
            text(human::one_line(&table.name)),
            text(human::grouped(table.rows)),
            text(human::size(table.bytes)),
        ]
    });
    let tables = table(look, columns, rows.collect());
    let rows = stats
        .largest
        .iter()
        .map(|value| [shortenable(human::one_line(&value.name)), text(human::size(value.bytes))]);
    let columns = [Column::Left("largest"), Column::Right("size")];
    let largest = table(look, columns, rows.collect());
    let mut facts = Facts::new(look)
        .add("directory", human::one_line(&stats.directory))
        .add("live", human::size(stats.live_bytes))
        .add("on disk", human::size(stats.disk_bytes))
        .add("commits", human::grouped(stats.commits))
        .add("schema", stats.schema.to_string());
    if let Some(growth) = &stats.since_start {
        facts = grown(facts, growth);
    }
    let (mirror, tone) = mirrored(stats.mirror.as_ref());
    facts = facts.add_toned("mirror", &mirror, tone);
    if !stats.low_space.is_empty() {
        facts = facts.add_toned("space", &human::one_line(&stats.low_space), Tone::Bad);
    }
    format!("{tables}\n{largest}\n{}", facts.lines())
}

fn grown(facts: Facts, growth: &StoreGrowth) -> Facts {
    let sign = if growth.disk_bytes < 0 { "-" } else { "+" };
    let disk = growth.disk_bytes.unsigned_abs();
    facts
        .add("open for", human::span(growth.open_secs))
        .add("  commits", rate(growth.commits, growth.open_secs, human::grouped))
        .add("  writes", rate(growth.writes, growth.open_secs, human::grouped))
        .add("  written", rate(growth.written_bytes, growth.open_secs, human::size))
        .add("  on disk", format!("{sign}{}", rate(disk, growth.open_secs, human::size)))
}

/// `1,234 (106,617,600 a day)`; without the day in the first minute, which says nothing about one.
fn rate(amount: u64, secs: u64, show: fn(u64) -> String) -> String {
    let a_day = u128::from(amount) * u128::from(SECS_PER_DAY) / u128::from(secs.max(1));
    match u64::try_from(a_day) {
        Ok(a_day) if secs >= 60 => format!("{} ({} a day)", show(amount), show(a_day)),
        _ => show(amount),
    }
}

fn mirrored(mirror: Option<&StoreMirror>) -> (String, Tone) {
    let Some(mirror) = mirror else { return (human::NONE.to_owned(), Tone::Plain) };
    match mirror.state() {
        State::Unspecified => (human::NONE.to_owned(), Tone::Plain),
        State::Off => ("none".to_owned(), Tone::Plain),
        State::InStep => ("in step".to_owned(), Tone::Good),
        State::Failed => (human::one_line(&format!("failed: {}", mirror.why)), Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::{StoreFindings, StoreTable, StoreValue};

    use super::*;

    #[test]
    fn stats_tell_sizes_growth_and_the_mirror() {
        let sample = StoreStatsResponse {
            tables: vec![StoreTable { name: "payments".to_owned(), rows: 1_234, bytes: 5 << 20 }],
            largest: vec![StoreValue { name: "monitors//ab_0".to_owned(), bytes: 70_000 }],
            disk_bytes: 16 << 20,
            since_start: Some(StoreGrowth {
                open_secs: 43_200,
                commits: 10,
                writes: 20,
                written_bytes: 1 << 20,
                disk_bytes: -1024,
            }),
            low_space: "the disk of /data has 3 MiB free".to_owned(),
            mirror: Some(StoreMirror {
                state: State::Failed.into(),
                why: "/mirror: it is gone".to_owned(),
            }),
            ..Default::default()
        };
        let shown = stats(&sample, Look::default());
        for part in [
            "payments  1,234  5.0 MiB",
            "monitors//ab_0  68.3 KiB",
            "10 (20 a day)",
            "1.0 MiB (2.0 MiB a day)",
            "-1.0 KiB (2.0 KiB a day)",
            "failed: /mirror: it is gone",
            "has 3 MiB free",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let fresh = StoreGrowth { open_secs: 5, commits: 7, ..Default::default() };
        let sample = StoreStatsResponse { since_start: Some(fresh), ..Default::default() };
        assert!(!stats(&sample, Look::default()).contains("a day"));
    }

    #[test]
    fn a_check_names_each_problem() {
        let findings = StoreFindings {
            problem_count: 1,
            problems: vec!["notes/key: damaged\u{1b}".to_owned()],
            ..Default::default()
        };
        let update = CheckStoreUpdate { rows: 5, findings: Some(findings), ..Default::default() };
        let shown = checked(&update, Look::default());
        assert!(shown.contains("1 problem\nnotes/key: damaged \n"), "{shown}");
        let sound = StoreFindings { sound: true, ..Default::default() };
        let update = CheckStoreUpdate { findings: Some(sound), ..Default::default() };
        assert!(checked(&update, Look::default()).contains("the store is sound"));
    }
}
