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
    let width = area.width.saturating_sub(4).min(100);
    let columns = usize::from(width.saturating_sub(4)).max(1);
    let mut calls: Vec<(String, Role)> = Vec::new();
    for act in &question.acts {
        for (index, part) in act.call().iter().enumerate() {
            let role = if index == 0 { Role::Command } else { Role::Text };
            calls.extend(text::wrap(&text::one_line(part), columns, 20).into_iter().map(|line| (line, role)));
        }
        calls.push((String::new(), Role::Dim));
    }
    calls.pop();
    let asked = text::wrap(&text::one_line(&question.question()), columns, 3);
    let fixed = asked.len() + 5;
    let room = usize::from(area.height.saturating_sub(2)).saturating_sub(fixed).max(1);
    let shown = calls.len().min(room);
    let height = u16::try_from(fixed + shown).unwrap_or(area.height).min(area.height);
    let place = Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    let inner = Panel { title: "Really?", right: "", role: Role::Focus }.draw(settings, frame, place);
    let mut row = inner.y;
    for part in asked {
        line(frame, inner.x + 1, row, &part, style(Role::Strong));
        row += 1;
    }
    row += 1;
    let offset = question.offset.min(calls.len() - shown);
    for (part, role) in calls.iter().skip(offset).take(shown) {
        line(frame, inner.x + 1, row, part, style(*role));
        row += 1;
    }
    row += 1;
    let button = |label: &str, chosen: bool| {
        let (label, role) =
            if chosen { (format!("[ {label} ]"), Role::Selected) } else { (format!("  {label}  "), Role::Text) };
        Span::styled(label, style(role))
    };
    let buttons = Line::from(vec![button("No", !question.yes), Span::raw("   "), button("Yes", question.yes)]);
    if row < inner.bottom() {
        frame.render_widget(buttons.centered(), Rect::new(inner.x, row, inner.width, 1));
    }
}
