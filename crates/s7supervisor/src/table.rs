//! Tables as plain aligned text, on a terminal as in a pipe.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

/// What a terminal shows at least.
const WIDTH: u16 = 80;

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
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(columns.iter().map(|column| column.heading));
    let mut wide = vec![false; columns.len()];
    for row in rows {
        for (wide, cell) in wide.iter_mut().zip(&row) {
            *wide |= cell.chars().count() + 2 > NARROWEST.into();
        }
        table.add_row(row);
    }
    for ((column, asked), wide) in table.column_iter_mut().zip(columns).zip(wide) {
        column.set_padding((0, 2));
        column.set_constraint(if asked.breaks && wide {
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
