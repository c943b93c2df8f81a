//! Tables as plain aligned text, on a terminal as in a pipe.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::UnicodeWidthStr as _;

/// What a terminal shows at least.
const WIDTH: u16 = 80;

/// The spaces between two columns.
const GAP: usize = 2;

/// What a column that breaks has at least, with the space after it: enough for any state in one word. Only where it
/// needs this does a table become wider than the terminal.
const NARROWEST: u16 = 12;

/// A column's heading, and whether its cells may be broken into several lines where the table is too wide.
pub(crate) struct Column {
    /// The heading.
    pub(crate) heading: &'static str,
    /// Whether its cells may be broken.
    pub(crate) breaks: bool,
}

/// Renders rows under headings, in 80 columns if what must not be broken lets it.
pub(crate) fn render(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let headings = columns.iter().map(|column| column.heading.to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings).chain(rows).collect();
    let mut widths = vec![0; columns.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = columns_of(cell).max(*width);
        }
    }
    let is_narrow = widths.iter().sum::<usize>() + GAP * columns.len() <= usize::from(WIDTH) + GAP;
    if is_narrow { aligned(&rows, &widths) } else { broken(columns, rows, &widths) }
}

/// How many columns of a terminal a text takes.
fn columns_of(text: &str) -> usize {
    // Nearly every cell is such a one, and needs no table of characters to be looked up.
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Each row in one line. Nearly every table is such a one, and may have a thousand rows.
fn aligned(rows: &[Vec<String>], widths: &[usize]) -> String {
    let mut text = String::with_capacity(rows.len() * usize::from(WIDTH));
    let blanks = " ".repeat(GAP + widths.iter().max().copied().unwrap_or_default());
    for row in rows {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(cell);
            text.push_str(&blanks[..width + GAP - columns_of(cell)]);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// With cells broken into several lines.
fn broken(columns: &[Column], rows: Vec<Vec<String>>, widths: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.add_rows(rows);
    for ((column, asked), width) in table.column_iter_mut().zip(columns).zip(widths) {
        column.set_padding((0, 2));
        column.set_constraint(if asked.breaks && width + GAP > NARROWEST.into() {
            ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST))
        } else {
            ColumnConstraint::ContentWidth
        });
    }
    table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> [Column; 3] {
        [("ID", false), ("STATE", true), ("PID", false)].map(|(heading, breaks)| Column { heading, breaks })
    }

    fn row(cells: [&str; 3]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn cells_stand_under_their_headings_without_any_drawing() {
        let text =
            render(&columns(), [row(["ps", "up", "4711"]), row(["image-server", "backoff 8s (3)", "-"])]);
        assert_eq!(
            text,
            "ID            STATE           PID\nps            up              4711\nimage-server  backoff 8s (3)  -\n"
        );
    }

    #[test]
    fn what_is_too_wide_is_broken_and_ids_never_are() {
        let id = "x".repeat(40);
        let state = "stopping (4 processes cannot be killed: 41000, 42000, 43000, 44000)";
        let text = render(&columns(), [row([&id, state, "4711"])]);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.contains(&id), "{text}");
        for word in state.split_whitespace() {
            assert!(text.contains(word), "{word} in {text}");
        }
        let longest = "y".repeat(64);
        let text = render(&columns(), [row([&longest, state, "4711"])]);
        for word in state.split_whitespace().chain([longest.as_str()]) {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
}
