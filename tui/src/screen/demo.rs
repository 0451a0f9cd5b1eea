//! The Demo screen: the system, the page that is told, what the monitor sees, the agent at work, and how much the system
//! does, all at once.
//!
//! * `stage`: what stands there, read from the world; `turn`: which page is next, and the player that turns pages by
//!   itself (pure); `log`, `agent`, `workload`: what is kept of what came;
//! * `panel`: one file a panel; `layout`: where they stand.

pub mod agent;
pub mod layout;
pub mod log;
pub mod panel;
pub mod stage;
pub mod turn;
pub mod workload;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::ask::{Ask, SessionTarget, Target};
use crate::feed::{FeedEvent, Kind, Link, Request, Source, SubjectKey};
use crate::keymap::{Action, Context};
use crate::page::{Ctx, Page};
use crate::theme::Role;
use crate::view::message;
use crate::view::panel::Panel;
use crate::{text, time};
use agent::Story;
use log::Log;
use panel::Shown;
use stage::Stage;
use turn::{Asked, Play, Player};
use workload::Workload;

/// How many panels there are.
pub const PANELS: usize = 5;
/// How often something that moves by itself is drawn anew.
const MOVES: Duration = Duration::from_millis(500);

/// Its state.
#[derive(Debug)]
pub struct State {
    name: String,
    log: Log,
    story: Story,
    asked: Option<Asked>,
    player: Option<Player>,
    ended: bool,
    observed: Option<SubjectKey>,
    focus: usize,
    zoomed: bool,
    /// Where each panel is scrolled to: lines from its top, or from its end for those that follow.
    scrolled: [usize; PANELS],
    /// What a panel that is held still shows.
    frozen: [Option<Vec<Line<'static>>>; PANELS],
}

impl State {
    /// The screen at its beginning.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self {
            name,
            log: Log::default(),
            story: Story::default(),
            asked: None,
            player: None,
            ended: false,
            observed: None,
            focus: 1,
            zoomed: false,
            scrolled: [0; PANELS],
            frozen: [const { None }; PANELS],
        }
    }

    fn stage<'a>(&self, ctx: &Ctx<'a>) -> Stage<'a> {
        Stage::of(ctx.world, &self.name)
    }

    /// Asks for a page, unless one is asked for already.
    fn turn(&mut self, act: Result<crate::act::Act, String>, ctx: &Ctx) -> Vec<Ask> {
        if let Some(asked) = &self.asked {
            return vec![Ask::Say(asked.words())];
        }
        match act {
            Ok(act) => {
                self.asked = Some(Asked { act: act.clone(), at: ctx.now });
                vec![Ask::Do(Request::Act(act).into())]
            }
            Err(why) => vec![Ask::Say(why)],
        }
    }

    /// Whether a panel's end is what one wants to see.
    fn follows(panel: usize) -> bool {
        matches!(panel, 2 | 3)
    }

    fn scroll(&mut self, down: bool) {
        let at = &mut self.scrolled[self.focus];
        *at = if down == Self::follows(self.focus) { at.saturating_sub(1) } else { *at + 1 };
    }

    fn shown(&self, panel: usize, stage: &Stage, ctx: &Ctx, columns: usize) -> Shown {
        let (settings, now) = (ctx.settings, ctx.now);
        let auto = self.player.is_some();
        let mut shown = match panel {
            0 => panel::cluster::show(stage, ctx.world, settings, now, columns),
            1 => panel::chapter::show(stage, self.asked.as_ref(), auto, settings, now, columns),
            2 => panel::monitor::show(&self.log, settings, columns),
            3 => {
                let source = Source::Session(self.story.session.clone());
                let link = ctx.world.connection(&source).map(|connection| &connection.link);
                panel::agent::show(stage, &self.story, link, settings, now, columns)
            }
            _ => panel::workload::show(&Workload::of(ctx.world, stage), settings, columns),
        };
        if let Some(frozen) = &self.frozen[panel] {
            shown.lines.clone_from(frozen);
            shown.right = format!("{} FROZEN", settings.glyphs.pause);
        }
        shown.title = format!("{} {}", panel + 1, shown.title);
        shown
    }

    fn draw_panel(&self, panel: usize, stage: &Stage, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        let shown = self.shown(panel, stage, ctx, usize::from(area.width).saturating_sub(4));
        let role = match (shown.trouble, self.focus == panel) {
            (true, _) => Role::Trouble,
            (false, true) => Role::Focus,
            (false, false) => Role::Border,
        };
        let rows = usize::from(area.height.saturating_sub(2));
        let hidden = shown.lines.len().saturating_sub(rows);
        let scrolled = self.scrolled[panel].min(hidden);
        let from = if Self::follows(panel) { hidden - scrolled } else { scrolled };
        let glyphs = ctx.settings.glyphs;
        let right = match (hidden, Self::follows(panel), scrolled) {
            (0, _, _) => shown.right.clone(),
            (_, true, 0) => format!("{}  {} follow", shown.right, glyphs.down),
            (_, true, _) => format!("{}  {} {scrolled} below", shown.right, glyphs.pause),
            (_, false, _) if scrolled < hidden => format!("{}  {} more", shown.right, glyphs.down),
            _ => shown.right.clone(),
        };
        let inner = Panel { title: &shown.title, right: right.trim(), role }.draw(ctx.settings, frame, area);
        for (row, line) in (inner.y..inner.bottom()).zip(shown.lines.into_iter().skip(from)) {
            let place = Rect::new(inner.x + 1, row, inner.width.saturating_sub(2), 1);
            frame.render_widget(line, place);
        }
    }

    /// What is there instead of a demo.
    fn nothing(&self, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        let say = |frame: &mut Frame, sentence: &str, more: &[&str]| {
            message::draw(ctx.settings, frame, area, sentence, more);
        };
        match ctx.world.link(Kind::Chapters) {
            Link::Missing { reason } => {
                say(frame, reason, &["demos are off by default: demo.enabled=true in the chart"]);
            }
            Link::Forbidden { reason } => say(frame, reason, &[]),
            Link::Lost { reason } if !ctx.world.is_listed(Kind::Chapters) => say(frame, reason, &[]),
            _ if !ctx.world.is_listed(Kind::Chapters) => say(frame, "reading the chapters…", &[]),
            _ => {
                let there = missing(&self.name, ctx.world);
                say(frame, &there, &["kubectl apply -f subjects/NAME/chapters.yaml"]);
            }
        }
    }

    /// Follows what the stage is about.
    fn follow(&mut self, stage: &Stage) -> Vec<Ask> {
        let mut asks = Vec::new();
        if self.observed != stage.subject {
            if let Some(subject) = self.observed.take() {
                asks.push(Ask::Do(Request::Unobserve { subject }.into()));
            }
            if let Some(subject) = &stage.subject {
                asks.push(Ask::Do(Request::Observe { subject: subject.clone() }.into()));
            }
            self.observed.clone_from(&stage.subject);
        }
        let session = stage.session().unwrap_or_default();
        if self.story.session != session {
            if !self.story.session.is_empty() {
                asks.push(Ask::Do(Request::Unfollow { session: self.story.session.clone() }.into()));
            }
            self.story = Story::of(session);
            self.scrolled[3] = 0;
            if !session.is_empty() {
                asks.push(Ask::Do(Request::Follow { session: session.to_owned(), after: 0 }.into()));
            }
        }
        asks
    }

    fn play(&mut self, stage: &Stage, ctx: &Ctx) -> Vec<Ask> {
        let Some(player) = self.player.as_mut().filter(|_| !self.ended) else { return Vec::new() };
        if !ctx.world.is_listed(Kind::Chapters) || !ctx.world.is_listed(Kind::Incidents) {
            return Vec::new();
        }
        if stage.chapters.is_empty() {
            self.ended = true;
            return vec![Ask::End { code: 1, words: missing(&self.name, ctx.world) }];
        }
        match player.play(stage, ctx.now) {
            Play::Wait => Vec::new(),
            Play::Do(act) => {
                self.asked = Some(Asked { act: act.clone(), at: ctx.now });
                vec![Ask::Do(Request::Act(act).into())]
            }
            Play::End(end) => {
                self.ended = true;
                let code = u8::from(end.is_err());
                let words = end.err().map_or_else(
                    || format!("the demo {} is complete", self.name),
                    |why| format!("the demo {} did not come to its end: {why}", self.name),
                );
                vec![Ask::End { code, words }]
            }
        }
    }
}

/// There is no such demo: which there are.
#[must_use]
pub fn missing(name: &str, world: &crate::world::World) -> String {
    let mut there: Vec<&str> = world.chapters.iter().map(|(_, chapter)| chapter.spec.demo.as_str()).collect();
    there.sort_unstable();
    there.dedup();
    let there = if there.is_empty() {
        "there are no chapters at all".to_owned()
    } else {
        format!("there are: {}", there.join(", "))
    };
    format!("there is no demo {name:?} here; {there}")
}

impl Page for State {
    fn context(&self) -> Context {
        Context::Demo
    }

    fn crumbs(&self, ctx: &Ctx) -> Vec<String> {
        let mut crumbs = vec!["demo".to_owned(), self.name.clone()];
        if self.zoomed {
            crumbs.push(self.shown(self.focus, &self.stage(ctx), ctx, 40).title);
        }
        crumbs
    }

    fn facts(&self, ctx: &Ctx) -> Vec<String> {
        let auto = if self.player.is_some() { "auto" } else { "" };
        vec![auto.to_owned(), time::clock(ctx.now)]
    }

    fn enter(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let demo = &ctx.settings.demo;
        if demo.auto && self.player.is_none() {
            self.player = Some(Player::new(demo.pause, demo.limit));
        }
        Vec::new()
    }

    fn close(&mut self, _: &Ctx) -> Vec<Ask> {
        let mut asks = Vec::new();
        if let Some(subject) = self.observed.take() {
            asks.push(Ask::Do(Request::Unobserve { subject }.into()));
        }
        if !self.story.session.is_empty() {
            asks.push(Ask::Do(Request::Unfollow { session: std::mem::take(&mut self.story.session) }.into()));
        }
        asks
    }

    fn act(&mut self, action: Action, ctx: &Ctx) -> Vec<Ask> {
        let stage = self.stage(ctx);
        match action {
            Action::Next | Action::Force => self.turn(turn::next(&stage, action == Action::Force), ctx),
            Action::Previous => self.turn(turn::back(&stage), ctx),
            Action::Reset => match turn::reset(&stage) {
                Ok(act) => vec![Ask::Confirm(vec![act])],
                Err(why) => vec![Ask::Say(why)],
            },
            Action::Panel1 | Action::Panel2 | Action::Panel3 | Action::Panel4 | Action::Panel5 => {
                let all = [Action::Panel1, Action::Panel2, Action::Panel3, Action::Panel4, Action::Panel5];
                self.focus = all.iter().position(|one| *one == action).unwrap_or(self.focus);
                Vec::new()
            }
            Action::Zoom => {
                self.zoomed = !self.zoomed;
                Vec::new()
            }
            Action::Freeze => {
                let panel = self.focus;
                self.frozen[panel] = match self.frozen[panel].take() {
                    Some(_) => None,
                    None => Some(self.shown(panel, &stage, ctx, usize::from(ctx.body.width)).lines),
                };
                Vec::new()
            }
            Action::Down | Action::Up => {
                self.scroll(action == Action::Down);
                Vec::new()
            }
            Action::Open => match stage.session() {
                Some(session) => vec![Ask::Open(Target::Session(SessionTarget::Id(session.to_owned())))],
                None => vec![Ask::Say("there is no session yet: an Incident opens one".to_owned())],
            },
            Action::Back if self.zoomed => {
                self.zoomed = false;
                Vec::new()
            }
            Action::Back => vec![Ask::Back],
            _ => Vec::new(),
        }
    }

    fn feed(&mut self, event: &FeedEvent, _: &Ctx) -> Vec<Ask> {
        if let FeedEvent::Entries { session, entries, .. } = event
            && *session == self.story.session
        {
            self.story.take(entries);
        }
        Vec::new()
    }

    fn settle(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let stage = self.stage(ctx);
        let mut asks = self.follow(&stage);
        if stage.is_at_its_beginning() && !self.log.lines.is_empty() {
            self.log.clear();
        }
        self.log.see(&stage, ctx.now);
        if let Some(asked) = &self.asked {
            if asked.has_come(&stage) {
                self.asked = None;
            } else if asked.is_lost(&stage, ctx.now) {
                self.asked = None;
                asks.push(Ask::Complain("the page was not turned: the API server did not take it".to_owned()));
            }
        }
        asks.extend(self.play(&stage, ctx));
        asks
    }

    fn tick(&self, ctx: &Ctx) -> Option<Duration> {
        // Countdown, stopwatch and ages move by themselves; a demo that stands still costs a frame a second.
        let stage = self.stage(ctx);
        let moves = self.player.is_some() || stage.current.is_some() || stage.is_resetting() || self.asked.is_some();
        moves.then_some(MOVES)
    }

    fn draw(&self, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        let stage = self.stage(ctx);
        if stage.chapters.is_empty() {
            return self.nothing(ctx, frame, area);
        }
        if self.zoomed {
            return self.draw_panel(self.focus, &stage, ctx, frame, area);
        }
        match layout::places(area) {
            layout::Places::All(places) => {
                for (panel, place) in places.into_iter().enumerate() {
                    self.draw_panel(panel, &stage, ctx, frame, place);
                }
            }
            layout::Places::One { tabs, panel } => {
                self.tabs(&stage, ctx, frame, tabs);
                self.draw_panel(self.focus, &stage, ctx, frame, panel);
            }
        }
    }
}

impl State {
    /// The names of all panels, where there is room for one.
    fn tabs(&self, stage: &Stage, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        let names = ["Cluster", "Chapter", "Monitor", "Agent", "Workload"];
        let mut x = area.x;
        for (panel, name) in names.into_iter().enumerate() {
            let trouble = self.shown(panel, stage, ctx, 40).trouble;
            let alarm = if trouble { ctx.settings.glyphs.alarm } else { "" };
            let label = format!(" {} {name}{alarm} ", panel + 1);
            let role = match (panel == self.focus, trouble) {
                (true, _) => Role::Selected,
                (false, true) => Role::Trouble,
                (false, false) => Role::Dim,
            };
            crate::view::panel::line(frame, x, area.y, &label, ctx.settings.theme.style(role));
            x += u16::try_from(text::width(&label)).unwrap_or(u16::MAX);
        }
    }
}

#[cfg(test)]
mod tests;
