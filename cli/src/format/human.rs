//! Values as people read them: grouped amounts, short ids, times, bars.
use fulmen_proto::v1::{OutPoint, channel_ref};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::ids::ShortChannelId;

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A transaction id or block hash as explorers print it: the bytes reversed.
pub fn txid(wire: &[u8]) -> String {
    hex(&wire.iter().rev().copied().collect::<Vec<u8>>())
}

/// `TXID:VOUT`, or a dash where there is none.
pub fn outpoint(outpoint: Option<&OutPoint>) -> String {
    match outpoint {
        Some(outpoint) if !outpoint.txid.is_empty() => {
            format!("{}:{}", txid(&outpoint.txid), outpoint.vout)
        }
        _ => NONE.to_owned(),
    }
}

/// `BLOCKxTRANSACTIONxOUTPUT`, or a dash where there is none.
pub fn scid(scid: u64) -> String {
    if scid == 0 { NONE.to_owned() } else { ShortChannelId(scid).to_string() }
}

/// A channel reference as commands take it.
pub fn channel(by: &channel_ref::By) -> String {
    match by {
        channel_ref::By::ChannelId(id) => hex(id),
        channel_ref::By::ShortChannelId(id) => scid(*id),
        channel_ref::By::Funding(funding) => outpoint(Some(funding)),
    }
}

/// Stands where there is nothing to show.
pub const NONE: &str = "-";

/// `text`, or a dash.
pub fn or_none(text: &str) -> &str {
    if text.is_empty() { NONE } else { text }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1,234 sat`.
pub fn sat(sat: u64) -> String {
    format!("{} sat", grouped(sat))
}

/// `1,234.567 sat`, without decimals where there are none.
pub fn msat(msat: u64) -> String {
    format!("{} sat", msat_bare(msat))
}

/// The same without the unit, for columns whose title has it.
pub fn msat_bare(msat: u64) -> String {
    match msat % 1_000 {
        0 => grouped(msat / 1_000),
        rest => format!("{}.{rest:03}", grouped(msat / 1_000)),
    }
}

/// `+1,234` or `-1,234`.
pub fn signed(number: i64) -> String {
    let sign = if number < 0 { '-' } else { '+' };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

/// `2.5 sat/vB` from thousandths.
pub fn feerate(msat_per_vb: u64) -> String {
    let decimals = format!("{:03}", msat_per_vb % 1_000);
    let decimals = decimals.trim_end_matches('0');
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{}{point}{decimals} sat/vB", grouped(msat_per_vb / 1_000))
}

/// Unix time as `2026-11-22 13:02:11`, in UTC; a dash for 0.
pub fn time(unix: u64) -> String {
    if unix == 0 {
        return NONE.to_owned();
    }
    let (days, secs) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Days since 1970 to year, month, day: Howard Hinnant's `civil_from_days`, whose years begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days since 1970 until a date; none where there is no such date since then.
pub fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The reverse of `date`.
    let (year_from_march, month_from_march) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (date(days) == (year, month, day)).then_some(days)
}

/// A word of the API for people: `COUNTERPARTY_FORCE_CLOSED` is `counterparty force closed`.
pub fn word(word: &str) -> String {
    word.to_ascii_lowercase().replace('_', " ")
}

/// `42 s`, `3 min`, `5 h`, `12 days`.
pub fn span(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// `850 ms`, `1.2 s`, `3 min`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => span(ms / 1_000),
    }
}

/// `5 min ago`, `in 5 min`; a dash for 0.
pub fn ago(now: u64, then: u64) -> String {
    match then {
        0 => NONE.to_owned(),
        then if then > now => format!("in {}", span(then - now)),
        then => format!("{} ago", span(now - then)),
    }
}

/// `512 bytes`, `1.5 KiB`, `20.0 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1_024 {
        return count(bytes, "byte", "bytes");
    }
    let (mut tenths, mut unit) = (bytes.saturating_mul(10) / 1_024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", grouped(tenths / 10), tenths % 10, UNITS[unit])
}

/// `yes` or `no`.
pub fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// `1 channel`, `2 channels`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `█████░░░░░`: how much of `whole` is `part`, in so many cells.
pub fn bar(part: u64, whole: u64, cells: u64) -> String {
    let filled = match whole {
        0 => 0,
        // Rounded, but something is never shown as nothing, nor nearly all as all.
        whole => {
            let exact = u128::from(part.min(whole)) * u128::from(cells);
            let rounded = (exact + u128::from(whole) / 2) / u128::from(whole);
            let least = u128::from(part > 0);
            let most = u128::from(cells) - u128::from(part < whole);
            rounded.clamp(least.min(most), most) as u64
        }
    };
    (0..cells).map(|cell| if cell < filled { '█' } else { '░' }).collect()
}

/// The beginning of a text on one line, at most so many columns wide.
pub fn shortened(text: &str, most_columns: usize) -> String {
    let line = one_line(text);
    if width(&line) <= most_columns {
        return line;
    }
    let mut kept = String::new();
    let mut left = most_columns.saturating_sub(1);
    for c in line.chars() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else { break };
        left = rest;
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// How many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// More marks on one letter are noise that covers the lines around it.
const MOST_MARKS: usize = 2;

/// Text from elsewhere (an alias, a description) fit for a line: nobody else's text may move our cursor, colour our
/// screen, turn the order of letters around (Unicode UAX 9), or hide in letters without a width.
pub fn one_line(text: &str) -> String {
    let (mut line, mut marks) = (String::with_capacity(text.len()), 0);
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.push(' ');
            marks = 0;
            continue;
        }
        if turns_or_hides(c) {
            continue;
        }
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        if marks <= MOST_MARKS {
            line.push(c);
        }
    }
    line
}

/// Marks of direction, joiners and fillers that show nothing, tags, and private letters.
fn turns_or_hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let table = [(0, "0"), (999, "0.999"), (1_000, "1"), (1_234_567_890, "1,234,567.890")];
        for (amount, text) in table {
            assert_eq!(msat_bare(amount), text);
        }
        assert_eq!(sat(2_100_000_000_000_000), "2,100,000,000,000,000 sat");
        assert_eq!(msat(1_500), "1.500 sat");
        assert_eq!((signed(-1_234), signed(5)), ("-1,234".to_owned(), "+5".to_owned()));
        assert_eq!(signed(i64::MIN), "-9,223,372,036,854,775,808");
        let table =
            [(0, "0 sat/vB"), (253, "0.253 sat/vB"), (2_500, "2.5 sat/vB"), (12_000, "12 sat/vB")];
        for (rate, text) in table {
            assert_eq!(feerate(rate), text);
        }
    }

    #[test]
    fn times() {
        let table = [
            (0, "-"),
            (1, "1970-01-01 00:00:01"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_231_006_505, "2009-01-03 18:15:05"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ];
        for (unix, text) in table {
            assert_eq!(time(unix), text);
        }
        assert_eq!(ago(100, 40), "60 s ago");
        assert_eq!(ago(100, 7_300), "in 2 h");
        assert_eq!(ago(100, 0), "-");
        assert_eq!((duration(999), duration(1_250)), ("999 ms".to_owned(), "1.2 s".to_owned()));
    }

    #[test]
    fn sizes() {
        let table = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1_023, "1,023 bytes"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            ((1 << 20) - 1, "1,023.9 KiB"),
            (20 << 20, "20.0 MiB"),
            (3 << 40, "3.0 TiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn bars_round_but_never_hide() {
        let table = [
            (0, 100, "░░░░░░░░░░"),
            (1, 100, "█░░░░░░░░░"),
            (50, 100, "█████░░░░░"),
            (99, 100, "█████████░"),
            (100, 100, "██████████"),
            (5, 0, "░░░░░░░░░░"),
            (u64::MAX, u64::MAX, "██████████"),
        ];
        for (part, whole, text) in table {
            assert_eq!(bar(part, whole, 10), text, "{part}/{whole}");
        }
    }

    #[test]
    fn ids_and_foreign_text() {
        assert_eq!((hex(&[0, 0xab]), txid(&[0, 0xab])), ("00ab".to_owned(), "ab00".to_owned()));
        assert_eq!(outpoint(None), "-");
        assert_eq!((scid(0), scid(539 << 40 | 1 << 16)), ("-".to_owned(), "539x1x0".to_owned()));
        assert_eq!(one_line("a\u{1b}[31mb\nc"), "a [31mb c");
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("abcd", 4), "abcd");
        assert_eq!(count(1, "peer", "peers"), "1 peer");
    }
}
