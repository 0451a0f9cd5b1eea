//! What a session is given. All of it is frozen in the first entry.

use crds::incident::Violated;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::verify::Proving;
use super::{Budgets, Findings};
use crate::audit::entry::NoteEntry;
use crate::gateway::policy::Mode;
use crate::model::Pricing;
use crate::redact::Redactor;
use crate::session::SessionId;

/// What a session is given.
#[derive(Clone, Debug)]
pub struct SessionInput {
    /// The session's name.
    pub session: SessionId,
    /// What is wrong.
    pub incident: IncidentBrief,
    /// What earlier attempts left, for the first message.
    pub earlier: Option<String>,
    /// What became of the same fault before, for the first message.
    pub recurrence: Option<String>,
    /// Why no agent is asked, if the same came again too often.
    pub recurring: Option<Recurring>,
    /// How it is proven that the Incident is over.
    pub proving: Proving,
    /// The system that it is about.
    pub subject: SubjectBrief,
    /// The model's name.
    pub model: String,
    /// What the user adds to the system prompt.
    pub system_addition: Option<String>,
    /// Limits.
    pub budgets: Budgets,
    /// The model's price.
    pub pricing: Pricing,
    /// What the container's Docker CLI can reach.
    pub docker: DockerAccess,
    /// The container that is asked for, for a later controller that has to make it again. The loop
    /// keeps it on record and does not look into it.
    pub sandbox: Value,
    /// Version of the controller.
    pub operator_version: String,
}

impl SessionInput {
    /// The same with secrets masked in what people and alerts wrote.
    #[must_use]
    pub fn masked(self, redactor: &Redactor) -> Self {
        let text = |text: String| redactor.text(&text).value;
        Self {
            incident: IncidentBrief {
                title: text(self.incident.title),
                description: self.incident.description.map(text),
                evidence: redactor.value(&self.incident.evidence).value,
                notes: self.incident.notes.iter().map(|note| redactor.note(note)).collect(),
                ..self.incident
            },
            earlier: self.earlier.map(text),
            recurrence: self.recurrence.map(text),
            recurring: self.recurring.map(|recurring| recurring.masked(redactor)),
            subject: SubjectBrief { description: self.subject.description.map(text), ..self.subject },
            system_addition: self.system_addition.map(text),
            ..self
        }
    }
}

/// The same fault came again too often for an agent to be asked once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recurring {
    /// In a sentence.
    pub message: String,
    /// What is known of it from before.
    pub findings: Findings,
}

impl Recurring {
    fn masked(self, redactor: &Redactor) -> Self {
        let text = |text: String| redactor.text(&text).value;
        let Findings { root_cause, summary, follow_up } = self.findings;
        let findings =
            Findings { root_cause: root_cause.map(text), summary: text(summary), follow_up: follow_up.map(text) };
        Self { message: text(self.message), findings }
    }
}

/// An Incident, as the model and the trail are told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentBrief {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What is wrong, in a line.
    pub title: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `critical`, `error`, `warning` or `info`.
    pub severity: String,
    /// What was seen; any JSON, null if there is none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub evidence: Value,
    /// What was violated when it was opened, if a monitor opened it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violated: Vec<Violated>,
    /// Which attempt this is, from 1.
    pub attempt: i64,
    /// What people had said to the agent when it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<NoteEntry>,
}

/// A Subject, as the model and the trail are told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectBrief {
    /// Its name.
    pub name: String,
    /// What it is, for the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it runs, as the resource has it: `{"docker": {"project": "..."}}`.
    #[serde(rename = "where")]
    pub location: Value,
    /// Names of the networks that the container stands on.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// What the Docker CLI in the container can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DockerAccess {
    /// Nothing: there is no engine behind it.
    #[default]
    None,
    /// The subject's own containers, through a gateway, to look and to repair.
    Gateway,
    /// The same, only to look.
    Observe,
}

impl From<Mode> for DockerAccess {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Act => Self::Gateway,
            Mode::Observe => Self::Observe,
        }
    }
}
