//! A text to read.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::panel::Panel;
use crate::overlay::Pager;
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;

/// Draws it.
pub fn draw(settings: &Settings, pager: &Pager, frame: &mut Frame, area: Rect) {
    let theme = settings.theme;
    let height = usize::from(area.height.saturating_sub(2));
    let last = (pager.offset() + height).min(pager.len());
    let right = format!(
        "{}{}{} of {}",
        text::number((pager.offset() + 1).min(pager.len()) as u64),
        settings.glyphs.dash,
        text::number(last as u64),
        text::count(pager.len() as u64, "line")
    );
    let title = text::one_line(&pager.title);
    let inner = Panel { title: &title, right: &right, role: Role::Focus }.draw(settings, frame, area);
    for (row, line) in (inner.y..inner.bottom()).zip(pager.page(inner.height.into())) {
        let (spans, _) = text::styled(line, Style::new(), Style::new(), theme.has_colour());
        let spans = spans.into_iter().flat_map(|span| marked(&span, pager, theme.style(Role::Match)));
        let spans = shifted(spans, pager.left());
        let place = Rect::new(inner.x + 1, row, inner.width.saturating_sub(1), 1);
        frame.render_widget(Line::from(spans), place);
    }
}

/// A span in parts, those that match another colour.
fn marked(span: &Span<'static>, pager: &Pager, style: Style) -> Vec<Span<'static>> {
    let Some(search) = pager.search() else { return vec![span.clone()] };
    let mut parts = Vec::new();
    let (whole, mut at) = (span.content.as_ref(), 0);
    for found in search.find_iter(whole).filter(|found| !found.is_empty()).take(200) {
        parts.push(Span::styled(whole[at..found.start()].to_owned(), span.style));
        parts.push(Span::styled(found.as_str().to_owned(), style));
        at = found.end();
    }
    parts.push(Span::styled(whole[at..].to_owned(), span.style));
    parts
}

/// Without the first columns.
fn shifted(spans: impl Iterator<Item = Span<'static>>, mut left: usize) -> Vec<Span<'static>> {
    let mut shown = Vec::new();
    for span in spans {
        if left == 0 {
            shown.push(span);
            continue;
        }
        let (hidden, columns) = text::take(&span.content, left);
        left -= columns;
        if hidden.len() < span.content.len() {
            shown.push(Span::styled(span.content[hidden.len()..].to_owned(), span.style));
            left = 0;
        }
    }
    shown
}
