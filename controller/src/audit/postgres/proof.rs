//! Reading rows of proof: everything of them, as it stands.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};
use tokio::time::timeout_at;

use super::PostgresStore;
use super::error::Doing;
use crate::audit::AuditError;
use crate::audit::proof::hex;
use crate::audit::proof::row::{Derived, EntryRow, KeyRow, LinkRow, Proof, ProofReader, Raw, SessionRow, body_to_json};
use crate::audit::reader::{MAX_ENTRIES, MAX_PAGE_BYTES, MAX_SESSIONS};
use crate::session::SessionId;

/// Links in one page. A tombstone of many sessions has some 50 KiB.
const LINKS: i64 = 200;

struct Key(KeyRow);
struct Link(LinkRow);
struct Session(SessionRow);
struct Entry(EntryRow);

/// What makes a row proof; none if it has nothing of it, and nonsense if it has not all of it.
fn proof(row: &PgRow) -> Result<Option<Proof>, sqlx::Error> {
    let bytes = |name| row.try_get::<Option<Vec<u8>>, _>(name);
    let (prev, hash, signature) = (bytes("prev")?, bytes("hash")?, bytes("signature")?);
    let (key, epoch): (Option<String>, Option<i64>) = (row.try_get("key_id")?, row.try_get("epoch")?);
    if prev.is_none() && hash.is_none() && signature.is_none() && key.is_none() && epoch.is_none() {
        return Ok(None);
    }
    let raw = |bytes: Option<Vec<u8>>| Raw(bytes.unwrap_or_default());
    Ok(Some(Proof {
        prev: raw(prev),
        hash: raw(hash),
        signature: raw(signature),
        key: key.unwrap_or_default(),
        epoch: epoch.unwrap_or_default(),
    }))
}

impl FromRow<'_, PgRow> for Key {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let public: Vec<u8> = row.try_get("public_key")?;
        Ok(Self(KeyRow { id: row.try_get("id")?, public_key: hex::encode(&public), link: row.try_get("link")? }))
    }
}

impl FromRow<'_, PgRow> for Link {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let nothing = Proof {
            prev: Raw::default(),
            hash: Raw::default(),
            signature: Raw::default(),
            key: String::new(),
            epoch: 0,
        };
        let proof = proof(row)?.unwrap_or(nothing);
        Ok(Self(LinkRow { n: row.try_get("n")?, body: body_to_json(row.try_get("body")?), proof }))
    }
}

impl FromRow<'_, PgRow> for Session {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(SessionRow {
            id: SessionId::from(row.try_get::<String, _>("id")?),
            incident_uid: row.try_get("incident_uid")?,
            incident_namespace: row.try_get("incident_namespace")?,
            incident_name: row.try_get("incident_name")?,
            attempt: row.try_get("attempt")?,
        }))
    }
}

impl FromRow<'_, PgRow> for Entry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(data) = row.try_get("data")?;
        Ok(Self(EntryRow {
            session: SessionId::from(row.try_get::<String, _>("session_id")?),
            seq: row.try_get("seq")?,
            body: body_to_json(row.try_get("body")?),
            proof: proof(row)?,
            derived: Some(Derived {
                kind: row.try_get("kind")?,
                at: row.try_get::<jiff_sqlx::Timestamp, _>("at")?.to_jiff(),
                data,
            }),
        }))
    }
}

#[async_trait]
impl ProofReader for PostgresStore {
    async fn keys(&self) -> Result<Vec<KeyRow>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as::<_, Key>("SELECT id, public_key, link FROM keys ORDER BY link LIMIT 10000")
            .fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        Ok(connection.settle(answer, Doing::Asking)?.into_iter().map(|Key(row)| row).collect())
    }

    async fn links(&self, after: i64) -> Result<Vec<LinkRow>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as::<_, Link>(
            "SELECT n, body, prev, hash, signature, key_id, epoch FROM links WHERE n > $1 ORDER BY n LIMIT $2",
        )
        .bind(after)
        .bind(LINKS)
        .fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        Ok(connection.settle(answer, Doing::Asking)?.into_iter().map(|Link(row)| row).collect())
    }

    async fn session_rows(&self, after: &str) -> Result<Vec<SessionRow>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as::<_, Session>(
            "SELECT id, incident_uid, incident_namespace, incident_name, attempt FROM sessions \
             WHERE id COLLATE \"C\" > $1 ORDER BY id COLLATE \"C\" LIMIT $2",
        )
        .bind(after.replace('\0', "\u{2400}"))
        .bind(MAX_SESSIONS)
        .fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        Ok(connection.settle(answer, Doing::Asking)?.into_iter().map(|Session(row)| row).collect())
    }

    async fn entry_rows(&self, session: &SessionId, after: i64) -> Result<Vec<EntryRow>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as::<_, Entry>(
            "SELECT session_id, seq, kind, at, body, data, prev, hash, signature, key_id, epoch FROM ( \
                 SELECT *, sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body) AS before \
                 FROM (SELECT * FROM entries WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS n \
             ) AS p WHERE before < $4 ORDER BY seq",
        )
        .bind(session.as_str().replace('\0', "\u{2400}"))
        .bind(after)
        .bind(MAX_ENTRIES)
        .bind(MAX_PAGE_BYTES)
        .fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        Ok(connection.settle(answer, Doing::Asking)?.into_iter().map(|Entry(row)| row).collect())
    }
}
