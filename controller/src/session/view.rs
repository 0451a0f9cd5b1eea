//! What the rest of the house sees of a session.

use jiff::Timestamp;

use crate::agent::{Progress, SessionEnd};
use crate::audit::SessionRecord;
use crate::audit::recorder::Head;
use crate::redact::Redactor;
use crate::session::SessionId;

/// A session as reconcile sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionView {
    /// Its name, once its row stands.
    pub id: Option<SessionId>,
    /// The model that plays.
    pub model: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// The agent's container, once it stands.
    pub container: Option<String>,
    /// Why the container is not there yet, if it should be.
    pub sandbox_trouble: Option<(&'static str, String)>,
    /// How far it is.
    pub progress: Progress,
    /// The end of its trail.
    pub head: Head,
    /// How it ended.
    pub end: Option<End>,
}

/// The end of a session, whether this controller saw it or found it in the audit store.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// `Resolved`, `Concluded`, `Escalated`, `Failed` or `Cancelled`.
    pub phase: crds::IncidentPhase,
    /// A CamelCase word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// The root cause, if one was found.
    pub root_cause: Option<String>,
    /// What happened and what was done.
    pub summary: Option<String>,
    /// What a person should do next.
    pub follow_up: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl End {
    /// From what the agent's loop returned.
    #[must_use]
    pub fn of(end: &SessionEnd, at: Timestamp) -> Self {
        let (root_cause, summary, follow_up) = match end {
            SessionEnd::Concluded(c) | SessionEnd::Resolved { conclusion: c, .. } => {
                (Some(c.root_cause.clone()), Some(c.summary.clone()), c.follow_up.clone())
            }
            SessionEnd::Escalated { findings: Some(f), .. } | SessionEnd::Cancelled { findings: Some(f), .. } => {
                (f.root_cause.clone(), Some(f.summary.clone()), f.follow_up.clone())
            }
            _ => (None, None, None),
        };
        Self {
            phase: crds::IncidentPhase::parse(end.phase()).unwrap_or(crds::IncidentPhase::Failed),
            reason: end.reason().to_owned(),
            message: end.message().to_owned(),
            root_cause,
            summary,
            follow_up,
            at,
        }
    }

    /// The same with secrets masked in what the agent says: it is shown in the status and in listings.
    #[must_use]
    pub fn masked(self, redactor: &Redactor) -> Self {
        let mask = |text: String| redactor.text(&text).value;
        Self {
            message: mask(self.message),
            root_cause: self.root_cause.map(mask),
            summary: self.summary.map(mask),
            follow_up: self.follow_up.map(mask),
            ..self
        }
    }

    /// From a session's row, if it has ended.
    #[must_use]
    pub fn from_record(record: &SessionRecord) -> Option<Self> {
        let state = &record.state;
        Some(Self {
            phase: crds::IncidentPhase::parse(&state.phase).unwrap_or(crds::IncidentPhase::Failed),
            reason: state.reason.clone().unwrap_or_else(|| state.phase.clone()),
            message: state.summary.clone().unwrap_or_default(),
            root_cause: state.root_cause.clone(),
            summary: state.summary.clone(),
            follow_up: None,
            at: state.ended_at?,
        })
    }
}
