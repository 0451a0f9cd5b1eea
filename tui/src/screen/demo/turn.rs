//! Turning pages: what the next one is and whether it may be turned to. Pure.

use std::time::Duration;

use crds::DemoChapter;
use crds::demo_chapter::ChapterState;
use jiff::Timestamp;

use super::stage::{Stage, entered_at, is_asked_for, state, status};
use crate::act::Act;
use crate::time;
use crate::world::Named as _;

/// How long an answer to a patch may take before it counts as lost.
const ANSWER: Duration = Duration::from_secs(15);

/// Something that was asked for and has not come yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub act: Act,
    /// When.
    pub at: Timestamp,
}

impl Asked {
    /// Whether it has come.
    #[must_use]
    pub fn has_come(&self, stage: &Stage) -> bool {
        let named = |name: &str| stage.chapters.iter().find(|chapter| chapter.named() == name);
        match &self.act {
            Act::Enter { name, entered, .. } => named(name).is_none_or(|chapter| status(chapter).entered >= *entered),
            Act::Reset { name, reset, .. } => {
                named(name).is_none_or(|chapter| status(chapter).reset >= *reset) && stage.is_at_its_beginning()
            }
            _ => true,
        }
    }

    /// Whether it was never heard of at the API server.
    #[must_use]
    pub fn is_lost(&self, stage: &Stage, now: Timestamp) -> bool {
        let named = |name: &str| stage.chapters.iter().find(|chapter| chapter.named() == name);
        let stands = match &self.act {
            Act::Enter { name, entered, .. } => named(name).is_some_and(|chapter| chapter.spec.entered >= *entered),
            Act::Reset { name, reset, .. } => named(name).is_some_and(|chapter| chapter.spec.reset >= *reset),
            _ => true,
        };
        !stands && time::elapsed(self.at, now) > ANSWER
    }

    /// What it is, for the screen.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.act {
            Act::Reset { .. } => "resetting…".to_owned(),
            act => format!("entering {}…", act.name()),
        }
    }
}

/// Enters a chapter once more than it was.
#[must_use]
pub fn enter(chapter: &DemoChapter) -> Act {
    Act::Enter {
        namespace: chapter.space().to_owned(),
        name: chapter.named().to_owned(),
        entered: chapter.spec.entered + 1,
    }
}

/// The chapter after this one, or why not.
///
/// # Errors
/// A sentence that says what to do.
pub fn next(stage: &Stage, forced: bool) -> Result<Act, String> {
    ready(stage)?;
    let Some(index) = stage.current else {
        return stage.chapters.first().map(|first| enter(first)).ok_or_else(|| "it has no chapters".to_owned());
    };
    let current = stage.chapters[index];
    let following = stage.chapters.get(index + 1);
    match state(current) {
        _ if following.is_none() => Err("this is the last chapter: R goes back to the beginning".to_owned()),
        ChapterState::Countdown | ChapterState::Acting if !forced => {
            Err("wait until its actions are done; N turns the page all the same".to_owned())
        }
        ChapterState::Waiting if !forced => {
            let what = if current.spec.waiting.is_empty() { "it is complete" } else { &current.spec.waiting };
            Err(format!("it waits until {what}; N turns the page all the same"))
        }
        ChapterState::Failed if !forced => {
            Err("an action failed; N turns the page all the same, R goes back to the beginning".to_owned())
        }
        _ => following.map(|chapter| enter(chapter)).ok_or_else(String::new),
    }
}

/// The chapter before this one, or why not.
///
/// # Errors
/// A sentence.
pub fn back(stage: &Stage) -> Result<Act, String> {
    ready(stage)?;
    match stage.current {
        Some(index) if index > 0 => Ok(enter(stage.chapters[index - 1])),
        Some(_) => Err("this is the first chapter".to_owned()),
        None => Err("no chapter was entered yet: space begins".to_owned()),
    }
}

/// Back to the beginning, or why not.
///
/// # Errors
/// A sentence.
pub fn reset(stage: &Stage) -> Result<Act, String> {
    if stage.is_resetting() {
        return Err("it is being brought back already".to_owned());
    }
    let first = stage.chapters.first().ok_or_else(|| "it has no chapters".to_owned())?;
    Ok(Act::Reset { namespace: first.space().to_owned(), name: first.named().to_owned(), reset: first.spec.reset + 1 })
}

fn ready(stage: &Stage) -> Result<(), String> {
    if let Some(why) = stage.refused() {
        return Err(why);
    }
    if stage.is_resetting() {
        return Err("wait until it is back at its beginning".to_owned());
    }
    match stage.chapters.iter().find(|chapter| is_asked_for(chapter)) {
        Some(chapter) => Err(format!("{} is being entered", chapter.named())),
        None => Ok(()),
    }
}

/// What a demo that plays by itself does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// Nothing, yet.
    Wait,
    /// This.
    Do(Act),
    /// It is over.
    End(Result<(), String>),
}

/// Plays a demo by itself, from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Player {
    pause: Duration,
    limit: Duration,
    began: Option<Timestamp>,
    was_reset: bool,
    asked: Option<Asked>,
    /// The page that is open, and since when it is.
    page: Option<(String, i64, Timestamp)>,
    /// Since when it is complete.
    complete: Option<Timestamp>,
}

impl Player {
    /// One that waits so long at a chapter's end, and for a chapter no longer than `limit`.
    #[must_use]
    pub fn new(pause: Duration, limit: Duration) -> Self {
        Self { pause, limit, began: None, was_reset: false, asked: None, page: None, complete: None }
    }

    /// What to do now.
    pub fn play(&mut self, stage: &Stage, now: Timestamp) -> Play {
        let began = *self.began.get_or_insert(now);
        if let Some(why) = stage.refused() {
            return Play::End(Err(why));
        }
        let since = self.page.as_ref().map_or(began, |(_, _, since)| *since);
        if time::elapsed(since, now) > self.limit {
            let what = self.page.as_ref().map_or("the beginning", |(name, _, _)| name);
            return Play::End(Err(format!("{what} was not over within {} s", self.limit.as_secs())));
        }
        if let Some(asked) = &self.asked {
            if asked.is_lost(stage, now) {
                return Play::End(Err(format!("the API server did not take it: {}", asked.act.call()[0])));
            }
            if !asked.has_come(stage) {
                return Play::Wait;
            }
            self.asked = None;
        }
        if !self.was_reset {
            self.was_reset = true;
            if !stage.is_at_its_beginning() {
                return reset(stage).map_or(Play::Wait, |act| self.ask(act, now));
            }
        }
        if stage.is_resetting() {
            return Play::Wait;
        }
        let Some(index) = stage.current else {
            return next(stage, false).map_or_else(|why| Play::End(Err(why)), |act| self.ask(act, now));
        };
        let chapter = stage.chapters[index];
        let entered = status(chapter).entered;
        let is_new = self.page.as_ref().is_none_or(|(name, times, _)| name != chapter.named() || *times != entered);
        if is_new {
            self.page =
                Some((chapter.named().to_owned(), entered, entered_at(chapter).map_or(now, |at| at.max(began))));
            self.complete = None;
        }
        match state(chapter) {
            ChapterState::Failed => {
                let why = status(chapter).message.unwrap_or_else(|| "an action failed".to_owned());
                Play::End(Err(format!("{}: {why}", chapter.named())))
            }
            ChapterState::Complete => {
                let since = *self.complete.get_or_insert(now);
                if time::elapsed(since, now) < self.pause {
                    return Play::Wait;
                }
                if index + 1 == stage.chapters.len() {
                    return Play::End(stage.verdict());
                }
                next(stage, false).map_or(Play::Wait, |act| self.ask(act, now))
            }
            // It waits for an end that will not come any more.
            ChapterState::Waiting if stage.is_lost() => Play::End(stage.verdict()),
            _ => Play::Wait,
        }
    }

    fn ask(&mut self, act: Act, now: Timestamp) -> Play {
        self.asked = Some(Asked { act: act.clone(), at: now });
        Play::Do(act)
    }
}
