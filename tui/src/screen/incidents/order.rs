//! In which order Incidents stand.

use crds::{Incident, IncidentPhase};

use super::row;
use crate::world::{Named as _, Uid};

/// By what they are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// What needs attention first: at work, then where a person is needed, then the rest; the worse and the newer first.
    #[default]
    Attention,
    /// The worst first.
    Severity,
    /// By namespace and name.
    Name,
    /// By Subject.
    Subject,
    /// By phase.
    Phase,
    /// The newest first.
    Age,
    /// The most commands first.
    Steps,
    /// The most expensive first.
    Cost,
}

/// Where an Incident stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    first: Value,
    /// The newer before the older.
    created: i64,
    /// No two are the same.
    uid: Uid,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(Box<str>),
}

impl Order {
    const ALL: [Self; 8] =
        [Self::Attention, Self::Severity, Self::Name, Self::Subject, Self::Phase, Self::Age, Self::Steps, Self::Cost];

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        let place = Self::ALL.iter().position(|order| *order == self).unwrap_or_default();
        Self::ALL[(place + 1) % Self::ALL.len()]
    }

    /// As the status line has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Severity => "severity",
            Self::Name => "name",
            Self::Subject => "subject",
            Self::Phase => "phase",
            Self::Age => "age",
            Self::Steps => "steps",
            Self::Cost => "cost",
        }
    }

    /// Where an Incident stands.
    #[must_use]
    pub fn key(self, incident: &Incident) -> Key {
        let severity = incident.spec.severity as i64;
        let phase = incident.status.as_ref().map(|status| status.phase).unwrap_or_default();
        let first = match self {
            Self::Attention => Value::Number(attention(phase) * 10 + severity),
            Self::Severity => Value::Number(severity),
            Self::Name => Value::Text(format!("{}/{}", incident.space(), incident.named()).into()),
            Self::Subject => Value::Text(incident.spec.subject_ref.name.as_str().into()),
            Self::Phase => Value::Number(phase as i64),
            Self::Age => Value::Number(0),
            Self::Steps => Value::Number(-incident.status.as_ref().and_then(|status| status.commands).unwrap_or(0)),
            Self::Cost => Value::Number(-row::cents(incident)),
        };
        let created = incident.metadata.creation_timestamp.as_ref().map_or(0, |at| at.0.as_second());
        Key { first, created: -created, uid: incident.uid().into() }
    }
}

fn attention(phase: IncidentPhase) -> i64 {
    match phase {
        IncidentPhase::Running | IncidentPhase::Verifying => 0,
        IncidentPhase::Pending => 1,
        IncidentPhase::Escalated | IncidentPhase::Failed => 2,
        IncidentPhase::Resolved | IncidentPhase::Concluded | IncidentPhase::Cancelled => 3,
    }
}
