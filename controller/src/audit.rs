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
pub mod fake;
pub mod follow;
pub mod postgres;
pub mod proof;
pub mod recorder;
#[cfg(feature = "testing")]
pub mod testing;

use async_trait::async_trait;
use jiff::Timestamp;

pub use audit_client::record::{AuditError, NewSession, SessionRecord, SessionState};
pub use audit_client::{entry, reader, remote, render};
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
