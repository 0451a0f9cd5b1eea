//! How the Subjects screen looks.

use std::time::Duration;

use crds::Subject;
use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Order, State, invariants, row};
use crate::feed::{Kind, Link};
use crate::keymap::{Action, Context};
use crate::page::Ctx;
use crate::screen::table::{self, Cell, Column, Mark};
use crate::settings::Scope;
use crate::text;
use crate::theme::Role;
use crate::time;
use crate::view::message;
use crate::world::Named as _;

const SPACE: Column = Column { title: "NAMESPACE", least: 9, most: 16, right: false, rank: 3 };
const NAME: Column = Column { title: "NAME", least: 8, most: 32, right: false, rank: u8::MAX };
const STATE: Column = Column { title: "STATE", least: 11, most: 11, right: false, rank: u8::MAX };
const SINCE: Column = Column { title: "SINCE", least: 6, most: 6, right: true, rank: 6 };
const VIOLATED: Column = Column { title: "VIOLATED", least: 8, most: 8, right: true, rank: 8 };
const INCIDENT: Column = Column { title: "INCIDENT", least: 8, most: 32, right: false, rank: 7 };
const OBSERVER: Column = Column { title: "OBSERVED", least: 8, most: 8, right: true, rank: 4 };
const WHAT: Column = Column { title: "WHAT IS WRONG", least: 16, most: 400, right: false, rank: 5 };

/// The columns, the namespace only where there can be several.
pub(super) fn columns(ctx: &Ctx) -> Vec<Column> {
    let mut columns = vec![NAME, STATE, SINCE, VIOLATED, INCIDENT, OBSERVER, WHAT];
    if ctx.settings.scope == Scope::All {
        columns.insert(0, SPACE);
    }
    columns
}

/// A row's cells.
pub(super) fn cells(ctx: &Ctx, subject: &Subject) -> Vec<Cell> {
    let glyphs = ctx.settings.glyphs;
    let status = subject.status.as_ref();
    let health = row::health(subject);
    let (sign, role) = row::sign(health, glyphs);
    let since = row::since(subject, ctx.now).map(time::age).unwrap_or_default();
    let open = status.and_then(|status| status.open_incident.clone()).unwrap_or_default();
    let open = match status.map_or(0, |status| status.open_incidents) {
        more if open.is_empty() && more > 0 => format!("{more} open"),
        _ => open,
    };
    let observer = row::observer(subject, ctx.now).map_or_else(|| "no".to_owned(), time::age);
    let mut cells = vec![
        Cell::new(subject.named(), Role::Strong),
        Cell::new(format!("{sign} {}", health.label()), role),
        Cell::new(since, role),
        Cell::new(status.map(|status| status.violated.clone()).unwrap_or_default(), Role::Text),
        Cell::new(text::one_line(&open), Role::Person),
        Cell::new(observer, Role::Dim),
        Cell::new(text::one_line(&invariants::wrong(subject)), Role::Text),
    ];
    if ctx.settings.scope == Scope::All {
        cells.insert(0, Cell::new(subject.space(), Role::Dim));
    }
    cells
}

/// The places of the rows and of the invariants.
pub(super) fn split(state: &State, area: Rect) -> (Rect, Rect) {
    let wanted = (area.height / 2).clamp(5, 20);
    let height = if state.preview && area.height >= 14 { wanted } else { 0 };
    let rows = Rect { y: area.y + 1, height: area.height.saturating_sub(height + 1), ..area };
    (rows, Rect { y: area.bottom() - height, height, ..area })
}

/// How long until an age on the screen reads otherwise.
pub(super) fn tick(state: &State, ctx: &Ctx) -> Option<Duration> {
    let (page, _) = state.list.page(split(state, ctx.body).0.height.into());
    let ages = page
        .iter()
        .filter_map(|(_, uid)| ctx.world.subjects.get(uid))
        .flat_map(|subject| [row::since(subject, ctx.now), row::observer(subject, ctx.now)].into_iter().flatten());
    let shown = state.list.selected().and_then(|uid| ctx.world.subjects.get(uid)).into_iter();
    let invariants = shown.flat_map(|subject| invariants::ages(subject, ctx.now));
    ages.chain(invariants).map(time::until_next_age).min()
}

/// Draws it.
pub(super) fn draw(state: &State, ctx: &Ctx, frame: &mut Frame, area: Rect) {
    if state.list.is_empty() {
        return nothing(state, ctx, frame, area);
    }
    let (rows, below) = split(state, area);
    let columns = columns(ctx);
    let widths = state.widths.fit(&columns, table::room(area));
    let sorted = if state.order == Order::State { STATE.title } else { NAME.title };
    let sorting = (sorted, state.list.is_reversed());
    table::titles(ctx.settings, frame, Rect { height: 1, ..area }, &columns, &widths, sorting);
    let outdated = matches!(ctx.world.link(Kind::Subjects), Link::Lost { .. });
    let (page, cursor) = state.list.page(rows.height.into());
    for (index, (_, uid)) in page.iter().enumerate() {
        let Some(subject) = ctx.world.subjects.get(uid) else { continue };
        let place = Rect { y: rows.y + u16::try_from(index).unwrap_or(0), height: 1, ..rows };
        let mark = Mark { selected: cursor == Some(index), marked: false, stale: outdated };
        table::row(ctx.settings, frame, place, &columns, &widths, &cells(ctx, subject), mark);
    }
    table::scroll_bar(ctx.settings, frame, rows, state.list.offset_for(rows.height.into()), state.list.len());
    if below.height > 0
        && let Some(subject) = state.selected(ctx)
    {
        invariants::draw(ctx, subject, frame, below);
    }
}

/// Why there are no rows.
fn nothing(state: &State, ctx: &Ctx, frame: &mut Frame, area: Rect) {
    let (world, settings) = (ctx.world, ctx.settings);
    let key = |action| settings.keymap.key(Context::Subjects, action).unwrap_or_default();
    let say = |frame: &mut Frame, sentence: &str, more: &[&str]| message::draw(settings, frame, area, sentence, more);
    match world.link(Kind::Subjects) {
        Link::Forbidden { reason } => say(frame, reason, &["Incidents may still be seen: :incidents"]),
        Link::Missing { reason } => {
            let (why, command) = reason.split_once(": ").unwrap_or((reason, ""));
            say(frame, &format!("{why}:"), &[command, "They are looked for again every few seconds."]);
        }
        Link::Lost { reason } => say(frame, reason, &["It is tried again every few seconds."]),
        _ if !world.is_listed(Kind::Subjects) => say(frame, &format!("Reading Subjects {}", settings.glyphs.more), &[]),
        _ if state.filter.is_some() && !world.subjects.is_empty() => {
            let count = text::count(world.subjects.len() as u64, "Subject");
            say(frame, &format!("None of {count} fits"), &[&format!("{}: no filter", key(Action::Back))]);
        }
        _ => {
            let place = match &settings.scope {
                Scope::All => "in any namespace".to_owned(),
                Scope::Namespace(name) => format!("in the namespace {name}"),
            };
            let mut more = Vec::new();
            let all = format!("{}: all namespaces", key(Action::AllNamespaces));
            if settings.scope != Scope::All {
                more.push(all.as_str());
            }
            more.push("A Subject says which system Operator looks after: kubectl apply -f examples/subject.yaml");
            say(frame, &format!("No Subjects {place}"), &more);
        }
    }
}
