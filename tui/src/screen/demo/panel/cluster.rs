//! The system: the rows of its Subject's display, and its invariants.

use std::time::Duration;

use audit_client::observations::{DisplayGroup, DisplayRow, Observations};
use crds::invariant::InvariantState;
use crds::subject::InvariantStatus;
use jiff::Timestamp;
use ratatui::text::Line;

use super::{Shown, hanging, row};
use crate::feed::{Kind, Link, Source};
use crate::page::Ctx;
use crate::screen::demo::stage::Stage;
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;

/// Readings that are older than this are told to be.
const STALE: Duration = Duration::from_secs(15);
/// The widest name of a row.
const LABEL: usize = 14;

/// What it shows. `known`: the last readings, and when they came.
#[must_use]
pub fn show(stage: &Stage, known: Option<&(Timestamp, Observations)>, ctx: &Ctx, columns: usize) -> Shown {
    let (settings, mut shown) = (ctx.settings, Shown::named("Cluster"));
    let Some(key) = &stage.subject else { return shown };
    shown.lines.push(row(settings, &[("Subject ", Role::Dim), (&text::clean(&key.name), Role::Strong)], columns));
    connection(stage, known, ctx, columns, &mut shown);
    let mut down = 0;
    for group in known.iter().flat_map(|(_, known)| &known.display.groups) {
        shown.lines.push(Line::default());
        down += rows(group, settings, columns, &mut shown.lines);
    }
    invariants(stage, ctx, columns, &mut shown);
    if down > 0 {
        shown.trouble = format!("{down} DOWN");
    }
    shown
}

/// Why there are no readings, or none that are new.
fn connection(stage: &Stage, known: Option<&(Timestamp, Observations)>, ctx: &Ctx, columns: usize, shown: &mut Shown) {
    let (settings, sign) = (ctx.settings, format!("{} ", ctx.settings.glyphs.ask));
    let source = stage.subject.clone().map(Source::Observations);
    let link = source.and_then(|source| ctx.world.connection(&source)).map(|connection| &connection.link);
    let trouble = match link {
        Some(Link::Forbidden { reason } | Link::Missing { reason } | Link::Lost { reason }) => Some(reason.as_str()),
        _ => None,
    };
    let old = known.map(|(came, _)| time::elapsed(*came, ctx.now)).filter(|old| trouble.is_some() || *old > STALE);
    let said = match (known, old, trouble) {
        (Some(_), Some(old), _) => format!("STALE: read {} ago", time::age(old)),
        (None, _, Some(reason)) => format!("no readings: {reason}"),
        (None, _, None) => "no readings yet".to_owned(),
        _ => return,
    };
    let role = if known.is_none() && trouble.is_none() { Role::Dim } else { Role::Warn };
    shown.lines.extend(hanging(settings, (&sign, role), &said, role, columns, 5));
    if known.is_some() {
        "STALE".clone_into(&mut shown.trouble);
    }
}

/// A group; how many of its rows are down.
fn rows(group: &DisplayGroup, settings: &Settings, columns: usize, lines: &mut Vec<Line<'static>>) -> usize {
    let title = text::one_line(&group.title);
    lines.push(row(settings, &[(&title, Role::Heading)], columns));
    let label = |one: &DisplayRow| text::one_line(if one.label.is_empty() { &one.key } else { &one.label });
    let wide = group.rows.iter().map(|one| text::width(&label(one))).max().unwrap_or(0).clamp(4, LABEL);
    for one in &group.rows {
        let (glyph, word, role) = sign(&one.state, settings);
        let (name, said) = (text::fit(&label(one), wide, settings.glyphs.more), text::one_line(&one.text));
        let state = format!(" {glyph} {word} ");
        let room = columns.saturating_sub(text::width(&state) + wide + 2);
        let mut parts = vec![(state.as_str(), role), (name.as_str(), Role::Strong)];
        if text::width(&said) <= room {
            parts.extend([("  ", Role::Text), (said.as_str(), Role::Text)]);
            lines.push(row(settings, &parts, columns));
        } else {
            // What does not fit beside it stands below.
            lines.push(row(settings, &parts, columns));
            lines.extend(hanging(settings, ("      ", Role::Text), &said, Role::Dim, columns, 3));
        }
    }
    group.rows.iter().filter(|one| one.state == "bad").count()
}

fn sign(state: &str, settings: &Settings) -> (&'static str, &'static str, Role) {
    let glyphs = settings.glyphs;
    match state {
        "ok" => (glyphs.dot, "UP  ", Role::Good),
        "warn" => (glyphs.alarm, "WARN", Role::Warn),
        "bad" => (glyphs.bad, "DOWN", Role::Bad),
        _ => (glyphs.ask, "?   ", Role::Dim),
    }
}

fn invariants(stage: &Stage, ctx: &Ctx, columns: usize, shown: &mut Shown) {
    let settings = ctx.settings;
    let Some(system) = stage.system else {
        let why = match ctx.world.link(Kind::Subjects) {
            Link::Forbidden { reason } | Link::Missing { reason } => reason.clone(),
            _ if !ctx.world.is_listed(Kind::Subjects) => return,
            _ => "there is no Subject of this name: kubectl apply it first".to_owned(),
        };
        shown.lines.push(Line::default());
        shown.say(settings, &why, Role::Warn, columns, 5);
        return;
    };
    let all: Vec<&InvariantStatus> = system.status.iter().flat_map(|status| &status.invariants).collect();
    shown.lines.push(Line::default());
    shown.lines.push(row(settings, &[("Invariants", Role::Heading)], columns));
    if all.is_empty() {
        shown.say(settings, " none is judged yet", Role::Dim, columns, 1);
    }
    let wide =
        all.iter().map(|one| text::width(&one.name)).max().unwrap_or(0).clamp(4, columns.saturating_sub(15).max(4));
    for one in &all {
        let glyphs = settings.glyphs;
        let age = one.since.as_ref().map(|since| time::age(time::elapsed(since.0, ctx.now))).unwrap_or_default();
        let (glyph, role, word) = match one.state {
            InvariantState::Ok => (glyphs.dot, Role::Good, "ok".to_owned()),
            InvariantState::Pending => (glyphs.wait, Role::Warn, format!("grace {age}")),
            InvariantState::Violated => (glyphs.bad, Role::Bad, format!("FIRE {age}")),
            InvariantState::Unknown => (glyphs.ask, Role::Dim, format!("unknown {age}")),
        };
        let name = text::fit(&text::one_line(&one.name), wide, glyphs.more);
        let sign = format!(" {glyph} ");
        let said = format!("  {word}");
        shown.lines.push(row(settings, &[(&sign, role), (&name, Role::Text), (&said, role)], columns));
    }
    let fires = all.iter().filter(|one| one.state == InvariantState::Violated).count();
    if fires > 0 {
        shown.trouble = format!("{fires} FIRE");
    }
}
