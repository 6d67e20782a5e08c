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

/// What a value means, told by colour.
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
    text: String,
    short: Option<String>,
    tone: Tone,
}

/// A value without a special meaning.
pub fn text(value: impl Into<String>) -> Cell {
    toned(value, Tone::Plain)
}

/// A value with a meaning.
pub fn toned(value: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: value.into(), short: None, tone }
}

/// An id in hex, shortened to its ends where the terminal is narrow.
pub fn id(bytes: &[u8]) -> Cell {
    shortenable(human::hex(bytes))
}

/// A transaction id, shortened likewise.
pub fn txid(bytes: &[u8]) -> Cell {
    shortenable(human::txid(bytes))
}

/// Any long word of which the ends tell enough.
pub fn shortenable(full: String) -> Cell {
    let short = (full.len() > 20 && full.is_ascii())
        .then(|| format!("{}…{}", &full[..10], &full[full.len() - 6..]));
    let text = if full.is_empty() { human::NONE.to_owned() } else { full };
    Cell { text, short, tone: Tone::Plain }
}

/// Somebody else's words, cut where the terminal is narrow.
pub fn words(text: &str) -> Cell {
    let text = human::one_line(text);
    let short = human::shortened(&text, 24);
    Cell { short: Some(short), text, tone: Tone::Plain }
}

/// Where a column's values stand.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

/// Returns the rows under their titles, ending in a line break.
pub fn table<const N: usize>(look: Look, columns: [Column; N], rows: Vec<[Cell; N]>) -> String {
    let full = layout(look, &columns, &rows, false);
    match look.width {
        Some(width) if widest(&full) > width => layout(look, &columns, &rows, true),
        _ => full,
    }
}

fn layout<const N: usize>(
    look: Look,
    columns: &[Column; N],
    rows: &[[Cell; N]],
    short: bool,
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
            let text = if short { cell.short.as_ref().unwrap_or(&cell.text) } else { &cell.text };
            painted(TableCell::new(text), cell.tone).set_alignment(alignment(column))
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
    pub fn lines(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let line = |(name, value): &(&'static str, String)| {
            let name = format!("{name:<width$}");
            format!("{}  {value}\n", paint(self.look, &name, Tone::Faint))
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
}
