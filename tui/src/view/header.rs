//! The first line: where one is, of which cluster, and whether what is shown is true now.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::feed::{Kind, Link};
use crate::keymap::Context;
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::time;

/// Draws it.
pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let (settings, ctx) = (&model.settings, model.ctx());
    let style = |role| settings.theme.style(role);
    let columns = usize::from(area.width);

    let (state, role) = connection(model);
    let mut right: Vec<Span> = vec![Span::styled(state, style(role))];
    for fact in model.screen().facts(&ctx).iter().filter(|fact| !fact.is_empty()) {
        right.push(Span::styled(format!("  {}", text::clean(fact)), style(Role::Text)));
    }
    let (mode, role) = if model.rights.writable() { ("rw", Role::Dim) } else { ("ro", Role::Warn) };
    right.push(Span::styled(format!("  {mode} "), style(role)));
    let right_width: usize = right.iter().map(Span::width).sum();

    let mut left = vec![Span::styled(" operator", style(Role::Title))];
    let crumbs = model.screen().crumbs(&ctx);
    let last = crumbs.len().saturating_sub(1);
    for (index, crumb) in crumbs.iter().enumerate() {
        left.push(Span::styled(format!(" {} ", settings.glyphs.crumb), style(Role::Dim)));
        let role = if index == last { Role::Strong } else { Role::Text };
        left.push(Span::styled(text::clean(crumb), style(role)));
    }
    let mut room = columns.saturating_sub(right_width + 1);
    let mut used: usize = left.iter().map(Span::width).sum();
    if used > room {
        // The cluster's state is worth more than the end of a long name.
        let plain: String = left.iter().map(|span| span.content.as_ref()).collect();
        left = vec![Span::styled(text::end(&plain, room, settings.glyphs.more), style(Role::Strong))];
        used = left.iter().map(Span::width).sum();
    }
    room -= used.min(room);
    for (part, role) in [(place(model), Role::Dim), (filter(model), Role::Key)] {
        let part = text::end(&part, room, settings.glyphs.more);
        if text::width(&part) > 4 || part == filter(model) {
            room -= text::width(&part);
            left.push(Span::styled(part, style(role)));
        }
    }
    left.push(Span::raw(" ".repeat(room + 1)));
    left.extend(right);
    frame.render_widget(Line::from(left), area);
}

fn place(model: &Model) -> String {
    let context = text::clean(&model.settings.context);
    let context = if context.is_empty() { String::new() } else { format!("  ctx:{context}") };
    format!("{context} ns:{}", text::clean(model.settings.scope.label()))
}

fn filter(model: &Model) -> String {
    model.screen().filter().map_or_else(String::new, |filter| format!("  /{}", text::clean(&filter)))
}

/// The kinds that the screen in front lives on, the worst of which is shown.
fn kinds(model: &Model) -> &'static [Kind] {
    match model.screen().context() {
        Context::Subjects => &[Kind::Subjects, Kind::Incidents],
        Context::Demo => &[Kind::Chapters, Kind::Subjects, Kind::Incidents],
        _ => &[Kind::Incidents],
    }
}

/// Since when something is not true any more: a watch, or what the screen reads besides.
fn stale(model: &Model) -> Option<Timestamp> {
    let lost = |kind: &&Kind| matches!(model.world.link(**kind), Link::Lost { .. });
    if let Some(kind) = kinds(model).iter().find(lost) {
        return Some(model.world.since(*kind).unwrap_or(model.now));
    }
    let own = model.world.connection(&model.screen().source()?)?;
    matches!(own.link, Link::Lost { .. }).then_some(own.since)
}

fn connection(model: &Model) -> (String, Role) {
    let glyphs = model.settings.glyphs;
    if let Some(since) = stale(model) {
        let age = time::age(time::elapsed(since, model.now));
        return (format!("STALE {} {age}", glyphs.ring), Role::Bad);
    }
    let own = model.screen().source().and_then(|source| model.world.connection(&source));
    match own.map(|own| &own.link) {
        Some(Link::Forbidden { .. }) => return (format!("FORBIDDEN {}", glyphs.ring), Role::Warn),
        Some(Link::Missing { .. }) => return (format!("MISSING {}", glyphs.ring), Role::Warn),
        Some(Link::Ended) if *model.world.link(kinds(model)[0]) == Link::Live => {
            return (format!("ENDED {}", glyphs.end), Role::Dim);
        }
        _ => {}
    }
    match model.world.link(kinds(model)[0]) {
        Link::Live => (format!("LIVE {}", glyphs.dot), Role::Good),
        Link::Connecting => (format!("CONNECTING {}", glyphs.ring), Role::Warn),
        Link::Forbidden { .. } => (format!("FORBIDDEN {}", glyphs.ring), Role::Warn),
        Link::Missing { .. } => (format!("MISSING {}", glyphs.ring), Role::Warn),
        Link::Ended => (format!("REPLAY OVER {}", glyphs.end), Role::Dim),
        Link::Lost { .. } => (format!("STALE {}", glyphs.ring), Role::Bad),
    }
}

/// How long until the line changes by itself: while a connection is lost, its age.
#[must_use]
pub fn tick(model: &Model) -> Option<Duration> {
    Some(time::until_next_age(time::elapsed(stale(model)?, model.now)))
}
