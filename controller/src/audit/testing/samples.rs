//! Small sessions and entries for tests.

use crate::audit::{
    AuditStore, Bytes, CallOutcome, ControlEntry, ControlEvent, EntryBody, NewSession, ReasoningEntry, SessionRecord,
    StreamRecord, ToolResultEntry,
};
use crate::session::SessionId;
use jiff::Timestamp;

/// An attempt on the Incident `name`.
#[must_use]
pub fn session(name: &str, attempt: i64) -> NewSession {
    let now = Timestamp::now();
    NewSession {
        id: SessionId::new(now),
        incident_uid: format!("uid-{name}"),
        incident_namespace: "default".into(),
        incident_name: name.into(),
        attempt,
        subject: "ratelimiter".into(),
        model: "offline-test".into(),
        title: "Writes fail".into(),
        severity: "critical".into(),
        started_at: now,
    }
}

/// A session that has begun.
///
/// # Panics
/// When the store refuses.
pub async fn begin(store: &dyn AuditStore) -> SessionRecord {
    store.begin_session(&session("redis-readonly", 1)).await.unwrap()
}

/// A small entry.
#[must_use]
pub fn note(text: &str) -> EntryBody {
    EntryBody::Reasoning(ReasoningEntry { turn: 1, text: text.into(), thinking: false })
}

/// A result with these outputs.
#[must_use]
pub fn result_with(stdout: Bytes, stderr: Bytes) -> EntryBody {
    let stream = |head: Bytes| Some(StreamRecord { bytes: 3, head, tail: None });
    EntryBody::ToolResult(ToolResultEntry {
        turn: 1,
        call: 1,
        tool_use_id: "toolu_1".into(),
        outcome: CallOutcome::Exited { code: 0 },
        duration_ms: 12,
        stdout: stream(stdout),
        stderr: stream(stderr),
        content: "ok".into(),
        is_error: false,
        redacted: 0,
    })
}

/// The last entry of a session.
#[must_use]
pub fn seal(phase: &str) -> EntryBody {
    EntryBody::Control(ControlEntry {
        event: ControlEvent::Sealed,
        message: format!("the session ended: {phase}"),
        details: serde_json::Value::Null,
    })
}
