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
    /// The trouble that it reports, in a word or two; none if empty.
    pub trouble: String,
    /// Its lines, as wide as was asked for.
    pub lines: Vec<Line<'static>>,
    /// Lines that are always in sight, at its end.
    pub foot: Vec<Line<'static>>,
}

impl Shown {
    /// An empty one of that name.
    #[must_use]
    pub fn named(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }

    /// One more line of one role; it is wrapped into at most so many.
    fn say(&mut self, settings: &Settings, words: &str, role: Role, columns: usize, most: usize) {
        self.lines.extend(hanging(settings, ("", role), words, role, columns, most));
    }
}

/// A line of parts in their roles, cut off at a width.
#[must_use]
pub fn row(settings: &Settings, parts: &[(&str, Role)], columns: usize) -> Line<'static> {
    let mut left = columns;
    let mut spans = Vec::new();
    for (part, role) in parts {
        let part = text::end(part, left, settings.glyphs.more);
        left = left.saturating_sub(text::width(&part));
        spans.push(Span::styled(part, settings.theme.style(*role)));
    }
    Line::from(spans)
}

/// A sign, and a text beside it over at most so many lines.
#[must_use]
pub fn hanging(
    settings: &Settings,
    (sign, sign_role): (&str, Role),
    words: &str,
    role: Role,
    columns: usize,
    most: usize,
) -> Vec<Line<'static>> {
    let indent = text::width(sign);
    let room = columns.saturating_sub(indent).max(1);
    let mut lines = text::wrap(&text::one_line(words), room, most.saturating_add(1));
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let cut = text::end(last, room.saturating_sub(1), "").trim_end().to_owned();
            *last = format!("{cut}{}", settings.glyphs.more);
        }
    }
    let mut out = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let before = if index == 0 { sign.to_owned() } else { " ".repeat(indent) };
        out.push(row(settings, &[(&before, sign_role), (line, role)], columns));
    }
    out
}

/// Three dots at the end of a sentence that goes on.
#[must_use]
pub fn dots(settings: &Settings) -> &'static str {
    if settings.glyphs.ascii { "..." } else { settings.glyphs.more }
}

/// Items one after the other, each whole in one line as far as there is room.
#[must_use]
pub fn items(settings: &Settings, items: &[String], columns: usize, role: Role) -> Vec<Line<'static>> {
    let between = format!(" {} ", settings.glyphs.arrow);
    let mut lines: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let item = if index + 1 < items.len() { format!("{item}{}", between.trim_end()) } else { item.clone() };
        match lines.last_mut() {
            Some(line) if text::width(line) + 1 + text::width(&item) <= columns => {
                line.push(' ');
                line.push_str(&item);
            }
            _ => lines.push(item),
        }
    }
    lines.iter().map(|line| row(settings, &[(line, role)], columns)).collect()
}

/// A text in paragraphs.
#[must_use]
pub fn paragraphs(settings: &Settings, words: &str, columns: usize, role: Role) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for paragraph in words.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(hanging(settings, ("", role), paragraph, role, columns, 60));
    }
    lines
}
