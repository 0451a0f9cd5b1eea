//! What the trail holds, as text: bytes and documents. Lines are [`crate::printable`]'s.

use std::fmt::Write as _;

use base64::Engine as _;

use crate::Bytes;
use crate::printable::is_dangerous;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_that_are_not_text_are_shown() {
        assert_eq!(bytes(&Bytes::Base64("YWL//iD8".into())), "ab\\xff\\xfe \\xfc");
        assert_eq!(bytes(&Bytes::Base64("?".into())), "(this is not base64: ?)");
        assert_eq!(bounded("äöü", 2), "äö… (+1 more characters)");
        assert_eq!(bounded("äöü", 3), "äöü");
    }

    proptest! {
        #[test]
        fn json_is_clean_and_stays_the_same(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            let clean = json(&written);
            prop_assert!(!clean.chars().any(is_dangerous));
            prop_assert_eq!(serde_json::from_str::<String>(&clean).unwrap(), text);
        }
    }
}
