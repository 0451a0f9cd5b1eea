//! Turning pages by hand: what the next one is and whether it may be turned to. Pure.
//!
//! A page is turned by raising a number: the one that was read, and one more. So two screens that turn to the same page
//! at the same time say the same, and it is entered once; who has read an older number is refused by the API server.

use std::time::Duration;

use crds::DemoChapter;
use crds::demo_chapter::ChapterState;
use jiff::Timestamp;

use super::stage::{Stage, is_asked_for, state, status};
use crate::act::Act;
use crate::keymap::{Action, Context};
use crate::settings::Settings;
use crate::time;
use crate::world::Named as _;

/// How long it may take until a change is seen before it counts as lost.
const ANSWER: Duration = Duration::from_secs(20);
/// After this long the screen says what may be wrong.
const LONG: Duration = Duration::from_secs(8);

/// What the keys are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The next page.
    pub next: String,
    /// The next page all the same.
    pub force: String,
    /// Back to the beginning.
    pub reset: String,
}

impl Keys {
    /// As the keymap has them.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let key = |action| settings.keymap.key(Context::Demo, action).unwrap_or_else(|| "no key".to_owned());
        Self { next: key(Action::Next), force: key(Action::Force), reset: key(Action::Reset) }
    }
}

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
        match &self.act {
            Act::Enter { name, entered, .. } => {
                stage.named(name).is_none_or(|chapter| status(chapter).entered >= *entered)
            }
            Act::Reset { name, reset, .. } => {
                let is_done = stage.named(name).is_none_or(|chapter| status(chapter).reset >= *reset);
                // Who turns a page right after it does not wait for a beginning that is over.
                is_done && (stage.is_at_its_beginning() || (!stage.is_resetting() && stage.current.is_some()))
            }
            _ => true,
        }
    }

    /// Whether the API server has it.
    fn stands(&self, stage: &Stage) -> bool {
        match &self.act {
            Act::Enter { name, entered, .. } => {
                stage.named(name).is_some_and(|chapter| chapter.spec.entered >= *entered)
            }
            Act::Reset { name, reset, .. } => stage.named(name).is_some_and(|chapter| chapter.spec.reset >= *reset),
            _ => true,
        }
    }

    /// Whether it was not heard of again.
    #[must_use]
    pub fn is_lost(&self, stage: &Stage, now: Timestamp) -> bool {
        !self.stands(stage) && time::elapsed(self.at, now) > ANSWER
    }

    /// What is going on, for the screen.
    #[must_use]
    pub fn words(&self, stage: &Stage, now: Timestamp, more: &str) -> String {
        let took = time::elapsed(self.at, now);
        let doubt = if took < LONG {
            ""
        } else if self.stands(stage) {
            ": the controller has not answered; does it run, with demo.enabled?"
        } else {
            ": the API server has not answered"
        };
        let what = match &self.act {
            Act::Reset { .. } => format!("resetting{more}"),
            act => format!("entering {}{more}", act.name()),
        };
        if doubt.is_empty() { what } else { format!("{what} {}{doubt}", time::age(took)) }
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

/// The first chapter, or the one after the open one, whatever that is at.
#[must_use]
pub fn following(stage: &Stage) -> Option<Act> {
    let index = stage.current.map_or(0, |index| index + 1);
    ready(stage).ok().and_then(|()| stage.chapters.get(index)).map(|chapter| enter(chapter))
}

/// The chapter after this one, or why not.
///
/// # Errors
/// A sentence that says what to do.
pub fn next(stage: &Stage, forced: bool, keys: &Keys) -> Result<Act, String> {
    ready(stage)?;
    let Keys { force, reset, .. } = keys;
    let Some(index) = stage.current else {
        return stage.chapters.first().map(|first| enter(first)).ok_or_else(|| "it has no chapters".to_owned());
    };
    let current = stage.chapters[index];
    let Some(following) = stage.chapters.get(index + 1) else {
        let how = if state(current) == ChapterState::Complete { "" } else { "; it is not complete yet" };
        return Err(format!("this is the last chapter{how}: {reset} brings everything back to the beginning"));
    };
    match state(current) {
        ChapterState::Countdown | ChapterState::Acting if !forced => {
            Err(format!("wait until its actions are done ({force} turns the page all the same)"))
        }
        ChapterState::Waiting if !forced => {
            Err(format!("it waits for: {} ({force} turns the page all the same)", waits_for(current)))
        }
        ChapterState::Failed if !forced => {
            Err(format!("an action failed: {force} turns the page all the same, {reset} brings everything back"))
        }
        ChapterState::Left if !forced => Err("another chapter is being entered".to_owned()),
        _ => Ok(enter(following)),
    }
}

/// The chapter before this one, or why not.
///
/// # Errors
/// A sentence.
pub fn back(stage: &Stage, keys: &Keys) -> Result<Act, String> {
    ready(stage)?;
    match stage.current {
        Some(index) if index > 0 => Ok(enter(stage.chapters[index - 1])),
        Some(_) => Err("this is the first chapter".to_owned()),
        None => Err(format!("no chapter was entered yet: {} begins", keys.next)),
    }
}

/// Back to the beginning, or why not.
///
/// # Errors
/// A sentence.
pub fn reset(stage: &Stage) -> Result<Act, String> {
    if stage.is_resetting() {
        return Err("it is being brought back to the beginning already".to_owned());
    }
    let first = stage.chapters.first().ok_or_else(|| "it has no chapters".to_owned())?;
    Ok(Act::Reset { namespace: first.space().to_owned(), name: first.named().to_owned(), reset: first.spec.reset + 1 })
}

/// What a chapter waits for, in words.
#[must_use]
pub fn waits_for(chapter: &DemoChapter) -> &str {
    let waiting = chapter.spec.waiting.trim();
    if waiting.is_empty() { "what completes it" } else { waiting }
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
