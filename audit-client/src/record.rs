//! Sessions as the store has them, and why it could not be asked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::money::NanoDollars;
use crate::session::SessionId;

/// Why the trail could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store cannot be reached or refuses writes just now; the same call may succeed later.
    #[error("the audit store is unavailable: {reason}")]
    Unavailable {
        /// What the store or the connection said.
        reason: String,
    },
    /// The entry's number is not the next one: somebody else writes this session.
    #[error("session {session}: entry {seq} is not the next one ({found})")]
    OutOfSequence {
        /// The session.
        session: SessionId,
        /// The number that was to be written.
        seq: i64,
        /// What the store has.
        found: String,
    },
    /// The schema is missing, older or newer than this binary.
    #[error("{0}")]
    Schema(String),
    /// The store refused for a reason that will not go away (rights, a broken row).
    #[error("the audit store refused: {0}")]
    Refused(String),
    /// The writer does not lead, or not any more. It has to stop: another one writes.
    #[error("refused by the fence: {0}")]
    Fenced(String),
    /// No such session or entry.
    #[error("{0} is not in the audit store")]
    NotFound(String),
}

impl AuditError {
    /// The category of [`AuditError::Fenced`].
    pub const FENCED: &'static str = "audit_fenced";

    /// Whether the same call may succeed later without anybody changing anything here.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "audit_unavailable",
            Self::OutOfSequence { .. } => "audit_out_of_sequence",
            Self::Schema(_) => "audit_schema",
            Self::Refused(_) => "audit_refused",
            Self::Fenced(_) => Self::FENCED,
            Self::NotFound(_) => "audit_not_found",
        }
    }
}

/// What is known of a session when it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSession {
    /// The name to give it, if there is none yet for this Incident and attempt.
    pub id: SessionId,
    /// The Incident's UID.
    pub incident_uid: String,
    /// The Incident's namespace.
    pub incident_namespace: String,
    /// The Incident's name.
    pub incident_name: String,
    /// Which attempt on the Incident this is, from 1.
    pub attempt: i64,
    /// The Subject's name (in the Incident's namespace).
    pub subject: String,
    /// The model that plays.
    pub model: String,
    /// The Incident's title, for listings.
    pub title: String,
    /// The Incident's severity, for listings.
    pub severity: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// A session as the store has it. All of it but the identity is mutable and outside the proof: what
/// matters in it is also an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRecord {
    /// What it began with.
    #[serde(flatten)]
    pub new: NewSession,
    /// The last state.
    #[serde(flatten)]
    pub state: SessionState,
    /// Hash of the last entry, or of what the first one has to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_hash: Option<Hash>,
}

/// The mutable part of a session's row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionState {
    /// `Running`, or the phase in which it ended.
    pub phase: String,
    /// Model turns so far.
    pub turns: i64,
    /// Commands so far.
    pub commands: i64,
    /// Tokens that the model read, cached ones included.
    pub input_tokens: i64,
    /// Tokens that the model wrote.
    pub output_tokens: i64,
    /// What it cost, in nano-dollars.
    pub cost: NanoDollars,
    /// Number of the last entry.
    pub last_seq: i64,
    /// The root cause, once known.
    pub root_cause: Option<String>,
    /// The end in a sentence or two, once known.
    pub summary: Option<String>,
    /// Why it ended as it did, in a CamelCase word (a condition's reason).
    pub reason: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}
