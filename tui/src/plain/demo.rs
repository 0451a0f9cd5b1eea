//! A demo as a story: what is told, what is done, what the monitor saw, and the agent at work. It plays by itself with
//! `--auto`; without, it tells what others turn to.

mod telling;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crds::demo_chapter::{ActionState, ChapterState};
use jiff::Timestamp;
use ratatui::text::Line;

use super::{Known, Log, Wants};
use crate::feed::{FeedEvent, Request};
use crate::msg::{Cmd, Done};
use crate::rights::Right;
use crate::screen::demo::agent::Kind;
use crate::screen::demo::log::{self, Word};
use crate::screen::demo::player::{Play, Player};
use crate::screen::demo::show::Show;
use crate::screen::demo::stage::{self, Stage, is_fault};
use crate::screen::demo::{APPLY, MAY_NOT, UNREAD, ending, is_read, missing, unreadable};
use crate::settings::Settings;
use crate::world::Named as _;
use telling::Teller;

/// Above this, in percent of the baseline, a workload that was low is well again.
const WELL: f64 = -15.0;

/// What was told of a page.
#[derive(Debug, Default)]
struct Told {
    entered: i64,
    actions: Vec<ActionState>,
    counted: bool,
    waits: bool,
    over: bool,
}

/// The story.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each is what was told of something else
pub(super) struct DemoLog {
    name: String,
    player: Option<Player>,
    /// Pages cannot be turned.
    may_not: bool,
    show: Show,
    /// The number of lines of the session that were told.
    spoken: usize,
    pages: HashMap<String, Told>,
    low: bool,
    headed: bool,
    resetting: bool,
    began: Option<Timestamp>,
    refused: Option<String>,
    /// Whether the last line that was told is empty.
    blank: bool,
}

/// Empty lines stand alone.
fn single(lines: &mut Vec<Line<'static>>, mut blank: bool) -> bool {
    lines.retain(|line| {
        let was = std::mem::replace(&mut blank, line.spans.is_empty());
        !(was && blank)
    });
    blank
}

impl DemoLog {
    pub(super) fn new(name: &str, settings: &Settings) -> Self {
        let demo = &settings.demo;
        Self {
            name: name.to_owned(),
            player: demo.auto.then(|| Player::new(demo.pause, demo.limit)),
            may_not: settings.read_only,
            show: Show::default(),
            spoken: 0,
            pages: HashMap::new(),
            low: false,
            headed: false,
            resetting: false,
            began: None,
            refused: None,
            blank: false,
        }
    }

    fn step(&mut self, known: &Known) -> Wants {
        let mut wants = self.go_on(known);
        self.blank = single(&mut wants.story, self.blank);
        wants
    }

    fn go_on(&mut self, known: &Known) -> Wants {
        let mut wants = Wants::default();
        let began = *self.began.get_or_insert(known.now);
        if let Some(why) = unreadable(known.world) {
            return self.end(&Err(why), wants);
        }
        if let Some(player) = &self.player {
            if self.may_not {
                return self.end(&Err(MAY_NOT.to_owned()), wants);
            }
            if !is_read(known.world) && player.is_late(known.now) {
                return self.end(&Err(UNREAD.to_owned()), wants);
            }
        }
        if !is_read(known.world) {
            return wants;
        }
        let stage = Stage::of(known.world, &self.name);
        if stage.chapters.is_empty() {
            let why = format!("{}; {APPLY} brings some", missing(&self.name, known.world));
            return self.end(&Err(why), wants);
        }
        let teller = Teller { settings: known.settings, now: known.now, began };
        self.tell(&stage, &teller, &mut wants);
        let Some(player) = &mut self.player else { return wants };
        if let Some(why) = self.refused.take() {
            player.refused(&why, known.now);
        }
        match player.play(&stage, known.now) {
            Play::Wait => wants,
            Play::Do(act) => {
                wants.cmds.push(Cmd::Feed(Request::Act(act)));
                wants
            }
            Play::End(end) => {
                self.agent(true, false, &teller, &mut wants.story);
                wants.story.extend(teller.end(&stage, end.is_ok()));
                self.end(&end, wants)
            }
        }
    }

    fn end(&self, end: &Result<(), String>, mut wants: Wants) -> Wants {
        wants.end = Some(u8::from(end.is_err()));
        if end.is_err() {
            wants.complaint = Some(ending(&self.name, end));
        }
        wants
    }

    /// All that is new.
    fn tell(&mut self, stage: &Stage, teller: &Teller, wants: &mut Wants) {
        let lines = &mut wants.story;
        if !self.headed {
            self.headed = true;
            lines.extend(teller.head(&self.name, stage));
        }
        let resetting = stage.is_resetting();
        if resetting && !self.resetting {
            lines.extend(teller.chapter(&[("what was done before is taken back", crate::theme::Role::Busy)]));
        }
        if self.resetting && !resetting {
            lines.extend(teller.chapter(&[("the demo is at its beginning", crate::theme::Role::Good)]));
        }
        self.resetting = resetting;
        if stage.session().is_some_and(|session| session != self.show.story.session) {
            self.agent(true, false, teller, lines);
            self.spoken = 0;
        }
        if !resetting {
            self.page(stage, teller, lines);
        }
        let (seen, requests) = self.show.settle(stage, teller.now);
        wants.cmds.extend(requests.into_iter().map(Cmd::Feed));
        // What nobody could say for a moment is noise in a story, and so is what is put in order before it.
        if !resetting && (self.player.as_ref().is_none_or(Player::has_begun) || stage.current.is_none()) {
            let is_noise =
                |line: &log::Line| line.word == Word::Unknown || line.word == Word::Ok && !line.name.is_empty();
            for line in seen.iter().filter(|line| !is_noise(line)) {
                lines.extend(teller.monitor(line));
            }
            let is_over = stage.incident().is_none_or(|incident| stage::phase(incident).is_finished());
            self.agent(false, is_over, teller, lines);
            self.workload(teller, lines);
        }
    }

    fn page(&mut self, stage: &Stage, teller: &Teller, lines: &mut Vec<Line<'static>>) {
        let Some(chapter) = stage.chapter() else { return };
        // What was played before a demo that plays by itself is at its beginning is not its story.
        if self.player.as_ref().is_some_and(|player| !player.has_begun()) {
            return;
        }
        let status = stage::status(chapter);
        let told = self.pages.entry(chapter.named().to_owned()).or_default();
        if told.entered != status.entered {
            *told = Told { entered: status.entered, ..Told::default() };
            lines.extend(teller.page(stage, chapter));
        }
        if status.state == ChapterState::Countdown && !told.counted {
            told.counted = true;
            lines.extend(teller.countdown(&status));
        }
        for (index, action) in status.actions.iter().enumerate() {
            let before = told.actions.get(index).copied().unwrap_or_default();
            if before != action.state && !matches!(action.state, ActionState::Planned | ActionState::Begun) {
                lines.extend(teller.action(action, is_fault(chapter, index)));
            }
        }
        told.actions = status.actions.iter().map(|action| action.state).collect();
        if status.state == ChapterState::Waiting && !told.waits && !chapter.spec.waiting.is_empty() {
            told.waits = true;
            lines.extend(teller.waiting(chapter));
        }
        if matches!(status.state, ChapterState::Complete | ChapterState::Failed) && !told.over {
            told.over = true;
            lines.extend(teller.over(&status, told.waits));
        }
    }

    /// What the agent did since. A command is told with how it ended, so those that run wait, unless `all` is told.
    fn agent(&mut self, all: bool, is_over: bool, teller: &Teller, lines: &mut Vec<Line<'static>>) {
        let story = &self.show.story;
        let dropped = story.count.saturating_sub(story.lines.len());
        let open = [Kind::Command { good: None }, Kind::Check { good: None }];
        while let Some(line) = story.lines.get(self.spoken.saturating_sub(dropped)) {
            if open.contains(&line.kind) && !all {
                break;
            }
            lines.extend(teller.agent(line, is_over || all));
            self.spoken = self.spoken.max(dropped) + 1;
        }
    }

    fn workload(&mut self, teller: &Teller, lines: &mut Vec<Line<'static>>) {
        let gauge = &self.show.gauge;
        let is_low = if self.low { gauge.change().is_none_or(|change| change < WELL) } else { gauge.is_low() };
        if is_low != self.low {
            self.low = is_low;
            lines.extend(teller.workload(gauge, is_low));
        }
    }
}

impl Log for DemoLog {
    fn begin(&mut self, known: &Known) -> Wants {
        self.began = Some(known.now);
        if let Some(player) = &mut self.player {
            player.begin(known.now);
        }
        Wants::default()
    }

    fn feed(&mut self, event: &FeedEvent, known: &Known) -> Wants {
        if let FeedEvent::Right { right: Right::PatchChapters, granted } = event {
            self.may_not = !granted || known.settings.read_only;
        }
        self.show.feed(event, known.now);
        self.step(known)
    }

    fn done(&mut self, done: &Done, known: &Known) -> Wants {
        let mut wants = Wants::default();
        if let Done::Bad(why) = done {
            self.refused = Some(why.clone());
            let teller = Teller { settings: known.settings, now: known.now, began: self.began.unwrap_or(known.now) };
            wants.story.extend(teller.chapter(&[(why, crate::theme::Role::Warn)]));
        }
        let more = self.step(known);
        wants.story.extend(more.story);
        Wants { story: wants.story, ..more }
    }

    fn link(&mut self, line: String, known: &Known) -> Wants {
        let teller = Teller { settings: known.settings, now: known.now, began: self.began.unwrap_or(known.now) };
        Wants { story: teller.chapter(&[(&line, crate::theme::Role::Warn)]), ..Wants::default() }
    }

    fn tick(&mut self, known: &Known) -> Wants {
        self.step(known)
    }
}
