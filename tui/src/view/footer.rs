//! The last two lines: what was said or is being typed, and the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::feed::{Kind, Link};
use crate::keymap::{Action, Context};
use crate::model::Model;
use crate::overlay::{Overlay, Prompt};
use crate::text;
use crate::theme::Role;
use crate::time;
use crate::world::WINDOW;

/// The line above the keys.
pub fn status(model: &Model, frame: &mut Frame, area: Rect) {
    if let Some(prompt) = &model.prompt {
        return typed(model, prompt, frame, area);
    }
    let settings = &model.settings;
    let (glyphs, style) = (settings.glyphs, |role| settings.theme.style(role));
    let right = synced(model);
    let room = usize::from(area.width).saturating_sub(text::width(&right) + 3);
    let pressed: String = model.pressed.iter().map(ToString::to_string).collect();
    let (line, role) = match &model.notice {
        _ if !pressed.is_empty() => (format!("{pressed}{}", glyphs.more), Role::Key),
        Some(notice) if notice.bad => (format!("{} {}", glyphs.bad, text::one_line(&notice.text)), Role::Bad),
        Some(notice) => (format!("{} {}", glyphs.good, text::one_line(&notice.text)), Role::Good),
        None if model.busy > 0 => (format!("{} asking the API server", glyphs.run), Role::Busy),
        None => (trouble(model), Role::Warn),
    };
    let left = text::fit(&line, room, glyphs.more);
    let spans = vec![
        Span::raw(" "),
        Span::styled(left, style(role)),
        Span::raw(" "),
        Span::styled(right, style(Role::Dim)),
        Span::raw(" "),
    ];
    frame.render_widget(Line::from(spans), area);
}

/// Why the rows may not be true, if so.
fn trouble(model: &Model) -> String {
    let kind = if model.screen().context() == Context::Subjects { Kind::Subjects } else { Kind::Incidents };
    match model.world.link(kind) {
        Link::Lost { reason } if model.world.is_listed(kind) => text::one_line(reason),
        _ => String::new(),
    }
}

fn synced(model: &Model) -> String {
    let Some(at) = model.world.synced else { return String::new() };
    let recent = match model.world.activity.recent(model.now) {
        Some([added, deleted, changed]) if model.size.0 >= 100 => {
            format!("  +{added} {}{deleted} ~{changed} in {}s", model.settings.glyphs.minus, WINDOW.as_secs())
        }
        _ => String::new(),
    };
    format!("synced {}{recent}", time::clock(at))
}

fn typed(model: &Model, prompt: &Prompt, frame: &mut Frame, area: Rect) {
    let settings = &model.settings;
    let style = |role| settings.theme.style(role);
    let error = prompt.error.as_deref().map(text::one_line).unwrap_or_default();
    let columns = usize::from(area.width);
    let error = text::end(&error, columns / 2, settings.glyphs.more);
    let room = columns.saturating_sub(text::width(&error) + text::width(prompt.sign()) + 4).max(1);
    // The cursor is always in sight: what stands far before it is not.
    let mut before = prompt.input.before_cursor();
    while text::width(before) >= room {
        let (first, _) = text::take(before, 1);
        let cut = if first.is_empty() { before.chars().next().map_or(1, char::len_utf8) } else { first.len() };
        before = &before[cut..];
    }
    let after = &prompt.input.text()[prompt.input.before_cursor().len()..];
    let (after, _) = text::take(after, room.saturating_sub(text::width(before)));
    let start = format!(" {}{before}", prompt.sign());
    let cursor = text::width(&start);
    let line = format!("{start}{after}");
    let gap = columns.saturating_sub(text::width(&line) + text::width(&error) + 1);
    let spans = vec![
        Span::styled(line, style(Role::Strong)),
        Span::raw(" ".repeat(gap)),
        Span::styled(error, style(Role::Bad)),
    ];
    frame.render_widget(Line::from(spans), area);
    frame.set_cursor_position((area.x + u16::try_from(cursor).unwrap_or(0).min(area.width - 1), area.y));
}

/// The keys that hold now, from the keymap.
pub fn keys(model: &Model, frame: &mut Frame, area: Rect) {
    let settings = &model.settings;
    let style = |role| settings.theme.style(role);
    let (left, right) = hints(model);
    let mut spans = Vec::new();
    let right_width: usize = right.iter().map(|(key, label)| hint_width(key, label)).sum();
    let mut room = usize::from(area.width).saturating_sub(right_width + 1);
    for (key, label) in left {
        let wide = hint_width(&key, &label);
        if wide > room {
            break;
        }
        room -= wide;
        spans.extend(hint(key, &label, style(Role::Key), style(Role::Dim)));
    }
    spans.push(Span::raw(" ".repeat(room)));
    for (key, label) in right {
        spans.extend(hint(key, &label, style(Role::Key), style(Role::Dim)));
    }
    frame.render_widget(Line::from(spans), area);
}

type Hints = Vec<(String, String)>;

fn hints(model: &Model) -> (Hints, Hints) {
    let pair = |key: &str, label: &str| (key.to_owned(), label.to_owned());
    if let Some(prompt) = &model.prompt {
        let done = match prompt.purpose {
            crate::page::Purpose::Filter => "filter",
            crate::page::Purpose::Search => "search",
            crate::page::Purpose::Command => "run",
            crate::page::Purpose::Note => "go on",
            crate::page::Purpose::Export => "write",
        };
        return (
            vec![pair("enter", done), pair("up", "before"), pair("^W", "erase word")],
            vec![pair("esc", "give up")],
        );
    }
    if let Some(Overlay::Confirm(_)) = model.overlay {
        return (
            vec![pair("y", "yes"), pair("n", "no"), pair("tab", "choose"), pair("enter", "the chosen one")],
            Vec::new(),
        );
    }
    let context = if model.overlay.is_some() { Context::Pager } else { model.screen().context() };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for binding in model.settings.keymap.allowed(context, &model.rights) {
        let Some(key) = binding.keys.first().filter(|_| !binding.label.is_empty()) else { continue };
        let last = matches!(binding.action, Action::Help | Action::Quit);
        let label = match binding.action {
            Action::Quit if model.overlay.is_some() || model.screens.len() > 1 => "back",
            Action::Filter if model.overlay.is_some() || context == Context::Session => "search",
            _ => binding.label,
        };
        let side = if last { &mut right } else { &mut left };
        side.push(pair(&key.to_string(), label));
    }
    (left, right)
}

fn hint_width(key: &str, label: &str) -> usize {
    text::width(key) + text::width(label) + 3
}

fn hint(
    key: String,
    label: &str,
    key_style: ratatui::style::Style,
    style: ratatui::style::Style,
) -> [Span<'static>; 4] {
    [Span::raw(" "), Span::styled(key, key_style), Span::styled(format!(" {label}"), style), Span::raw(" ")]
}
