//! A question before something is changed, with the exact calls.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;

use super::panel::{Panel, line};
use crate::overlay::Confirm;
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;

/// Draws it in the middle of a place.
pub fn draw(settings: &Settings, question: &Confirm, frame: &mut Frame, area: Rect) {
    let style = |role| settings.theme.style(role);
    let margin = if area.width > 80 { 4 } else { 0 };
    let width = area.width.saturating_sub(margin).min(104);
    let columns = usize::from(width.saturating_sub(4)).max(1);
    let asked = text::wrap(&text::one_line(&question.question()), columns, 3);
    let calls = calls(question, columns);

    let most = usize::from(area.height.saturating_sub(2));
    let bare = asked.len() + calls.len() + 1;
    // Empty lines only where there is room for them.
    let gap = usize::from(most >= bare + 2);
    let shown = most.saturating_sub(asked.len() + 1 + 2 * gap).clamp(1, calls.len().max(1));
    let height = u16::try_from(asked.len() + shown + 3 + 2 * gap).unwrap_or(area.height).min(area.height);
    let place = Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    let hidden = calls.len().saturating_sub(shown);
    let offset = question.offset.min(hidden);
    let right = if hidden > 0 {
        format!("{}{} {} more", settings.glyphs.up, settings.glyphs.down, hidden)
    } else {
        String::new()
    };
    let inner = Panel { title: "Really?", right: &right, role: Role::Focus }.draw(settings, frame, place);

    let mut rows = inner.y..inner.bottom();
    for part in asked {
        rows.next().into_iter().for_each(|row| line(frame, inner.x + 1, row, &part, style(Role::Strong)));
    }
    rows.by_ref().take(gap).for_each(drop);
    for (part, role) in calls.iter().skip(offset).take(shown) {
        rows.next().into_iter().for_each(|row| line(frame, inner.x + 1, row, part, style(*role)));
    }
    rows.by_ref().take(gap).for_each(drop);
    if let Some(row) = rows.next() {
        let button = |label: &str, chosen: bool| {
            let role = if chosen { Role::Selected } else { Role::Text };
            Span::styled(if chosen { format!("[ {label} ]") } else { format!("  {label}  ") }, style(role))
        };
        let buttons = Line::from(vec![button("No", !question.yes), Span::raw("   "), button("Yes", question.yes)]);
        frame.render_widget(buttons.centered(), Rect::new(inner.x, row, inner.width, 1));
    }
}

/// The calls in lines, one after the other.
fn calls(question: &Confirm, columns: usize) -> Vec<(String, Role)> {
    let mut lines: Vec<(String, Role)> = Vec::new();
    for act in &question.acts {
        for (index, part) in act.call().iter().enumerate() {
            let role = if index == 0 { Role::Command } else { Role::Text };
            lines.extend(text::chop(&text::one_line(part), columns).into_iter().map(|line| (line, role)));
        }
    }
    lines
}
