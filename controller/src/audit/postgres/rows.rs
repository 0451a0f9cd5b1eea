//! Rows as they are read.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, FromRow, Postgres, Row as _};

use crate::audit::proof::Hash;
use crate::audit::{EntryKind, NewSession, SessionRecord, SessionState};
use crate::money::NanoDollars;
use crate::session::SessionId;

/// What is selected of a session. The number of the last entry is asked of the entries themselves.
pub(super) const SELECT_SESSIONS: &str = "SELECT s.id, s.incident_uid, s.incident_namespace, \
    s.incident_name, s.attempt, s.subject, s.model, s.title, s.severity, s.started_at, s.phase, \
    s.turns, s.commands, s.input_tokens, s.output_tokens, s.cost_nanodollars, s.root_cause, \
    s.summary, s.reason, s.ended_at, \
    coalesce(l.seq, 0) AS last_seq, coalesce(l.hash, s.anchor) AS last_hash \
    FROM sessions s LEFT JOIN LATERAL (SELECT e.seq, e.hash FROM entries e WHERE e.session_id = s.id \
    ORDER BY e.seq DESC LIMIT 1) AS l ON true";

/// A session's row.
pub(super) struct SessionRow(SessionRecord);

impl SessionRow {
    pub(super) fn into_record(self) -> SessionRecord {
        self.0
    }
}

impl FromRow<'_, PgRow> for SessionRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let time = |name| row.try_get::<jiff_sqlx::Timestamp, _>(name).map(jiff_sqlx::Timestamp::to_jiff);
        let last_hash: Option<Vec<u8>> = row.try_get("last_hash")?;
        let ended_at = row.try_get::<Option<jiff_sqlx::Timestamp>, _>("ended_at")?;
        Ok(Self(SessionRecord {
            new: NewSession {
                id: SessionId::from(row.try_get::<String, _>("id")?),
                incident_uid: row.try_get("incident_uid")?,
                incident_namespace: row.try_get("incident_namespace")?,
                incident_name: row.try_get("incident_name")?,
                attempt: row.try_get("attempt")?,
                subject: row.try_get("subject")?,
                model: row.try_get("model")?,
                title: row.try_get("title")?,
                severity: row.try_get("severity")?,
                started_at: time("started_at")?,
            },
            state: SessionState {
                phase: row.try_get("phase")?,
                turns: row.try_get("turns")?,
                commands: row.try_get("commands")?,
                input_tokens: row.try_get("input_tokens")?,
                output_tokens: row.try_get("output_tokens")?,
                cost: NanoDollars(row.try_get("cost_nanodollars")?),
                last_seq: row.try_get("last_seq")?,
                root_cause: row.try_get("root_cause")?,
                summary: row.try_get("summary")?,
                reason: row.try_get("reason")?,
                ended_at: ended_at.map(jiff_sqlx::Timestamp::to_jiff),
            },
            last_hash: last_hash.as_deref().and_then(Hash::from_slice),
        }))
    }
}

/// An entry's row.
pub(super) struct EntryRow {
    pub(super) body: Vec<u8>,
    pub(super) summary: Option<String>,
}

impl FromRow<'_, PgRow> for EntryRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { body: row.try_get("body")?, summary: row.try_get("summary")? })
    }
}

/// Sessions; `rest` is a part of this program's text.
pub(super) fn select_sessions(rest: &'static str) -> QueryAs<'static, Postgres, SessionRow, PgArguments> {
    sqlx::query_as(AssertSqlSafe(format!("{SELECT_SESSIONS}{rest}")))
}

/// The entries after number `after`, at most `limit`.
pub(super) fn select_entries(
    session: &SessionId,
    after: i64,
    limit: i64,
) -> QueryAs<'static, Postgres, EntryRow, PgArguments> {
    sqlx::query_as(
        "SELECT e.body, m.text AS summary FROM entries e \
         LEFT JOIN summaries m USING (session_id, seq) \
         WHERE e.session_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3",
    )
    .bind(session.as_str().to_owned())
    .bind(after)
    .bind(limit.max(0))
}

/// The last entries of these kinds, the last one first, at most `limit`.
pub(super) fn select_last_of(
    session: &SessionId,
    kinds: &[EntryKind],
    limit: i64,
) -> QueryAs<'static, Postgres, EntryRow, PgArguments> {
    let kinds: Vec<String> = kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    sqlx::query_as(
        "SELECT body, NULL::text AS summary FROM entries WHERE session_id = $1 AND kind = ANY($2) \
         ORDER BY seq DESC LIMIT $3",
    )
    .bind(session.as_str().to_owned())
    .bind(kinds)
    .bind(limit.max(0))
}

/// The entries after number `after`, at most `limit`, but no more than about `bytes` of them: at least one, if there is one.
pub(super) fn select_page(
    session: &SessionId,
    after: i64,
    limit: i64,
    bytes: i64,
) -> QueryAs<'static, Postgres, EntryRow, PgArguments> {
    sqlx::query_as(
        "SELECT p.body, m.text AS summary FROM ( \
             SELECT session_id, seq, body, \
                    sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body) AS before \
             FROM (SELECT session_id, seq, body FROM entries \
                   WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS n \
         ) AS p LEFT JOIN summaries m USING (session_id, seq) \
         WHERE p.before < $4 ORDER BY seq",
    )
    .bind(session.as_str().to_owned())
    .bind(after)
    .bind(limit.max(0))
    .bind(bytes)
}

/// The last entries before number `before`, in order, bounded as those of [`select_page`].
pub(super) fn select_page_before(
    session: &SessionId,
    before: i64,
    limit: i64,
    bytes: i64,
) -> QueryAs<'static, Postgres, EntryRow, PgArguments> {
    sqlx::query_as(
        "SELECT p.body, m.text AS summary FROM ( \
             SELECT session_id, seq, body, \
                    sum(octet_length(body)) OVER (ORDER BY seq DESC) - octet_length(body) AS behind \
             FROM (SELECT session_id, seq, body FROM entries \
                   WHERE session_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3) AS n \
         ) AS p LEFT JOIN summaries m USING (session_id, seq) \
         WHERE p.behind < $4 ORDER BY seq",
    )
    .bind(session.as_str().to_owned())
    .bind(before)
    .bind(limit.max(0))
    .bind(bytes)
}
