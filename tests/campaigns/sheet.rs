//! A CSV file of a run, read without the program's own reader.

use std::path::Path;

/// The cells of a file, by line.
pub(crate) struct Sheet {
    heads: Vec<String>,
    lines: Vec<Vec<String>>,
}

/// One line of it.
#[derive(Copy, Clone)]
pub(crate) struct Row<'a> {
    heads: &'a [String],
    cells: &'a [String],
}

impl Sheet {
    /// Reads a file that has no quoted cells.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!text.contains('"'), "{}", path.display());
        assert!(text.ends_with('\n'), "{}", path.display());
        let mut lines = text
            .lines()
            .map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let heads = lines.next().expect("a header");
        let lines: Vec<Vec<String>> = lines.collect();
        assert!(lines.iter().all(|cells| cells.len() == heads.len()));
        Self { heads, lines }
    }

    /// Its lines, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> + Clone {
        self.lines.iter().map(|cells| Row {
            heads: &self.heads,
            cells,
        })
    }

    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// How many lines have `value` in `column`.
    pub(crate) fn count(&self, column: &str, value: &str) -> usize {
        self.rows().filter(|row| row.text(column) == value).count()
    }
}

impl<'a> Row<'a> {
    /// A cell.
    pub(crate) fn text(self, column: &str) -> &'a str {
        let place = self.heads.iter().position(|head| head == column);
        let place = place.unwrap_or_else(|| panic!("no column {column}: {:?}", self.heads));
        &self.cells[place]
    }

    /// A whole number.
    pub(crate) fn number(self, column: &str) -> u64 {
        let cell = self.text(column);
        cell.parse()
            .unwrap_or_else(|_| panic!("{column} is {cell}"))
    }

    /// Microseconds since T0 of a cell in seconds with six places; `None` if it is empty.
    pub(crate) fn us(self, column: &str) -> Option<u64> {
        let cell = self.text(column);
        let (whole, part) = cell.split_once('.')?;
        assert_eq!(part.len(), 6, "{column} is {cell}");
        let [whole, part] = [whole, part].map(|digits| digits.parse::<u64>().expect("digits"));
        Some(whole * 1_000_000 + part)
    }

    /// Its device.
    pub(crate) fn device(self) -> u64 {
        self.number("device")
    }
}
