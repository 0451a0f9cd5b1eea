//! Reading from Postgres.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sqlx::QueryBuilder;
use tokio::time::timeout_at;

use super::PostgresStore;
use super::error::{Doing, time};
use super::rows::{self, SELECT_SESSIONS, SessionRow};
use crate::audit::follow::follow_by_asking;
use crate::audit::reader::{AuditReader, Followed, MAX_ENTRIES, MAX_PAGE_BYTES, SessionFilter, StoredEntry};
use crate::audit::{AuditError, SessionRecord, codec};
use crate::session::SessionId;

#[async_trait]
impl AuditReader for PostgresStore {
    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRecord>, AuditError> {
        let mut select = QueryBuilder::new(SELECT_SESSIONS);
        select.push(" WHERE true");
        let columns = [
            (" AND s.incident_namespace = ", &filter.namespace),
            (" AND s.incident_name = ", &filter.incident),
            (" AND s.subject = ", &filter.subject),
        ];
        for (condition, value) in columns {
            if let Some(value) = value {
                select.push(condition).push_bind(value.replace('\0', "\u{2400}"));
            }
        }
        if let Some(phase) = &filter.phase {
            select.push(" AND lower(s.phase) = ").push_bind(phase.replace('\0', "\u{2400}").to_lowercase());
        }
        if let Some(since) = filter.since {
            select.push(" AND s.started_at >= ").push_bind(time(since));
        }
        select.push(" ORDER BY s.started_at DESC, s.id DESC LIMIT ").push_bind(filter.effective_limit());

        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = select.build_query_as::<SessionRow>().fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        let rows = connection.settle(answer, Doing::Asking)?;
        Ok(rows.into_iter().map(SessionRow::into_record).collect())
    }

    async fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = rows::select_sessions(" WHERE s.id = $1")
            .bind(id.as_str().replace('\0', "\u{2400}"))
            .fetch_optional(&mut *connection);
        let answer = timeout_at(until, query).await;
        Ok(connection.settle(answer, Doing::Asking)?.map(SessionRow::into_record))
    }

    async fn page(&self, id: &SessionId, after: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = rows::select_page(id, after, limit.min(MAX_ENTRIES), MAX_PAGE_BYTES).fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        let rows = connection.settle(answer, Doing::Asking)?;
        rows.into_iter().map(|row| codec::decode_any(&row.body, row.summary)).collect()
    }

    async fn page_before(&self, id: &SessionId, before: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let limit = limit.min(MAX_ENTRIES);
        let query = rows::select_page_before(id, before, limit, MAX_PAGE_BYTES).fetch_all(&mut *connection);
        let answer = timeout_at(until, query).await;
        let rows = connection.settle(answer, Doing::Asking)?;
        rows.into_iter().map(|row| codec::decode_any(&row.body, row.summary)).collect()
    }

    fn follow(self: Arc<Self>, id: SessionId, after: i64) -> BoxStream<'static, Result<Followed, AuditError>> {
        let wake = self.appended();
        follow_by_asking(self, id, after, Some(wake))
    }
}
