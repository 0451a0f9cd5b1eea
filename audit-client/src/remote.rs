//! The trail over the audit API: for people outside the pod.

mod connection;
mod entries;
mod events;
mod observations;
mod sse;
mod transport;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::reader::{AuditReader, Followed, SessionFilter, StoredEntry};
use crate::record::{AuditError, SessionRecord};
use crate::row::{EntryRow, KeyRow, LinkRow, ProofReader, SessionRow};
use crate::session::SessionId;
use crate::wire::{Entries, ProofEntries, ProofKeys, ProofLinks, ProofSessions, Sessions};
use connection::{CALL_LIMIT, Connection, MAX_ANSWER, answer, broken, encode, open, send, unreachable};

pub use observations::follow as follow_observations;
pub use transport::{ConnectError, LABELS, PORT, Transport};

/// The client of the audit API. One connection serves all calls; every follower has its own.
pub struct RemoteReader {
    transport: Transport,
    connection: Mutex<Option<Connection>>,
}

impl RemoteReader {
    /// Opens a first connection, so that what is wrong with the way is said at once.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(transport: Transport) -> Result<Self, ConnectError> {
        let connection = open(&transport).await?;
        Ok(Self { transport, connection: Mutex::new(Some(connection)) })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AuditError> {
        let mut kept = self.connection.lock().await;
        let mut fresh = false;
        loop {
            let mut connection = match kept.take() {
                Some(connection) if !connection.sender.is_closed() => connection,
                _ => {
                    fresh = true;
                    open(&self.transport).await.map_err(unreachable)?
                }
            };
            let calling = async {
                let response = send(&mut connection, path).await?;
                let status = response.status();
                let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
                Ok::<_, String>((status, body.map_err(|error| error.to_string())?.to_bytes()))
            };
            match tokio::time::timeout(CALL_LIMIT, calling).await {
                Ok(Ok((status, body))) => {
                    *kept = Some(connection);
                    return answer(status, &body);
                }
                // A kept connection may have died of old age: once more on a new one.
                Ok(Err(_)) if !fresh => {}
                Ok(Err(error)) => return Err(broken(&connection.trouble, &error).await),
                Err(_) => {
                    let reason = format!("the audit API did not answer within {CALL_LIMIT:?}");
                    return Err(AuditError::Unavailable { reason });
                }
            }
        }
    }
}

fn sessions_path(filter: &SessionFilter) -> String {
    let pairs = [
        ("namespace", filter.namespace.clone()),
        ("incident", filter.incident.clone()),
        ("subject", filter.subject.clone()),
        ("phase", filter.phase.clone()),
        ("since", filter.since.map(|since| since.to_string())),
        ("limit", filter.limit.map(|limit| limit.to_string())),
    ];
    let pairs: Vec<String> =
        pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?)))).collect();
    format!("/sessions?{}", pairs.join("&"))
}

#[async_trait]
impl AuditReader for RemoteReader {
    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRecord>, AuditError> {
        Ok(self.get::<Sessions>(&sessions_path(filter)).await?.sessions)
    }

    async fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, AuditError> {
        match self.get(&format!("/sessions/{}", encode(id.as_str()))).await {
            Ok(record) => Ok(Some(record)),
            Err(AuditError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn page(&self, id: &SessionId, after: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        let path = format!("/sessions/{}/entries?after={after}&limit={limit}", encode(id.as_str()));
        Ok(self.get::<Entries>(&path).await?.entries)
    }

    async fn page_before(&self, id: &SessionId, before: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        let path = format!("/sessions/{}/entries?before={before}&limit={limit}", encode(id.as_str()));
        Ok(self.get::<Entries>(&path).await?.entries)
    }

    fn follow(self: Arc<Self>, id: SessionId, after: i64) -> BoxStream<'static, Result<Followed, AuditError>> {
        entries::follow(self.transport.clone(), id, after)
    }
}

#[async_trait]
impl ProofReader for RemoteReader {
    async fn keys(&self) -> Result<Vec<KeyRow>, AuditError> {
        Ok(self.get::<ProofKeys>("/proof/keys").await?.keys)
    }

    async fn links(&self, after: i64) -> Result<Vec<LinkRow>, AuditError> {
        Ok(self.get::<ProofLinks>(&format!("/proof/links?after={after}")).await?.links)
    }

    async fn session_rows(&self, after: &str) -> Result<Vec<SessionRow>, AuditError> {
        Ok(self.get::<ProofSessions>(&format!("/proof/sessions?after={}", encode(after))).await?.sessions)
    }

    async fn entry_rows(&self, session: &SessionId, after: i64) -> Result<Vec<EntryRow>, AuditError> {
        let path = format!("/proof/sessions/{}/entries?after={after}", encode(session.as_str()));
        Ok(self.get::<ProofEntries>(&path).await?.entries)
    }
}
