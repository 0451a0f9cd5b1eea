//! What a chapter's status says. Pure.

use crds::DemoChapter;
use crds::condition::{ConditionStatus, find, set_condition};
use crds::demo_chapter::{ActionState, ActionStatus, ChapterState, DemoChapterStatus};
use crds::fault::Action;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::record::{Act, ActId, How, Record, Turn, TurnKind};
use super::validate::Chapter;
use crate::fault;
use crate::printable::short_line;

/// Whether it can be played.
pub const ACCEPTED: &str = "Accepted";
/// Whether it is the demo's current chapter.
pub const ENTERED: &str = "Entered";
/// Whether what it waits for has come.
pub const COMPLETE: &str = "Complete";

/// Characters of a message.
const LONGEST: usize = 300;

/// What is known beside the chapter.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// What is on record.
    pub record: &'a Record,
    /// The model that plays.
    pub model: &'a str,
    /// What the demo waits for, or what is in its way.
    pub says: Option<&'a str>,
    /// Why what is waited for cannot be judged.
    pub unknown: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

/// The status of a chapter.
#[must_use]
pub fn status(chapter: &Chapter, facts: &Facts<'_>) -> DemoChapterStatus {
    let object = &chapter.object;
    let old = object.status.clone().unwrap_or_default();
    let record = facts.record;
    let uid = chapter.uid();
    let turn = record.entered().rfind(|turn| turn.new.chapter_uid == uid);
    let is_current = turn.is_some_and(|turn| record.current().map(|current| current.id) == Some(turn.id));
    let state = state(chapter, facts, turn, is_current, &uid);
    let mut status = DemoChapterStatus {
        observed_generation: object.metadata.generation,
        conditions: old.conditions,
        state,
        entered: old.entered.max(record.number(&uid, TurnKind::Enter)),
        reset: old.reset.max(reset_done(record, &uid)),
        entered_at: turn.map(|turn| time(turn.new.at)),
        acts_at: turn.filter(|turn| turn.new.acts_at > turn.new.at).map(|turn| time(turn.new.acts_at)),
        completed_at: turn
            .and_then(|turn| turn.end.as_ref())
            .filter(|end| end.how == How::Complete)
            .map(|end| time(end.at)),
        message: message(chapter, facts, state, turn, is_current),
        model: Some(short_line(facts.model, 128)).filter(|model| !model.is_empty()),
        actions: turn.map(|turn| actions(object, record, turn)).unwrap_or_default(),
    };
    conditions(&mut status, chapter, facts, is_current);
    status
}

/// What was reset, as far as it is over.
fn reset_done(record: &Record, uid: &str) -> i64 {
    let open = record
        .turns
        .iter()
        .any(|turn| turn.new.kind == TurnKind::Reset && turn.new.chapter_uid == uid && turn.end.is_none());
    if open { 0 } else { record.number(uid, TurnKind::Reset) }
}

fn state(chapter: &Chapter, facts: &Facts<'_>, turn: Option<&Turn>, is_current: bool, uid: &str) -> ChapterState {
    let record = facts.record;
    if record.going_back().is_some() {
        return ChapterState::Resetting;
    }
    let superseded = || {
        // What was never the current one was left all the same, unless the demo is at its beginning.
        let one = |turn: &&Turn| turn.new.kind == TurnKind::Enter && turn.new.chapter_uid == uid;
        record.current().is_some() && record.turns.iter().rev().find(one).is_some_and(Turn::is_superseded)
    };
    let Some(turn) = turn else {
        return if superseded() { ChapterState::Left } else { ChapterState::Idle };
    };
    if !is_current {
        return ChapterState::Left;
    }
    match turn.how() {
        Some(How::Failed) => return ChapterState::Failed,
        Some(_) => return ChapterState::Complete,
        None => {}
    }
    if turn.new.acts_at > turn.new.at && facts.now < turn.new.acts_at {
        return ChapterState::Countdown;
    }
    let over = record.acts_of(turn.id).filter(|act| act.state != ActionState::Begun).count();
    if over < chapter.object.spec.actions.len() { ChapterState::Acting } else { ChapterState::Waiting }
}

fn message(
    chapter: &Chapter,
    facts: &Facts<'_>,
    state: ChapterState,
    turn: Option<&Turn>,
    is_current: bool,
) -> Option<String> {
    let spec = &chapter.object.spec;
    let said = match state {
        ChapterState::Idle | ChapterState::Left => None,
        ChapterState::Failed => turn.and_then(|turn| turn.end.as_ref()?.message.clone()),
        ChapterState::Complete => turn.and_then(|turn| unknown(facts.record, turn)),
        _ if facts.says.is_some() && (is_current || state == ChapterState::Resetting) => facts.says.map(str::to_owned),
        ChapterState::Resetting => Some("the demo goes back to its beginning".into()),
        ChapterState::Countdown => Some("the actions begin after the countdown".into()),
        ChapterState::Acting => turn.and_then(|turn| {
            let over = facts.record.acts_of(turn.id).filter(|act| act.state != ActionState::Begun).count();
            spec.actions.get(over).map(fault::says)
        }),
        ChapterState::Waiting if spec.waiting.is_empty() => Some("waiting for what it waits for".into()),
        ChapterState::Waiting => {
            let unknown = turn.and_then(|turn| unknown(facts.record, turn));
            Some(unknown.map_or_else(|| spec.waiting.clone(), |unknown| format!("{}; {unknown}", spec.waiting)))
        }
    };
    let refused = || chapter.verdict.as_ref().err().map(|why| why.message.clone());
    let idle = matches!(state, ChapterState::Idle | ChapterState::Left);
    said.or_else(|| if idle { refused() } else { None }).map(|text| short_line(&text, LONGEST))
}

/// What nobody knows the outcome of.
fn unknown(record: &Record, turn: &Turn) -> Option<String> {
    let acts = record.acts_of(turn.id).filter(|act| act.state == ActionState::Unknown);
    let said: Vec<&str> = acts.map(|act| act.new.says.as_str()).collect();
    (!said.is_empty()).then(|| format!("what came of it is not known, and it is not repeated: {}", said.join("; ")))
}

/// Each action of the turn.
fn actions(object: &DemoChapter, record: &Record, turn: &Turn) -> Vec<ActionStatus> {
    let of = |(index, action): (usize, &Action)| {
        let id = ActId { turn: turn.id, chapter: turn.new.chapter.clone(), restore: false, index };
        record.act(&id).map_or_else(|| ActionStatus { says: fault::says(action), ..ActionStatus::default() }, one)
    };
    object.spec.actions.iter().enumerate().map(of).collect()
}

fn one(act: &Act) -> ActionStatus {
    let undo_error = act.undo.as_ref().and_then(|undo| undo.error.as_ref());
    let message = match undo_error {
        Some(why) => Some(format!("it could not be taken back: {why}")),
        None => act.message.clone(),
    };
    let plan = act.new.plan.as_ref();
    ActionStatus {
        says: short_line(&act.new.says, 200),
        state: if act.is_undone() { ActionState::Undone } else { act.state },
        targets: plan
            .map(|plan| plan.targets.iter().map(|target| target.service.clone()).collect())
            .unwrap_or_default(),
        message: message.map(|text| short_line(&text, LONGEST)).filter(|text| !text.is_empty()),
        at: Some(time(act.new.at)),
    }
}

fn conditions(status: &mut DemoChapterStatus, chapter: &Chapter, facts: &Facts<'_>, is_current: bool) {
    let generation = status.observed_generation;
    let mut set = |type_: &str, holds: ConditionStatus, reason: &str, message: &str| {
        set_condition(
            &mut status.conditions,
            type_,
            holds,
            reason,
            &short_line(message, LONGEST),
            generation,
            facts.now,
        );
    };
    match &chapter.verdict {
        Ok(()) => set(ACCEPTED, ConditionStatus::True, "Valid", "it can be played"),
        Err(why) => set(ACCEPTED, ConditionStatus::False, why.reason, &why.message),
    }
    let state = status.state;
    let (holds, reason, text) = match state {
        ChapterState::Idle => (false, "Idle", "it was not entered since the demo was last at its beginning"),
        ChapterState::Left => (false, "Left", "another chapter was entered"),
        ChapterState::Resetting => (false, "Resetting", "the demo goes back to its beginning"),
        _ => (is_current, "Current", "it is the demo's current chapter"),
    };
    set(ENTERED, holds.into(), reason, text);
    let is_complete = status.completed_at.is_some();
    match (is_complete, state) {
        (true, _) => set(COMPLETE, ConditionStatus::True, "Complete", "what it waits for has come"),
        (false, ChapterState::Failed) => {
            let why = status.message.clone().unwrap_or_default();
            set(COMPLETE, ConditionStatus::False, "Failed", &why);
        }
        (false, ChapterState::Waiting) => match facts.unknown.filter(|_| is_current) {
            Some(why) => set(COMPLETE, ConditionStatus::Unknown, "NotJudged", why),
            None => set(COMPLETE, ConditionStatus::False, "NotYet", "what it waits for has not come"),
        },
        (false, _) => set(COMPLETE, ConditionStatus::False, "NotYet", "it does not wait yet"),
    }
}

/// Whether a status says more than other words.
#[must_use]
pub fn is_news(old: Option<&DemoChapterStatus>, new: &DemoChapterStatus) -> bool {
    let states = |status: &DemoChapterStatus| status.actions.iter().map(|action| action.state).collect::<Vec<_>>();
    let holds = |status: &DemoChapterStatus, type_: &str| find(&status.conditions, type_).map(|c| c.status.clone());
    old.is_none_or(|old| {
        old.state != new.state
            || old.entered != new.entered
            || old.reset != new.reset
            || states(old) != states(new)
            || holds(old, ACCEPTED) != holds(new, ACCEPTED)
    })
}

/// As the API has it: in whole seconds.
fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
