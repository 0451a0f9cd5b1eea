//! The monitor's log.

use super::{Shown, row};
use crate::screen::demo::log::{Log, Word};
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;

/// What it shows.
#[must_use]
pub fn show(log: &Log, settings: &Settings, columns: usize) -> Shown {
    let mut shown = Shown { title: "Monitor".to_owned(), ..Shown::default() };
    if log.lines.is_empty() {
        shown.lines.push(row(settings, &[("nothing happened yet: all invariants hold", Role::Dim)], columns));
    }
    for line in &log.lines {
        let role = match line.word {
            Word::Ok => Role::Good,
            Word::Wait => Role::Warn,
            Word::Fire => Role::Bad,
            Word::Unknown => Role::Dim,
            Word::Incident => Role::Busy,
        };
        let clock = format!("{} ", time::clock(line.at));
        let word = text::fit(line.word.text(), 8, "");
        let name = text::fit(&line.name, 20.min(columns / 3), settings.glyphs.more);
        let said = format!(" {}", line.text);
        shown.lines.push(row(
            settings,
            &[(&clock, Role::Dim), (&word, role), (&name, Role::Strong), (&said, Role::Text)],
            columns,
        ));
    }
    shown
}
