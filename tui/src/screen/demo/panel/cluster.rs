//! The system: the rows of its Subject's display, and its invariants.

use crds::invariant::InvariantState;
use jiff::Timestamp;
use serde_json::Value;

use super::{Shown, row};
use crate::screen::demo::stage::Stage;
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;
use crate::world::World;

/// Readings that are older than this are told to be.
const STALE: std::time::Duration = std::time::Duration::from_secs(15);

/// What it shows.
#[must_use]
pub fn show(stage: &Stage, world: &World, settings: &Settings, now: Timestamp, columns: usize) -> Shown {
    let mut shown = Shown { title: "Cluster".to_owned(), ..Shown::default() };
    let Some(key) = &stage.subject else { return shown };
    shown.lines.push(row(settings, &[("Subject ", Role::Dim), (&key.name, Role::Strong)], columns));
    let document = world.observations.get(key).and_then(|observed| observed.latest());
    let (mut down, mut warned) = (0, 0);
    if let Some(document) = document {
        let at: Option<Timestamp> = document["at"].as_str().and_then(|at| at.parse().ok());
        if let Some(old) = at.map(|at| time::elapsed(at, now)).filter(|old| *old > STALE) {
            let said = format!("{} STALE: read {} ago", settings.glyphs.ask, time::age(old));
            shown.lines.push(row(settings, &[(&said, Role::Warn)], columns));
        }
        for group in document["display"]["groups"].as_array().into_iter().flatten() {
            shown.lines.push(row(settings, &[], columns));
            let title = text::clean(group["title"].as_str().unwrap_or_default());
            shown.lines.push(row(settings, &[(&title, Role::Heading)], columns));
            for one in group["rows"].as_array().into_iter().flatten() {
                match one["state"].as_str() {
                    Some("bad") => down += 1,
                    Some("warn") => warned += 1,
                    _ => {}
                }
                shown.lines.push(part(one, settings, columns));
            }
        }
    } else {
        shown.lines.push(row(settings, &[], columns));
        shown.lines.push(row(settings, &[("no readings yet", Role::Dim)], columns));
    }
    invariants(stage, settings, now, columns, &mut shown);
    if down > 0 {
        shown.title = format!("Cluster  {} {down} DOWN", settings.glyphs.alarm);
        shown.trouble = true;
    } else if shown.trouble || warned > 0 {
        shown.title = format!("Cluster  {} not well", settings.glyphs.alarm);
        shown.trouble = true;
    }
    shown
}

fn part(one: &Value, settings: &Settings, columns: usize) -> ratatui::text::Line<'static> {
    let glyphs = settings.glyphs;
    let (glyph, word, role) = match one["state"].as_str() {
        Some("ok") => (glyphs.dot, "UP  ", Role::Good),
        Some("warn") => (glyphs.alarm, "WARN", Role::Warn),
        Some("bad") => (glyphs.bad, "DOWN", Role::Bad),
        _ => (glyphs.ask, "?   ", Role::Dim),
    };
    let label = text::fit(&text::one_line(one["label"].as_str().unwrap_or_default()), 9, glyphs.more);
    let said = text::one_line(one["text"].as_str().unwrap_or_default());
    let state = format!(" {glyph} {word} ");
    row(settings, &[(&state, role), (&label, Role::Strong), (" ", Role::Text), (&said, Role::Text)], columns)
}

fn invariants(stage: &Stage, settings: &Settings, now: Timestamp, columns: usize, shown: &mut Shown) {
    let Some(status) = stage.system.and_then(|system| system.status.as_ref()) else { return };
    if status.invariants.is_empty() {
        return;
    }
    shown.lines.push(row(settings, &[], columns));
    shown.lines.push(row(settings, &[("Invariants", Role::Heading)], columns));
    let glyphs = settings.glyphs;
    for one in &status.invariants {
        let since = one.since.as_ref().map(|since| time::age(time::elapsed(since.0, now))).unwrap_or_default();
        let (glyph, role, said) = match one.state {
            InvariantState::Ok => (glyphs.dot, Role::Good, "ok".to_owned()),
            InvariantState::Pending => (glyphs.alarm, Role::Warn, format!("grace, {since}")),
            InvariantState::Violated => (glyphs.bad, Role::Bad, format!("VIOLATED {since}")),
            InvariantState::Unknown => (glyphs.ask, Role::Dim, format!("unknown {since}")),
        };
        shown.trouble |= one.state == InvariantState::Violated;
        let name = text::fit(&one.name, 19.min(columns.saturating_sub(16)), glyphs.more);
        let sign = format!(" {glyph} ");
        shown.lines.push(row(
            settings,
            &[(&sign, role), (&name, Role::Text), (" ", Role::Text), (&said, role)],
            columns,
        ));
    }
}
