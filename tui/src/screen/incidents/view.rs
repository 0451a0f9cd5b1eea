//! How the Incidents screen looks.

use crds::Incident;
use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Order, State, preview, row};
use crate::feed::{Kind, Link};
use crate::page::Ctx;
use crate::screen::table::{self, Cell, Column, Mark};
use crate::settings::Scope;
use crate::text;
use crate::theme::Role;
use crate::time;
use crate::view::message;
use crate::world::Named as _;

const SEVERITY: Column = Column { title: "SEV", least: 4, most: 4, right: false, rank: 8 };
const SPACE: Column = Column { title: "NAMESPACE", least: 9, most: 16, right: false, rank: 2 };
const NAME: Column = Column { title: "NAME", least: 8, most: 28, right: false, rank: u8::MAX };
const SUBJECT: Column = Column { title: "SUBJECT", least: 7, most: 20, right: false, rank: 6 };
const PHASE: Column = Column { title: "PHASE", least: 11, most: 11, right: false, rank: u8::MAX };
const AGE: Column = Column { title: "AGE", least: 6, most: 6, right: true, rank: 9 };
const STEP: Column = Column { title: "STEP", least: 4, most: 5, right: true, rank: 4 };
const COST: Column = Column { title: "COST", least: 6, most: 8, right: true, rank: 3 };
const LAST: Column = Column { title: "LAST EVENT", least: 16, most: 400, right: false, rank: 5 };

/// The columns, the namespace only where there can be several.
pub(super) fn columns(ctx: &Ctx) -> Vec<Column> {
    let mut columns = vec![SEVERITY, NAME, SUBJECT, PHASE, AGE, STEP, COST, LAST];
    if ctx.settings.scope == Scope::All {
        columns.insert(1, SPACE);
    }
    columns
}

/// A row's cells.
pub(super) fn cells(ctx: &Ctx, incident: &Incident) -> Vec<Cell> {
    let glyphs = ctx.settings.glyphs;
    let status = incident.status.as_ref();
    let (severity, severity_role) = row::severity(incident.spec.severity);
    let phase = row::phase(incident);
    let (sign, phase_role) = row::sign(phase, glyphs);
    let age = row::age(incident, ctx.now).map(time::age).unwrap_or_default();
    let steps = status.and_then(|status| status.commands).map_or_else(String::new, |steps| steps.to_string());
    let cost = status.and_then(|status| status.cost.clone()).unwrap_or_default();
    let role = if phase.is_finished() { Role::Dim } else { Role::Text };
    let mut cells = vec![
        Cell::new(severity, if phase.is_finished() && phase_role != Role::Person { Role::Dim } else { severity_role }),
        Cell::new(incident.named(), Role::Strong),
        Cell::new(incident.spec.subject_ref.name.as_str(), Role::Text),
        Cell::new(format!("{sign} {}", phase.as_str()), phase_role),
        Cell::new(age, role),
        Cell::new(steps, role),
        Cell::new(text::one_line(&cost), role),
        Cell::new(text::one_line(&row::last(incident, glyphs)), role),
    ];
    if ctx.settings.scope == Scope::All {
        cells.insert(1, Cell::new(incident.space(), Role::Dim));
    }
    cells
}

/// The title of the column that the rows are sorted by.
fn sorted(order: Order) -> &'static str {
    match order {
        Order::Attention => "",
        Order::Severity => SEVERITY.title,
        Order::Name => NAME.title,
        Order::Subject => SUBJECT.title,
        Order::Phase => PHASE.title,
        Order::Age => AGE.title,
        Order::Steps => STEP.title,
        Order::Cost => COST.title,
    }
}

/// The places of the rows and of the preview.
pub(super) fn split(state: &State, area: Rect) -> (Rect, Rect) {
    let wanted = (area.height / 4).clamp(4, 12);
    let height = if state.preview && area.height >= 14 { wanted } else { 0 };
    let rows = Rect { y: area.y + 1, height: area.height.saturating_sub(height + 1), ..area };
    (rows, Rect { y: area.bottom() - height, height, ..area })
}

/// Draws it.
pub(super) fn draw(state: &State, ctx: &Ctx, frame: &mut Frame, area: Rect) {
    let incidents = &ctx.world.incidents;
    if state.list.is_empty() {
        return nothing(state, ctx, frame, area);
    }
    let (rows, below) = split(state, area);
    let columns = columns(ctx);
    let widths = state.widths.fit(&columns, table::room(area));
    let sorting = (sorted(state.order), state.list.is_reversed());
    table::titles(ctx.settings, frame, Rect { height: 1, ..area }, &columns, &widths, sorting);
    let outdated = matches!(ctx.world.link(Kind::Incidents), Link::Lost { .. });
    let (page, cursor) = state.list.page(rows.height.into());
    for (index, (_, uid)) in page.iter().enumerate() {
        let Some(incident) = incidents.get(uid) else { continue };
        let place = Rect { y: rows.y + u16::try_from(index).unwrap_or(0), height: 1, ..rows };
        let mark = Mark { selected: cursor == Some(index), marked: state.marked.contains(uid), stale: outdated };
        table::row(ctx.settings, frame, place, &columns, &widths, &cells(ctx, incident), mark);
    }
    table::scroll_bar(ctx.settings, frame, rows, state.list.offset_for(rows.height.into()), state.list.len());
    if below.height > 0
        && let Some(incident) = state.list.selected().and_then(|uid| incidents.get(uid))
    {
        preview::draw(ctx, incident, frame, below);
    }
}

/// Why there are no rows.
fn nothing(state: &State, ctx: &Ctx, frame: &mut Frame, area: Rect) {
    let (world, settings) = (ctx.world, ctx.settings);
    let key = |action| settings.keymap.key(crate::keymap::Context::Incidents, action).unwrap_or_default();
    let say = |frame: &mut Frame, sentence: &str, more: &[&str]| message::draw(settings, frame, area, sentence, more);
    match world.link(Kind::Incidents) {
        Link::Forbidden { reason } => {
            say(frame, reason, &["Subjects and demos may still be seen: :subjects, :demo NAME"]);
        }
        Link::Missing { reason } => {
            let (why, command) = reason.split_once(": ").unwrap_or((reason, ""));
            say(frame, &format!("{why}:"), &[command, "They are looked for again every few seconds."]);
        }
        Link::Lost { reason } => say(frame, reason, &["It is tried again every few seconds."]),
        _ if !world.is_listed(Kind::Incidents) => {
            say(frame, &format!("Reading Incidents {}", settings.glyphs.more), &[]);
        }
        _ if !state.filter.is_empty() && !world.incidents.is_empty() => {
            let count = text::count(world.incidents.len() as u64, "Incident");
            let hint = format!("{}: no filter", key(crate::keymap::Action::Back));
            say(frame, &format!("None of {count} fits /{}", state.filter.text()), &[&hint]);
        }
        _ => {
            let place = match &settings.scope {
                Scope::All => "in any namespace".to_owned(),
                Scope::Namespace(name) => format!("in the namespace {name}"),
            };
            let mut more = Vec::new();
            let all = format!("{}: all namespaces", key(crate::keymap::Action::AllNamespaces));
            if settings.scope != Scope::All {
                more.push(all.as_str());
            }
            more.push("Nothing is wrong that Operator knows of. It opens an Incident when an invariant is violated; so does: kubectl apply -f examples/incident.yaml");
            say(frame, &format!("No Incidents {place}"), &more);
        }
    }
}
