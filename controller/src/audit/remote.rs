//! The trail over the audit API: for people outside the pod.

mod sse;
mod transport;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::api::{Entries, Problem, ProofEntries, ProofKeys, ProofLinks, ProofSessions, Sessions};
use super::proof::row::{EntryRow, KeyRow, LinkRow, ProofReader, SessionRow};
use super::reader::{AuditReader, Followed, SessionFilter, StoredEntry};
use super::{AuditError, SessionRecord};
use crate::error::chain;
use crate::session::SessionId;
use transport::Trouble;

pub use transport::{ConnectError, LABELS, PORT, Transport};

/// How long one answer may take.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// The most bytes of one answer.
const MAX_ANSWER: usize = 128 << 20;
/// The pause before a follower connects again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// A stream without a sign of life for this long is dead; the server gives one every 10 seconds.
const SILENCE_LIMIT: Duration = Duration::from_secs(35);

/// The client of the audit API. One connection serves all calls; every follower has its own.
pub struct RemoteReader {
    transport: Transport,
    connection: Mutex<Option<Connection>>,
}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    trouble: Trouble,
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

async fn open(transport: &Transport) -> Result<Connection, ConnectError> {
    let way = transport.open().await?;
    let shaken = http1::handshake(TokioIo::new(way.stream)).await;
    let (sender, connection) =
        shaken.map_err(|error| ConnectError::Unreachable(format!("no HTTP on the way: {error}")))?;
    // Ends with its sender; what went wrong is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(Connection { sender, trouble: way.trouble })
}

async fn send(connection: &mut Connection, path: &str) -> Result<Response<Incoming>, String> {
    let request = Request::get(path).header(header::HOST, "localhost").body(Empty::new());
    let request = request.map_err(|error| error.to_string())?;
    connection.sender.ready().await.map_err(|error| chain(&error))?;
    connection.sender.send_request(request).await.map_err(|error| chain(&error))
}

/// A connection that broke: the kubelet knows why, if anybody does.
async fn broken(trouble: &Trouble, error: &str) -> AuditError {
    let said = tokio::time::timeout(Duration::from_secs(1), trouble.clone()).await.ok().flatten();
    let reason = match said {
        Some(said) => format!("the port-forward to the audit API broke: {}", said.trim()),
        None => format!("the connection to the audit API broke: {error}"),
    };
    AuditError::Unavailable { reason }
}

#[allow(clippy::needless_pass_by_value)] // reads well in map_err
fn unreachable(error: ConnectError) -> AuditError {
    if error.is_transient() {
        AuditError::Unavailable { reason: error.to_string() }
    } else {
        AuditError::Refused(error.to_string())
    }
}

fn answer<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, AuditError> {
    if status.is_success() {
        return serde_json::from_slice(body)
            .map_err(|error| AuditError::Refused(format!("the audit API's answer cannot be read: {error}")));
    }
    Err(refusal(status, body))
}

/// The server's sentence, without the words that this side's error puts around it again.
fn refusal(status: StatusCode, body: &[u8]) -> AuditError {
    let text = serde_json::from_slice::<Problem>(body)
        .map_or_else(|_| format!("HTTP status {status}"), |problem| problem.error);
    let bare = |prefix: &str, suffix: &str| {
        let text = text.strip_prefix(prefix).unwrap_or(&text);
        text.strip_suffix(suffix).unwrap_or(text).to_owned()
    };
    match status {
        StatusCode::NOT_FOUND => AuditError::NotFound(bare("", " is not in the audit store")),
        StatusCode::SERVICE_UNAVAILABLE => {
            AuditError::Unavailable { reason: bare("the audit store is unavailable: ", "") }
        }
        _ => AuditError::Refused(bare("the audit store refused: ", "")),
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
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

    fn follow(self: Arc<Self>, id: SessionId, after: i64) -> BoxStream<'static, Result<Followed, AuditError>> {
        let follower = Follower {
            transport: self.transport.clone(),
            id,
            after,
            live: None,
            ready: VecDeque::new(),
            waiting: false,
            over: false,
        };
        stream::unfold(follower, |mut follower| async move {
            let next = follower.next().await?;
            Some((next, follower))
        })
        .boxed()
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

/// One follower with a connection of its own, which it opens again as often as it breaks.
struct Follower {
    transport: Transport,
    id: SessionId,
    after: i64,
    live: Option<Live>,
    ready: VecDeque<sse::Event>,
    waiting: bool,
    over: bool,
}

struct Live {
    body: Incoming,
    decoder: sse::Decoder,
    connection: Connection,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Followed, AuditError>> {
        while !self.over {
            if let Some(event) = self.ready.pop_front() {
                if let Some(next) = self.take(&event) {
                    return Some(next);
                }
                continue;
            }
            match self.read().await {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    self.live = None;
                    if !std::mem::replace(&mut self.waiting, true) {
                        return Some(Ok(Followed::Waiting(error.to_string())));
                    }
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn take(&mut self, event: &sse::Event) -> Option<Result<Followed, AuditError>> {
        self.waiting = event.name == "waiting";
        let sentence = || serde_json::from_str::<Problem>(&event.data).map_or_else(|_| event.data.clone(), |p| p.error);
        match event.name.as_str() {
            "entry" => match serde_json::from_str::<StoredEntry>(&event.data) {
                // What came twice over a reconnect is told once.
                Ok(entry) if entry.seq <= self.after => None,
                Ok(entry) => {
                    self.after = entry.seq;
                    Some(Ok(Followed::Entry(entry)))
                }
                Err(error) => {
                    self.over = true;
                    Some(Err(AuditError::Refused(format!("an entry from the audit API cannot be read: {error}"))))
                }
            },
            "waiting" => Some(Ok(Followed::Waiting(sentence()))),
            "error" => {
                self.over = true;
                Some(Err(AuditError::Refused(sentence())))
            }
            "end" => {
                self.over = true;
                None
            }
            _ => None,
        }
    }

    /// Reads until there are events, or the connection is found dead.
    async fn read(&mut self) -> Result<(), AuditError> {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.begin().await?,
        };
        let frame = tokio::time::timeout(SILENCE_LIMIT, live.body.frame()).await;
        let error = match frame {
            Err(_) => "no sign of life".to_owned(),
            Ok(None) => "it ended".to_owned(),
            Ok(Some(Err(error))) => chain(&error),
            Ok(Some(Ok(frame))) => {
                let bytes = frame.into_data().unwrap_or_default();
                let events = live.decoder.push(&bytes);
                self.ready.extend(
                    events.map_err(|_| AuditError::Refused("the audit API sends an event without end".into()))?,
                );
                self.live = Some(live);
                return Ok(());
            }
        };
        Err(broken(&live.connection.trouble, &error).await)
    }

    async fn begin(&self) -> Result<Live, AuditError> {
        let mut connection = open(&self.transport).await.map_err(unreachable)?;
        let path = format!("/sessions/{}/entries?after={}&follow=true", encode(self.id.as_str()), self.after);
        let response = match tokio::time::timeout(CALL_LIMIT, send(&mut connection, &path)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(broken(&connection.trouble, &error).await),
            Err(_) => {
                return Err(AuditError::Unavailable {
                    reason: format!("the audit API did not answer within {CALL_LIMIT:?}"),
                });
            }
        };
        let status = response.status();
        if !status.is_success() {
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            return Err(refusal(status, &body.map(http_body_util::Collected::to_bytes).unwrap_or_default()));
        }
        Ok(Live { body: response.into_body(), decoder: sse::Decoder::default(), connection })
    }
}
