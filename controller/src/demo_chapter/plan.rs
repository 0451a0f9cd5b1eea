//! What a demo does next: one step, decided over what is on record. Pure.
//!
//! A step has at most one effect, and after it all is decided anew. So a controller that goes on with a demo needs to
//! know nothing of the one before it: the record says what was begun, and what was not comes next.
//!
//! What comes first: what was asked for is put on record; what another turn asks to be taken back is; Incidents of what
//! was gone back over end; only then does the current chapter go on.

mod reset;

use std::sync::Arc;
use std::time::Duration;

use crds::demo_chapter::{ActionState, Advance};
use crds::fault::{Action, UndoWhen};
use crds::{DemoChapter, Incident};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::raised::raised_at;
use super::record::{Act, ActId, DemoRef, How, NewTurn, Record, Turn, TurnKind};
use super::validate::{Chapter, Scene};
use super::wait_for;
use crate::incident::plan::is_finished;
use crate::monitor::known::Known as KnownIncident;

/// While something is waited for that says nothing when it comes.
pub const SOON: Duration = Duration::from_secs(1);
/// While nothing is to be done.
pub const LATER: Duration = Duration::from_secs(10);
/// How long an Incident is waited for that was cancelled, until it has ended and has gone.
const ENDING: SignedDuration = SignedDuration::from_secs(60);

/// What is known of a demo.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Which.
    pub demo: &'a DemoRef,
    /// Its chapters that are not being deleted, in their order.
    pub chapters: &'a [Chapter],
    /// Where it plays.
    pub scene: &'a Scene,
    /// What is on record.
    pub record: &'a Record,
    /// The Subject's Incidents.
    pub incidents: &'a [Arc<Incident>],
    /// Whether the Subject is well; nothing if nobody says.
    pub healthy: Option<bool>,
    /// Whether the installation is halted.
    pub halted: bool,
    /// What this process remembers.
    pub memory: &'a Memory,
    /// The time.
    pub now: Timestamp,
}

/// What a process remembers of a demo. It can be lost: what was done stands in the record.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Whether helpers may stand that nobody asks for any more.
    pub is_swept: bool,
    /// The reset for which the project was looked at last, and when, and nothing was to be started.
    pub looked: Option<(i64, Timestamp)>,
}

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Something that was asked for is put on record.
    Turn(Box<NewTurn>),
    /// Something is taken back, for this turn.
    Undo(ActId, i64),
    /// Something that was begun for an earlier turn is not waited for any more.
    CutOff(ActId),
    /// An Incident is cancelled.
    Cancel(Arc<Incident>),
    /// An Incident that has ended goes.
    Delete(Arc<Incident>),
    /// A container of the project that stands still is brought to run.
    Mend(i64),
    /// Something is done that is not on record yet.
    Act(Box<Wanted>),
    /// Something was begun, and it is to be found out what came of it.
    Settle(ActId),
    /// Helpers that nobody asks for go.
    Sweep,
    /// What the current chapter waits for is judged.
    Judge(i64, String),
    /// A turn is over.
    End(i64, How, Option<String>),
    /// The next chapter is raised.
    Advance(Arc<DemoChapter>),
    /// Nothing, until something changes or this time has gone by.
    Rest(Duration, Option<String>),
    /// Nothing is left of the demo.
    Gone,
}

/// An action that is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which.
    pub id: ActId,
    /// The chapter's UID.
    pub chapter_uid: String,
    /// The number that stands in its key.
    pub number: i64,
    /// What.
    pub action: Action,
    /// When it is taken back.
    pub undo_when: UndoWhen,
}

/// Decides.
#[must_use]
pub fn plan(known: &Known<'_>) -> Step {
    if known.chapters.is_empty() {
        return reset::end(known);
    }
    if let Some(turn) = known.asked(TurnKind::Reset) {
        return Step::Turn(Box::new(turn));
    }
    if known.halted {
        return Step::Rest(LATER, Some("the installation is halted".into()));
    }
    if let Some(turn) = known.record.going_back() {
        return reset::reset(known, turn);
    }
    if let Some(turn) = known.asked(TurnKind::Enter) {
        return Step::Turn(Box::new(turn));
    }
    if let Some(step) = take_back(known) {
        return step;
    }
    match known.record.current() {
        Some(turn) => current(known, turn),
        None if !known.memory.is_swept => Step::Sweep,
        None => Step::Rest(LATER, None),
    }
}

impl Known<'_> {
    /// What was asked for and is not on record yet, the first of it.
    #[must_use]
    pub fn asked(&self, kind: TurnKind) -> Option<NewTurn> {
        let raised = |chapter: &Chapter| {
            let (number, done, field) = match kind {
                TurnKind::Reset => (chapter.object.spec.reset, told(&chapter.object).1, "reset"),
                _ => (chapter.object.spec.entered, told(&chapter.object).0, "entered"),
            };
            let is_new = number > self.record.number(&chapter.uid(), kind).max(done);
            // A reset is possible whatever is wrong with a chapter.
            let may = kind == TurnKind::Reset || chapter.verdict.is_ok();
            (is_new && may).then(|| (raised_at(&chapter.object, field), number))
        };
        let mut asked: Vec<_> = self.chapters.iter().filter_map(|chapter| Some((raised(chapter)?, chapter))).collect();
        asked.sort_by_key(|((at, _), chapter)| (*at, chapter.object.spec.order));
        let more = asked.len() > 1;
        let ((raised_at, number), chapter) = asked.into_iter().next()?;
        let is_known = raised_at != Timestamp::UNIX_EPOCH;
        let newer = is_known && self.record.current().is_some_and(|current| current.new.raised_at > raised_at);
        let superseded = kind == TurnKind::Enter && (more || newer);
        Some(self.turn(kind, chapter, number, raised_at, superseded))
    }

    fn turn(&self, kind: TurnKind, chapter: &Chapter, number: i64, raised_at: Timestamp, superseded: bool) -> NewTurn {
        let at = self.next_second();
        let countdown = chapter.object.spec.countdown.map(Duration::from).unwrap_or_default();
        // In whole seconds, as the API has it.
        let seconds = countdown.as_secs() + u64::from(countdown.subsec_nanos() > 0);
        let seconds = i64::try_from(seconds).unwrap_or(0);
        NewTurn {
            demo: self.demo.clone(),
            kind,
            chapter: chapter.object.name_any(),
            chapter_uid: chapter.uid(),
            number,
            place: chapter.object.spec.order,
            subject: self.scene.subject.clone(),
            project: self.scene.project.clone(),
            raised_at,
            at,
            acts_at: at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(at),
            superseded,
        }
    }

    /// The time in whole seconds, and after the last turn: which of two turns came later is seen in a status.
    fn next_second(&self) -> Timestamp {
        let after = self.record.newest().map_or(0, |turn| turn.new.at.as_second().saturating_add(1));
        Timestamp::from_second(self.now.as_second().max(after)).unwrap_or(self.now)
    }

    fn chapter(&self, turn: &Turn) -> Option<&Chapter> {
        self.chapters.iter().find(|chapter| chapter.uid() == turn.new.chapter_uid)
    }

    /// The Incidents of this Subject that have not ended and of which `which` holds, by when they were created.
    fn running(&self, which: impl Fn(Timestamp) -> bool) -> Option<&Arc<Incident>> {
        let own = |incident: &&Arc<Incident>| {
            let created = wait_for::created(incident);
            incident.metadata.deletion_timestamp.is_none() && !is_finished(incident) && created.is_some_and(&which)
        };
        self.incidents.iter().find(own)
    }

    /// Whether a turn began less than so long ago: what it waits for that may never come is waited for so long.
    fn is_within(&self, turn: &Turn, limit: SignedDuration) -> bool {
        self.now.duration_since(turn.new.at) < limit
    }

    /// Ends an Incident, and waits for that; nothing if there is none, or it was waited for long enough.
    fn end_incident(&self, turn: &Turn, which: impl Fn(Timestamp) -> bool) -> Option<Step> {
        let incident = self.running(which).filter(|_| self.is_within(turn, ENDING))?;
        if incident.spec.cancel == Some(incident.spec.attempt) {
            let says = format!("waiting for the end of the Incident {}", incident.name_any());
            return Some(Step::Rest(SOON, Some(says)));
        }
        Some(Step::Cancel(incident.clone()))
    }

    /// Takes away what the monitor opened and what has ended, and waits for that; nothing if there is none. It would count
    /// as a fault that comes again, and as the one Incident that a violation without a break has.
    fn clear_incident(&self, which: impl Fn(Timestamp) -> bool) -> Option<Step> {
        let own = self.incidents.iter().filter(|one| wait_for::created(one).is_some_and(&which));
        let own: Vec<_> = own.filter(|one| is_finished(one) && KnownIncident::of(one).is_monitors()).collect();
        if let Some(incident) = own.iter().find(|incident| incident.metadata.deletion_timestamp.is_none()) {
            return Some(Step::Delete((*incident).clone()));
        }
        let says = |incident: &&Arc<Incident>| format!("waiting for the Incident {} to go", incident.name_any());
        own.first().map(|incident| Step::Rest(SOON, Some(says(incident))))
    }
}

/// What a chapter's status says was entered, and reset: should the record be lost, nothing of it is done again.
fn told(chapter: &DemoChapter) -> (i64, i64) {
    chapter.status.as_ref().map_or((0, 0), |status| (status.entered, status.reset))
}

/// What is to be taken back or let go before anything is done.
fn take_back(known: &Known<'_>) -> Option<Step> {
    if let Some((act, turn)) = known.record.to_undo() {
        return Some(Step::Undo(act.new.id.clone(), turn));
    }
    known.record.cut_off().map(|act| Step::CutOff(act.new.id.clone()))
}

/// The current chapter goes on.
fn current(known: &Known<'_>, turn: &Turn) -> Step {
    let was_gone_back_over = |created| known.record.was_gone_back_over(created);
    if let Some(step) = known.end_incident(turn, was_gone_back_over) {
        return step;
    }
    if let Some(step) = known.clear_incident(was_gone_back_over).filter(|_| known.is_within(turn, ENDING)) {
        return step;
    }
    let Some(chapter) = known.chapter(turn) else { return Step::Rest(LATER, None) };
    if let Some(how) = turn.how() {
        return ended(known, how, chapter);
    }
    if let Err(why) = &chapter.verdict {
        return Step::Rest(SOON, Some(why.message.clone()));
    }
    if turn.new.acts_at > turn.new.at && known.now < turn.new.acts_at {
        let left = Duration::try_from(turn.new.acts_at.duration_since(known.now)).unwrap_or(SOON);
        return Step::Rest(left, None);
    }
    for (index, action) in chapter.object.spec.actions.iter().enumerate() {
        let id = ActId { turn: turn.id, chapter: turn.new.chapter.clone(), restore: false, index };
        match known.record.act(&id) {
            None => return Step::Act(Box::new(wanted(id, chapter, turn.new.number, action))),
            Some(act) => match act.state {
                ActionState::Begun => return Step::Settle(id),
                ActionState::Failed => return Step::End(turn.id, How::Failed, Some(failed(act))),
                _ => {}
            },
        }
    }
    if !known.memory.is_swept {
        return Step::Sweep;
    }
    match &chapter.object.spec.wait_for {
        Some(expression) => Step::Judge(turn.id, expression.clone()),
        None => Step::End(turn.id, How::Complete, None),
    }
}

fn ended(known: &Known<'_>, how: How, chapter: &Chapter) -> Step {
    if !known.memory.is_swept {
        return Step::Sweep;
    }
    let after = known.chapters.iter().find(|next| next.object.spec.order > chapter.object.spec.order);
    match after {
        Some(next) if how == How::Complete && chapter.object.spec.advance == Advance::Auto => {
            let raised =
                next.object.spec.entered > known.record.number(&next.uid(), TurnKind::Enter).max(told(&next.object).0);
            if raised { Step::Rest(SOON, None) } else { Step::Advance(next.object.clone()) }
        }
        _ => Step::Rest(LATER, None),
    }
}

fn wanted(id: ActId, chapter: &Chapter, number: i64, action: &Action) -> Wanted {
    Wanted { id, chapter_uid: chapter.uid(), number, action: action.clone(), undo_when: action.undo }
}

/// An action that failed, in words.
fn failed(act: &Act) -> String {
    match &act.message {
        Some(why) => format!("{}: {why}", act.new.says),
        None => format!("{} failed", act.new.says),
    }
}
