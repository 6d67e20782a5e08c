//! Tables and lists of facts; long ids are shortened only where the terminal is too narrow.
use comfy_table::{
    Attribute, Cell as TableCell, CellAlignment, Color, ContentArrangement, Table as Layout,
    TableComponent,
};

use super::human;

/// What the output can do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Columns of the terminal; none where the output is a file or a pipe.
    pub width: Option<usize>,
    /// Whether colours are wanted.
    pub colour: bool,
}

/// What a value means, shown by colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Under way, or worth a look.
    Waiting,
    /// Something is wrong.
    Bad,
    /// Nothing special.
    #[default]
    Plain,
    /// Of less interest.
    Faint,
}

/// One value in a table.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The whole text first, then shorter forms for narrower terminals.
    forms: Vec<String>,
    tone: Tone,
}

impl Cell {
    fn form(&self, level: usize) -> &str {
        self.forms.get(level).or(self.forms.last()).map_or("", String::as_str)
    }
}

/// A value without a special meaning.
pub fn text(value: impl Into<String>) -> Cell {
    toned(value, Tone::Plain)
}

/// A value with a meaning.
pub fn toned(value: impl Into<String>, tone: Tone) -> Cell {
    Cell { forms: vec![value.into()], tone }
}

/// An id in hex, shortened to its ends where the terminal is narrow.
pub fn id(bytes: &[u8]) -> Cell {
    shortenable(human::hex(bytes))
}

/// A transaction id, shortened likewise.
pub fn txid(bytes: &[u8]) -> Cell {
    shortenable(human::txid(bytes))
}

/// A long word that may be shortened in the middle.
pub fn shortenable(full: String) -> Cell {
    let ends = |head: usize, tail: usize| {
        // What is not much longer than its ends stays whole: an address of IPv4, a short id.
        let long = full.len() > 24 && full.is_ascii();
        long.then(|| format!("{}…{}", &full[..head], &full[full.len() - tail..]))
    };
    let shorter = [ends(10, 6), ends(6, 4)];
    let whole = if full.is_empty() { human::NONE.to_owned() } else { full.clone() };
    Cell { forms: [Some(whole)].into_iter().chain(shorter).flatten().collect(), tone: Tone::Plain }
}

/// Somebody else's words, cut where the terminal is narrow.
pub fn words(text: &str) -> Cell {
    let whole = human::one_line(text);
    let shorter = [24, 16].map(|most_chars| human::shortened(&whole, most_chars));
    Cell { forms: [whole].into_iter().chain(shorter).collect(), tone: Tone::Plain }
}

/// A moment in UTC, to the minute where the terminal is narrow.
pub fn time(unix: u64) -> Cell {
    let whole = human::time(unix);
    let minute = whole.get(..16).unwrap_or(&whole).to_owned();
    Cell { forms: vec![whole.clone(), whole, minute], tone: Tone::Plain }
}

/// Where a column's values stand.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

/// The shortest form is the third.
const NARROWEST: usize = 2;

/// Returns the rows under their titles, ending in a line break.
pub fn table<const N: usize>(look: Look, columns: [Column; N], rows: Vec<[Cell; N]>) -> String {
    let fits = |text: &str| look.width.is_none_or(|width| widest(text) <= width);
    let fitting =
        (0..NARROWEST).map(|level| layout(look, &columns, &rows, level)).find(|text| fits(text));
    fitting.unwrap_or_else(|| layout(look, &columns, &rows, NARROWEST))
}

fn layout<const N: usize>(
    look: Look,
    columns: &[Column; N],
    rows: &[[Cell; N]],
    level: usize,
) -> String {
    let mut layout = Layout::new();
    layout.load_preset(comfy_table::presets::NOTHING);
    layout.set_style(TableComponent::HeaderLines, '─');
    layout.set_content_arrangement(ContentArrangement::Disabled);
    if look.colour {
        layout.enforce_styling();
    } else {
        layout.force_no_tty();
    }
    layout.set_header(columns.iter().map(|column| {
        let (Column::Left(title) | Column::Right(title)) = column;
        TableCell::new(title).add_attribute(Attribute::Bold).set_alignment(alignment(column))
    }));
    for row in rows {
        layout.add_row(row.iter().zip(columns).map(|(cell, column)| {
            painted(TableCell::new(cell.form(level)), cell.tone).set_alignment(alignment(column))
        }));
    }
    // Each column has a space on both sides: the first one's would only indent the whole.
    for (index, column) in layout.column_iter_mut().enumerate() {
        let right = if index + 1 == N { 0 } else { 2 };
        column.set_padding((0, right));
    }
    layout.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn alignment(column: &Column) -> CellAlignment {
    match column {
        Column::Left(_) => CellAlignment::Left,
        Column::Right(_) => CellAlignment::Right,
    }
}

fn painted(cell: TableCell, tone: Tone) -> TableCell {
    match tone {
        Tone::Good => cell.fg(Color::Green),
        Tone::Waiting => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Plain => cell,
        Tone::Faint => cell.fg(Color::DarkGrey),
    }
}

fn widest(text: &str) -> usize {
    text.lines().map(console::measure_text_width).max().unwrap_or(0)
}

/// Colours a text where colours are wanted.
pub fn paint(look: Look, value: &str, tone: Tone) -> String {
    let style = console::Style::new().force_styling(look.colour);
    let style = match tone {
        Tone::Good => style.green(),
        Tone::Waiting => style.yellow(),
        Tone::Bad => style.red(),
        Tone::Plain => return value.to_owned(),
        Tone::Faint => style.dim(),
    };
    style.apply_to(value).to_string()
}

/// Names and values below each other, for one thing.
#[derive(Debug)]
pub struct Facts {
    look: Look,
    rows: Vec<(&'static str, String)>,
}

impl Facts {
    /// No facts yet.
    pub fn new(look: Look) -> Self {
        Self { look, rows: Vec::new() }
    }

    /// Adds one.
    pub fn add(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.rows.push((name, value.into()));
        self
    }

    /// Adds one with a meaning.
    pub fn add_toned(self, name: &'static str, value: &str, tone: Tone) -> Self {
        let value = paint(self.look, value, tone);
        self.add(name, value)
    }

    /// Adds one unless it is empty.
    pub fn add_if_any(self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if value.is_empty() || value == human::NONE { self } else { self.add(name, value) }
    }

    /// Returns them as lines, the names padded to one width.
    ///
    /// Two blanks are between them, one where a whole id would not fit the screen otherwise: a node id and a name of 13
    /// letters fill its 80 columns.
    pub fn lines(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let widest = self.rows.iter().map(|(_, value)| widest(value)).max().unwrap_or(0);
        let gap = match self.look.width {
            Some(screen) if width + 2 + widest > screen => " ",
            Some(_) | None => "  ",
        };
        let line = |(name, value): &(&'static str, String)| {
            let name = format!("{name:<width$}");
            format!("{}{gap}{value}\n", paint(self.look, &name, Tone::Faint))
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(width: Option<usize>) -> String {
        let rows = vec![
            [id(&[0xab; 32]), text("1,234"), toned("ready", Tone::Good)],
            [id(&[]), text("5"), text("")],
        ];
        let columns = [Column::Left("id"), Column::Right("sat"), Column::Left("state")];
        table(Look { width, colour: false }, columns, rows)
    }

    #[test]
    fn ids_are_whole_where_there_is_room() {
        let id = "ab".repeat(32);
        assert!(sample(None).contains(&id));
        assert!(sample(Some(100)).contains(&id));
        let narrow = sample(Some(40));
        assert!(narrow.contains("ababababab…ababab"), "{narrow}");
        assert!(widest(&narrow) <= 40);
        assert!(sample(Some(30)).contains("ababab…abab  1,234"));
    }

    #[test]
    fn numbers_stand_at_the_right_without_trailing_blanks() {
        let lines: Vec<String> = sample(Some(40)).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "id                   sat  state");
        assert_eq!(lines[2], "ababababab…ababab  1,234  ready");
        assert_eq!(lines[3], "-                      5");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn times_and_words_are_cut_last() {
        let columns = [Column::Left("when"), Column::Left("why")];
        let row = || vec![[time(1), words("a rather long story of what happened")]];
        let at = |width| table(Look { width: Some(width), colour: false }, columns, row());
        assert!(at(60).contains("1970-01-01 00:00:01  a rather long story of what happened"));
        assert!(at(50).contains("1970-01-01 00:00:01  a rather long story of …"));
        assert!(at(40).contains("1970-01-01 00:00  a rather long s…"));
    }

    #[test]
    fn colours_only_where_wanted() {
        let columns = [Column::Left("x")];
        let row = || vec![[toned("bad", Tone::Bad)]];
        let coloured = table(Look { width: None, colour: true }, columns, row());
        assert!(coloured.contains("\u{1b}["));
        assert!(!table(Look::default(), columns, row()).contains('\u{1b}'));
        assert_eq!(paint(Look::default(), "x", Tone::Bad), "x");
    }

    #[test]
    fn facts_line_up() {
        let facts = Facts::new(Look::default())
            .add("a", "1")
            .add("long name", "2")
            .add_if_any("nothing", "")
            .add_if_any("none", "-");
        assert_eq!(facts.lines(), "a          1\nlong name  2\n");
    }

    #[test]
    fn the_widest_facts_fit_a_screen_of_80_columns() {
        let look = Look { width: Some(80), colour: false };
        let outpoint = format!("{}:0", "ab".repeat(32));
        let facts = Facts::new(look).add("funding", &outpoint).add("expires (UTC)", "soon");
        assert_eq!(widest(&facts.lines()), 80, "{}", facts.lines());
        let short = Facts::new(look).add("funding", "here").add("expires (UTC)", "soon");
        assert!(short.lines().starts_with("funding        here\n"), "{}", short.lines());
    }
}
