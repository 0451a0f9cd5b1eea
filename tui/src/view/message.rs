//! A screen or a panel that has nothing to show says why.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::settings::Settings;
use crate::text;
use crate::theme::Role;

/// A sentence in the middle, and what else is to be known below it.
pub fn draw(settings: &Settings, frame: &mut Frame, area: Rect, sentence: &str, more: &[&str]) {
    let width = usize::from(area.width.saturating_sub(4)).clamp(1, 76);
    let mut lines: Vec<(String, Role)> =
        text::wrap(&text::clean(sentence), width, 6).into_iter().map(|line| (line, Role::Strong)).collect();
    for part in more {
        // Commands stand alone, so that they can be copied.
        lines.push((String::new(), Role::Dim));
        lines.extend(text::wrap(&text::clean(part), width, 6).into_iter().map(|line| (line, Role::Text)));
    }
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height);
    let top = area.y + (area.height - height) / 3;
    for (row, (line, role)) in (top..area.bottom()).zip(lines) {
        let place = Rect::new(area.x, row, area.width, 1);
        frame.render_widget(Line::styled(line, settings.theme.style(role)).centered(), place);
    }
}
