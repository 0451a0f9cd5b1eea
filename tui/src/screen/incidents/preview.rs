//! The selected Incident in a few lines, below the rows.

use crds::Incident;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::row;
use crate::page::Ctx;
use crate::text;
use crate::theme::Role;
use crate::time;
use crate::view::panel;
use crate::world::Named as _;

/// Draws it.
pub(super) fn draw(ctx: &Ctx, incident: &Incident, frame: &mut Frame, area: Rect) {
    let settings = ctx.settings;
    let style = |role| settings.theme.style(role);
    let key = settings.keymap.key(crate::keymap::Context::Incidents, crate::keymap::Action::Preview);
    let title = key.map_or_else(|| "Summary".to_owned(), |key| format!("Summary ({key} toggles)"));
    panel::rule(settings, frame, Rect { height: 1, ..area }, &title);

    let width = usize::from(area.width.saturating_sub(2));
    let mut lines: Vec<Vec<(String, Role)>> = Vec::new();
    let (severity, role) = row::severity(incident.spec.severity);
    let head = vec![
        (incident.named().to_owned(), Role::Strong),
        (format!("  {severity}  "), role),
        (text::one_line(&incident.spec.title), Role::Text),
    ];
    lines.push(head);
    lines.push(vec![(times(ctx, incident), Role::Dim)]);
    let status = incident.status.as_ref();
    let over = row::phase(incident).is_finished();
    for (label, value) in [
        ("cause", status.and_then(|status| status.root_cause.as_deref())),
        (if over { "end" } else { "now" }, status.and_then(|status| status.message.as_deref())),
        ("done", status.and_then(|status| status.summary.as_deref())),
        ("next", status.and_then(|status| status.follow_up.as_deref())),
    ] {
        let Some(value) = value.filter(|value| !value.trim().is_empty()) else { continue };
        for (index, part) in text::wrap(&text::one_line(value), width.saturating_sub(7), 3).into_iter().enumerate() {
            let label = if index == 0 { format!("{label:<7}") } else { " ".repeat(7) };
            lines.push(vec![(label, Role::Dim), (part, Role::Text)]);
        }
    }
    let room = usize::from(area.height.saturating_sub(1)).saturating_sub(lines.len());
    lines.extend(recent(ctx, incident, room));
    for (y, parts) in (area.y + 1..area.bottom()).zip(lines) {
        // What is cut says so: a number without its last digits is another number.
        let mut room = width;
        let spans = parts.into_iter().map(|(part, role)| {
            let part = text::end(&part, room, settings.glyphs.more);
            room -= text::width(&part);
            Span::styled(part, style(role))
        });
        let spans: Vec<Span> = spans.collect();
        frame.render_widget(Line::from(spans), Rect::new(area.x + 1, y, area.width.saturating_sub(2), 1));
    }
}

/// The last entries of its session, as many as there is room for.
fn recent(ctx: &Ctx, incident: &Incident, room: usize) -> Vec<Vec<(String, Role)>> {
    let entries = incident.status.as_ref().map(|status| status.recent_entries.as_slice()).unwrap_or_default();
    let entries = entries.iter().filter(|entry| !entry.text.is_empty());
    let mut lines: Vec<_> = entries
        .rev()
        .take(room)
        .map(|entry| {
            let (sign, role) = row::entry_sign(&entry.kind, ctx.settings.glyphs);
            vec![
                (format!("{} ", time::clock(entry.at.0)), Role::Dim),
                (format!("{sign} "), role),
                (text::one_line(&entry.text), role),
            ]
        })
        .collect();
    lines.reverse();
    lines
}

/// When it was opened, and what followed after how long.
fn times(ctx: &Ctx, incident: &Incident) -> String {
    let Some(opened) = row::created(incident) else { return String::new() };
    let status = incident.status.as_ref();
    let mut parts = vec![format!("opened {}Z", time::clock(opened))];
    let after = |at: jiff::Timestamp| time::age(time::elapsed(opened, at));
    if let Some(started) = status.and_then(|status| status.started_at.as_ref()) {
        parts.push(format!("agent started +{}", after(started.0)));
    }
    if let Some(finished) = status.and_then(|status| status.finished_at.as_ref()) {
        let phase = row::phase(incident).as_str().to_lowercase();
        parts.push(format!("{phase} +{}", after(finished.0)));
    }
    if let Some(attempt) = status.and_then(|status| status.attempt).filter(|attempt| *attempt > 1) {
        parts.push(format!("attempt {attempt}"));
    }
    if let Some(model) = status.and_then(|status| status.model.as_deref()) {
        parts.push(format!("model {}", text::one_line(model)));
    }
    parts.join(&format!(" {} ", ctx.settings.glyphs.middot))
}
