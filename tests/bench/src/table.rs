//! Tables for people: columns as wide as what is in them, numbers to the right.

use std::fmt;

/// A table with a title and a head; printed by `Display`.
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(title: impl Into<String>, head: &[&str]) -> Table {
        Table { title: title.into(), rows: vec![head.iter().map(|name| (*name).to_owned()).collect()] }
    }

    /// Adds a row: as many cells as the head has.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        writeln!(f, "\n{}", self.title)?;
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                // The first two columns are names.
                line += &if column < 2 { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
            }
            writeln!(f, "  {}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_numbers_right() {
        let mut table = Table::new("title", &["server", "over", "calls/s"]);
        table.row(vec!["hyper".into(), "1".into(), "9".into()]);
        assert_eq!(table.to_string(), "\ntitle\n  server  over  calls/s\n  hyper   1           9\n");
    }
}
