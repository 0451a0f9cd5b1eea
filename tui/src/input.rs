//! A line that is being typed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation as _;

/// The most bytes that a line may have: a note's limit.
const LONGEST: usize = 4096;

/// A line of input with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    text: String,
    /// In bytes, at the start of a character.
    cursor: usize,
}

impl Input {
    /// A line with this text and the cursor at its end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut input = Self::default();
        input.insert(text);
        input
    }

    /// What stands in it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor.
    #[must_use]
    pub fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Takes a key; whether the text changed.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let before = self.text.len();
        match key.code {
            KeyCode::Left => self.cursor = self.previous(),
            KeyCode::Right => self.cursor = self.next(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            KeyCode::Backspace => self.delete_from(self.previous()),
            KeyCode::Delete => {
                let cursor = self.cursor;
                self.cursor = self.next();
                self.delete_from(cursor);
            }
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('u') if control => self.delete_from(0),
            KeyCode::Char('k') if control => self.text.truncate(self.cursor),
            KeyCode::Char('w') if control => {
                let kept = self.before_cursor().trim_end();
                let start = kept.rfind(char::is_whitespace).map_or(0, |space| space + 1);
                self.delete_from(start);
            }
            KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => {
                self.insert(c.encode_utf8(&mut [0; 4]));
            }
            _ => {}
        }
        self.text.len() != before
    }

    /// Puts text in at the cursor, as one line.
    pub fn insert(&mut self, text: &str) {
        let line = crate::text::clean(text).replace('\n', " ");
        let room = LONGEST.saturating_sub(self.text.len());
        let line = &line[..line.floor_char_boundary(room.min(line.len()))];
        self.text.insert_str(self.cursor, line);
        self.cursor += line.len();
    }

    fn delete_from(&mut self, start: usize) {
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    fn previous(&self) -> usize {
        self.before_cursor().grapheme_indices(true).next_back().map_or(0, |(index, _)| index)
    }

    fn next(&self) -> usize {
        let after = &self.text[self.cursor..];
        self.cursor + after.graphemes(true).next().map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn press(input: &mut Input, code: KeyCode, modifiers: KeyModifiers) {
        input.key(KeyEvent::new(code, modifiers));
    }

    #[test]
    fn a_line_is_edited() {
        let mut input = Input::new("sev<=e\u{301}rror tikv");
        press(&mut input, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(input.text(), "sev<=e\u{301}rror ");
        press(&mut input, KeyCode::Home, KeyModifiers::NONE);
        press(&mut input, KeyCode::Char('!'), KeyModifiers::NONE);
        assert_eq!((input.text(), input.before_cursor()), ("!sev<=e\u{301}rror ", "!"));
        press(&mut input, KeyCode::End, KeyModifiers::NONE);
        press(&mut input, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert_eq!(input.text(), "");
        input.insert("two\nlines\x1b[2J");
        assert_eq!(input.text(), "two lines");
    }

    proptest! {
        #[test]
        fn the_cursor_stays_between_characters(text in "\\PC{0,12}", keys in prop::collection::vec(0usize..8, 0..30)) {
            let mut input = Input::new(&text);
            for key in keys {
                let code = [KeyCode::Left, KeyCode::Right, KeyCode::Backspace, KeyCode::Delete, KeyCode::Home,
                    KeyCode::End, KeyCode::Char('漢'), KeyCode::Char('\u{301}')][key];
                press(&mut input, code, KeyModifiers::NONE);
                let _ = input.before_cursor();
            }
        }
    }
}
