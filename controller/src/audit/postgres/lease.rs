//! The lease by which one controller leads, as the database keeps it: by its own clock, with an epoch
//! that rises each time that it changes hands. What a controller makes of it is in `crate::leader`.

use std::time::Duration;

use tokio::time::timeout_at;

use super::PostgresStore;
use super::error::Doing;
use crate::audit::AuditError;

/// A writer's transaction that takes longer than this keeps nobody from leading: it is cut.
const STUCK: Duration = Duration::from_secs(2);

/// What came of asking for the lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Acquired {
    /// It is ours from now on, in this epoch.
    Ours {
        /// One more than whoever had it before.
        epoch: i64,
    },
    /// Somebody else has it.
    Theirs {
        /// Who.
        holder: String,
        /// For how long yet, unless it is renewed.
        left: Duration,
    },
}

impl PostgresStore {
    /// Takes the lease for `ttl`, if it is free or has run out.
    ///
    /// # Errors
    /// As every call. A takeover that waits for a writer which does not end (a controller that was
    /// stopped within a write) is unavailable, and the writer's connection is cut: ask again.
    pub async fn acquire_lease(&self, holder: &str, ttl: Duration) -> Result<Acquired, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as::<_, (Option<i64>, String, f64)>(
            "SELECT epoch, holder, seconds_left FROM acquire_lease($1, make_interval(secs => $2))",
        )
        .bind(holder)
        .bind(ttl.as_secs_f64())
        .fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        let waited = matches!(&answer, Ok(Err(error)) if error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55P03")));
        let answer = connection.settle(answer, Doing::Asking);
        if waited {
            let cut = self.cut_stuck_writers().await?;
            return Err(AuditError::Unavailable {
                reason: format!("the lease has run out, but a write that began before does not end; {cut} cut"),
            });
        }
        Ok(match answer? {
            (Some(epoch), ..) => Acquired::Ours { epoch },
            (None, holder, seconds) => {
                Acquired::Theirs { holder, left: Duration::try_from_secs_f64(seconds).unwrap_or_default() }
            }
        })
    }

    /// Whether the lease is still that holder's in that epoch; it is then so for another `ttl`.
    ///
    /// # Errors
    /// As every call.
    pub async fn renew_lease(&self, holder: &str, epoch: i64, ttl: Duration) -> Result<bool, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_scalar("SELECT renew_lease($1, $2, make_interval(secs => $3))")
            .bind(holder)
            .bind(epoch)
            .bind(ttl.as_secs_f64())
            .fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        connection.settle(answer, Doing::Asking)
    }

    /// Gives the lease back; whether it was still that holder's in that epoch.
    ///
    /// # Errors
    /// As every call.
    pub async fn release_lease(&self, holder: &str, epoch: i64) -> Result<bool, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query =
            sqlx::query_scalar("SELECT release_lease($1, $2)").bind(holder).bind(epoch).fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        connection.settle(answer, Doing::Asking)
    }

    async fn cut_stuck_writers(&self) -> Result<i64, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_scalar("SELECT cut_stuck_writers(make_interval(secs => $1))")
            .bind(STUCK.as_secs_f64())
            .fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        connection.settle(answer, Doing::Asking)
    }
}
