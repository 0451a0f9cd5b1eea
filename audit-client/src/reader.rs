//! Reading the trail: what a person, the TUI and the CLI need of it.
//!
//! [`AuditReader`] is implemented by Postgres, by the fake, and by the client of the audit API, so
//! that whoever shows a session does not care where it comes from.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::{ControlEvent, EntryBody};
use crate::record::{AuditError, SessionRecord};
use crate::row::ProofReader;
use crate::session::SessionId;

/// The most sessions that one listing answers.
pub const MAX_SESSIONS: i64 = 1000;
/// How many sessions a listing answers unless told otherwise.
pub const DEFAULT_SESSIONS: i64 = 50;
/// The most entries in one page.
pub const MAX_ENTRIES: i64 = 500;
/// About how many bytes of entries one page holds at most; one entry is always let through.
pub const MAX_PAGE_BYTES: i64 = 4 << 20;

/// An entry as it is stored, whatever its kind: what this version does not know is shown as it
/// stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEntry {
    /// The session it belongs to.
    pub session: SessionId,
    /// Its number in the session, from 1 without gaps.
    pub seq: i64,
    /// When it was written, by the controller's clock.
    pub at: Timestamp,
    /// Its kind, as in [`crate::entry::EntryKind::as_str`].
    pub kind: String,
    /// What it says.
    pub data: Value,
    /// The small model's summary, if there is one. Outside the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

impl StoredEntry {
    /// Its content, if this version knows the shape.
    #[must_use]
    pub fn body(&self) -> Option<EntryBody> {
        // Read where it stands: a session that is resumed reads all of its entries, and a copy of each would cost more
        // than all else.
        Some(match self.kind.as_str() {
            "incident" => EntryBody::Incident(self.read()?),
            "turn" => EntryBody::Turn(self.read()?),
            "reasoning" => EntryBody::Reasoning(self.read()?),
            "tool_call" => EntryBody::ToolCall(self.read()?),
            "tool_result" => EntryBody::ToolResult(self.read()?),
            "change" => EntryBody::Change(self.read()?),
            "conclusion" => EntryBody::Conclusion(self.read()?),
            "verification" => EntryBody::Verification(self.read()?),
            "note" => EntryBody::Note(self.read()?),
            "control" => EntryBody::Control(self.read()?),
            _ => return None,
        })
    }

    fn read<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(&self.data).ok()
    }

    /// Whether it is the last one that its session will ever have.
    #[must_use]
    pub fn is_seal(&self) -> bool {
        self.kind == "control"
            && serde_json::from_value::<ControlEvent>(self.data["event"].clone())
                .is_ok_and(|e| e == ControlEvent::Sealed)
    }
}

/// Which sessions to list. Everything absent lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SessionFilter {
    /// The Incident's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The Incident's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The Subject's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The phase; upper and lower case are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Only those that began at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// At most this many ([`DEFAULT_SESSIONS`], never more than [`MAX_SESSIONS`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

impl SessionFilter {
    /// The sessions whose row says that they run.
    #[must_use]
    pub fn running() -> Self {
        Self { phase: Some("Running".to_owned()), limit: Some(MAX_SESSIONS), ..Self::default() }
    }

    /// The limit in force.
    #[must_use]
    pub fn effective_limit(&self) -> i64 {
        self.limit.unwrap_or(DEFAULT_SESSIONS).clamp(0, MAX_SESSIONS)
    }
}

/// What a follower is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    /// The next entry.
    Entry(StoredEntry),
    /// Nothing can be read just now, in a sentence; it goes on by itself. Said once per outage.
    Waiting(String),
    /// The outage is over. Said after each [`Self::Waiting`], before the next entry.
    Back,
}

/// The trail as its readers see it.
#[async_trait]
pub trait AuditReader: ProofReader {
    /// Sessions, the newest first.
    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRecord>, AuditError>;

    /// One session.
    async fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, AuditError>;

    /// The entries after number `after`, in order, at most `limit` and never more than
    /// [`MAX_ENTRIES`] or about [`MAX_PAGE_BYTES`]. An empty page is the end.
    async fn page(&self, id: &SessionId, after: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError>;

    /// The last entries before number `before` (of all of them, if it is beyond the end), in order, bounded as those of
    /// [`Self::page`]. An empty page is the start.
    async fn page_before(&self, id: &SessionId, before: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError>;

    /// The entries after number `after`, and those to come, until the session is sealed. It goes on
    /// through outages, and ends early only with an error that will not go away.
    fn follow(self: Arc<Self>, id: SessionId, after: i64) -> BoxStream<'static, Result<Followed, AuditError>>;
}

/// All entries of a session, page after page.
///
/// # Errors
/// As [`AuditReader::page`].
pub async fn all_entries(reader: &dyn AuditReader, id: &SessionId) -> Result<Vec<StoredEntry>, AuditError> {
    let mut all: Vec<StoredEntry> = Vec::new();
    loop {
        let after = all.last().map_or(0, |entry| entry.seq);
        let page = reader.page(id, after, MAX_ENTRIES).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
