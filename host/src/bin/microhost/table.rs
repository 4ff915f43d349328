//! Tables for people: columns that line up, colour that does not count as width.

use crate::paint::{Paint, visible};

/// What stands between two columns.
const GAP: &str = "  ";

/// What one row says in one column.
pub struct Cell {
    text: String,
    right: bool,
    look: Look,
}

/// How a cell is told from the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Strong,
    Good,
    Odd,
    Bad,
    Faint,
}

impl Cell {
    /// Text, which stands at the left.
    pub fn text(text: impl AsRef<str>) -> Cell {
        Cell { text: visible(text.as_ref()), right: false, look: Look::Plain }
    }

    /// A number, which stands at the right.
    pub fn number(text: impl ToString) -> Cell {
        Cell { right: true, ..Cell::text(text.to_string()) }
    }

    /// Something that is well.
    #[must_use]
    pub fn good(self) -> Cell {
        Cell { look: Look::Good, ..self }
    }

    /// Something to look at.
    #[must_use]
    pub fn odd(self) -> Cell {
        Cell { look: Look::Odd, ..self }
    }

    /// Something that is wrong.
    #[must_use]
    pub fn bad(self) -> Cell {
        Cell { look: Look::Bad, ..self }
    }

    /// Bad where it is so, else as it was.
    #[must_use]
    pub fn bad_if(self, bad: bool) -> Cell {
        if bad { self.bad() } else { self }
    }

    /// Something that the eye should find.
    #[must_use]
    pub fn strong(self) -> Cell {
        Cell { look: Look::Strong, ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn painted(&self, paint: Paint) -> String {
        match self.look {
            Look::Plain => self.text.clone(),
            Look::Strong => paint.strong(&self.text),
            Look::Good => paint.good(&self.text),
            Look::Odd => paint.odd(&self.text),
            Look::Bad => paint.bad(&self.text),
            Look::Faint => paint.faint(&self.text),
        }
    }
}

/// Rows under a heading.
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns. A column whose cells are numbers has its heading at the right too.
    pub fn new(columns: &[&str]) -> Table {
        let heading = columns.iter().map(|column| Cell { look: Look::Faint, ..Cell::text(column.to_uppercase()) });
        Table { rows: vec![heading.collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines of the table.
    pub fn lines(mut self, paint: Paint) -> Vec<String> {
        if let [heading, first, ..] = &mut self.rows[..] {
            for (heading, cell) in heading.iter_mut().zip(first) {
                heading.right = cell.right;
            }
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or_default())
            .collect();
        let line = |row: &Vec<Cell>| {
            let mut line = String::new();
            for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let space = " ".repeat(width - cell.width());
                let painted = cell.painted(paint);
                line.push_str(if place > 0 { GAP } else { "" });
                match (cell.right, place + 1 == row.len()) {
                    (true, _) => line.push_str(&(space + &painted)),
                    (false, true) => line.push_str(&painted),
                    (false, false) => line.push_str(&(painted + &space)),
                }
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_shown() {
        let mut table = Table::new(&["name", "calls", "state"]);
        table.row([Cell::text("a"), Cell::number(7), Cell::text("serving").good()]);
        table.row([Cell::text("b\u{1b}[2J"), Cell::number(12345), Cell::text("failed").bad()]);
        let expected = "NAME        CALLS  STATE\na               7  serving\nb\\u{1b}[2J  12345  failed";
        assert_eq!(table.lines(Paint::none()).join("\n"), expected);
    }
}
