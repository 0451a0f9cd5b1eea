//! How the panels get on the screen.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::layout::{self, Places};
use super::panel::{self, Shown, chapter};
use super::stage::Stage;
use super::{APPLY, ENABLE, PANELS, State, missing};
use crate::feed::{Kind, Link};
use crate::page::Ctx;
use crate::text;
use crate::theme::Role;
use crate::view::message;
use crate::view::panel::{Panel, line};

/// The panels' names.
pub(super) const NAMES: [&str; PANELS] = ["Cluster", "Chapter", "Monitor", "Agent", "Workload"];

/// Draws the screen.
pub(super) fn draw(screen: &State, ctx: &Ctx, frame: &mut Frame, area: Rect) {
    let stage = screen.stage(ctx);
    if stage.chapters.is_empty() {
        return nothing(screen, ctx, frame, area);
    }
    if screen.zoomed {
        return screen.draw_panel(screen.focus, &stage, ctx, frame, area);
    }
    let columns = usize::from(layout::right(area.width)).saturating_sub(4);
    match layout::places(area, chapter::wanted(&stage, ctx, columns)) {
        Places::All(places) => {
            for (panel, place) in places.into_iter().enumerate() {
                screen.draw_panel(panel, &stage, ctx, frame, place);
            }
        }
        Places::One { tabs, panel } => {
            screen.tabs(&stage, ctx, frame, tabs);
            screen.draw_panel(screen.focus, &stage, ctx, frame, panel);
        }
    }
}

/// What is there instead of a demo.
fn nothing(state: &State, ctx: &Ctx, frame: &mut Frame, area: Rect) {
    let say = |frame: &mut Frame, sentence: &str, more: &[&str]| {
        message::draw(ctx.settings, frame, area, sentence, more);
    };
    match ctx.world.link(Kind::Chapters) {
        Link::Missing { reason } => say(frame, reason, &[ENABLE]),
        Link::Forbidden { reason } => say(frame, reason, &["Incidents may still be seen: :incidents"]),
        Link::Lost { reason } if !ctx.world.is_listed(Kind::Chapters) => {
            say(frame, reason, &["It is tried again; ^R tries now."]);
        }
        _ if !ctx.world.is_listed(Kind::Chapters) => say(frame, "Reading the chapters", &[]),
        _ => {
            let enable = format!("Chapters are only played where {}", lower(ENABLE));
            say(frame, &capital(&missing(&state.name, ctx.world)), &[APPLY, &enable]);
        }
    }
}

fn lower(text: &str) -> String {
    text.replacen("demos are off by default: helm", "demo.enabled is set: helm", 1)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

impl State {
    /// What a panel shows, in so many columns and lines.
    pub(super) fn shown(&self, panel: usize, stage: &Stage, ctx: &Ctx, (columns, lines): (usize, usize)) -> Shown {
        if let Some(frozen) = &self.frozen[panel] {
            return (**frozen).clone();
        }
        match panel {
            0 => panel::cluster::show(stage, self.show.known.as_ref(), ctx, columns),
            1 => panel::chapter::show(stage, self.waits(), self.player.is_some(), ctx, columns),
            2 => panel::monitor::show(stage, &self.show.log, ctx, columns),
            3 => panel::agent::show(stage, &self.show.story, ctx, columns),
            _ => panel::workload::show(&self.show.gauge, ctx.settings, columns, lines),
        }
    }

    fn draw_panel(&self, panel: usize, stage: &Stage, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        let (settings, glyphs) = (ctx.settings, ctx.settings.glyphs);
        let size = (usize::from(area.width.saturating_sub(4)), usize::from(area.height.saturating_sub(2)));
        let shown = self.shown(panel, stage, ctx, size);
        let has_focus = self.focus == panel;
        let role = match (shown.trouble.is_empty(), has_focus) {
            (false, _) => Role::Trouble,
            (true, true) => Role::Focus,
            (true, false) => Role::Border,
        };
        let foot = shown.foot.len().min(size.1);
        let rows = size.1 - foot;
        let hidden = shown.lines.len().saturating_sub(rows);
        let scrolled = self.scrolled[panel].min(hidden);
        let follows = Self::follows(panel);
        let from = if follows { hidden - scrolled } else { scrolled };
        let right = if self.frozen[panel].is_some() {
            format!("{} FROZEN", glyphs.pause)
        } else if follows && scrolled > 0 {
            format!("{} {scrolled} below", glyphs.pause)
        } else if follows {
            format!("{} FOLLOW", glyphs.down)
        } else if scrolled < hidden {
            format!("{} {} more", glyphs.down, hidden - scrolled)
        } else {
            shown.right.clone()
        };
        let mark = if has_focus { glyphs.crumb } else { "" };
        let alarm =
            if shown.trouble.is_empty() { String::new() } else { format!("  {} {}", glyphs.alarm, shown.trouble) };
        let title = format!("{mark}{} {}{alarm}", panel + 1, text::clean(&shown.title));
        let inner = Panel { title: &title, right: &right, role }.draw(settings, frame, area);
        let place = |row: u16| Rect::new(inner.x + 1, row, inner.width.saturating_sub(2), 1);
        let foot_at = inner.bottom().saturating_sub(u16::try_from(foot).unwrap_or(0));
        for (row, line) in (inner.y..foot_at).zip(shown.lines.into_iter().skip(from)) {
            frame.render_widget(line, place(row));
        }
        for (row, line) in (foot_at..inner.bottom()).zip(shown.foot) {
            frame.render_widget(line, place(row));
        }
    }

    /// The names of all panels, where there is room for one.
    fn tabs(&self, stage: &Stage, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        let mut x = area.x;
        for (panel, name) in NAMES.into_iter().enumerate() {
            let trouble = !self.shown(panel, stage, ctx, (40, 6)).trouble.is_empty();
            let alarm = if trouble { ctx.settings.glyphs.alarm } else { "" };
            let label = format!(" {} {name}{alarm} ", panel + 1);
            let role = match (panel == self.focus, trouble) {
                (true, _) => Role::Selected,
                (false, true) => Role::Trouble,
                (false, false) => Role::Dim,
            };
            line(frame, x, area.y, &label, ctx.settings.theme.style(role));
            x += u16::try_from(text::width(&label)).unwrap_or(u16::MAX);
        }
    }
}
