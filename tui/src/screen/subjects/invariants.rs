//! The invariants of the selected Subject, below the rows.

use std::time::Duration;

use crds::Subject;
use crds::condition;
use crds::invariant::InvariantState;
use jiff::Timestamp;
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

/// What is wrong, in one line: the worst invariant's message, or why nobody can say.
pub(super) fn wrong(subject: &Subject) -> String {
    let worst = row::invariants(subject).into_iter().find(|invariant| invariant.state != InvariantState::Ok);
    if let Some(worst) = worst {
        let sign = if worst.message.is_empty() { "" } else { ": " };
        return format!("{}{sign}{}", worst.name, worst.message);
    }
    let conditions = subject.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let bad = ["Accepted", "Observed"].into_iter().filter_map(|name| condition::find(conditions, name));
    bad.filter(|found| found.status == "False").map(|found| found.message.clone()).next().unwrap_or_default()
}

/// The ages that are shown.
pub(super) fn ages(subject: &Subject, now: Timestamp) -> impl Iterator<Item = Duration> {
    row::invariants(subject).into_iter().filter_map(move |invariant| {
        invariant.since.as_ref().filter(|_| invariant.state != InvariantState::Ok).map(|at| time::elapsed(at.0, now))
    })
}

/// Draws them.
pub(super) fn draw(ctx: &Ctx, subject: &Subject, frame: &mut Frame, area: Rect) {
    let settings = ctx.settings;
    let style = |role| settings.theme.style(role);
    let all = row::invariants(subject);
    let title = format!("{}: {}", subject.named(), text::count(all.len() as u64, "invariant"));
    panel::rule(settings, frame, Rect { height: 1, ..area }, &title);
    let place = |y: u16| Rect::new(area.x + 2, y, area.width.saturating_sub(3), 1);
    if all.is_empty() {
        let why = wrong(subject);
        let why =
            if why.is_empty() { "It has no invariants: nothing opens an Incident by itself.".to_owned() } else { why };
        frame.render_widget(Line::styled(text::one_line(&why), style(Role::Dim)), place(area.y + 1));
        return;
    }
    let wide = all.iter().map(|invariant| text::width(&invariant.name)).max().unwrap_or(0).clamp(8, 28);
    let mut lines: Vec<Vec<(String, Role)>> = Vec::new();
    for invariant in &all {
        let (sign, word, role) = row::invariant_sign(invariant.state, settings.glyphs);
        let since = invariant.since.as_ref().filter(|_| invariant.state != InvariantState::Ok);
        let since = since.map_or_else(String::new, |at| format!("since {}", time::age(time::elapsed(at.0, ctx.now))));
        let message = match invariant.state {
            InvariantState::Ok if invariant.total > 1 => format!("of {}", invariant.total),
            InvariantState::Ok => String::new(),
            _ => text::one_line(&invariant.message),
        };
        lines.push(vec![
            (format!("{sign} "), role),
            (format!("{}  ", text::fit(&text::one_line(&invariant.name), wide, settings.glyphs.more)), Role::Text),
            (format!("{word:<9} "), role),
            (format!("{since:<13} "), Role::Dim),
            (message, Role::Text),
        ]);
        for key in invariant.keys.iter().filter(|key| !key.key.is_empty()).take(4) {
            let (_, word, role) = row::invariant_sign(key.state, settings.glyphs);
            lines.push(vec![
                (format!("  {} ", settings.glyphs.corner), Role::Dim),
                (
                    format!("{}  ", text::fit(&text::one_line(&key.key), wide.saturating_sub(2), settings.glyphs.more)),
                    Role::Text,
                ),
                (format!("{word:<9} "), role),
                (text::one_line(&key.message), Role::Dim),
            ]);
        }
    }
    let height = usize::from(area.height.saturating_sub(1));
    let hidden = lines.len().saturating_sub(height);
    if hidden > 0 {
        lines.truncate(height.saturating_sub(1));
        lines.push(vec![(format!("{} {} more (d: all)", settings.glyphs.more, hidden + 1), Role::Dim)]);
    }
    for (y, parts) in (area.y + 1..area.bottom()).zip(lines) {
        let spans: Vec<Span> = parts.into_iter().map(|(part, role)| Span::styled(part, style(role))).collect();
        frame.render_widget(Line::from(spans), place(y));
    }
}
