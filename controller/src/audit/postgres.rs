//! The audit store in Postgres.
//!
//! Every call takes one connection, sends one statement and has one limit in time. What went wrong
//! is either [`AuditError::Unavailable`] (ask again) or final; see `postgres/error.rs`.
//!
//! There is no `NOTIFY` in the schema: a transaction that notifies holds a lock of the whole server
//! process group through its commit, so that sessions could no longer share one flush to disk.
//! Readers ask the table by its primary key instead, and those in the process that writes are woken
//! through [`PostgresStore::appended`].

mod chain;
mod connection;
mod demo;
mod error;
mod keys;
mod lease;
mod proof;
mod prune;
mod read;
mod rows;
mod schema;
mod spend;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::PgPool;
use tokio::sync::broadcast;
use tokio::time::timeout_at;

use super::proof::signer::{SignedEntry, Signer, sign_entry};
use super::proof::{Hash, LinkHead};
use super::reader::{AuditReader, SessionFilter, StoredEntry};
use super::{AuditError, AuditStore, Entry, EntryBody, EntryKind, NewSession, SessionRecord, SessionState, codec};
use crate::halt::Halt;
use crate::leader::Leadership;
use crate::session::SessionId;
use chain::{Act, Chain};
use error::{Doing, time, without_nul};

pub use keys::{Prepared, Wanted, prepare_key};
pub use lease::Acquired;
pub use prune::{BATCH, Pruner, Removed};
pub use schema::{MigrateError, Migration, Roles, check_name, migrate};
pub use spend::SpendToday;

/// How long one call may take, waiting for a connection included.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);

/// How many connections a store opens at most, until told otherwise.
pub const MAX_CONNECTIONS: u32 = 10;

/// The audit store in Postgres. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    limit: Duration,
    place: String,
    appended: broadcast::Sender<SessionId>,
    epoch: Option<i64>,
    signer: Option<Arc<Signer>>,
    chain: Chain,
    /// Ended when a write of this epoch is refused for ever.
    leadership: Option<Leadership>,
}

impl PostgresStore {
    /// A store at `url` (`postgres://user:password@host:5432/database`). Nothing is sent yet: the
    /// database may come later; [`AuditStore::ping`] tells whether it is there.
    ///
    /// # Errors
    /// [`AuditError::Refused`] when `url` is not one; the sentence does not repeat it.
    pub fn connect(url: &str) -> Result<Self, AuditError> {
        Self::connect_with(url, MAX_CONNECTIONS, CALL_LIMIT)
    }

    /// [`PostgresStore::connect`] with at most `connections`, and `limit` for each call.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub fn connect_with(url: &str, connections: u32, limit: Duration) -> Result<Self, AuditError> {
        let options = connection::options(url, limit)?;
        let place = connection::place(&options);
        let pool = connection::pool(options, connections, limit);
        let (appended, _) = broadcast::channel(256);
        Ok(Self { pool, limit, place, appended, epoch: None, signer: None, chain: Chain::new(), leadership: None })
    }

    /// The same store, whose writes carry the epoch of this leadership. The first of them that is
    /// refused because another one leads ends it; so does a schema that was changed under it.
    #[must_use]
    pub fn led_by(&self, leadership: &Leadership) -> Self {
        Self { epoch: Some(leadership.number()), leadership: Some(leadership.clone()), ..self.clone() }
    }

    /// The same store, whose writes carry this epoch of the lease. One without an epoch only reads.
    #[must_use]
    pub fn fenced(&self, epoch: i64) -> Self {
        Self { epoch: Some(epoch), leadership: None, ..self.clone() }
    }

    fn epoch(&self) -> Result<i64, AuditError> {
        self.epoch.ok_or_else(|| AuditError::Fenced("this store has no epoch of the lease: it only reads".into()))
    }

    /// Where the database is, for messages: host, port and name, no password.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Sessions that this store appended to, as it happens. Lossy: who lags reads the table.
    #[must_use]
    pub fn appended(&self) -> broadcast::Receiver<SessionId> {
        self.appended.subscribe()
    }

    /// The installation's name: eight hex digits, made once by [`migrate`].
    ///
    /// # Errors
    /// As every call; [`AuditError::Schema`] before the first [`migrate`].
    pub async fn installation_id(&self) -> Result<String, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_scalar("SELECT id FROM installation").fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        connection.settle(answer, Doing::Asking)
    }

    /// Whether the schema is the one that this binary was built with.
    ///
    /// # Errors
    /// [`AuditError::Schema`] with a sentence that says what to do, or as every call.
    pub async fn check_schema(&self) -> Result<(), AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as(schema::SELECT_APPLIED).fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        schema::check(&connection.settle(answer, Doing::Asking)?)
    }

    /// Closes the connections. Calls after it are refused as unavailable.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn ping(&self) -> Result<(), AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'on' FROM installation")
            .fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        if connection.settle(answer, Doing::Asking)? {
            return Err(AuditError::Unavailable { reason: "the database takes no writes just now (read-only)".into() });
        }
        Ok(())
    }

    async fn begin_session(&self, new: &NewSession) -> Result<SessionRecord, AuditError> {
        self.linked(Act::Begin(new)).await?;
        self.find_session(&new.incident_uid, new.attempt)
            .await?
            .ok_or_else(|| AuditError::NotFound(format!("session {}", new.id)))
    }

    async fn find_session(&self, incident_uid: &str, attempt: i64) -> Result<Option<SessionRecord>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = rows::select_sessions(" WHERE s.incident_uid = $1 AND s.attempt = $2")
            .bind(without_nul(incident_uid))
            .bind(attempt)
            .fetch_optional(&mut *connection);
        let answer = timeout_at(until, query).await;
        Ok(connection.settle(answer, Doing::Asking)?.map(rows::SessionRow::into_record))
    }

    fn sign(
        &self,
        session: &SessionId,
        seq: i64,
        prev: Hash,
        at: Timestamp,
        body: &EntryBody,
    ) -> Result<SignedEntry, AuditError> {
        sign_entry(&*self.signer()?.key()?, session, seq, self.epoch()?, prev, at, body)
    }

    async fn commit(&self, entry: &SignedEntry) -> Result<(), AuditError> {
        if entry.seals {
            self.linked(Act::Seal(entry)).await?;
        } else {
            self.append_signed(entry).await?;
        }
        // Nobody listening is fine.
        let _ = self.appended.send(entry.session.clone());
        Ok(())
    }

    async fn hash_before(&self, session: &SessionId, seq: i64) -> Result<Option<Hash>, AuditError> {
        self.before(session, seq).await
    }

    fn chain_head(&self) -> Option<LinkHead> {
        self.chain.seen()
    }

    async fn update_session(&self, session: &SessionId, state: &SessionState) -> Result<(), AuditError> {
        let epoch = self.epoch()?;
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query("SELECT update_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)")
            .bind(session.as_str())
            .bind(without_nul(&state.phase))
            .bind(state.turns)
            .bind(state.commands)
            .bind(state.input_tokens)
            .bind(state.output_tokens)
            .bind(state.cost.0)
            .bind(state.root_cause.as_deref().map(without_nul))
            .bind(state.summary.as_deref().map(without_nul))
            .bind(state.reason.as_deref().map(without_nul))
            .bind(state.ended_at.map(time))
            .bind(epoch)
            .execute(&mut *connection);
        let answer = timeout_at(until, query).await;
        connection.settle(answer, Doing::Asking)?;
        Ok(())
    }

    async fn add_summary(&self, session: &SessionId, seq: i64, text: &str) -> Result<(), AuditError> {
        let epoch = self.epoch()?;
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query("SELECT add_summary($1, $2, $3, $4)")
            .bind(session.as_str())
            .bind(seq)
            .bind(without_nul(text))
            .bind(epoch)
            .execute(&mut *connection);
        let answer = timeout_at(until, query).await;
        connection.settle(answer, Doing::Asking)?;
        Ok(())
    }

    async fn entries(&self, session: &SessionId, after: i64, limit: i64) -> Result<Vec<Entry>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = rows::select_entries(session, after, limit).fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        let rows = connection.settle(answer, Doing::Asking)?;
        rows.into_iter().map(|row| codec::decode(&row.body, row.summary)).collect()
    }

    async fn last_of(&self, session: &SessionId, kinds: &[EntryKind], limit: i64) -> Result<Vec<Entry>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = rows::select_last_of(session, kinds, limit).fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        let rows = connection.settle(answer, Doing::Asking)?;
        rows.into_iter().rev().map(|row| codec::decode(&row.body, row.summary)).collect()
    }

    async fn record_halt(&self, halt: Option<&Halt>) -> Result<(), AuditError> {
        let epoch = self.epoch()?;
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query("SELECT record_halt($1, $2, $3, $4, $5)")
            .bind(halt.is_some())
            .bind(halt.and_then(|halt| halt.by.as_deref()).map(without_nul))
            .bind(halt.and_then(|halt| halt.reason.as_deref()).map(without_nul))
            .bind(halt.and_then(|halt| halt.since).map(time))
            .bind(epoch)
            .execute(&mut *connection);
        let answer = timeout_at(until, query).await;
        connection.settle(answer, Doing::Asking)?;
        Ok(())
    }

    async fn stored(&self, session: &SessionId, after: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        self.page(session, after, limit).await
    }

    async fn running(&self) -> Result<Vec<SessionRecord>, AuditError> {
        self.sessions(&SessionFilter::running()).await
    }
}
