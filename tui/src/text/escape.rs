//! Finding escape sequences, so that they can be left out as a whole.

use std::str::Chars;

/// A text without anything that a terminal would obey or that hides or reorders words. Line ends stay, tabs become
/// spaces.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_csi(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\n' => out.push('\n'),
            '\t' => out.push_str("    "),
            c if is_dropped(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Whether a character is never shown.
#[must_use]
pub fn is_dropped(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{180e}' // a hyphen and a separator that are mostly invisible
            | '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' // marks of direction, a space of no width
            | '\u{2028}'..='\u{202e}' // separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, isolates
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e01ef}') // tags and selectors: text that nobody sees
}

/// What follows ESC. What is not a sequence is left: the next character may be text.
pub(super) fn skip_escape(rest: &mut Chars) {
    match rest.clone().next() {
        Some('[') => {
            rest.next();
            skip_csi(rest);
        }
        // OSC, DCS, SOS, PM, APC: strings with an end of their own.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            rest.next();
            skip_string(rest);
        }
        // Intermediates (such as those that choose a character set), then one final character.
        Some('\u{20}'..='\u{2f}') => {
            while matches!(rest.clone().next(), Some('\u{20}'..='\u{2f}')) {
                rest.next();
            }
            if matches!(rest.clone().next(), Some('\u{30}'..='\u{7e}')) {
                rest.next();
            }
        }
        Some('\u{30}'..='\u{7e}') => {
            rest.next();
        }
        _ => {}
    }
}

/// Parameters, intermediates and the final character of a CSI.
fn skip_csi(rest: &mut Chars) {
    while let Some(c) = rest.clone().next() {
        match c {
            '\u{20}'..='\u{3f}' => {
                rest.next();
            }
            '\u{40}'..='\u{7e}' => {
                rest.next();
                return;
            }
            _ => return,
        }
    }
}

/// Up to BEL, ST or the end of the line: a string that nobody ends does not swallow what follows.
fn skip_string(rest: &mut Chars) {
    while let Some(c) = rest.clone().next() {
        match c {
            '\n' => return,
            '\u{7}' | '\u{9c}' => {
                rest.next();
                return;
            }
            '\u{1b}' => {
                rest.next();
                if rest.clone().next() == Some('\\') {
                    rest.next();
                }
                return;
            }
            _ => {
                rest.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequences_go_as_a_whole() {
        for (hostile, harmless) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]52;c;aGk=\x1b\\text", "text"),
            ("\x1bPq#0;2;0;0;0\x1b\\text", "text"),
            ("\u{9b}2Jtext\u{9d}0;x\u{9c}!", "text!"),
            ("\x1b(0text\x1b7\x1bc", "text"),
            ("a\rb\x08c\0", "abc"),
            ("\u{202e}evil\u{202c}", "evil"),
            ("\x1b[", ""),
            ("\x1b]never ends\nnext", "\nnext"),
            ("漢字 e\u{301}\t👩\u{200d}🚀", "漢字 e\u{301}    👩\u{200d}🚀"),
        ] {
            assert_eq!(clean(hostile), harmless, "{hostile:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_dangerous_is_left(text in "(\\PC|[\u{1b}\u{9b}\u{9d}\u{90}\u{7}\\[\\];m0-9\u{202e}\n\t]){0,60}") {
            prop_assert!(!clean(&text).replace('\n', "").chars().any(is_dropped));
        }
    }
}
