//! The panels: one file each. A panel answers its title, whether it reports trouble, and its lines; where it stands and
//! what of it is in sight is decided by the screen.

pub mod agent;
pub mod chapter;
pub mod cluster;
pub mod monitor;
pub mod workload;

use ratatui::text::{Line, Span};

use crate::settings::Settings;
use crate::text;
use crate::theme::Role;

/// What a panel shows.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Its name and facts.
    pub title: String,
    /// At the upper right.
    pub right: String,
    /// Whether it reports trouble.
    pub trouble: bool,
    /// Its lines, as wide as was asked for.
    pub lines: Vec<Line<'static>>,
}

/// A line of parts in their roles, cut off at a width.
pub(super) fn row(settings: &Settings, parts: &[(&str, Role)], columns: usize) -> Line<'static> {
    let mut left = columns;
    let mut spans = Vec::new();
    for (part, role) in parts {
        let part = text::end(part, left, settings.glyphs.more);
        left = left.saturating_sub(text::width(&part));
        spans.push(Span::styled(part, settings.theme.style(*role)));
    }
    Line::from(spans)
}

/// A text over several lines.
pub(super) fn paragraph(settings: &Settings, words: &str, columns: usize, role: Role) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for paragraph in words.split("\n\n") {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        let one = text::one_line(paragraph);
        let wrapped = text::wrap(&one, columns.max(1), 40);
        lines.extend(wrapped.into_iter().map(|line| Line::styled(line, settings.theme.style(role))));
    }
    lines
}
