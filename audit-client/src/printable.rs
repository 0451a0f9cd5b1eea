//! Text that nobody vouches for, made harmless: the one maker of printable lines.
//!
//! What commands, models, engines and databases say ends in a status, an Event, a log or a screen. A
//! terminal obeys escape sequences, C1 controls included, and shows bidirectional overrides as
//! somebody else's order of words. Such characters are shown as escapes, and so are those that hide
//! text; colours, which commands print all the time, are left out. Everything else stays as it is,
//! wide and combining characters and the joiners of emoji and scripts too.

use std::fmt::Write as _;

/// One line: nothing in it moves the cursor, a tab becomes spaces.
#[must_use]
pub fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if let Some(length) = colour(c, rest.as_str()) {
            rest = rest.as_str()[length..].chars();
            continue;
        }
        match c {
            '\t' => clean.push_str("    "),
            c if is_dangerous(c) => escape(c, &mut clean),
            c => clean.push(c),
        }
    }
    clean
}

/// The lines of a text, each clean. A carriage return before the end of a line belongs to it; an
/// end of line at the very end begins no further one.
pub fn lines(text: &str) -> impl Iterator<Item = String> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let some = !text.is_empty();
    text.split('\n').map(|part| line(part.strip_suffix('\r').unwrap_or(part))).filter(move |_| some)
}

/// A text on one line: its words joined by single spaces.
#[must_use]
pub fn one_line(text: &str) -> String {
    words(text).collect::<Vec<_>>().join(" ")
}

/// The same with at most `limit` characters, and an ellipsis where there were more. No more of the
/// text is looked at than is shown, but for the word that the limit falls into.
#[must_use]
pub fn short_line(text: &str, limit: usize) -> String {
    let mut short = String::new();
    let mut room = limit;
    for word in words(text) {
        let space = if short.is_empty() { "" } else { " " };
        for c in space.chars().chain(word.chars()) {
            if room == 0 {
                short.truncate(short.trim_end().len());
                short.push('…');
                return short;
            }
            short.push(c);
            room -= 1;
        }
    }
    short
}

/// A text of several lines, each clean.
#[must_use]
pub fn paragraph(text: &str) -> String {
    lines(text).collect::<Vec<_>>().join("\n")
}

/// What no line may hold as it is.
#[must_use]
pub fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{180e}' // a hyphen and a separator that are mostly invisible
            | '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' // marks of direction, a space of no width
            | '\u{2028}'..='\u{202e}' // separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, isolates
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e01ef}') // tags and selectors: text that nobody sees
}

/// Clean words; one of nothing but colours is none.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(line).filter(|word| !word.is_empty())
}

/// The length of the rest of a sequence that sets a colour (`ESC [ digits ; m`), if this is one.
fn colour(first: char, rest: &str) -> Option<usize> {
    let (skip, parameters) = match first {
        '\u{1b}' => (1, rest.strip_prefix('[')?),
        '\u{9b}' => (0, rest),
        _ => return None,
    };
    let length = parameters.bytes().take_while(|b| b.is_ascii_digit() || *b == b';' || *b == b':').count();
    (parameters.as_bytes().get(length) == Some(&b'm')).then_some(skip + length + 1)
}

fn escape(c: char, into: &mut String) {
    let code = u32::from(c);
    // Writing to a String cannot fail.
    let _ = match c {
        '\r' => write!(into, "\\r"),
        '\n' => write!(into, "\\n"),
        _ if code < 0x80 => write!(into, "\\x{code:02x}"),
        _ => write!(into, "\\u{{{code:x}}}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(line("\x1b[31mred\x1b[0m \u{9b}1;32mgreen"), "red green");
        assert_eq!(line("\x1b]0;title\x07\x1b[2J\x1b[1A"), "\\x1b]0;title\\x07\\x1b[2J\\x1b[1A");
        assert_eq!(
            line("\u{9b}2J \u{85} \u{202e}live\u{202c} \u{e0041}\u{e0100}"),
            "\\u{9b}2J \\u{85} \\u{202e}live\\u{202c} \\u{e0041}\\u{e0100}"
        );
        assert_eq!(line("over\rwrite\0\u{7f}\ttab"), "over\\rwrite\\x00\\x7f    tab");
        assert_eq!(line("漢字 e\u{301} 👩\u{200d}🚀"), "漢字 e\u{301} 👩\u{200d}🚀");
    }

    #[test]
    fn lines_end_where_they_end() {
        assert_eq!(lines("").count(), 0);
        assert_eq!(lines("a\r\nb\n\nc\n").collect::<Vec<_>>(), ["a", "b", "", "c"]);
        assert_eq!(paragraph("a\r\n\x1b[1mb\u{202e}\n\nc\n"), "a\nb\\u{202e}\n\nc");
    }

    #[test]
    fn words_become_one_line() {
        assert_eq!(one_line("a\n\tb \x1b[31m \x1b[0m  c\u{7}\u{2028}d"), "a b c\\x07 d");
        assert_eq!(short_line("a\n\tb\x1b[31m  c", 5), "a b c");
        assert_eq!(short_line("a b c", 4), "a b…");
        assert_eq!(short_line("äöü", 2), "äö…");
        assert_eq!(short_line(" ", 0), "");
    }

    #[test]
    fn a_hostile_root_cause_reorders_no_line() {
        let cause = "disk full\u{202e} tnedicni on\u{202c}\u{2066}x\u{2069}\u{200b}\u{feff}";
        let shown = short_line(cause, 160);
        assert!(!shown.chars().any(is_dangerous), "{shown}");
        assert!(shown.starts_with("disk full\\u{202e} tnedicni"), "{shown}");
    }

    proptest! {
        #[test]
        fn clean_is_clean_and_short_is_the_start_of_it(text in any::<String>(), limit in 0usize..40) {
            prop_assert!(!line(&text).chars().any(is_dangerous));
            let (whole, short) = (one_line(&text), short_line(&text, limit));
            prop_assert!(!whole.chars().any(is_dangerous) && !paragraph(&text).replace('\n', "").chars().any(is_dangerous));
            prop_assert!(short.chars().count() <= limit + 1);
            match short.strip_suffix('…') {
                Some(start) if short != whole => prop_assert!(whole.starts_with(start)),
                _ => prop_assert_eq!(short, whole),
            }
        }
    }
}
