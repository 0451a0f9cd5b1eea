//! What models cost a day, and the installation's secret. By the database's clock, and in one place for all
//! controllers.

use jiff_sqlx::Timestamp as SqlTimestamp;
use tokio::time::timeout_at;

use super::PostgresStore;
use super::error::Doing;
use crate::audit::AuditError;
use crate::money::NanoDollars;
use crate::redact::InstallationSecret;
use crate::session::SessionId;

/// What the calls of today cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendToday {
    /// Settled calls as they cost, others at their worst case.
    pub spent: NanoDollars,
    /// When the next day begins.
    pub next_day: jiff::Timestamp,
}

impl PostgresStore {
    /// The value from which keys of sessions are made.
    ///
    /// # Errors
    /// As every call.
    pub async fn installation_secret(&self) -> Result<InstallationSecret, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_scalar::<_, Vec<u8>>("SELECT read_installation_secret()").fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        let bytes = connection.settle(answer, Doing::Asking)?;
        let bytes = <[u8; 32]>::try_from(bytes)
            .map_err(|_| AuditError::Refused("the installation's secret has not 32 bytes".into()))?;
        Ok(InstallationSecret::new(bytes))
    }

    /// What today's calls cost so far.
    ///
    /// # Errors
    /// As every call.
    pub async fn spend_today(&self) -> Result<SpendToday, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as::<_, (i64, SqlTimestamp)>("SELECT nanodollars, next_day FROM spend_today()")
            .fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        let (spent, next_day) = connection.settle(answer, Doing::Asking)?;
        Ok(SpendToday { spent: NanoDollars(spent), next_day: next_day.to_jiff() })
    }

    /// Reserves the worst case of a call. False if the day's limit has no room for it.
    ///
    /// # Errors
    /// As every call.
    pub async fn reserve_spend(
        &self,
        session: &SessionId,
        call: &str,
        amount: NanoDollars,
        limit: Option<NanoDollars>,
    ) -> Result<(bool, SpendToday), AuditError> {
        let epoch = self.epoch()?;
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as::<_, (bool, i64, SqlTimestamp)>(
            "SELECT granted, nanodollars, next_day FROM reserve_spend($1, $2, $3, $4, $5)",
        )
        .bind(session.as_str())
        .bind(call)
        .bind(amount.0)
        .bind(limit.map(|limit| limit.0))
        .bind(epoch)
        .fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        let (granted, spent, next_day) = connection.settle(answer, Doing::Asking)?;
        Ok((granted, SpendToday { spent: NanoDollars(spent), next_day: next_day.to_jiff() }))
    }

    /// Puts what a call cost in the place of its worst case, and gives today's sum.
    ///
    /// # Errors
    /// As every call.
    pub async fn settle_spend(
        &self,
        session: &SessionId,
        call: &str,
        amount: NanoDollars,
    ) -> Result<NanoDollars, AuditError> {
        let epoch = self.epoch()?;
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_scalar::<_, i64>("SELECT settle_spend($1, $2, $3, $4)")
            .bind(session.as_str())
            .bind(call)
            .bind(amount.0)
            .bind(epoch)
            .fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        connection.settle(answer, Doing::Asking).map(NanoDollars)
    }
}
