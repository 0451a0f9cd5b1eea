//! The effects of a step. Each writes down what it is about to do before it does it, and what came of it after.

mod mend;

use std::sync::Arc;
use std::time::Duration;

use crds::demo_chapter::ActionState;
use jiff::{SignedDuration, Timestamp};

use super::plan::{Memory, SOON, Step, Wanted};
use super::record::{Act, ActId, DemoRef, How, NewAct, Record};
use super::store::DemoStore;
use super::wait_for::{self, Judgement, Scope};
use super::world::{Seen, World};
use crate::audit::AuditError;
use crate::error::chain;
use crate::fault::{Error as FaultError, Faults, Key, Mistake, Outcome, Plan, Verb};
use crate::printable::short_line;

/// Characters of what is said of an action.
const LONGEST: usize = 500;
/// So long is tried to find out what an action is aimed at: what it reads may not be there yet.
const AIMING: SignedDuration = SignedDuration::from_secs(10);
/// How long something may take that has no limit of its own.
const USUAL_LIMIT: SignedDuration = SignedDuration::from_secs(120);
/// So much longer than its limit is waited for the end of a helper.
const GRACE: SignedDuration = SignedDuration::from_secs(30);

/// What a demo acts with.
#[derive(Clone)]
pub struct Hands {
    /// The cluster.
    pub world: Arc<dyn World>,
    /// The record.
    pub store: Arc<dyn DemoStore>,
    /// The engine.
    pub faults: Arc<dyn Faults>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// It is done, and what comes next is decided anew.
    Next,
    /// Nothing is to be done for this time; in words why, if there is something to say.
    Rest(Duration, Option<String>),
    /// Something is in the way that may pass. The same is tried again.
    Trouble(String),
    /// Nothing is left of the demo.
    Gone,
}

/// What a demo's task remembers of what it did. It can be lost.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// For the plan.
    pub memory: Memory,
    /// Since when it is tried to find out what an action is aimed at.
    pub aiming: Option<(ActId, Timestamp)>,
    /// Why what is waited for cannot be judged, and for which turn.
    pub unknown: Option<(i64, String)>,
}

impl From<AuditError> for After {
    fn from(error: AuditError) -> Self {
        Self::Trouble(chain(&error))
    }
}

/// Which demo, as it was seen for this step.
#[derive(Clone, Copy)]
pub struct Stand<'a> {
    /// Which.
    pub demo: &'a DemoRef,
    /// As the cluster has it.
    pub seen: &'a Seen,
    /// What is on record.
    pub record: &'a Record,
}

impl Hands {
    /// Does a step.
    pub async fn apply(&self, step: Step, stand: Stand<'_>, notes: &mut Notes) -> After {
        self.step(step, stand, notes).await.unwrap_or_else(|after| after)
    }

    async fn step(&self, step: Step, stand: Stand<'_>, notes: &mut Notes) -> Result<After, After> {
        self.world.epoch().map_err(After::Trouble)?;
        let now = self.world.now();
        match step {
            Step::Rest(time, says) => return Ok(After::Rest(time, says)),
            Step::Gone => return Ok(After::Gone),
            Step::Turn(turn) => {
                self.store.begin_turn(&turn).await?;
                notes.memory = Memory::default();
            }
            Step::End(turn, how, message) => {
                let message = message.map(|text| short_line(&text, LONGEST));
                self.store.end_turn(turn, how, message.as_deref(), now).await?;
            }
            Step::Cancel(incident) => {
                self.world.cancel(&incident).await.map_err(After::Trouble)?;
                return Ok(After::Rest(SOON, None));
            }
            Step::Delete(incident) => {
                self.world.delete(&incident).await.map_err(After::Trouble)?;
                return Ok(After::Rest(SOON, None));
            }
            Step::Advance(chapter) => {
                self.world.raise(&chapter).await.map_err(After::Trouble)?;
                return Ok(After::Rest(SOON, None));
            }
            Step::Undo(act, turn) => self.undo(&act, turn, stand, notes).await?,
            Step::CutOff(act) => {
                let message = "it was cut off: another chapter was entered";
                self.store.end_act(&act, ActionState::Failed, Some(message), now).await?;
                notes.memory.is_swept = false;
            }
            Step::Act(wanted) => return self.act(&wanted, stand, notes).await,
            Step::Settle(act) => return self.settle(&act, stand, notes).await,
            Step::Mend(turn) => return self.mend(turn, stand, notes).await,
            Step::Sweep => {
                self.sweep(stand).await?;
                notes.memory.is_swept = true;
            }
            Step::Judge(turn, expression) => return self.judge(turn, expression, stand, notes).await,
        }
        Ok(After::Next)
    }

    /// Does something that is not on record yet.
    async fn act(&self, wanted: &Wanted, stand: Stand<'_>, notes: &mut Notes) -> Result<After, After> {
        let project = &stand.seen.scene.project;
        let view = self.faults.look(project).await.map_err(|error| trouble(&error))?;
        let probes = self.world.probes(stand.demo, &stand.seen.scene.subject).await;
        let plan = match crate::fault::plan(&wanted.action, &view, &probes, rand::random()) {
            Ok(plan) => plan,
            Err(mistake) => return self.missed(wanted, &mistake, stand, notes).await,
        };
        // What is done at a reset stays done.
        let plan = if wanted.id.restore { Plan { undo: None, ..plan } } else { plan };
        notes.aiming = None;
        let act = self.new_act(wanted, plan.says.clone(), Some(plan), None, stand)?;
        if !self.store.begin_act(&act).await? {
            // It stood there already: it is found out what came of it.
            return Ok(After::Next);
        }
        notes.memory.is_swept = false;
        self.carry_out(&act, stand).await
    }

    /// Puts on record that an action could not be aimed, once that was tried for some time.
    async fn missed(
        &self,
        wanted: &Wanted,
        mistake: &Mistake,
        stand: Stand<'_>,
        notes: &mut Notes,
    ) -> Result<After, After> {
        let now = self.world.now();
        let since = match &notes.aiming {
            Some((id, since)) if *id == wanted.id => *since,
            _ => now,
        };
        if now.duration_since(since) < AIMING {
            notes.aiming = Some((wanted.id.clone(), since));
            return Ok(After::Rest(SOON, Some(mistake.to_string())));
        }
        notes.aiming = None;
        let says = crate::fault::says(&wanted.action);
        let act = self.new_act(wanted, says, None, Some(short_line(&mistake.0, LONGEST)), stand)?;
        self.store.begin_act(&act).await?;
        Ok(After::Next)
    }

    fn new_act(
        &self,
        wanted: &Wanted,
        says: String,
        plan: Option<Plan>,
        failed: Option<String>,
        stand: Stand<'_>,
    ) -> Result<NewAct, After> {
        let Wanted { id, chapter_uid, number, undo_when, .. } = wanted;
        let short: String = chapter_uid.chars().take(8).collect();
        let key = Key {
            subject: format!("{}/{}", stand.demo.namespace, stand.seen.scene.subject),
            project: stand.seen.scene.project.clone(),
            demo: stand.demo.demo.clone(),
            // A chapter that was made anew counts from the beginning, and is another.
            chapter: if short.is_empty() { id.chapter.clone() } else { format!("{}.{short}", id.chapter) },
            entered: *number,
            phase: id.phase(),
            index: id.index,
            epoch: self.world.epoch().map_err(After::Trouble)?,
        };
        Ok(NewAct { id: id.clone(), says, undo_when: *undo_when, key, plan, failed, at: self.world.now() })
    }

    /// Does what is on record, and puts on record what came of it.
    async fn carry_out(&self, act: &NewAct, stand: Stand<'_>) -> Result<After, After> {
        let Some(plan) = &act.plan else { return Ok(After::Next) };
        let done = self.faults.act(&act.key, plan).await;
        let at = self.world.now();
        match done {
            Ok(done) => {
                self.store.end_act(&act.id, ActionState::Done, said(&done.words).as_deref(), at).await?;
                self.tell(stand, &act.id, true, "FaultInjected", &act.says).await;
            }
            Err(FaultError::Failed(why)) => {
                self.store.end_act(&act.id, ActionState::Failed, said(&why).as_deref(), at).await?;
                self.tell(stand, &act.id, false, "FaultFailed", &format!("{}: {why}", act.says)).await;
            }
            Err(error) => return Err(trouble(&error)),
        }
        Ok(After::Next)
    }

    /// Finds out what came of something that was begun, and does it if it was not.
    async fn settle(&self, id: &ActId, stand: Stand<'_>, notes: &mut Notes) -> Result<After, After> {
        let Some(act) = stand.record.act(id) else { return Ok(After::Next) };
        let Some(plan) = &act.new.plan else { return Ok(After::Next) };
        notes.memory.is_swept = false;
        let outcome = self.faults.outcome(&act.new.key, plan).await.map_err(|error| trouble(&error))?;
        let at = self.world.now();
        let (state, words) = match outcome {
            Outcome::Done(done) => (ActionState::Done, done.words),
            Outcome::Failed(why) => (ActionState::Failed, why),
            Outcome::Unknown(why) => (ActionState::Unknown, why),
            Outcome::NotBegun => return self.carry_out(&act.new, stand).await,
            Outcome::Running if at.duration_since(act.new.at) < limit(act).saturating_add(GRACE) => {
                return Ok(After::Rest(SOON, Some(format!("{} is being done", act.new.says))));
            }
            Outcome::Running => (ActionState::Failed, "it did not end in time, and was stopped".to_owned()),
        };
        self.store.end_act(id, state, said(&words).as_deref(), at).await?;
        if state == ActionState::Unknown {
            self.tell(stand, id, false, "OutcomeUnknown", &format!("{}: {words}", act.new.says)).await;
        }
        Ok(After::Next)
    }

    async fn undo(&self, id: &ActId, turn: i64, stand: Stand<'_>, notes: &mut Notes) -> Result<(), After> {
        let Some(act) = stand.record.act(id) else { return Ok(()) };
        let Some(plan) = &act.new.plan else { return Ok(()) };
        self.store.begin_undo(id, turn, self.world.now()).await?;
        notes.memory.is_swept = false;
        let error = match self.faults.undo(&act.new.key, plan).await {
            Ok(()) => None,
            Err(FaultError::Failed(why)) => Some(short_line(&why, LONGEST)),
            Err(error) => return Err(trouble(&error)),
        };
        self.store.end_undo(id, error.as_deref(), self.world.now()).await?;
        if let Some(why) = error {
            let note = format!("{} could not be taken back: {why}", act.new.says);
            self.tell(stand, id, false, "UndoFailed", &note).await;
        }
        Ok(())
    }

    async fn sweep(&self, stand: Stand<'_>) -> Result<(), After> {
        let newest = stand.record.newest().map(|turn| turn.new.project.clone());
        let project = Some(stand.seen.scene.project.clone()).filter(|project| !project.is_empty()).or(newest);
        let Some(project) = project.filter(|project| !project.is_empty()) else { return Ok(()) };
        let keep = self.store.kept(&project).await?;
        let gone = self.faults.sweep(Some(&project), &keep).await.map_err(|error| trouble(&error))?;
        if gone > 0 {
            tracing::debug!(demo = %stand.demo, gone, "helpers are removed");
        }
        Ok(())
    }

    async fn judge(&self, turn: i64, expression: String, stand: Stand<'_>, notes: &mut Notes) -> Result<After, After> {
        let incidents = wait_for::of_demo(&stand.seen.incidents, stand.record);
        let probes = self.world.probes(stand.demo, &stand.seen.scene.subject).await;
        let scope = Scope::new(stand.seen.subject.as_deref(), &incidents, probes);
        // Off the runtime: an expression cannot be stopped.
        let judged = tokio::task::spawn_blocking(move || scope.judge(&expression));
        let judgement = match tokio::time::timeout(crate::monitor::bench::LIMIT, judged).await {
            Ok(Ok(judgement)) => judgement,
            _ => Judgement::Unknown("waitFor takes too long".into()),
        };
        notes.unknown = None;
        match judgement {
            Judgement::Come => {
                self.store.end_turn(turn, How::Complete, None, self.world.now()).await?;
                return Ok(After::Next);
            }
            Judgement::NotYet => {}
            Judgement::Unknown(why) => notes.unknown = Some((turn, why)),
        }
        Ok(After::Rest(SOON, None))
    }

    async fn tell(&self, stand: Stand<'_>, id: &ActId, is_well: bool, reason: &str, note: &str) {
        let turn = stand.record.turns.iter().find(|turn| turn.id == id.turn);
        let Some(uid) = turn.map(|turn| turn.new.chapter_uid.clone()) else { return };
        if let Some(chapter) = stand.seen.chapters.iter().find(|chapter| chapter.uid() == uid) {
            self.world.tell(&chapter.object, is_well, reason, note).await;
        }
    }
}

fn trouble(error: &FaultError) -> After {
    After::Trouble(error.to_string())
}

fn said(words: &str) -> Option<String> {
    Some(short_line(words, LONGEST)).filter(|words| !words.is_empty())
}

/// How long something may take.
fn limit(act: &Act) -> SignedDuration {
    let own = match act.new.plan.as_ref().map(|plan| &plan.verb) {
        Some(Verb::Exec(command) | Verb::Run { command, detach: false }) => command.limit,
        Some(Verb::Http { .. }) => Duration::from_mins(10),
        _ => return USUAL_LIMIT,
    };
    SignedDuration::try_from(own).unwrap_or(USUAL_LIMIT)
}
