//! What a session is about, and how it stands: from its record, its Incident and its entries.

use std::sync::Arc;
use std::time::Duration;

use audit_client::ControlEvent;
use audit_client::SessionRecord;
use crds::Incident;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::digest::What;
use super::transcript::Transcript;
use crate::text;
use crate::time;

/// What is known of a session.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Its id, once it has begun.
    pub id: Option<String>,
    /// Its row.
    pub record: Option<SessionRecord>,
    /// Its Incident as it was last seen.
    pub incident: Option<Arc<Incident>>,
    /// Whether the Incident is gone.
    pub deleted: bool,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The phase: `Resolved`, `Escalated` and so on.
    pub phase: String,
    /// Why, in a sentence.
    pub message: String,
    /// The root cause.
    pub cause: Option<String>,
    /// What a person should do next.
    pub follow_up: Option<String>,
}

impl Subject {
    /// The Incident's status, if it speaks of this session.
    #[must_use]
    pub fn status(&self) -> Option<&crds::incident::IncidentStatus> {
        let status = self.incident.as_ref()?.status.as_ref()?;
        (status.session_id == self.id).then_some(status)
    }

    /// The Incident's namespace and name.
    #[must_use]
    pub fn name(&self) -> Option<(String, String)> {
        let of_incident = self.incident.as_ref().map(|i| (i.namespace().unwrap_or_default(), i.name_any()));
        of_incident
            .or_else(|| self.record.as_ref().map(|r| (r.new.incident_namespace.clone(), r.new.incident_name.clone())))
    }

    /// Which attempt it is.
    #[must_use]
    pub fn attempt(&self) -> Option<i64> {
        self.record.as_ref().map(|record| record.new.attempt).or_else(|| self.status()?.attempt)
    }

    /// When it began.
    #[must_use]
    pub fn began(&self, transcript: &Transcript) -> Option<Timestamp> {
        let first = transcript.entries().front().filter(|_| transcript.is_at_start());
        let status = || self.status()?.started_at.as_ref().map(|at| at.0);
        self.record.as_ref().map(|record| record.new.started_at).or_else(status).or(first.map(|entry| entry.at))
    }

    /// When it was over.
    #[must_use]
    pub fn ended(&self, transcript: &Transcript) -> Option<Timestamp> {
        let seal = transcript.entries().back().filter(|entry| entry.is_seal()).map(|entry| entry.at);
        let row = || self.record.as_ref()?.state.ended_at;
        seal.or_else(row).or_else(|| self.status()?.finished_at.as_ref().map(|at| at.0))
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, transcript: &Transcript) -> bool {
        transcript.is_sealed() || self.ended(transcript).is_some()
    }

    /// How long it took, or takes so far.
    #[must_use]
    pub fn took(&self, transcript: &Transcript, now: Timestamp) -> Option<Duration> {
        let began = self.began(transcript)?;
        Some(time::elapsed(began, self.ended(transcript).unwrap_or(now)))
    }

    /// What it cost.
    #[must_use]
    pub fn cost(&self, over: bool) -> Option<String> {
        let status = || self.status().and_then(|status| status.cost.clone());
        let record = || self.record.as_ref().map(|record| record.state.cost.to_string());
        // While it runs, the status is newer than what was read once.
        if over { record().or_else(status) } else { status().or_else(record) }
    }

    /// How many commands there were.
    #[must_use]
    pub fn commands(&self) -> Option<i64> {
        self.record.as_ref().map(|record| record.state.commands).or_else(|| self.status()?.commands)
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self, transcript: &Transcript) -> Option<End> {
        if !self.is_over(transcript) {
            return None;
        }
        let (status, record) = (self.status(), self.record.as_ref());
        let sealed = transcript.entries().iter().rev().take(20).find_map(|entry| match &entry.what {
            What::Control { event: ControlEvent::Sealed, message, phase } => Some((message.clone(), phase.clone())),
            _ => None,
        });
        let concluded = transcript.entries().iter().rev().take(60).find_map(|entry| match &entry.what {
            What::Conclusion { cause, follow_up, .. } => Some((cause.clone(), follow_up.clone())),
            _ => None,
        });
        let (said, seal) = sealed.map_or((None, None), |(message, phase)| (Some(message), phase));
        let row = record.map(|record| record.state.phase.clone()).filter(|phase| phase != "Running");
        let phase = seal.or(row).or_else(|| status.map(|status| status.phase.as_str().to_owned()));
        let phase = phase.unwrap_or_else(|| "Over".to_owned());
        let message = said.or_else(|| status.and_then(|status| status.message.clone())).unwrap_or_default();
        let of_record = record.and_then(|record| record.state.root_cause.clone());
        let of_status = status.and_then(|status| status.root_cause.clone());
        let cause = of_record.or(of_status).or_else(|| concluded.as_ref().map(|(cause, _)| cause.clone()));
        let follow_up = concluded.and_then(|(_, next)| next).or_else(|| status.and_then(|s| s.follow_up.clone()));
        let clean = |text: Option<String>| text.map(|text| text::one_line(&text)).filter(|text| !text.is_empty());
        End {
            phase: text::one_line(&phase),
            message: text::one_line(&message),
            cause: clean(cause),
            follow_up: clean(follow_up),
        }
        .into()
    }

    /// The id, short enough for a header.
    #[must_use]
    pub fn short(&self) -> String {
        let id = self.id.as_deref().unwrap_or_default();
        let start = id.rfind('-').map_or(0, |dash| dash + 1);
        text::one_line(&id[start..])
    }
}
