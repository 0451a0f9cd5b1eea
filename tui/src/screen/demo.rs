//! The Demo screen: the system, the page that is told, what the monitor sees, the agent at work, and how much the system
//! does, all at once.
//!
//! * `stage`: what stands there, read from the world; `turn`: which page is next; `player`: turns pages by itself. All
//!   three are pure;
//! * `show`: what is kept of what came: `log` (the monitor), `agent` (the session), `workload` (the gauge);
//! * `panel`: one file a panel; `layout`: where they stand; `draw`: how they get there.

pub mod agent;
mod draw;
mod keys;
pub mod layout;
pub mod log;
pub mod panel;
pub mod player;
pub mod show;
pub mod stage;
#[cfg(test)]
mod tests;
pub mod turn;
pub mod workload;

use std::time::Duration;

use crds::demo_chapter::ChapterState;
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::ask::Ask;
use crate::feed::{FeedEvent, Kind, Link, Object, Request};
use crate::keymap::{Action, Context};
use crate::msg::Done;
use crate::page::{Ctx, Page};
use crate::time;
use crate::world::{Named as _, World};
use panel::Shown;
use player::{Play, Player};
use show::Show;
use stage::Stage;
use turn::Asked;

/// How many panels there are.
pub const PANELS: usize = 5;
/// The panel of the page.
const CHAPTER: usize = 1;
/// The panel of the agent.
const AGENT: usize = 3;

/// Its state.
#[derive(Debug)]
pub struct State {
    name: String,
    show: Show,
    /// What was asked for by hand and has not come: nothing else is asked for meanwhile.
    asked: Option<Asked>,
    player: Option<Player>,
    ended: bool,
    focus: usize,
    zoomed: bool,
    /// Where each panel is scrolled to: lines from its top, or from its end for those that follow.
    scrolled: [usize; PANELS],
    /// How many lines the panels that follow had when they were scrolled.
    counted: [usize; PANELS],
    /// What a panel that is held still shows.
    frozen: [Option<Box<Shown>>; PANELS],
}

impl State {
    /// The screen at its beginning.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self {
            name,
            show: Show::default(),
            asked: None,
            player: None,
            ended: false,
            focus: CHAPTER,
            zoomed: false,
            scrolled: [0; PANELS],
            counted: [0; PANELS],
            frozen: [const { None }; PANELS],
        }
    }

    fn stage<'a>(&self, ctx: &Ctx<'a>) -> Stage<'a> {
        Stage::of(ctx.world, &self.name)
    }

    /// What is asked for and has not come, by hand or by the player.
    fn waits(&self) -> Option<&Asked> {
        self.asked.as_ref().or_else(|| self.player.as_ref().and_then(Player::asked))
    }

    /// Whether a panel's end is what one wants to see.
    fn follows(panel: usize) -> bool {
        matches!(panel, 2 | AGENT)
    }

    /// Brings what is kept up to date.
    fn sync(&mut self, stage: &Stage, ctx: &Ctx) -> Vec<Ask> {
        let (_, requests) = self.show.settle(stage, ctx.now);
        // Who reads further up stays there while lines come below.
        for (panel, count) in [(2, self.show.log.count), (AGENT, self.show.story.count)] {
            if self.scrolled[panel] > 0 {
                self.scrolled[panel] += count.saturating_sub(self.counted[panel]);
            }
            self.counted[panel] = count;
        }
        requests.into_iter().map(does).collect()
    }

    fn play(&mut self, stage: &Stage, ctx: &Ctx) -> Vec<Ask> {
        let Some(player) = self.player.as_mut().filter(|_| !self.ended) else { return Vec::new() };
        if let Some(why) = unreadable(ctx.world) {
            return self.end(&Err(why));
        }
        if !is_read(ctx.world) {
            let end = player.is_late(ctx.now).then(|| self.end(&Err(UNREAD.to_owned())));
            return end.unwrap_or_default();
        }
        if stage.chapters.is_empty() {
            let why = missing(&self.name, ctx.world);
            return self.end(&Err(why));
        }
        if !ctx.rights.may(crate::rights::Right::PatchChapters) {
            return self.end(&Err(MAY_NOT.to_owned()));
        }
        match player.play(stage, ctx.now) {
            Play::Wait => Vec::new(),
            Play::Do(act) => vec![does(Request::Act(act))],
            Play::End(end) => self.end(&end),
        }
    }

    fn end(&mut self, end: &Result<(), String>) -> Vec<Ask> {
        self.ended = true;
        let code = u8::from(end.is_err());
        vec![Ask::End { code, words: ending(&self.name, end) }]
    }
}

/// Why somebody who may not turn pages cannot play a demo.
pub const MAY_NOT: &str = "pages are turned by who may patch demochapters, and you may not (or --read-only is given)";

/// Why a demo did not even begin.
pub const UNREAD: &str = "the time limit is over, and the cluster could not be read";

fn does(request: Request) -> Ask {
    Ask::Do(request.into())
}

/// What is said at the end of a demo that played by itself.
#[must_use]
pub fn ending(name: &str, end: &Result<(), String>) -> String {
    match end {
        Ok(()) => format!("the demo {name} is complete"),
        Err(why) => format!("the demo {name} did not come to its end: {why}"),
    }
}

/// Why what a demo is made of cannot be read at all.
#[must_use]
pub fn unreadable(world: &World) -> Option<String> {
    [Kind::Chapters, Kind::Subjects, Kind::Incidents].into_iter().find_map(|kind| match world.link(kind) {
        Link::Missing { reason } if kind == Kind::Chapters => Some(format!("{reason}; {ENABLE}")),
        Link::Forbidden { reason } | Link::Missing { reason } => Some(reason.clone()),
        _ => None,
    })
}

/// Whether all that a demo is made of was read.
#[must_use]
pub fn is_read(world: &World) -> bool {
    Kind::ALL.iter().all(|kind| world.is_listed(*kind))
}

/// How demos are switched on.
pub const ENABLE: &str = "demos are off by default: helm upgrade operator charts/operator -n operator-system \
                          --reuse-values --set demo.enabled=true";
/// How chapters get into the cluster.
pub const APPLY: &str = "kubectl apply -f subjects/NAME/chapters.yaml";

/// There is no such demo: which there are.
#[must_use]
pub fn missing(name: &str, world: &World) -> String {
    let mut there: Vec<String> =
        world.chapters.iter().map(|(_, chapter)| format!("{} ({})", chapter.spec.demo, chapter.space())).collect();
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

    fn crumbs(&self, _: &Ctx) -> Vec<String> {
        let mut crumbs = vec!["demo".to_owned(), self.name.clone()];
        if self.zoomed {
            crumbs.push(draw::NAMES[self.focus].to_lowercase());
        }
        crumbs
    }

    fn facts(&self, ctx: &Ctx) -> Vec<String> {
        let stage = self.stage(ctx);
        let place = stage
            .current
            .filter(|_| !stage.is_resetting())
            .map(|index| format!("{}/{}", index + 1, stage.chapters.len()));
        let auto = self.player.as_ref().map(|_| "auto".to_owned());
        let clock = self.tick(ctx).map(|_| time::clock(ctx.now));
        [auto, place, clock].into_iter().flatten().collect()
    }

    fn enter(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let demo = &ctx.settings.demo;
        if demo.auto && self.player.is_none() {
            let mut player = Player::new(demo.pause, demo.limit);
            player.begin(ctx.now);
            self.player = Some(player);
        }
        // Another screen may have followed the same session, and let it go.
        self.show.again().map(does).into_iter().collect()
    }

    fn close(&mut self, _: &Ctx) -> Vec<Ask> {
        self.show.end().into_iter().map(does).collect()
    }

    fn act(&mut self, action: Action, ctx: &Ctx) -> Vec<Ask> {
        self.press(action, ctx)
    }

    fn unwind(&mut self) -> bool {
        std::mem::replace(&mut self.zoomed, false)
    }

    fn feed(&mut self, event: &FeedEvent, ctx: &Ctx) -> Vec<Ask> {
        self.show.feed(event, ctx.now);
        // While another screen is in front, nothing of what happens meanwhile is missed.
        let is_news = match event {
            FeedEvent::Applied { object: Object::Incident(incident) } => {
                ctx.world.is_listed(Kind::Incidents) && self.show.is_about(incident)
            }
            FeedEvent::Applied { object: Object::Subject(_) } => ctx.world.is_listed(Kind::Subjects),
            _ => false,
        };
        if is_news { self.sync(&self.stage(ctx), ctx) } else { Vec::new() }
    }

    fn done(&mut self, done: &Done, ctx: &Ctx) -> Vec<Ask> {
        if let Done::Bad(why) = done {
            self.asked = None;
            if let Some(player) = &mut self.player {
                player.refused(why, ctx.now);
            }
        }
        Vec::new()
    }

    fn settle(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let stage = self.stage(ctx);
        let mut asks = self.sync(&stage, ctx);
        if let Some(asked) = &self.asked {
            if asked.has_come(&stage) {
                self.asked = None;
            } else if asked.is_lost(&stage, ctx.now) {
                self.asked = None;
                asks.push(Ask::Complain("the page was not turned: the API server did not answer".to_owned()));
            }
        }
        asks.extend(self.play(&stage, ctx));
        asks
    }

    fn tick(&self, ctx: &Ctx) -> Option<Duration> {
        // Countdown, stopwatch and ages move by themselves; a demo that has not begun stands still.
        let stage = self.stage(ctx);
        if stage.chapter().is_some_and(|chapter| stage::state(chapter) == ChapterState::Countdown) {
            return Some(Duration::from_millis(250));
        }
        let moves = self.player.is_some() || stage.current.is_some() || stage.is_resetting() || self.asked.is_some();
        moves.then(|| {
            time::until_next_age(Duration::from_nanos(u64::try_from(ctx.now.subsec_nanosecond()).unwrap_or(0)))
        })
    }

    fn draw(&self, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        draw::draw(self, ctx, frame, area);
    }
}
