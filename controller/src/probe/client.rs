//! The HTTP client of the probes: HTTP/1.1, no redirects followed, no proxies, nothing decompressed.
//!
//! A connection is kept for the next round. A server may close it meanwhile, and that is no fault of the server: a
//! request that finds its kept connection closed is sent once more over a new one. A request that must not be made twice
//! (`POST`) gets a new one at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use super::answer::{Failure, Stage, plain};
use super::net::{Address, Dialer};
use super::room::{Collected, Room};
use super::tls::{Tls, Trust};

/// The longest head of an answer.
const LONGEST_HEAD: usize = 64 << 10;
/// A kept connection is used again within this time.
const KEPT: Duration = Duration::from_secs(90);
/// Connections that are kept in all.
const MOST_KEPT: usize = 256;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) address: Address,
    pub(super) tls: Option<Trust>,
}

/// A request that is made again and again.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) origin: Origin,
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: http::Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    /// Whose connections it may use and leave. A kept connection may be closed just when it is used, and nobody knows
    /// then whether the request was heard: no place for one that must not be made twice.
    fn kept_for(&self) -> Option<&Origin> {
        (self.method != Method::POST).then_some(&self.origin)
    }
}

/// The head of an answer; its body is still to come.
pub(super) struct Response {
    pub(super) status: u16,
    body: Incoming,
    /// The answer says where it ends.
    framed: bool,
    /// The connection ends with it …
    connection: Connection,
    /// … unless it is kept for this origin.
    kept: Option<Origin>,
}

struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// Makes requests.
pub(super) struct Client {
    tls: Tls,
    idle: Mutex<HashMap<Origin, Vec<Idle>>>,
}

impl Client {
    pub(super) fn new() -> Self {
        Self { tls: Tls::default(), idle: Mutex::new(HashMap::new()) }
    }

    /// Sends a request and reads the head of its answer.
    pub(super) async fn send(&self, dialer: &Dialer, request: &Request, stage: &Stage) -> Result<Response, Failure> {
        while let Some(mut connection) = self.take(request) {
            stage.set("waiting for the answer");
            match connection.sender.send_request(made(request)).await {
                Ok(response) => return Ok(Response::new(request, response, connection)),
                // An answer that makes no sense was an answer.
                Err(error) if error.is_parse() || error.is_parse_too_large() => return Err(Failure::new(said(&error))),
                // It was closed while nobody used it.
                Err(_) => {}
            }
        }
        let mut connection = self.connect(dialer, &request.origin, stage).await?;
        stage.set("waiting for the answer");
        match connection.sender.send_request(made(request)).await {
            Ok(response) => Ok(Response::new(request, response, connection)),
            Err(error) => Err(Failure::new(said(&error))),
        }
    }

    async fn connect(&self, dialer: &Dialer, origin: &Origin, stage: &Stage) -> Result<Connection, Failure> {
        let stream = dialer.connect(&origin.address, stage).await?;
        match origin.tls {
            None => shake(stream).await,
            Some(trust) => {
                stage.set("shaking hands in TLS");
                shake(self.tls.connect(trust, &origin.address.host, stream).await?).await
            }
        }
    }

    fn take(&self, request: &Request) -> Option<Connection> {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = all.get_mut(request.kept_for()?)?;
        let found = std::iter::from_fn(|| idle.pop())
            .find(|idle| idle.connection.sender.is_ready() && idle.since.elapsed() < KEPT);
        if idle.is_empty() {
            all.remove(&request.origin);
        }
        found.map(|idle| idle.connection)
    }

    fn keep(&self, origin: Origin, connection: Connection) {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().map(Vec::len).sum::<usize>() >= MOST_KEPT {
            all.retain(|_, idle| {
                idle.retain(|idle| !idle.connection.sender.is_closed() && idle.since.elapsed() < KEPT);
                !idle.is_empty()
            });
        }
        if all.values().map(Vec::len).sum::<usize>() < MOST_KEPT {
            all.entry(origin).or_default().push(Idle { connection, since: Instant::now() });
        }
    }
}

impl Response {
    fn new(request: &Request, response: http::Response<Incoming>, connection: Connection) -> Self {
        let (head, body) = response.into_parts();
        let framed = body.size_hint().exact().is_some() || head.headers.contains_key(http::header::TRANSFER_ENCODING);
        let kept = request.kept_for().cloned();
        Self { status: head.status.as_u16(), body, framed, connection, kept }
    }

    /// The next piece of the body. An error is a sentence.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(said(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// Whether the answer says where it ends; else its end is that of the connection, and may be anything's.
    pub(super) fn is_framed(&self) -> bool {
        self.framed
    }

    /// The whole body, and the connection kept.
    pub(super) async fn collect<'a>(
        mut self,
        client: &Client,
        room: &'a Room,
        stage: &Stage,
    ) -> Result<Collected<'a>, Failure> {
        stage.set("reading the answer");
        let status = i64::from(self.status);
        let mut collected = room.collect();
        while let Some(chunk) = self.chunk().await.map_err(|error| Failure::new(error).with_status(status))? {
            collected.push(&chunk).await.map_err(|error| Failure::new(error).with_status(status))?;
        }
        self.finish(client);
        Ok(collected)
    }

    /// Keeps the connection for the next request, after the body was read to its end.
    pub(super) fn finish(self, client: &Client) {
        if let Some(origin) = self.kept {
            client.keep(origin, self.connection);
        }
    }
}

async fn shake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, Failure> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(LONGEST_HEAD);
    let (sender, driver) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| Failure::new(said(&error)))?;
    let driver = tokio::spawn(async move {
        let _ = driver.await;
    });
    Ok(Connection { sender, _driver: AbortOnDropHandle::new(driver) })
}

fn made(request: &Request) -> http::Request<Full<Bytes>> {
    let mut made = http::Request::new(Full::new(request.body.clone()));
    *made.method_mut() = request.method.clone();
    *made.uri_mut() = request.path.clone();
    *made.headers_mut() = request.headers.clone();
    if request.kept_for().is_none() {
        made.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    }
    made
}

/// What went wrong between request and answer, in a sentence.
fn said(error: &hyper::Error) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return plain(io);
        }
        source = cause.source();
    }
    if error.is_parse_too_large() {
        return format!("the head of the answer is longer than {LONGEST_HEAD} bytes");
    }
    if error.is_parse() {
        return format!("the answer is not HTTP: {error}");
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return "the connection was closed before the answer was complete".into();
    }
    format!("the answer could not be read: {error}")
}
