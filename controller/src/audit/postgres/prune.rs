//! Removing old sessions, as a role that can do nothing else.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{Connection as _, PgConnection};

use super::connection;
use super::error::{Doing, classify, code_of_error, time};
use super::schema::MigrateError;
use crate::audit::AuditError;
use crate::audit::proof::key::KeyId;
use crate::audit::proof::link::{LinkBody, LinkHead, PruneLink, Pruned};
use crate::audit::proof::signer::{Signer, sign_link};

/// Sessions in one tombstone, and in one transaction.
pub const BATCH: i64 = 200;
/// How often a tombstone is signed again when others append to the chain at the same time.
const TRIES: usize = 20;

/// What may be pruned, and what a tombstone has to follow.
#[derive(Debug, Deserialize)]
struct Plan {
    head: LinkHead,
    key: String,
    sessions: Vec<Pruned>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Removed {
    /// Whole sessions.
    pub sessions: u64,
    /// Their entries.
    pub entries: u64,
}

/// A connection of the role that prunes.
pub struct Pruner {
    database: PgConnection,
    before: Timestamp,
}

impl Pruner {
    /// Will prune what had ended before that time.
    ///
    /// # Errors
    /// [`MigrateError`] when there is no database, or it does not let us in.
    pub async fn connect(url: &str, before: Timestamp) -> Result<Self, MigrateError> {
        let options = connection::options(url, Duration::from_mins(2))
            .map_err(|error| MigrateError::Setting(error.to_string()))?;
        let database = connection::open(&options, Duration::from_secs(10), &mut |_| {}).await?;
        Ok(Self { database, before })
    }

    /// The oldest sessions that may be pruned, at most `limit`.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn candidates(&mut self, limit: i64) -> Result<Vec<Pruned>, AuditError> {
        Ok(self.plan(limit).await?.sessions)
    }

    async fn plan(&mut self, limit: i64) -> Result<Plan, AuditError> {
        let query = sqlx::query_scalar("SELECT prune_sessions($1, $2)").bind(time(self.before)).bind(limit);
        let Json(plan) = query.fetch_one(&mut self.database).await.map_err(|error| classify(&error, Doing::Asking))?;
        Ok(plan)
    }

    /// Removes one batch, with its tombstone. Nothing when nothing is left.
    ///
    /// # Errors
    /// [`AuditError`]; then nothing of the batch was removed, unless only the answer was lost.
    pub async fn prune(&mut self, signer: &Signer) -> Result<Removed, AuditError> {
        for _ in 0..TRIES {
            let plan = self.plan(BATCH).await?;
            if plan.sessions.is_empty() {
                return Ok(Removed::default());
            }
            let id: KeyId = plan.key.parse().map_err(|_| {
                AuditError::Schema("the audit trail has no signing key yet: run `operator migrate`".to_owned())
            })?;
            signer.choose(id)?;
            let tombstone = PruneLink {
                before: self.before,
                count: i64::try_from(plan.sessions.len()).unwrap_or(i64::MAX),
                sessions: plan.sessions,
            };
            let link = sign_link(&*signer.key()?, plan.head, 0, LinkBody::Prune(tombstone))?;
            let query = sqlx::query_scalar("SELECT prune_sessions($1, $2, $3, $4, $5, $6, $7)")
                .bind(time(self.before))
                .bind(BATCH)
                .bind(link.n)
                .bind(link.prev.as_bytes().to_vec())
                .bind(&link.body)
                .bind(link.signature.to_vec())
                .bind(link.key.to_string());
            match query.fetch_one(&mut self.database).await {
                Ok(Json(removed)) => return Ok(removed),
                // Another link or another key came first.
                Err(error) if matches!(code_of_error(&error).as_deref(), Some("OP006" | "OP007")) => {}
                Err(error) => return Err(classify(&error, Doing::Asking)),
            }
        }
        Err(AuditError::Unavailable { reason: "others append to the installation's chain all the time".into() })
    }

    /// Ends the connection.
    pub async fn close(self) {
        // What was to be done is committed.
        let _ = self.database.close().await;
    }
}
