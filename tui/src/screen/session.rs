//! The Session screen: what the agent thinks, runs, changes and concludes, as it happens or as it was.
//!
//! [`digest`] makes entries small and masks them, [`transcript`] holds a window of them, [`step`] puts together what
//! belongs together, [`layout`] knows where each step stands, [`rows`] draws one, [`reading`] is where somebody reads.

mod acts;
pub mod attempts;
pub mod digest;
mod document;
mod draw;
pub mod export;
pub mod layout;
mod news;
pub mod output;
pub mod reading;
pub mod rows;
pub mod search;
pub mod step;
pub mod subject;
#[cfg(test)]
mod tests;
pub mod transcript;

use std::time::Duration;

use audit_client::SessionId;
use jiff::Timestamp;
use kube::ResourceExt as _;
use ratatui::Frame;
use ratatui::layout::Rect;
use regex::Regex;

use crate::ask::{Ask, SessionTarget};
use crate::feed::{FeedEvent, Link, Request, Source};
use crate::keymap::{Action, Context};
use crate::page::{Ctx, Page, Purpose, Typed};
use crate::time;
use crate::world::Uid;
use attempts::Attempts;
use layout::{Folds, Layout};
use reading::{Move, Reading};
use rows::Canvas;
use subject::Subject;
use transcript::{END, PAGE, START, Transcript};

/// Between two questions for the row of a session that is over.
const ROW: Duration = Duration::from_secs(2);
/// How often it is asked for.
const ROWS: u32 = 5;

/// Something for which an entry is fetched whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    /// To be read in the pager.
    Read,
    /// Its output is to be copied.
    Copy,
}

/// Its state.
#[derive(Debug)]
pub struct State {
    /// The Incident's name, if that is all that is known.
    named: Option<String>,
    /// The Incident's UID, once it is known.
    uid: Option<Uid>,
    subject: Subject,
    attempts: Attempts,
    transcript: Transcript,
    /// Whether lines of the Incident's status stand in for entries that cannot be read.
    recent: bool,
    following: bool,
    layout: Layout,
    folds: Folds,
    reading: Reading,
    search: Option<Regex>,
    /// Whether a match is looked for beyond what is here, and whether further down.
    hunting: Option<bool>,
    /// When the row of a session that is over was asked for last, and how often.
    row: (Option<Timestamp>, u32),
    /// The entry that is awaited, and what for.
    errand: Option<(i64, Errand)>,
}

impl State {
    /// The screen at its beginning.
    #[must_use]
    pub fn new(target: SessionTarget) -> Self {
        let (uid, id, named) = match target {
            SessionTarget::Id(id) if SessionId::is_valid(&id) => (None, Some(id), None),
            // An Incident's name stands for its session.
            SessionTarget::Id(name) => (None, None, Some(name)),
            SessionTarget::Incident { uid } => (Some(uid), None, None),
        };
        Self {
            named,
            uid,
            subject: Subject { id, ..Subject::default() },
            attempts: Attempts::default(),
            transcript: Transcript::default(),
            recent: false,
            following: false,
            layout: Layout::default(),
            folds: Folds::default(),
            reading: Reading::default(),
            search: None,
            hunting: None,
            row: (None, 0),
            errand: None,
        }
    }

    /// Asks for all that is needed of the session.
    fn begin(&mut self) -> Vec<Ask> {
        let Some(session) = self.subject.id.clone() else { return Vec::new() };
        let place = self.transcript.jump(END);
        let page = Request::Page { session: session.clone(), place, limit: PAGE };
        vec![ask(Request::Session { session }), ask(page)]
    }

    /// Lets the session go.
    fn end(&mut self) -> Vec<Ask> {
        let session = self.subject.id.clone().filter(|_| std::mem::take(&mut self.following));
        session.map(|session| ask(Request::Unfollow { session })).into_iter().collect()
    }

    /// Another session of the same Incident.
    fn switch(&mut self, id: String) -> Vec<Ask> {
        let mut asks = self.end();
        let kept = std::mem::replace(self, Self::new(SessionTarget::Id(id.clone())));
        self.uid = kept.uid;
        self.attempts = kept.attempts;
        self.search = kept.search;
        self.subject = Subject { id: Some(id), record: None, ..kept.subject };
        asks.extend(self.begin());
        asks
    }

    fn over(&self) -> bool {
        self.subject.is_over(&self.transcript)
    }

    fn canvas<'a>(&'a self, ctx: &Ctx<'a>) -> Canvas<'a> {
        let last = self.transcript.last().max(1);
        Canvas {
            settings: ctx.settings,
            width: usize::from(ctx.body.width),
            digits: last.to_string().len().max(2),
            now: ctx.now,
            over: self.over(),
            search: self.search.as_ref(),
        }
    }

    /// The rows that the steps have.
    fn height(&self, ctx: &Ctx) -> usize {
        usize::from(draw::places(self, ctx).rows.height).max(1)
    }

    /// How the session's connection stands.
    fn link<'a>(&self, ctx: &Ctx<'a>) -> Option<&'a Link> {
        let source = self.source()?;
        ctx.world.connection(&source).map(|connection| &connection.link)
    }

    /// Begins to follow once it is known from where.
    fn follow(&mut self) -> Option<Ask> {
        let session = self.subject.id.clone()?;
        let ready = self.transcript.has_begun() && !self.recent && !self.transcript.is_sealed();
        if self.following || !ready || !self.transcript.is_at_end() {
            return None;
        }
        self.following = true;
        Some(ask(Request::Follow { session, after: self.transcript.end() }))
    }

    /// Asks for what is about to come into sight.
    fn wants(&mut self, height: usize) -> Option<Ask> {
        let session = self.subject.id.clone().filter(|_| !self.recent)?;
        let steps = self.layout.steps();
        let top = steps.get(self.layout.at_row(self.reading.top))?.seq;
        let bottom = steps.get(self.layout.at_row(self.reading.top + height))?.last;
        // What has no step of its own is in sight as well at either end.
        let first = if self.layout.at_row(self.reading.top) == 0 { 1 } else { top };
        let last = if self.reading.top + height >= self.layout.rows() { self.transcript.end() } else { bottom };
        let place = self.transcript.wants(first, last)?;
        Some(ask(Request::Page { session, place, limit: PAGE }))
    }

    fn go(&mut self, way: Move, ctx: &Ctx) -> Vec<Ask> {
        let height = self.height(ctx);
        let forward = matches!(way, Move::Step(true) | Move::Rows(1..));
        if forward && self.reading.follow {
            return Vec::new();
        }
        let moved = self.reading.go(way, &self.layout, height);
        if moved {
            self.reading.pause(self.transcript.last());
        } else if forward && self.transcript.is_at_end() {
            // Who goes on at the end follows it.
            self.reading.to_end(&self.layout, height);
        }
        Vec::new()
    }

    /// To the first or the last entry, wherever that is.
    fn leap(&mut self, end: bool, ctx: &Ctx) -> Vec<Ask> {
        let place = if end { END } else { START };
        if !end {
            self.reading.pause(self.transcript.last());
        }
        if !self.recent
            && self.transcript.is_far(place)
            && let Some(session) = self.subject.id.clone()
        {
            self.reading.follow = end;
            if !end {
                self.reading.to_start();
            }
            self.transcript.jump(place);
            return vec![ask(Request::Page { session, place, limit: PAGE })];
        }
        let height = self.height(ctx);
        if end {
            self.reading.to_end(&self.layout, height);
        } else {
            self.reading.choose(0, &self.layout, height);
        }
        Vec::new()
    }

    /// To the next step of a kind; whether there was one here.
    fn seek(&mut self, forward: bool, ctx: &Ctx, fits: impl Fn(&Self, usize) -> bool) -> bool {
        let (now, all) = (self.reading.index(&self.layout), self.layout.steps().len());
        let found = if forward {
            (now + 1..all).find(|index| fits(self, *index))
        } else {
            (0..now.min(all)).rev().find(|index| fits(self, *index))
        };
        if let Some(index) = found {
            self.reading.pause(self.transcript.last());
            let height = self.height(ctx);
            self.reading.choose(index, &self.layout, height);
        }
        found.is_some()
    }

    fn fits(&self, index: usize) -> bool {
        let search = self.search.as_ref();
        search.is_some_and(|s| search::matches(&self.layout.steps()[index], self.transcript.entries(), s))
    }

    /// To a match, if need be beyond what is here.
    fn hunt(&mut self, forward: bool, ctx: &Ctx) -> Vec<Ask> {
        if self.search.is_none() {
            return vec![Ask::Complain("nothing is searched for: / begins".to_owned())];
        }
        self.hunting = None;
        if self.seek(forward, ctx, Self::fits) {
            return Vec::new();
        }
        let Some(session) = self.subject.id.clone().filter(|_| !self.recent) else { return missed(forward) };
        match self.transcript.beyond(forward) {
            Some(place) => {
                self.hunting = Some(forward);
                vec![ask(Request::Page { session, place, limit: PAGE })]
            }
            None => missed(forward),
        }
    }

    /// Whether the session is over and its row does not say so yet: it is written right after the last entry.
    fn row_is_late(&self) -> bool {
        let running = self.subject.record.as_ref().is_some_and(|record| record.state.ended_at.is_none());
        running && self.transcript.is_sealed() && self.row.1 < ROWS
    }

    /// Asks for the row again, until it says how the session ended.
    fn row(&mut self, now: Timestamp) -> Option<Ask> {
        let due = self.row.0.is_none_or(|asked| time::elapsed(asked, now) >= ROW);
        if !due || !self.row_is_late() {
            return None;
        }
        self.row = (Some(now), self.row.1 + 1);
        self.subject.id.clone().map(|session| ask(Request::Session { session }))
    }

    fn fold(&mut self) {
        if let Some(step) = self.layout.steps().get(self.reading.index(&self.layout)) {
            self.folds.set(step.seq, !self.layout.is_open(step.seq));
            self.reading.pause(self.transcript.last());
        }
    }
}

fn missed(forward: bool) -> Vec<Ask> {
    let (here, there) = if forward { ("below", "N goes up") } else { ("above", "n goes down") };
    vec![Ask::Say(format!("no further match {here}; {there}"))]
}

/// A wish of the feed.
fn ask(request: Request) -> Ask {
    Ask::Do(request.into())
}

impl Page for State {
    fn context(&self) -> Context {
        Context::Session
    }

    fn crumbs(&self, ctx: &Ctx) -> Vec<String> {
        let room = ctx.body.width;
        let mut crumbs = if room < 80 { Vec::new() } else { vec!["incidents".to_owned()] };
        let of_world = || self.uid.as_ref().and_then(|uid| ctx.world.incidents.get(uid)).map(|i| i.name_any());
        crumbs.extend(self.subject.name().map(|(_, name)| name).or_else(of_world).or_else(|| self.named.clone()));
        if self.subject.id.is_some() && (room >= 70 || crumbs.is_empty()) {
            crumbs.push(format!("{}{}", self.subject.short(), self.attempts.label(self.subject.attempt())));
        }
        crumbs
    }

    fn facts(&self, ctx: &Ctx) -> Vec<String> {
        let took = self.subject.took(&self.transcript, ctx.now).map(time::stopwatch);
        let last = self.transcript.last();
        let step = (last > 0).then(|| format!("step {}", crate::text::number(u64::try_from(last).unwrap_or(0))));
        [step, took, self.subject.cost(self.over())].into_iter().flatten().collect()
    }

    fn source(&self) -> Option<Source> {
        self.subject.id.clone().map(Source::Session)
    }

    fn filter(&self) -> Option<String> {
        self.search.as_ref().map(|search| search.as_str().to_owned())
    }

    fn enter(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let mut asks = self.recognise(ctx);
        if !self.transcript.has_begun() && !self.transcript.is_waiting() {
            asks.extend(self.begin());
        }
        asks
    }

    fn close(&mut self, _: &Ctx) -> Vec<Ask> {
        self.end()
    }

    fn act(&mut self, action: Action, ctx: &Ctx) -> Vec<Ask> {
        self.hunting = None;
        let height = isize::try_from(self.height(ctx)).unwrap_or(isize::MAX);
        match action {
            Action::Down => self.go(Move::Step(true), ctx),
            Action::Up => self.go(Move::Step(false), ctx),
            Action::HalfDown => self.go(Move::Rows((height / 2).max(1)), ctx),
            Action::HalfUp => self.go(Move::Rows(-(height / 2).max(1)), ctx),
            Action::PageDown => self.go(Move::Rows((height - 1).max(1)), ctx),
            Action::PageUp => self.go(Move::Rows(-(height - 1).max(1)), ctx),
            Action::Top => self.leap(false, ctx),
            Action::Bottom => self.leap(true, ctx),
            Action::Fold => {
                self.fold();
                Vec::new()
            }
            Action::FoldAll => self.fold_all(),
            Action::PreviousCommand | Action::NextCommand => {
                let forward = action == Action::NextCommand;
                let fits = |state: &Self, index: usize| state.layout.steps()[index].is_command();
                self.none(forward, "command", ctx, fits)
            }
            Action::PreviousFailed | Action::NextFailed => {
                let forward = action == Action::NextFailed;
                let fits = |state: &Self, index: usize| state.failed(index);
                self.none(forward, "failed step", ctx, fits)
            }
            Action::NextMatch => self.hunt(true, ctx),
            Action::PreviousMatch => self.hunt(false, ctx),
            Action::Filter => {
                let text = self.filter().unwrap_or_default();
                vec![Ask::Prompt { purpose: Purpose::Search, text }]
            }
            Action::Open => self.fetch(Errand::Read),
            Action::Copy => self.copy_command(),
            Action::CopyOutput => self.fetch(Errand::Copy),
            Action::Describe => self.describe(ctx),
            Action::PreviousAttempt => self.attempt(-1),
            Action::NextAttempt => self.attempt(1),
            Action::Export => self.export(ctx),
            Action::Cancel => self.cancel(),
            Action::Retry => self.retry(),
            Action::Note => self.note(),
            _ => Vec::new(),
        }
    }

    fn typed(&mut self, purpose: Purpose, text: &str, typed: Typed, ctx: &Ctx) -> Result<Vec<Ask>, String> {
        if typed != Typed::Done {
            return Ok(Vec::new());
        }
        match purpose {
            Purpose::Filter | Purpose::Search if text.is_empty() => {
                (self.search, self.hunting) = (None, None);
                Ok(Vec::new())
            }
            Purpose::Filter | Purpose::Search => {
                self.search = Some(search::compile(text)?);
                let now = self.reading.index(&self.layout);
                if self.layout.steps().get(now).is_some() && self.fits(now) {
                    return Ok(Vec::new());
                }
                // From the end one looks back.
                let forward = !self.reading.follow;
                Ok(self.hunt(forward, ctx))
            }
            Purpose::Note => self.noted(text, ctx),
            Purpose::Export => self.exported(text),
            Purpose::Command => Ok(Vec::new()),
        }
    }

    fn feed(&mut self, event: &FeedEvent, ctx: &Ctx) -> Vec<Ask> {
        self.heard(event, ctx)
    }

    fn settle(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let mut asks = self.recognise(ctx);
        self.stand_in(ctx);
        let mut layout = std::mem::take(&mut self.layout);
        let moved = layout.settle(&self.transcript, &self.folds, &self.canvas(ctx));
        self.layout = layout;
        let height = self.height(ctx);
        if moved || self.reading.follow {
            self.reading.settle(&self.layout, height);
        }
        if let Some(forward) = self.hunting.filter(|_| moved && !self.transcript.is_waiting()) {
            asks.extend(self.hunt(forward, ctx));
        }
        asks.extend(self.wants(height));
        asks.extend(self.row(ctx.now));
        asks
    }

    fn tick(&self, ctx: &Ctx) -> Option<Duration> {
        if self.row_is_late() {
            return Some(ROW);
        }
        (!self.over() && self.subject.began(&self.transcript).is_some() && self.link(ctx).is_none_or(Link::is_live))
            .then_some(Duration::from_secs(1))
    }

    fn draw(&self, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        draw::draw(self, &Ctx { body: area, ..*ctx }, frame);
    }
}
