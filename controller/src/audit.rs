//! The audit trail: every step of a session, on record before it happens.
//!
//! [`AuditStore`] is what the session engine needs of it: begin a session, append the entry with the
//! next number, read back. The real store is Postgres; the fake keeps entries in memory and can be
//! told to fail at any step, so that "no audit row, no action" is tested without a database.

//!
//! * [`entry`] is what an entry can say, [`codec`] the bytes that are kept of it;
//! * [`recorder`] is one session's writer, and waits while the store is away;
//! * [`postgres`] and [`fake`] are the stores;
//! * [`proof`] makes it plain that a row was changed, removed or slipped in;
//! * [`reader`] is the trail as its readers see it, [`follow`] its live end, [`api`] and [`remote`] the
//!   way from there to people, [`render`] what they see.

pub mod api;
pub mod codec;
pub mod entry;
pub mod fake;
pub mod follow;
pub mod postgres;
pub mod proof;
pub mod reader;
pub mod recorder;
pub mod remote;
pub mod render;
#[cfg(feature = "testing")]
pub mod testing;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use entry::{
    Bytes, CallOutcome, ConclusionEntry, ControlEntry, ControlEvent, Entry, EntryBody, EntryKind, IncidentEntry,
    Outcome, ReasoningEntry, StreamRecord, ToolCallEntry, ToolResultEntry, TurnEntry,
};
pub use fake::FakeStore;
pub use postgres::PostgresStore;
pub use proof::{Hash, LinkHead, SignedEntry};
pub use reader::{AuditReader, Followed, SessionFilter, StoredEntry};
pub use recorder::{RecordError, Recorder};

use crate::halt::Halt;
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
    pub last_hash: Option<proof::Hash>,
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
    pub cost: crate::money::NanoDollars,
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

/// Where the session engine writes. Implementations bound every call in time, and answer
/// [`AuditError::Unavailable`] rather than wait for ever.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Whether the store can be written right now.
    async fn ping(&self) -> Result<(), AuditError>;

    /// Begins a session, or finds the one that this Incident (by UID) and attempt already have.
    async fn begin_session(&self, new: &NewSession) -> Result<SessionRecord, AuditError>;

    /// The session of this Incident (by UID) and attempt.
    async fn find_session(&self, incident_uid: &str, attempt: i64) -> Result<Option<SessionRecord>, AuditError>;

    /// Signs the entry with number `seq`, which follows the one with the hash `prev` (the first one: what
    /// [`SessionRecord::last_hash`] says). Nothing is written.
    fn sign(
        &self,
        session: &SessionId,
        seq: i64,
        prev: Hash,
        at: Timestamp,
        body: &EntryBody,
    ) -> Result<SignedEntry, AuditError>;

    /// Appends a signed entry, which must be the next one. When it returns `Ok` the row is committed. The
    /// same call again (after a lost connection, say) is `Ok` if that row stands there.
    async fn commit(&self, entry: &SignedEntry) -> Result<(), AuditError>;

    /// Hash of what stands before number `seq`, if anything does.
    async fn hash_before(&self, session: &SessionId, seq: i64) -> Result<Option<Hash>, AuditError>;

    /// The end of the installation's chain, as far as this process has seen it.
    fn chain_head(&self) -> Option<LinkHead>;

    /// Signs and commits the entry with number `seq`, behind whatever stands before it. Two round trips: a
    /// session's writer is the [`Recorder`], which knows what stands there.
    async fn append(&self, session: &SessionId, seq: i64, at: Timestamp, body: &EntryBody) -> Result<(), AuditError> {
        let prev = self.hash_before(session, seq).await?.unwrap_or(Hash::ZERO);
        self.commit(&self.sign(session, seq, prev, at, body)?).await
    }

    /// Replaces the mutable part of the session's row.
    async fn update_session(&self, session: &SessionId, state: &SessionState) -> Result<(), AuditError>;

    /// Keeps the small model's summary of an entry. Outside the proof, and never awaited by the agent.
    async fn add_summary(&self, session: &SessionId, seq: i64, text: &str) -> Result<(), AuditError>;

    /// The entries after number `after`, in order, at most `limit`, with their summaries.
    async fn entries(&self, session: &SessionId, after: i64, limit: i64) -> Result<Vec<Entry>, AuditError>;

    /// The last `limit` entries of these kinds, in order, without their summaries.
    async fn last_of(&self, session: &SessionId, kinds: &[EntryKind], limit: i64) -> Result<Vec<Entry>, AuditError>;

    /// Keeps when the whole installation was halted and released, by whom and why. The same again is kept once.
    async fn record_halt(&self, halt: Option<&Halt>) -> Result<(), AuditError>;

    /// The entries after number `after`, whatever their kind, in order, at most `limit` and no more than about [`reader::MAX_PAGE_BYTES`] at once; an empty page is
    /// the end.
    async fn stored(&self, session: &SessionId, after: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError>;

    /// The sessions whose row says that they run, the newest first, at most [`reader::MAX_SESSIONS`].
    async fn running(&self) -> Result<Vec<SessionRecord>, AuditError>;
}
