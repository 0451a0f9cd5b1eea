//! Sessions and observations of a cluster, over the audit API of the controller.
//!
//! One connection answers questions; each session and each Subject that is followed has one of its own. What breaks is
//! opened again; how it stands is told as the [`Link`] of its [`Source`].

mod follow;
mod observe;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit_client::{
    AuditError, AuditReader as _, ConnectError, RemoteReader, SessionFilter, SessionId, StoredEntry, Transport,
};
use serde_json::Value;
use tokio::task::AbortHandle;

use super::{Entry, FeedEvent, Link, Outlet, Place, Request, Source, SubjectKey, export};

/// Between the first two tries to reach the audit API.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Between two later ones, at most.
const LAST_PAUSE: Duration = Duration::from_secs(15);
/// The same while a right is missing.
const DENIED_PAUSE: Duration = Duration::from_secs(30);

/// The audit API.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    reader: tokio::sync::Mutex<Option<Arc<RemoteReader>>>,
    sessions: Tasks<String>,
    subjects: Tasks<SubjectKey>,
    /// Tries to reach a session that could not be read.
    knocking: Tasks<String>,
}

/// Tasks that end when another takes their place, or is told to.
struct Tasks<K>(Mutex<HashMap<K, AbortHandle>>);

impl<K: Eq + Hash> Tasks<K> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn set(&self, key: K, task: Option<AbortHandle>) {
        let mut tasks = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = match task {
            Some(task) => tasks.insert(key, task),
            None => tasks.remove(&key),
        };
        if let Some(before) = before {
            before.abort();
        }
    }
}

/// Why something could not be read, as its connection stands then.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// It may pass.
    Lost(String),
    /// A right is missing.
    Forbidden(String),
    /// It is not there.
    Missing(String),
}

impl Trouble {
    fn link(&self) -> Link {
        match self.clone() {
            Self::Lost(reason) => Link::Lost { reason },
            Self::Forbidden(reason) => Link::Forbidden { reason },
            Self::Missing(reason) => Link::Missing { reason },
        }
    }
}

impl From<AuditError> for Trouble {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Unavailable { reason } => Self::Lost(reason),
            error => Self::Missing(error.to_string()),
        }
    }
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Forbidden(reason) => Self::Forbidden(reason),
            error if error.is_transient() => Self::Lost(error.to_string()),
            error => Self::Missing(error.to_string()),
        }
    }
}

impl Audit {
    /// Over this way.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        let shared = Shared {
            transport,
            reader: tokio::sync::Mutex::new(None),
            sessions: Tasks::new(),
            subjects: Tasks::new(),
            knocking: Tasks::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Fulfils a wish, if it is about sessions or observations; whether it is.
    #[allow(clippy::must_use_candidate)] // most do not want to know
    pub fn ask(&self, request: &Request, outlet: &Outlet) -> bool {
        let (audit, outlet) = (self.clone(), outlet.clone());
        match request.clone() {
            Request::Session { session } => drop(tokio::spawn(audit.session(session, outlet))),
            Request::Sessions { namespace, name } => drop(tokio::spawn(audit.attempts(namespace, name, outlet))),
            Request::Page { session, place, limit } => {
                drop(tokio::spawn(audit.page(session, place, limit, outlet)));
            }
            Request::Export { session, path, format } => {
                drop(tokio::spawn(async move {
                    let done = export::remote(&audit, &session, &path, format).await;
                    // The loop may be gone; then there is nobody to tell.
                    let _ = outlet.done(done).await;
                }));
            }
            Request::Follow { session, after } => {
                let task = tokio::spawn(follow::follow(audit, session.clone(), after, outlet)).abort_handle();
                self.shared.sessions.set(session, Some(task));
            }
            Request::Unfollow { session } => {
                self.shared.knocking.set(session.clone(), None);
                self.shared.sessions.set(session, None);
            }
            Request::Observe { subject } => {
                let task = tokio::spawn(observe::observe(audit, subject.clone(), outlet)).abort_handle();
                self.shared.subjects.set(subject, Some(task));
            }
            Request::Unobserve { subject } => self.shared.subjects.set(subject, None),
            Request::Scope(_) | Request::Act(_) | Request::Reconnect => return false,
        }
        true
    }

    /// The connection for questions.
    async fn reader(&self) -> Result<Arc<RemoteReader>, Trouble> {
        let mut kept = self.shared.reader.lock().await;
        if let Some(reader) = kept.as_ref() {
            return Ok(reader.clone());
        }
        let reader = Arc::new(RemoteReader::connect(self.shared.transport.clone()).await?);
        *kept = Some(reader.clone());
        Ok(reader)
    }

    /// The record of a session.
    pub(super) async fn record(&self, session: &str) -> Result<audit_client::SessionRecord, String> {
        self.find(session).await.map_err(|trouble| match trouble {
            Trouble::Lost(reason) | Trouble::Forbidden(reason) | Trouble::Missing(reason) => reason,
        })
    }

    /// The entries after a number.
    pub(super) async fn after(&self, session: &str, after: i64, limit: i64) -> Result<Vec<StoredEntry>, String> {
        let reader = self.reader().await.map_err(|trouble| format!("{trouble:?}"))?;
        let id = SessionId::from(session.to_owned());
        reader.page(&id, after, limit).await.map_err(|error| error.to_string())
    }

    async fn find(&self, session: &str) -> Result<audit_client::SessionRecord, Trouble> {
        let found = self.reader().await?.session(&SessionId::from(session.to_owned())).await?;
        found.ok_or_else(|| {
            Trouble::Missing(format!("session {session} is not in the audit store: it may have been removed"))
        })
    }

    async fn session(self, session: String, outlet: Outlet) {
        match self.find(&session).await {
            Ok(record) => {
                let record = serde_json::to_value(record).unwrap_or(Value::Null);
                // The loop may be gone; then there is nobody to tell. So everywhere below.
                let _ = outlet.one(FeedEvent::Session { session, record }).await;
            }
            Err(trouble) => self.failed(session, &trouble, outlet).await,
        }
    }

    async fn attempts(self, namespace: String, name: String, outlet: Outlet) {
        let filter = SessionFilter {
            namespace: Some(namespace.clone()),
            incident: Some(name.clone()),
            ..SessionFilter::default()
        };
        // They are a comfort: what is wrong is said where the session itself is read.
        let Ok(reader) = self.reader().await else { return };
        let Ok(records) = reader.sessions(&filter).await else { return };
        let records = records.iter().filter_map(|record| serde_json::to_value(record).ok()).collect();
        let _ = outlet.one(FeedEvent::Sessions { namespace, name, records }).await;
    }

    async fn page(self, session: String, place: Place, limit: usize, outlet: Outlet) {
        match self.entries(&session, place, limit).await {
            Ok(entries) => {
                let entries = entries.into_iter().map(entry).collect();
                let _ = outlet.one(FeedEvent::Entries { session, entries, answers: Some(place) }).await;
            }
            Err(trouble) => self.failed(session, &trouble, outlet).await,
        }
    }

    async fn entries(&self, session: &str, place: Place, limit: usize) -> Result<Vec<StoredEntry>, Trouble> {
        let (reader, id) = (self.reader().await?, SessionId::from(session.to_owned()));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(match place {
            Place::Before(before) => reader.page_before(&id, before, limit).await?,
            Place::After(after) => reader.page(&id, after, limit).await?,
        })
    }

    /// Says what is wrong, and tries until it is over.
    async fn failed(self, session: String, trouble: &Trouble, outlet: Outlet) {
        let link = trouble.link();
        let _ = outlet.one(FeedEvent::Link { source: Source::Session(session.clone()), link }).await;
        let task = tokio::spawn(knock(self.clone(), session.clone(), trouble.clone(), outlet)).abort_handle();
        self.shared.knocking.set(session, Some(task));
    }
}

/// Tries to reach a session until it can be read.
async fn knock(audit: Audit, session: String, mut trouble: Trouble, outlet: Outlet) {
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = if matches!(trouble, Trouble::Lost(_)) { pause } else { DENIED_PAUSE };
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LAST_PAUSE);
        let source = Source::Session(session.clone());
        match audit.find(&session).await {
            Ok(record) => {
                let record = serde_json::to_value(record).unwrap_or(Value::Null);
                let news = vec![FeedEvent::Session { session, record }, FeedEvent::Link { source, link: Link::Live }];
                let _ = outlet.send(news).await;
                return;
            }
            Err(now) if now == trouble => {}
            Err(now) => {
                trouble = now;
                if outlet.one(FeedEvent::Link { source, link: trouble.link() }).await.is_err() {
                    return;
                }
            }
        }
        if outlet.is_closed() {
            return;
        }
    }
}

/// An entry as the screens have it.
pub(super) fn entry(stored: StoredEntry) -> Entry {
    Entry { seq: stored.seq, at: stored.at, kind: stored.kind, data: stored.data, summary: stored.summary }
}
