//! The monitor's log.

use ratatui::text::Line as Row;

use super::{Shown, row};
use crate::page::Ctx;
use crate::screen::demo::log::{Line, Log, Word};
use crate::screen::demo::stage::Stage;
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;
use crds::invariant::InvariantState;

/// The widest name.
const NAME: usize = 24;

/// What it shows.
#[must_use]
pub fn show(stage: &Stage, log: &Log, ctx: &Ctx, columns: usize) -> Shown {
    let (settings, mut shown) = (ctx.settings, Shown::named("Monitor"));
    if log.lines.is_empty() {
        shown.say(settings, "nothing happened yet", Role::Dim, columns, 1);
    }
    let wide = log.lines.iter().map(|line| text::width(&line.name)).max().unwrap_or(0).min(NAME).min(columns / 3);
    shown.lines.extend(log.lines.iter().map(|line| one(line, wide, settings, columns)));
    let invariants = stage.system.and_then(|system| system.status.as_ref()).map(|status| &status.invariants);
    let fires = invariants.into_iter().flatten().filter(|one| one.state == InvariantState::Violated).count();
    if fires > 0 {
        shown.trouble = format!("{fires} FIRE");
    }
    shown
}

/// The role of a word.
#[must_use]
pub fn role(word: Word) -> Role {
    match word {
        Word::Ok | Word::Clear | Word::Proven => Role::Good,
        Word::Grace => Role::Warn,
        Word::Fire => Role::Bad,
        Word::Unknown => Role::Dim,
        Word::Open => Role::Person,
        Word::Phase => Role::Busy,
    }
}

fn one(line: &Line, wide: usize, settings: &Settings, columns: usize) -> Row<'static> {
    let clock = format!("{} ", time::clock(line.at));
    let word = format!("{} ", text::fit(line.word.text(), 6, ""));
    let mut parts = vec![(clock.as_str(), Role::Dim), (word.as_str(), role(line.word))];
    let name = text::fit(&line.name, wide, settings.glyphs.more);
    if !line.name.is_empty() {
        parts.extend([(name.as_str(), Role::Strong), ("  ", Role::Text)]);
    }
    parts.push((line.text.as_str(), Role::Text));
    row(settings, &parts, columns)
}
