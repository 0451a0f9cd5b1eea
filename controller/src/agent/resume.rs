//! Going on with a session that an earlier controller left.
//!
//! Its entries say where it stands ([`Left`]); what they cannot say is asked: what became of the container,
//! and of the command that was on record and had no result. Only then the loop goes on, as always.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::driver::{Course, Flow, Session};
use super::frozen::{Frozen, Unreadable};
use super::state::{State, UnknownEntry};
use super::step::{Answer, Step, next};
use super::{Progress, SessionEnd, Wanted};
use crate::audit::StoredEntry;
use crate::audit::entry::{ControlEvent, EntryBody, IncidentEntry};
use crate::redact::Redactor;
use crate::sandbox::SandboxError;
use crate::session::SessionId;

/// How long a container is waited for in which nothing is to run any more.
pub(super) const REACH: Duration = Duration::from_secs(20);

/// Why a session cannot be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotResumable {
    /// An entry is in the way.
    #[error(transparent)]
    Unknown(#[from] UnknownEntry),
    /// The first entry is.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The first entry is not what the session was given.
    #[error("the session's first entry does not say what it was given, so it cannot be gone on with")]
    NoFirstEntry,
}

impl NotResumable {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unknown(error) => error.category(),
            Self::Unreadable(error) => error.category(),
            Self::NoFirstEntry => "first_entry_missing",
        }
    }
}

/// A session as its entries tell it.
#[derive(Clone, Debug)]
pub struct Left {
    session: SessionId,
    entry: IncidentEntry,
    frozen: Frozen,
    state: State,
    progress: Progress,
    summaries: HashMap<i64, String>,
}

impl Left {
    /// Rebuilds a session from all of its entries. `None` if it has none: then it never began.
    ///
    /// # Errors
    /// [`NotResumable`] when an entry on which its course depends has a shape that is not known here.
    pub fn read(session: &SessionId, entries: &[StoredEntry]) -> Result<Option<Self>, NotResumable> {
        if entries.is_empty() {
            return Ok(None);
        }
        let (mut first, mut state, mut progress) = (None, State::default(), Progress::default());
        for entry in entries {
            let Some(body) = state.see(entry)? else { continue };
            // The session's own marks are not to be had here; these have no hash.
            progress.saw(entry.seq, entry.at, &Redactor::for_readers().shown(&body));
            if let (1, EntryBody::Incident(incident)) = (entry.seq, body) {
                first = Some(incident);
            }
        }
        let line = |entry: &StoredEntry| Some((entry.seq, entry.summary.clone()?));
        let summaries = entries.iter().filter_map(line).collect();
        let entry = first.ok_or(NotResumable::NoFirstEntry)?;
        let frozen = Frozen::read(&entry)?;
        progress.cost_known = frozen.pricing.known;
        Ok(Some(Self { session: session.clone(), entry, frozen, state, progress, summaries }))
    }

    /// What it was given.
    #[must_use]
    pub fn given(&self) -> &IncidentEntry {
        &self.entry
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The limits that it was given.
    #[must_use]
    pub fn budgets(&self) -> &super::Budgets {
        &self.frozen.budgets
    }

    /// What comes next, unless the wall time is over.
    #[must_use]
    pub fn next_step(&self) -> Step {
        next(&self.state, &self.frozen, false)
    }

    pub(super) fn course(self) -> Course {
        let Self { session, frozen, state, summaries, .. } = self;
        Course { session, frozen, first: None, state, summaries }
    }
}

impl Session {
    /// Says that it goes on, and finds its container.
    pub(super) async fn resume(&mut self) -> Flow<()> {
        let step = self.next();
        let behind = self.state.transcript.last_seq;
        let (what, mut details) = self.under_way(&step);
        details["operator"] = env!("CARGO_PKG_VERSION").into();
        details["behind"] = behind.into();
        let message = format!("operator {} goes on behind entry {behind}: {what}", env!("CARGO_PKG_VERSION"));
        self.control(ControlEvent::Resumed, message, details).await?;
        let in_flight = matches!(step, Step::Answer { answer: Answer::Command { .. }, .. });
        let lost = self.state.transcript.lost_sandboxes;
        let stood = self.state.container.as_ref().is_some_and(|container| container.replacement == lost);
        // A container in which nothing ran is made, or taken over, when it is needed.
        if stood && (in_flight || self.goes_on(&step) || !self.state.open_changes().is_empty()) {
            return self.find_container(&step, in_flight).await;
        }
        Ok(())
    }

    /// What an earlier controller may have been in the middle of. What a call of the model cost that it did not
    /// hear the end of is known to nobody here.
    fn under_way(&self, step: &Step) -> (String, Value) {
        match step {
            Step::Answer { seq, answer: Answer::Command { .. }, .. } => {
                let what = format!("the command of entry {seq} was on record and has no result");
                (what, json!({"underWay": "command", "call": seq}))
            }
            Step::Ask { max_tokens } | Step::AskLast { max_tokens } => {
                let input = self.state.transcript.next_input_tokens();
                let what = "the model may have been asked, and is asked again".to_owned();
                (what, json!({"underWay": "model", "maxTokens": max_tokens, "inputTokens": input}))
            }
            Step::Verify { attempt, begun: true } => {
                let what = format!("check {attempt} of the agent's word was under way, and begins anew");
                (what, json!({"underWay": "verification", "attempt": attempt}))
            }
            _ => ("nothing was under way".to_owned(), json!({})),
        }
    }

    /// Whether a command may still run.
    fn goes_on(&self, step: &Step) -> bool {
        !self.cancel.is_cancelled() && !matches!(step, Step::Seal(_) | Step::SayLimit { .. } | Step::AskLast { .. })
    }

    /// Finds the container that was handed out, or notices that it is gone.
    async fn find_container(&mut self, step: &Step, in_flight: bool) -> Flow<()> {
        let goes_on = self.goes_on(step) && !self.is_overdue();
        let cancel = self.cancel.clone();
        let unneeded = async move {
            if goes_on {
                cancel.cancelled().await;
            }
            sleep(REACH).await;
        };
        self.sandboxes.want(self.state.transcript.lost_sandboxes, Wanted::Standing);
        let found = tokio::select! {
            found = self.sandboxes.ready() => found,
            () = unneeded => Err(SandboxError::EngineUnavailable { reason: "it did not answer in time".to_owned() }),
        };
        match found {
            Ok(opened) if opened.sandbox.is_kept() => {
                let name = opened.sandbox.name();
                let message = format!("the agent's container {name} stands and is kept");
                self.control(ControlEvent::Resumed, message, json!({"container": "kept", "name": name})).await
            }
            Ok(opened) => {
                let gone = || "it was not there any more when the controller came back".to_owned();
                self.was_replaced(opened.lost.unwrap_or_else(gone), in_flight, goes_on).await
            }
            // Its command's result comes first: nobody knows.
            Err(error) if in_flight => {
                self.gone = Some(error.to_string());
                Ok(())
            }
            Err(_) if self.cancel.is_cancelled() => Ok(()),
            Err(error) if goes_on => {
                let (reason, message) = (error.category().to_owned(), error.to_string());
                let end = SessionEnd::Failed { reason, message: message.clone() };
                self.decide(message, json!({"category": error.category()}), &end).await
            }
            // What it might have said of its changes is then unknown.
            Err(_) => Ok(()),
        }
    }

    /// Another container stands in the place of the one that was handed out.
    async fn was_replaced(&mut self, reason: String, in_flight: bool, goes_on: bool) -> Flow<()> {
        self.is_replaced = true;
        if in_flight {
            // The command's result comes first; that it was lost follows from it.
            self.gone = Some(reason);
        } else if goes_on {
            self.say_lost(&reason).await?;
        }
        Ok(())
    }
}
