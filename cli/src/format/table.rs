//! Tables and lists of facts; long ids are shortened only where the terminal is too narrow.
use comfy_table::{
    Attribute, Cell as TableCell, CellAlignment, Color, ContentArrangement, Table as Layout,
    TableComponent,
};

use super::human;
use super::names::Names;

/// What the output can do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// At most so many columns; none for whole ids however wide they are.
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
    /// Cut where even the shortest forms of all columns are too wide together.
    may_be_cut: bool,
}

impl Cell {
    /// Lets the value be cut at its end where room is short.
    pub fn cut(self) -> Self {
        Self { may_be_cut: true, ..self }
    }

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
    Cell { forms: vec![value.into()], tone, may_be_cut: false }
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
    let forms = [Some(whole)].into_iter().chain(shorter).flatten().collect();
    Cell { forms, tone: Tone::Plain, may_be_cut: false }
}

/// A node by its alias and its id; only the id where it has none.
pub fn node(names: &Names, node_id: &[u8]) -> Cell {
    let Some(alias) = names.alias(node_id) else { return id(node_id) };
    let hex = human::hex(node_id);
    let form = |most: usize, digits: usize| {
        let short = hex.get(..digits).unwrap_or(&hex);
        format!("{} {short}", human::shortened(alias, most))
    };
    let forms = vec![format!("{alias} {hex}"), form(20, 8), form(12, 6)];
    Cell { forms, tone: Tone::Plain, may_be_cut: true }
}

/// A channel by its short id, with the whole id where there is room; by the long one alone where it has no short id.
pub fn channel(short_channel_id: u64, channel_id: &[u8]) -> Cell {
    if short_channel_id == 0 {
        return id(channel_id);
    }
    let short = human::scid(short_channel_id);
    let whole = format!("{short} {}", human::hex(channel_id));
    Cell { forms: vec![whole, short], tone: Tone::Plain, may_be_cut: false }
}

/// A channel by its peer's alias and its short id.
pub fn channel_of(names: &Names, node_id: &[u8], short_channel_id: u64, channel_id: &[u8]) -> Cell {
    let channel = channel(short_channel_id, channel_id);
    let Some(alias) = names.alias(node_id) else { return channel };
    let form = |most: usize, level: usize| {
        format!("{} {}", human::shortened(alias, most), channel.form(level))
    };
    Cell { forms: vec![form(32, 0), form(16, 1), form(8, 2)], ..channel }
}

/// How much of `whole` is `part`, as a bar.
pub fn bar(part: u64, whole: u64) -> Cell {
    let forms =
        vec![human::bar(part, whole, 10), human::bar(part, whole, 10), human::bar(part, whole, 5)];
    Cell { forms, tone: Tone::Plain, may_be_cut: false }
}

/// Somebody else's words, cut where the terminal is narrow.
pub fn words(text: &str) -> Cell {
    let whole = human::one_line(text);
    let shorter = [24, 16].map(|most_chars| human::shortened(&whole, most_chars));
    let forms = [whole].into_iter().chain(shorter).collect();
    Cell { forms, tone: Tone::Plain, may_be_cut: true }
}

/// A moment in UTC, to the minute where the terminal is narrow.
pub fn time(unix: u64) -> Cell {
    let whole = human::time(unix);
    let minute = whole.get(..16).unwrap_or(&whole).to_owned();
    Cell { forms: vec![whole.clone(), whole, minute], tone: Tone::Plain, may_be_cut: false }
}

/// Where a column's values stand.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn title(&self) -> &'static str {
        let (Self::Left(title) | Self::Right(title)) = self;
        title
    }
}

/// The shortest form is the third.
const NARROWEST: usize = 2;

/// Columns that may be cut keep at least this width.
const LEAST_WIDTH: usize = 8;

/// Returns the rows under their titles, ending in a line break; never wider than the look allows.
///
/// Ids and words get shorter first; then words are cut; then, where even that is not enough, each row becomes a block of
/// lines.
pub fn table<const N: usize>(look: Look, columns: [Column; N], rows: Vec<[Cell; N]>) -> String {
    let Some(width) = look.width else { return layout(look, &columns, &texts(&rows, 0)) };
    for level in 0..=NARROWEST {
        let text = layout(look, &columns, &texts(&rows, level));
        if widest(&text) <= width {
            return text;
        }
    }
    match widths_to_fit(width, &columns, &rows) {
        Some(widths) => {
            let mut cut = texts(&rows, NARROWEST);
            for row in &mut cut {
                for ((text, _), most) in row.iter_mut().zip(widths) {
                    *text = human::shortened(text, most);
                }
            }
            layout(look, &columns, &cut)
        }
        None => blocks(look, width, &columns, &rows),
    }
}

/// A table's texts with their meanings.
fn texts<const N: usize>(rows: &[[Cell; N]], level: usize) -> Vec<[(String, Tone); N]> {
    let text = |cell: &Cell| (cell.form(level).to_owned(), cell.tone);
    rows.iter().map(|row| row.each_ref().map(text)).collect()
}

/// The width of each column that lets the shortest forms fit if those that may be cut are; none if they do not fit.
fn widths_to_fit<const N: usize>(
    width: usize,
    columns: &[Column; N],
    rows: &[[Cell; N]],
) -> Option<[usize; N]> {
    let mut widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| human::width(row[column].form(NARROWEST)));
        cells.max().unwrap_or(0).max(human::width(columns[column].title()))
    });
    let may_be_cut: [bool; N] =
        std::array::from_fn(|column| rows.iter().all(|row| row[column].may_be_cut));
    let gaps = 2 * N.saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        let least = |column: usize| LEAST_WIDTH.max(human::width(columns[column].title()));
        let shrinkable =
            (0..N).filter(|column| may_be_cut[*column] && widths[*column] > least(*column));
        let widest = shrinkable.max_by_key(|column| widths[*column])?;
        widths[widest] -= 1;
    }
    Some(widths)
}

/// Each row as lines of titles and values.
fn blocks<const N: usize>(
    look: Look,
    width: usize,
    columns: &[Column; N],
    rows: &[[Cell; N]],
) -> String {
    let names = columns.iter().map(|column| human::width(column.title())).max().unwrap_or(0);
    let room = width.saturating_sub(names + 2).max(LEAST_WIDTH);
    let block = |row: &[Cell; N]| {
        let facts = columns.iter().zip(row).fold(Facts::new(look), |facts, (column, cell)| {
            facts.add_toned(
                column.title(),
                &human::shortened(cell.form(NARROWEST), room),
                cell.tone,
            )
        });
        facts.lines()
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn layout<const N: usize>(
    look: Look,
    columns: &[Column; N],
    rows: &[[(String, Tone); N]],
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
        TableCell::new(column.title())
            .add_attribute(Attribute::Bold)
            .set_alignment(alignment(column))
    }));
    for row in rows {
        layout.add_row(row.iter().zip(columns).map(|((text, tone), column)| {
            painted(TableCell::new(text), *tone).set_alignment(alignment(column))
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
        let named = Names::of(vec![0xab; 33], "alice");
        let shown = |width| {
            let rows = vec![[node(&named, &[0xab; 33])], [node(&named, &[0xcd; 33])]];
            table(Look { width, colour: false }, [Column::Left("node")], rows)
        };
        assert!(
            shown(Some(40)).contains("alice abababab\ncdcdcdcdcd…cdcdcd"),
            "{}",
            shown(Some(40))
        );
        assert!(shown(None).contains(&format!("alice {}", "ab".repeat(33))));
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
    fn nothing_is_wider_than_allowed_whatever_others_say() {
        let mut names = Names::default();
        names.insert(
            vec![2; 33],
            "𝕬lice\u{202e} \u{1b}[31m日本語のノード名\u{301}\u{301}\u{301}\u{301}",
        );
        let row = || {
            [
                time(1_700_000_000),
                text("21,000,000,000,000.000"),
                node(&names, &[2; 33]),
                channel_of(&names, &[2; 33], 874_321 << 40 | 1_203 << 16 | 1, &[7; 32]),
                words("a long story 日本語日本語日本語日本語 that goes on"),
            ]
        };
        let columns = [
            Column::Left("when"),
            Column::Right("sat"),
            Column::Left("node"),
            Column::Left("channel"),
            Column::Left("why"),
        ];
        for width in [60, 70, 80, 100, 140] {
            let look = Look { width: Some(width), colour: false };
            let shown = table(look, columns, vec![row(), row()]);
            assert!(widest(&shown) <= width, "{} of {width}:\n{shown}", widest(&shown));
            assert!(shown.contains("874321x1203x1"), "the short id stays whole:\n{shown}");
            assert!(!shown.contains(['\u{202e}', '\u{1b}']), "{shown}");
        }
        let wide = table(Look::default(), columns, vec![row()]);
        assert!(wide.contains(&"02".repeat(33)) && wide.contains(&"07".repeat(32)), "{wide}");
        // Numbers are never cut: a row becomes a block.
        let rows = vec![[text("21,000,000,000,000.000"), text("21,000,000,000,000.000")]];
        let columns = [Column::Right("local"), Column::Right("remote")];
        let shown = table(Look { width: Some(40), colour: false }, columns, rows);
        assert_eq!(shown, "local   21,000,000,000,000.000\nremote  21,000,000,000,000.000\n");
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
