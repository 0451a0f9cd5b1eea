//! From an entry to the bytes that are kept, and back.
//!
//! The bytes are the entry: session, number, time, kind and data in one JSON object. Readers read
//! them, a signature will cover them, and every other column of the row is derived from them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{AuditError, Entry, EntryBody, StoredEntry};
use crate::session::SessionId;

/// The largest entry that is accepted, in bytes as stored. Output is cut long before; this only
/// keeps a mistake from reaching the database.
pub const MAX_ENTRY_BYTES: usize = 32 << 20;

/// The order of the fields is the order in the bytes.
#[derive(Serialize)]
struct Written<'a> {
    session: &'a SessionId,
    seq: i64,
    at: Timestamp,
    #[serde(flatten)]
    body: &'a EntryBody,
}

/// The bytes that are kept of an entry. `at` is cut to microseconds, which is what Postgres can hold
/// in its own column.
///
/// # Errors
/// [`AuditError::Refused`] when it does not serialize or is larger than [`MAX_ENTRY_BYTES`].
pub fn encode(session: &SessionId, seq: i64, at: Timestamp, body: &EntryBody) -> Result<Vec<u8>, AuditError> {
    let written = Written { session, seq, at: to_micros(at), body };
    let bytes = serde_json::to_vec(&written).map_err(|error| {
        AuditError::Refused(format!("entry {seq} of session {session} cannot be written as JSON: {error}"))
    })?;
    if bytes.len() > MAX_ENTRY_BYTES {
        return Err(AuditError::Refused(format!(
            "entry {seq} of session {session} has {} bytes, more than the {MAX_ENTRY_BYTES} that one may have",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// The entry that was written as `bytes`.
///
/// # Errors
/// [`AuditError::Refused`] when this version cannot read it.
pub fn decode(bytes: &[u8], summary: Option<String>) -> Result<Entry, AuditError> {
    let mut entry: Entry = serde_json::from_slice(bytes).map_err(|error| unreadable(bytes, &error))?;
    entry.summary = summary;
    Ok(entry)
}

/// The entry that was written as `bytes`, whatever its kind: also one of a newer version.
///
/// # Errors
/// [`AuditError::Refused`] when it is no entry at all.
pub fn decode_any(bytes: &[u8], summary: Option<String>) -> Result<StoredEntry, AuditError> {
    let mut entry: StoredEntry = serde_json::from_slice(bytes).map_err(|error| unreadable(bytes, &error))?;
    entry.summary = summary;
    Ok(entry)
}

/// Cuts a time to what Postgres keeps.
#[must_use]
pub fn to_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn unreadable(bytes: &[u8], error: &serde_json::Error) -> AuditError {
    let name = serde_json::from_slice::<Value>(bytes).map_or_else(
        |_| "an entry".to_owned(),
        |value| format!("entry {} of session {}", value["seq"], value["session"].as_str().unwrap_or("?")),
    );
    AuditError::Refused(format!("{name} cannot be read by this version of operator: {error}"))
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::audit::entry::NoteEntry;
    use crate::audit::testing::story;

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        let told = story::bodies().into_iter().chain(story::checks());
        let mut bodies: Vec<EntryBody> = told.map(|(_, body)| body).collect();
        let note = NoteEntry { number: 1, author: Some("jane".into()), text: "n".into(), at: None };
        bodies.push(EntryBody::Note(note));
        for body in bodies {
            let mut written = serde_json::to_value(&body).unwrap();
            let (kind, data) = (body.kind().as_str().to_owned(), written["data"].take());
            let (session, at) = (SessionId::from("s".to_owned()), Timestamp::UNIX_EPOCH);
            let stored = StoredEntry { session, seq: 1, at, kind, data, summary: None };
            assert_eq!(stored.body(), Some(body));
        }
    }
}
