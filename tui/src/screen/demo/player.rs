//! A demo that plays by itself, from its beginning to its end. Pure: it is shown the stage and the clock, and says what to
//! do.
//!
//! It keeps little, because all that matters is in the cluster: a controller that ends and comes back, or a hand that
//! turns a page meanwhile, changes what it sees and not what it does.

use std::time::Duration;

use crds::demo_chapter::{Advance, ChapterState};
use jiff::Timestamp;

use super::stage::{Stage, state, status};
use super::turn::{self, Asked, waits_for};
use crate::act::Act;
use crate::time;
use crate::world::Named as _;

/// How often in a row a change may be refused.
const REFUSALS: u32 = 5;
/// Between two tries.
const AGAIN: Duration = Duration::from_secs(3);
/// How long something may be wrong that can pass by itself: a chapter that is not accepted or not looked at yet, an
/// Incident that ended badly and may be tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// Nothing, yet.
    Wait,
    /// This.
    Do(Act),
    /// It is over.
    End(Result<(), String>),
}

/// Who plays.
#[derive(Clone, Debug)]
pub struct Player {
    pause: Duration,
    limit: Duration,
    began: Option<Timestamp>,
    /// Whether the demo was at its beginning.
    prepared: bool,
    asked: Option<Asked>,
    refusals: u32,
    refused: Option<(Timestamp, String)>,
    /// The chapter that is complete, how often it was entered, and since when that is known.
    complete: Option<(String, i64, Timestamp)>,
    /// What is wrong, and since when.
    wrong: Option<(Timestamp, String)>,
}

impl Player {
    /// One that waits so long at each chapter's end, and gives up after `limit`.
    #[must_use]
    pub fn new(pause: Duration, limit: Duration) -> Self {
        Self {
            pause,
            limit,
            began: None,
            prepared: false,
            asked: None,
            refusals: 0,
            refused: None,
            complete: None,
            wrong: None,
        }
    }

    /// What is asked for and has not come.
    #[must_use]
    pub fn asked(&self) -> Option<&Asked> {
        self.asked.as_ref()
    }

    /// Whether it is at work on the demo, and no longer on the way to its beginning.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.prepared
    }

    /// Its time runs from now on, whatever can be seen of the stage.
    pub fn begin(&mut self, now: Timestamp) {
        self.began.get_or_insert(now);
    }

    /// Whether the time limit is over.
    #[must_use]
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.began.is_some_and(|began| time::elapsed(began, now) >= self.limit)
    }

    /// The last change was refused.
    pub fn refused(&mut self, why: &str, now: Timestamp) {
        if self.asked.take().is_some() {
            self.refusals += 1;
            self.refused = Some((now, why.to_owned()));
        }
    }

    /// What to do now.
    pub fn play(&mut self, stage: &Stage, now: Timestamp) -> Play {
        self.begin(now);
        if self.is_late(now) {
            return Play::End(Err(self.late(stage)));
        }
        if let Some(end) = self.give_up(stage, now) {
            return end;
        }
        if let Some(asked) = &self.asked {
            if asked.has_come(stage) {
                (self.asked, self.refusals, self.refused) = (None, 0, None);
            } else if asked.is_lost(stage, now) {
                self.refused("the API server did not answer", now);
            } else {
                return Play::Wait;
            }
        }
        if self.refused.as_ref().is_some_and(|(at, _)| time::elapsed(*at, now) < AGAIN) || stage.is_resetting() {
            return Play::Wait;
        }
        if !self.prepared {
            if !stage.is_at_its_beginning() {
                return turn::reset(stage).map_or(Play::Wait, |act| self.ask(act, now));
            }
            self.prepared = true;
        }
        self.turn(stage, now)
    }

    fn turn(&mut self, stage: &Stage, now: Timestamp) -> Play {
        let Some(index) = stage.current else {
            return turn::following(stage).map_or(Play::Wait, |act| self.ask(act, now));
        };
        let chapter = stage.chapters[index];
        match state(chapter) {
            ChapterState::Failed => {
                let why = status(chapter).message.unwrap_or_else(|| "an action failed".to_owned());
                Play::End(Err(format!("{}: {why}", chapter.named())))
            }
            ChapterState::Complete => {
                let entered = status(chapter).entered;
                let known =
                    self.complete.take().filter(|(name, times, _)| name == chapter.named() && *times == entered);
                let (name, times, since) = known.unwrap_or_else(|| (chapter.named().to_owned(), entered, now));
                self.complete = Some((name, times, since));
                let is_last = index + 1 == stage.chapters.len();
                if time::elapsed(since, now) < self.pause {
                    Play::Wait
                } else if is_last {
                    Play::End(stage.verdict())
                } else if chapter.spec.advance == Advance::Auto {
                    // The controller turns this page.
                    Play::Wait
                } else {
                    turn::following(stage).map_or(Play::Wait, |act| self.ask(act, now))
                }
            }
            _ => Play::Wait,
        }
    }

    fn ask(&mut self, act: Act, now: Timestamp) -> Play {
        self.asked = Some(Asked { act: act.clone(), at: now });
        Play::Do(act)
    }

    /// What was wrong for too long.
    fn give_up(&mut self, stage: &Stage, now: Timestamp) -> Option<Play> {
        if self.refusals >= REFUSALS {
            let why = self.refused.as_ref().map(|(_, why)| why.clone()).unwrap_or_default();
            return Some(Play::End(Err(why)));
        }
        let unseen = || {
            let name = stage.unseen()?.named();
            Some(format!("no controller has looked at {name}: does one run, and is demo.enabled set?"))
        };
        // What an Incident came to before the demo was brought to its beginning is nobody's business.
        let lost = || if self.prepared { stage.lost() } else { None };
        let Some(why) = stage.refused().or_else(unseen).or_else(lost) else {
            self.wrong = None;
            return None;
        };
        let since = match self.wrong.take() {
            Some((since, before)) if before == why => since,
            _ => now,
        };
        self.wrong = Some((since, why.clone()));
        (time::elapsed(since, now) >= PATIENCE).then_some(Play::End(Err(why)))
    }

    /// Why it is not over yet.
    fn late(&self, stage: &Stage) -> String {
        let limit = time::age(self.limit);
        let what = match (stage.chapter(), stage.current) {
            _ if stage.is_resetting() => "it is still being brought back to its beginning".to_owned(),
            (Some(chapter), Some(index)) => {
                let place = format!("chapter {}/{} ({})", index + 1, stage.chapters.len(), chapter.named());
                match state(chapter) {
                    ChapterState::Waiting => format!("{place} still waits for: {}", waits_for(chapter)),
                    ChapterState::Complete => format!("{place} is complete, and the next one was not entered"),
                    _ => format!("{place} is not over"),
                }
            }
            _ => "it has not begun".to_owned(),
        };
        let refused = self.refused.as_ref().map(|(_, why)| format!("; {why}")).unwrap_or_default();
        let incident = stage
            .incident()
            .map(|incident| format!("; {} is {}", incident.named(), super::stage::phase(incident).as_str()));
        format!("the time limit of {limit} is over: {what}{}{refused}", incident.unwrap_or_default())
    }
}
