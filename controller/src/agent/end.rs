//! How a session ends.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::frozen::json;
use crate::audit::entry::{ConclusionEntry, Outcome};

/// The end of a session. `reason` is a CamelCase word, as a condition has it; `message` is for
/// people.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEnd {
    /// The agent says that the fault is gone, and that was proven.
    Resolved {
        /// What it says.
        conclusion: ConclusionEntry,
        /// What was seen, in a sentence.
        message: String,
    },
    /// The agent concluded, and nothing could prove that it is right. That the fault is *not* gone is believed at once,
    /// and a person is needed (`Escalated`, `Unresolved`).
    Concluded(ConclusionEntry),
    /// A person is needed.
    Escalated {
        /// `NotVerified` (the agent says that the fault is gone, and it is not), `Unproven` (nobody can say),
        /// `Recurring`, `TurnBudget`, `WallTimeBudget`, `TokenBudget`, `CostBudget`, `NoConclusion`,
        /// `ModelRefused`, `ContextWindow`, `PausedTooOften`, `OutputLimit`.
        reason: String,
        /// In a sentence.
        message: String,
        /// What the agent knows.
        findings: Option<Findings>,
    },
    /// Operator itself could not work.
    Failed {
        /// `AuditUnavailable`, a category of [`crate::model::ModelError`] or of
        /// [`crate::sandbox::SandboxError`].
        reason: String,
        /// In a sentence.
        message: String,
    },
    /// A person cancelled it, or the Incident was deleted.
    Cancelled {
        /// In a sentence.
        message: String,
        /// What was found and done by then.
        findings: Option<Findings>,
    },
}

/// What an agent that did not conclude leaves to the person who takes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// The cause as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_cause: Option<String>,
    /// What was seen and done.
    pub summary: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<String>,
}

impl From<&ConclusionEntry> for Findings {
    fn from(conclusion: &ConclusionEntry) -> Self {
        Self {
            root_cause: Some(conclusion.root_cause.clone()),
            summary: conclusion.summary.clone(),
            follow_up: conclusion.follow_up.clone(),
        }
    }
}

/// An end as the control entry that decides it has it in its details.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decided {
    phase: String,
    reason: String,
    /// The entry's own, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    findings: Option<Findings>,
}

impl SessionEnd {
    /// As a control entry has it that decides it.
    pub(super) fn as_decided(&self) -> Value {
        let findings = match self {
            Self::Escalated { findings, .. } | Self::Cancelled { findings, .. } => findings.clone(),
            _ => None,
        };
        let (phase, reason, message) = (self.phase().to_owned(), self.reason().to_owned(), self.message().to_owned());
        json(&Decided { phase, reason, message: Some(message), findings })
    }

    /// From a control entry's details, with the entry's own message.
    pub(super) fn decided(end: &Value, message: &str) -> Option<Self> {
        let Decided { phase, reason, message: own, findings } = Decided::deserialize(end).ok()?;
        let message = own.unwrap_or_else(|| message.to_owned());
        match phase.as_str() {
            "Escalated" => Some(Self::Escalated { reason, message, findings }),
            "Failed" => Some(Self::Failed { reason, message }),
            "Cancelled" => Some(Self::Cancelled { message, findings }),
            _ => None,
        }
    }

    /// The phase that this end means, as the `sealed` entry has it.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        match self {
            Self::Resolved { .. } => "Resolved",
            Self::Concluded(conclusion) if conclusion.outcome == Outcome::Unresolved => "Escalated",
            Self::Concluded(_) => "Concluded",
            Self::Escalated { .. } => "Escalated",
            Self::Failed { .. } => "Failed",
            Self::Cancelled { .. } => "Cancelled",
        }
    }

    /// The reason, a CamelCase word.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Resolved { .. } => "Resolved",
            Self::Concluded(conclusion) if conclusion.outcome == Outcome::Unresolved => "Unresolved",
            Self::Concluded(_) => "Concluded",
            Self::Escalated { reason, .. } | Self::Failed { reason, .. } => reason,
            Self::Cancelled { .. } => "Cancelled",
        }
    }

    /// The end in a sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Concluded(conclusion) => &conclusion.summary,
            Self::Resolved { message, .. }
            | Self::Escalated { message, .. }
            | Self::Failed { message, .. }
            | Self::Cancelled { message, .. } => message,
        }
    }
}
