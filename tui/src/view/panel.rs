//! Boxes with a title.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::settings::Settings;
use crate::text;
use crate::theme::Role;

/// A box around a place.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// At the upper left.
    pub title: &'a str,
    /// At the upper right.
    pub right: &'a str,
    /// [`Role::Border`], [`Role::Focus`] or [`Role::Trouble`].
    pub role: Role,
}

impl Panel<'_> {
    /// Draws it, and answers the place inside.
    pub fn draw(&self, settings: &Settings, frame: &mut Frame, area: Rect) -> Rect {
        if area.width < 2 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let [top_left, top_right, bottom_left, bottom_right, across, down] = settings.glyphs.border;
        let style = settings.theme.style(self.role);
        let inner = usize::from(area.width) - 2;
        let title = if self.title.is_empty() { String::new() } else { format!("{across} {} ", self.title) };
        let right = if self.right.is_empty() { String::new() } else { format!(" {} {across}", self.right) };
        let title = text::end(&title, inner, settings.glyphs.more);
        let right = if text::width(&title) + text::width(&right) <= inner { right } else { String::new() };
        let between = across.repeat(inner - text::width(&title) - text::width(&right));
        line(frame, area.x, area.y, &format!("{top_left}{title}{between}{right}{top_right}"), style);
        for row in area.y + 1..area.bottom() - 1 {
            line(frame, area.x, row, down, style);
            line(frame, area.right() - 1, row, down, style);
        }
        let bottom = format!("{bottom_left}{}{bottom_right}", across.repeat(inner));
        line(frame, area.x, area.bottom() - 1, &bottom, style);
        Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2)
    }
}

/// A line across with a title in it.
pub fn rule(settings: &Settings, frame: &mut Frame, area: Rect, title: &str) {
    let across = settings.glyphs.rule;
    let title = if title.is_empty() { String::new() } else { format!("{across}{across} {title} ") };
    let title = text::end(&title, area.width.into(), settings.glyphs.more);
    let rest = across.repeat(usize::from(area.width).saturating_sub(text::width(&title)));
    line(frame, area.x, area.y, &format!("{title}{rest}"), settings.theme.style(Role::Border));
}

/// Puts text somewhere, as far as there is room.
pub fn line(frame: &mut Frame, x: u16, y: u16, text: &str, style: Style) {
    let area = frame.area();
    if area.contains((x, y).into()) {
        frame.buffer_mut().set_stringn(x, y, text, usize::from(area.right() - x), style);
    }
}
