//! What a command printed: its first and its last lines, in its colours.

use audit_client::render::numbers;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::output::Kept;
use super::{Canvas, PLAIN};
use crate::text;
use crate::theme::Role;

/// So many lines are shown whole.
const WHOLE: usize = 12;
/// Of more, so many of the beginning.
const FIRST: usize = 7;
/// And of the end.
const LAST: usize = 4;

/// The lines, each behind its name and a bar, so that none passes for one of ours.
pub(super) fn lines(kept: &Kept, canvas: &Canvas, role: Role, name: &str) -> Vec<Vec<Span<'static>>> {
    let mut page = Page { canvas, role, name, lines: Vec::new(), style: PLAIN };
    if kept.is_empty() {
        return Vec::new();
    }
    if !kept.has_gap() && kept.lines <= WHOLE {
        kept.first().for_each(|line| page.line(line));
        return page.lines;
    }
    kept.first().take(FIRST).for_each(|line| page.line(line));
    let mut last: Vec<&str> = if kept.has_gap() || kept.lines > FIRST + LAST {
        kept.last().take(LAST).collect()
    } else {
        kept.last().take(kept.lines.saturating_sub(FIRST)).collect()
    };
    last.reverse();
    let shown = page.lines.len() + last.len();
    page.gap(kept, kept.lines.saturating_sub(shown));
    page.style = PLAIN;
    for line in last {
        page.line(line);
    }
    page.lines
}

struct Page<'a> {
    canvas: &'a Canvas<'a>,
    role: Role,
    name: &'a str,
    lines: Vec<Vec<Span<'static>>>,
    /// A colour that goes on over the end of a line.
    style: Style,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        let (spans, style) = text::styled(line, PLAIN, self.style, self.canvas.settings.theme.has_colour());
        self.style = style;
        self.push(self.canvas.found(spans));
    }

    fn gap(&mut self, kept: &Kept, lines: usize) {
        let more = self.canvas.settings.glyphs.more;
        let mut parts = Vec::new();
        if lines > 0 {
            parts.push(format!("+{}", text::count(lines as u64, "line")));
        } else if kept.cut > 0 {
            parts.push(format!("+{}", numbers::bytes(kept.cut)));
        }
        if kept.lost > 0 {
            parts.push(format!("{} were not kept", numbers::bytes(kept.lost)));
        }
        if parts.is_empty() {
            return;
        }
        let said = format!("{more} {} (enter: pager)", parts.join(", "));
        self.push(vec![Span::styled(said, self.canvas.style(Role::Dim))]);
    }

    fn push(&mut self, spans: Vec<Span<'static>>) {
        let name = if self.lines.is_empty() { self.name } else { "" };
        let bar = self.canvas.settings.glyphs.bar;
        let mut line = vec![
            Span::styled(text::fit(name, 4, ""), self.canvas.style(self.role)),
            Span::styled(format!("{bar} "), self.canvas.style(self.role)),
        ];
        line.extend(spans);
        self.lines.push(line);
    }
}
