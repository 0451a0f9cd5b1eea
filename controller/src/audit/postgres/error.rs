//! What a database error means for the trail: wait, or give up.

use jiff::Timestamp;
use sqlx::Error;
use sqlx::postgres::PgDatabaseError;

use crate::audit::AuditError;
use crate::session::SessionId;

/// Raised by `append_entry`: not the next number.
const OUT_OF_SEQUENCE: &str = "OP001";
/// Raised by the functions: no such session or entry.
const NOT_FOUND: &str = "OP002";

/// Raised by `fence`: the writer does not lead.
const FENCED: &str = "OP005";

/// Raised by `append_link`: another link came first.
const STALE: &str = "OP006";
/// Raised by all that sign: another key counts.
const OTHER_KEY: &str = "OP007";

/// What was being done, so that an error can name it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doing<'a> {
    /// Appending this entry.
    Appending(&'a SessionId, i64),
    /// Anything else.
    Asking,
}

/// Turns a database error into one of the trail's.
pub(super) fn classify(error: &Error, doing: Doing<'_>) -> AuditError {
    let Some(database) = error.as_database_error() else {
        return match error {
            Error::ColumnDecode { .. }
            | Error::ColumnNotFound(_)
            | Error::ColumnIndexOutOfBounds { .. }
            | Error::Decode(_)
            | Error::Encode(_)
            | Error::InvalidArgument(_)
            | Error::TypeNotFound { .. }
            | Error::RowNotFound => AuditError::Refused(error.to_string()),
            Error::PoolTimedOut => {
                AuditError::Unavailable { reason: "no connection to the database could be had in time".into() }
            }
            // A broken connection, a broken pool, or a server that talks nonsense: ask again.
            other => AuditError::Unavailable { reason: other.to_string() },
        };
    };
    let code = database.code().unwrap_or_default();
    let message = database.message();
    match (code.as_ref(), doing) {
        (OUT_OF_SEQUENCE, Doing::Appending(session, seq)) => {
            AuditError::OutOfSequence { session: session.clone(), seq, found: message.to_owned() }
        }
        (STALE, _) => {
            AuditError::Unavailable { reason: format!("others append to the installation's chain: {message}") }
        }
        (OTHER_KEY, _) => AuditError::Unavailable { reason: format!("the signing key was changed: {message} counts") },
        (FENCED, _) => AuditError::Fenced(message.to_owned()),
        (NOT_FOUND, _) => AuditError::NotFound(message.to_owned()),
        ("42P01" | "42883" | "42703" | "3F000", _) if !is_inside_function(error) => AuditError::Schema(format!(
            "the audit store has no schema that this version knows ({message}): run `operator migrate`"
        )),
        (code, _) if passes(code) => AuditError::Unavailable { reason: format!("{message} ({code})") },
        (code, _) => AuditError::Refused(format!("{message} ({code})")),
    }
}

/// Whether a function of the store raised it. What such a function does not find says nothing of the schema that this
/// version calls: the call arrived, and one of them being wrong is no reason to stop leading.
fn is_inside_function(error: &Error) -> bool {
    let postgres = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    postgres.and_then(PgDatabaseError::r#where).is_some()
}

/// The SQLSTATE with which a call was refused.
pub(super) fn code_of<T>(answer: &Result<Result<T, Error>, tokio::time::error::Elapsed>) -> Option<String> {
    answer.as_ref().ok()?.as_ref().err().and_then(code_of_error)
}

/// The same, of an error.
pub(super) fn code_of_error(error: &Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// Whether a SQLSTATE stands for a condition that somebody mends at the database while we wait.
fn passes(code: &str) -> bool {
    const CLASSES: [&str; 6] = [
        "08", // connection
        "28", // authentication: a password being rotated
        "40", // serialization, deadlock
        "53", // disk full, memory, too many connections
        "57", // shutdown, crash recovery, statement timeout
        "58", // I/O
    ];
    const CODES: [&str; 5] = [
        "25006", // read-only transaction
        "25P03", // idle in transaction for too long
        "3D000", // the database is not there (yet)
        "55P03", // lock not available in time
        "55006", // object in use
    ];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

/// After such an answer the connection is not used again: its session may have been opened on a
/// server that was read-only, or going down.
pub(super) fn spoils_connection(error: &Error) -> bool {
    error.as_database_error().is_none_or(|database| passes(&database.code().unwrap_or_default()))
}

/// A call that took longer than its limit.
pub(super) fn too_slow(limit: std::time::Duration) -> AuditError {
    AuditError::Unavailable { reason: format!("the database did not answer within {limit:?}") }
}

/// Postgres refuses U+0000 in text. The columns that this is for are labels outside the proof.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// As a parameter.
pub(super) fn time(at: Timestamp) -> jiff_sqlx::Timestamp {
    use jiff_sqlx::ToSqlx as _;
    at.to_sqlx()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_waited_for() {
        for code in ["57P01", "57P02", "57P03", "57014", "25006", "53100", "53300", "08006", "40P01", "28P01", "58030"]
        {
            assert!(passes(code), "{code}");
        }
        for code in ["42501", "23514", "OP001", "22P02", "XX001", ""] {
            assert!(!passes(code), "{code}");
        }
    }

    #[test]
    fn a_dead_connection_is_unavailable_and_spoilt() {
        let error = Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        assert!(classify(&error, Doing::Asking).is_transient());
        assert!(spoils_connection(&error));
        assert!(!classify(&Error::RowNotFound, Doing::Asking).is_transient());
    }
}
