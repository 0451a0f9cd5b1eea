//! Text that nobody vouches for, made harmless and measured.
//!
//! What commands print reaches the screen. A terminal obeys escape sequences and C1 controls, and shows bidirectional
//! overrides as somebody else's order of words. Of all that, colours (SGR) are kept where they are wanted
//! ([`styled`]), and everything else is dropped.

mod escape;
mod fit;
mod sgr;

pub use escape::{clean, is_dropped};
pub use fit::{chop, end, fit, pad, take, width, wrap};
pub use sgr::styled;

/// The most bytes of one line that are looked at: what stands behind is not shown, and said to be missing.
pub const LONGEST_LINE: usize = 64 << 10;

/// The beginning of a line that is not longer than may be looked at, and how many bytes are left out.
#[must_use]
pub fn bounded(line: &str) -> (&str, usize) {
    if line.len() <= LONGEST_LINE {
        return (line, 0);
    }
    let cut = line.floor_char_boundary(LONGEST_LINE);
    (&line[..cut], line.len() - cut)
}

/// A text as one clean line: its words with single spaces between them.
#[must_use]
pub fn one_line(text: &str) -> String {
    let (text, left_out) = bounded(text);
    let mut line = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if left_out > 0 {
        line.push('…');
    }
    line
}

/// A number with commas: `10,412`.
#[must_use]
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 line`, `5 lines`.
#[must_use]
pub fn count(how_many: u64, what: &str) -> String {
    let s = if how_many == 1 { "" } else { "s" };
    format!("{} {what}{s}", number(how_many))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megabyte_is_bounded() {
        let line = "ä".repeat(1 << 19);
        let (start, left) = bounded(&line);
        assert!(start.len() <= LONGEST_LINE && start.len() + left == line.len());
        assert!(one_line(&line).ends_with('…'));
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!(
            [0, 999, 1000, 10_412, 1_234_567].map(number),
            ["0", "999", "1,000", "10,412", "1,234,567"].map(str::to_owned)
        );
        assert_eq!((count(1, "line"), count(0, "line")), ("1 line".to_owned(), "0 lines".to_owned()));
    }
}
