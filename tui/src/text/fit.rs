//! Widths: in columns of the terminal, never in bytes or characters.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr;

/// The columns that a text takes. Counted by clusters, as the terminal's buffer places them: as a whole it may have
/// another width, where scripts join across clusters.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.graphemes(true).map(UnicodeWidthStr::width).sum() }
}

/// The beginning of a text that takes at most `columns`, and the columns that it takes. Never half of a character.
#[must_use]
pub fn take(text: &str, columns: usize) -> (&str, usize) {
    let mut used = 0;
    for (index, cluster) in text.grapheme_indices(true) {
        let wide = width(cluster);
        if used + wide > columns {
            return (&text[..index], used);
        }
        used += wide;
    }
    (text, used)
}

/// The text in at most `columns`, with `more` at its end where something is left out.
#[must_use]
pub fn end(text: &str, columns: usize, more: &str) -> String {
    let (all, _) = take(text, columns);
    if all.len() == text.len() {
        return all.to_owned();
    }
    let (start, _) = take(text, columns.saturating_sub(width(more)));
    if columns == 0 { String::new() } else { format!("{start}{more}") }
}

/// The same in exactly `columns`, filled up with spaces.
#[must_use]
pub fn fit(text: &str, columns: usize, more: &str) -> String {
    let mut text = end(text, columns, more);
    let missing = columns.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// A text with spaces before it.
#[must_use]
pub fn pad(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text in lines of at most `columns`, broken anywhere: what is to be read exactly.
#[must_use]
pub fn chop(text: &str, columns: usize) -> Vec<String> {
    let (mut rest, mut lines) = (text, Vec::new());
    while !rest.is_empty() {
        let start = piece(rest, columns);
        lines.push(start.to_owned());
        rest = &rest[start.len()..];
    }
    lines
}

/// The beginning that fits, or one cluster that is wider than the place.
fn piece(text: &str, columns: usize) -> &str {
    let (start, _) = take(text, columns);
    if start.is_empty() { text.graphemes(true).next().unwrap_or(text) } else { start }
}

/// The text in lines of at most `columns`, broken between words where that is possible. Line ends stay. At most
/// `most` lines.
#[must_use]
pub fn wrap(text: &str, columns: usize, most: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        // A full stop stays with its word.
        for word in paragraph.split_inclusive(char::is_whitespace) {
            if used + width(word.trim_end()) > columns && used > 0 {
                lines.push(line.trim_end().to_owned());
                (line, used) = (String::new(), 0);
                if word.chars().all(char::is_whitespace) {
                    continue;
                }
            }
            let mut word = word;
            while width(word.trim_end()) > columns {
                let start = piece(word, columns);
                if start.len() >= word.trim_end().len() {
                    break;
                }
                lines.push(start.to_owned());
                word = &word[start.len()..];
                if lines.len() >= most {
                    break;
                }
            }
            line.push_str(word);
            used += width(word);
            if lines.len() >= most {
                break;
            }
        }
        lines.push(line.trim_end().to_owned());
        if lines.len() >= most {
            break;
        }
    }
    lines.truncate(most);
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wide_characters_are_not_cut_in_half() {
        assert_eq!(fit("漢字漢字", 5, "…"), "漢字…");
        assert_eq!(fit("漢字漢字", 4, "…"), "漢… ");
        assert_eq!(fit("ab", 4, "…"), "ab  ");
        assert_eq!(end("e\u{301}e\u{301}e\u{301}", 2, "…"), "e\u{301}…");
        assert_eq!(end("abc", 0, "…"), "");
        assert_eq!(pad("7", 3), "  7");
        // As a whole it has a width, each cluster of it has none.
        let odd = "\u{1affd}\u{bc1}\u{fffc}";
        assert!(width(&end(odd, 0, "…")) == 0, "{odd:?}");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three\n\nfour", 8, 9), ["one two", "three", "", "four"]);
        assert_eq!(wrap("abcdefghij", 4, 9), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a b c d", 1, 2), ["a", "b"]);
        assert_eq!(chop("a b漢c", 3), ["a b", "漢c"]);
        assert_eq!(chop("漢字", 1), ["漢", "字"]);
        // One cluster of three columns, and what follows it.
        assert_eq!(wrap("\u{16fe0}\u{d82}0 a", 2, 9), ["\u{16fe0}\u{d82}", "0", "a"]);
        assert_eq!(wrap("漢 a", 1, 9), ["漢", "a"]);
    }

    proptest! {
        #[test]
        fn what_fits_fits(text in "\\PC{0,40}", columns in 0usize..30) {
            prop_assert!(width(&end(&text, columns, "…")) <= columns);
            for line in wrap(&text, columns.max(2), 50) {
                // One character may be wider than the place.
                let single = line.graphemes(true).count() == 1;
                prop_assert!(single || width(&line) <= columns.max(2), "{:?}", line);
            }
        }
    }
}
