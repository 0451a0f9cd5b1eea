//! Text that nobody vouches for, made harmless.
//!
//! A terminal obeys escape sequences, C1 controls included, and shows bidirectional overrides as
//! somebody else's order of words. Such characters are shown as escapes; colours, which commands
//! print all the time, are left out. Everything else stays as it is, wide and combining characters
//! too.

use std::fmt::Write as _;

use base64::Engine as _;

use crate::audit::Bytes;

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

/// A text on one line: its lines joined by spaces.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.split_whitespace().map(line).collect::<Vec<_>>().join(" ")
}

/// A document that is to keep its meaning for a program: only what a terminal would obey is
/// escaped, as in JSON. Where such characters stand in JSON they stand in strings.
#[must_use]
pub fn json(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut pair = [0; 2];
    for c in text.chars() {
        if is_dangerous(c) && c != '\n' {
            for unit in c.encode_utf16(&mut pair) {
                // Writing to a String cannot fail.
                let _ = write!(clean, "\\u{unit:04x}");
            }
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Bytes as text: what is not UTF-8 as `\xNN`. Not yet clean.
#[must_use]
pub fn bytes(bytes: &Bytes) -> String {
    let encoded = match bytes {
        Bytes::Text(text) => return text.clone(),
        Bytes::Base64(encoded) => encoded,
    };
    let Ok(raw) = base64::engine::general_purpose::STANDARD.decode(encoded) else {
        return format!("(this is not base64: {encoded})");
    };
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The first `limit` characters, with a word about the others.
#[must_use]
pub fn bounded(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… (+{} more characters)", &text[..end], text[end..].chars().count()),
    }
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

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' // marks of direction, a space of no width
            | '\u{2028}'..='\u{202e}' // separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, isolates
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}') // tags: text that nobody sees
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
            line("\u{9b}2J \u{85} \u{202e}live\u{202c} \u{e0041}"),
            "\\u{9b}2J \\u{85} \\u{202e}live\\u{202c} \\u{e0041}"
        );
        assert_eq!(line("over\rwrite\0\u{7f}\ttab"), "over\\rwrite\\x00\\x7f    tab");
        assert_eq!(line("漢字 e\u{301} 👩\u{200d}🚀"), "漢字 e\u{301} 👩\u{200d}🚀");
    }

    #[test]
    fn lines_end_where_they_end() {
        assert_eq!(lines("").count(), 0);
        assert_eq!(lines("a\r\nb\n\nc\n").collect::<Vec<_>>(), ["a", "b", "", "c"]);
    }

    #[test]
    fn bytes_that_are_not_text_are_shown() {
        assert_eq!(bytes(&Bytes::Base64("YWL//iD8".into())), "ab\\xff\\xfe \\xfc");
        assert_eq!(bytes(&Bytes::Base64("?".into())), "(this is not base64: ?)");
        assert_eq!(bounded("äöü", 2), "äö… (+1 more characters)");
        assert_eq!(bounded("äöü", 3), "äöü");
    }

    proptest! {
        #[test]
        fn clean_is_clean_and_json_stays_the_same(text in any::<String>()) {
            prop_assert!(!line(&text).chars().any(is_dangerous));
            let written = serde_json::to_string(&text).unwrap();
            let clean = json(&written);
            prop_assert!(!clean.chars().any(is_dangerous));
            prop_assert_eq!(serde_json::from_str::<String>(&clean).unwrap(), text);
        }
    }
}
