//! Where things stand in a line: number, time, sign, text, and how it ended at the right.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use regex::Regex;

use super::Shown;
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;

/// From this width on, a line says when it was.
const WITH_TIME: usize = 80;
/// From this width on, how long it took.
const WITH_TOOK: usize = 72;
/// From this width on, how much it printed.
const WITH_COUNT: usize = 100;
/// The columns of a name under a step.
const LABEL: usize = 6;
const TOOK: usize = 7;
const WORD: usize = 9;
const COUNT: usize = 12;

/// What stands at the right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// How long it took, or takes so far.
    pub took: Option<Duration>,
    /// How it ended.
    pub word: String,
    /// What that means.
    pub role: Role,
    /// How much it printed.
    pub count: String,
}

impl Default for Right {
    fn default() -> Self {
        Self { took: None, word: String::new(), role: Role::Dim, count: String::new() }
    }
}

/// Draws lines of one width.
#[derive(Clone, Copy)]
pub struct Canvas<'a> {
    /// How things look.
    pub settings: &'a Settings,
    /// The columns that there are.
    pub width: usize,
    /// The columns of the largest number.
    pub digits: usize,
    /// The clock.
    pub now: Timestamp,
    /// Whether the session is over.
    pub over: bool,
    /// What is searched for.
    pub search: Option<&'a Regex>,
}

impl Canvas<'_> {
    /// How something looks.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.settings.theme.style(role)
    }

    /// The column of the sign.
    fn sign(&self) -> usize {
        let time = if self.width >= WITH_TIME { 9 } else { 0 };
        // Cursor, space, fold, space, number, space, time.
        4 + self.digits + 1 + time
    }

    /// The columns for the text of a line that has nothing at its right.
    #[must_use]
    pub fn text(&self) -> usize {
        self.width.saturating_sub(self.sign() + 3).max(1)
    }

    /// The columns for a text behind a name.
    #[must_use]
    pub fn detail(&self) -> usize {
        self.width.saturating_sub(self.sign() + LABEL + 1).max(1)
    }

    /// A name under a step.
    #[must_use]
    pub fn label(&self, name: &str) -> Span<'static> {
        Span::styled(text::fit(name, LABEL, ""), self.style(Role::Dim))
    }

    /// The first line of a step.
    #[must_use]
    pub fn first(
        &self,
        shown: Shown,
        fold: &str,
        (glyph, role): (&str, Role),
        text: Vec<Span<'static>>,
        right: &Right,
    ) -> Line<'static> {
        let (step, dim) = (shown.step, self.style(Role::Dim));
        let mut spans = vec![
            self.cursor(shown.selected),
            Span::styled(format!("{fold} {:>digits$} ", step.seq, digits = self.digits), dim),
        ];
        if self.width >= WITH_TIME {
            spans.push(Span::styled(format!("{} ", time::clock(step.at)), dim));
        }
        spans.push(Span::styled(format!("{glyph} "), self.style(role)));
        self.ended(spans, self.sign() + 2, text, right)
    }

    /// A line under the first one.
    #[must_use]
    pub fn under(&self, selected: bool, text: Vec<Span<'static>>) -> Line<'static> {
        self.under_with(selected, text, &Right::default())
    }

    /// The same with something at its right.
    #[must_use]
    pub fn under_with(&self, selected: bool, text: Vec<Span<'static>>, right: &Right) -> Line<'static> {
        let indent = " ".repeat(self.sign() - 2);
        self.ended(vec![self.cursor(selected), Span::raw(indent)], self.sign(), text, right)
    }

    fn cursor(&self, selected: bool) -> Span<'static> {
        let sign = if selected { self.settings.glyphs.cursor } else { " " };
        Span::styled(format!("{sign} "), self.style(Role::Focus))
    }

    /// A line whose text is cut where its right side begins.
    fn ended(
        &self,
        mut spans: Vec<Span<'static>>,
        used: usize,
        text: Vec<Span<'static>>,
        right: &Right,
    ) -> Line<'static> {
        let right = self.right(right);
        let wide: usize = right.iter().map(|span| text::width(&span.content)).sum();
        let room = self.width.saturating_sub(used + wide + 1);
        let (text, columns) = cut(text, room, self.settings.glyphs.more, self.style(Role::Dim));
        spans.extend(text);
        if !right.is_empty() {
            spans.push(Span::raw(" ".repeat(room.saturating_sub(columns))));
            spans.extend(right);
        }
        Line::from(spans)
    }

    fn right(&self, right: &Right) -> Vec<Span<'static>> {
        let mut spans = Vec::new();
        if right.word.is_empty() {
            return spans;
        }
        if self.width >= WITH_TOOK {
            let took = right.took.map(time::took).unwrap_or_default();
            spans.push(Span::styled(format!("{took:>TOOK$}"), self.style(Role::Dim)));
        }
        spans.push(Span::styled(format!("  {}", text::fit(&right.word, WORD, "")), self.style(right.role)));
        if self.width >= WITH_COUNT {
            spans.push(Span::styled(format!("{:>COUNT$}", right.count), self.style(Role::Dim)));
        }
        spans
    }

    /// Spans in which what is searched for stands out.
    #[must_use]
    pub fn found(&self, spans: Vec<Span<'static>>) -> Vec<Span<'static>> {
        let Some(search) = self.search else { return spans };
        let style = self.style(Role::Match);
        spans.into_iter().flat_map(|span| marked(span, search, style)).collect()
    }
}

fn marked(span: Span<'static>, search: &Regex, style: Style) -> Vec<Span<'static>> {
    let mut parts = Vec::new();
    let mut at = 0;
    for found in search.find_iter(&span.content).filter(|found| !found.is_empty()).take(100) {
        parts.push(Span::styled(span.content[at..found.start()].to_owned(), span.style));
        parts.push(Span::styled(found.as_str().to_owned(), style));
        at = found.end();
    }
    if parts.is_empty() {
        return vec![span];
    }
    parts.push(Span::styled(span.content[at..].to_owned(), span.style));
    parts
}

/// Spans in at most `room` columns, with `more` at the end if something is left out; and the columns that they take.
#[must_use]
pub fn cut(spans: Vec<Span<'static>>, room: usize, more: &str, style: Style) -> (Vec<Span<'static>>, usize) {
    let all: usize = spans.iter().map(|span| text::width(&span.content)).sum();
    if all <= room {
        return (spans, all);
    }
    let end = text::width(more).min(room);
    let (mut kept, mut used) = (Vec::new(), 0);
    for span in spans {
        let (start, columns) = text::take(&span.content, room - end - used);
        let whole = start.len() == span.content.len();
        used += columns;
        if whole {
            kept.push(span);
        } else {
            kept.push(Span::styled(start.to_owned(), span.style));
            break;
        }
    }
    if end > 0 {
        kept.push(Span::styled(more.to_owned(), style));
        used += end;
    }
    (kept, used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_cut_fits(parts in proptest::collection::vec("\\PC{0,12}", 0..6), room in 0usize..40) {
            let spans = parts.iter().map(|part| Span::raw(part.clone())).collect();
            let (spans, used) = cut(spans, room, "…", Style::new());
            let wide: usize = spans.iter().map(|span| text::width(&span.content)).sum();
            prop_assert!(wide <= room && wide == used, "{wide} of {room}, {used}");
        }
    }
}
