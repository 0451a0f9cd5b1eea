//! A text to read: scrolled in both directions, searched.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::keymap::Action;
use crate::text;

/// The most lines that are kept of a text; what is left out is said at its end.
const MOST_LINES: usize = 100_000;
/// How far one step to the side goes.
const SIDESTEP: usize = 8;

/// A text, and where one is in it.
#[derive(Clone, Debug)]
pub struct Pager {
    /// Above it.
    pub title: String,
    lines: Arc<[String]>,
    offset: usize,
    left: usize,
    search: Option<Regex>,
}

impl Pager {
    /// A text from its beginning.
    #[must_use]
    pub fn new(title: String, text: &str) -> Self {
        Self { title, lines: lines(text), offset: 0, left: 0, search: None }
    }

    /// Another text, where one is in it stays.
    pub fn replace(&mut self, text: &str) {
        self.lines = lines(text);
        self.offset = self.offset.min(self.lines.len());
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of the first line on the screen.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many columns are out of sight at the left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// What is searched for.
    #[must_use]
    pub fn search(&self) -> Option<&Regex> {
        self.search.as_ref()
    }

    /// The lines on a screen of this height.
    #[must_use]
    pub fn page(&self, height: usize) -> &[String] {
        let start = self.offset.min(self.lines.len());
        let end = (start + height).min(self.lines.len());
        &self.lines[start..end]
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        text::clean(&self.lines.join("\n"))
    }

    /// Moves; whether the action is one of the pager's.
    pub fn act(&mut self, action: Action, height: usize) -> bool {
        let last = self.lines.len().saturating_sub(height.max(1));
        let page = height.saturating_sub(1).max(1);
        let half = (height / 2).max(1);
        self.offset = match action {
            Action::Down => self.offset + 1,
            Action::Up => self.offset.saturating_sub(1),
            Action::Top => 0,
            Action::Bottom => last,
            Action::HalfDown => self.offset + half,
            Action::HalfUp => self.offset.saturating_sub(half),
            Action::PageDown => self.offset + page,
            Action::PageUp => self.offset.saturating_sub(page),
            Action::Left => {
                self.left = self.left.saturating_sub(SIDESTEP);
                self.offset
            }
            Action::Right => {
                self.left = (self.left + SIDESTEP).min(text::LONGEST_LINE);
                self.offset
            }
            Action::NextMatch => self.matching(self.offset + 1..self.lines.len()).unwrap_or(self.offset),
            Action::PreviousMatch => self.matching_back().unwrap_or(self.offset),
            _ => return false,
        }
        .min(last);
        true
    }

    /// Searches from where one is.
    ///
    /// # Errors
    /// A sentence, if it is no regular expression.
    pub fn find(&mut self, pattern: &str, height: usize) -> Result<(), String> {
        if pattern.is_empty() {
            self.search = None;
            return Ok(());
        }
        let regex = RegexBuilder::new(pattern).case_insensitive(true).size_limit(1 << 20).build();
        self.search = Some(regex.map_err(|_| format!("{pattern:?} is not a regular expression"))?);
        let last = self.lines.len().saturating_sub(height.max(1));
        let found = self.matching(self.offset..self.lines.len()).or_else(|| self.matching(0..self.offset));
        match found {
            Some(line) => self.offset = line.min(last),
            None => return Err(format!("{pattern:?} is not there")),
        }
        Ok(())
    }

    fn matching(&self, mut range: std::ops::Range<usize>) -> Option<usize> {
        let search = self.search.as_ref()?;
        range.find(|line| self.lines.get(*line).is_some_and(|line| search.is_match(text::bounded(line).0)))
    }

    fn matching_back(&self) -> Option<usize> {
        let search = self.search.as_ref()?;
        (0..self.offset).rev().find(|line| search.is_match(text::bounded(&self.lines[*line]).0))
    }
}

fn lines(text: &str) -> Arc<[String]> {
    let mut lines: Vec<String> = text.lines().take(MOST_LINES).map(str::to_owned).collect();
    let all = text.lines().count();
    if all > lines.len() {
        lines.push(format!("… {} are not shown", text::count((all - lines.len()) as u64, "line")));
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_never_leaves_the_text() {
        let text: Vec<String> = (0..50).map(|line| format!("line {line}")).collect();
        let mut pager = Pager::new("t".to_owned(), &text.join("\n"));
        pager.act(Action::Bottom, 10);
        assert_eq!((pager.offset(), pager.page(10).len()), (40, 10));
        pager.act(Action::Down, 10);
        pager.act(Action::PageDown, 10);
        assert_eq!(pager.offset(), 40);
        // A screen that grew.
        pager.act(Action::Down, 60);
        assert_eq!(pager.offset(), 0);
        assert_eq!(pager.page(60).len(), 50);
        pager.find("LINE 3.", 10).unwrap();
        assert_eq!(pager.offset(), 30);
        pager.act(Action::PreviousMatch, 10);
        assert_eq!(pager.offset(), 30);
        assert!(pager.find("(", 10).is_err() && pager.find("nowhere", 10).is_err());
    }
}
