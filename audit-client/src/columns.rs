//! Text in columns, in the manner of kubectl.

use unicode_width::UnicodeWidthStr as _;

/// Between two columns.
const GAP: usize = 3;

/// Rows as lines whose columns stand under each other. `paint` gets the row, the column and the cell, and may add what
/// takes no room on a screen.
#[must_use]
pub fn aligned(rows: &[Vec<String>], paint: impl Fn(usize, usize, &str) -> String) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line.push_str(&paint(number, column, cell));
            line.push_str(&" ".repeat(width - cell.width() + GAP));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_and_paint_move_no_column() {
        let rows = [vec!["名".to_owned(), "b".to_owned()], vec!["aaa".to_owned(), "c".to_owned()]];
        let text = aligned(&rows, |_, column, cell| if column == 0 { format!("<{cell}>") } else { cell.to_owned() });
        assert_eq!(text, "<名>    b\n<aaa>   c\n");
    }
}
