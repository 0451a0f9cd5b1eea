//! The engine's side: requests that the gateway wrote itself, over connections of its own.
//!
//! Nothing of what a client sent comes here but what was parsed. Connections are kept for the next request
//! once an answer was read to its end; a hijacked one is a fresh one and never comes back.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::body::{Body, BoxError, empty, full};
use super::call::EngineCall;
use super::limits::Limits;
use super::refusal::Refusal;

/// Connections that are kept for later.
const IDLE: usize = 8;

/// The engine.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
    idle: Idle,
    connect: Duration,
    answer: Duration,
    answer_bytes: usize,
}

/// How long a kept connection gets to be ready again.
const TURN: Duration = Duration::from_millis(20);

type Idle = Arc<Mutex<Vec<SendRequest<Body>>>>;

/// Why there is no answer of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody listens.
    #[error("the Docker engine cannot be reached; try again later")]
    Away(#[source] BoxError),
    /// It did not answer in time.
    #[error("the Docker engine did not answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// The connection broke.
    #[error("the connection to the Docker engine broke: {0}")]
    Broken(#[source] BoxError),
    /// It said something that cannot be read.
    #[error("the Docker engine's answer cannot be read: {0}")]
    Unreadable(#[source] BoxError),
    /// It said no.
    #[error("{message}")]
    Said {
        /// Its status.
        status: StatusCode,
        /// Its message.
        message: String,
    },
}

impl EngineError {
    /// As the agent is told.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let status = match self {
            Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Slow(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Broken(_) | Self::Unreadable(_) => StatusCode::BAD_GATEWAY,
            Self::Said { status, .. } => *status,
        };
        Refusal::new(status, self.to_string())
    }

    /// Whether nothing can have reached the engine.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

impl Engine {
    /// The engine behind this socket. Nothing is opened yet.
    #[must_use]
    pub fn new(socket: PathBuf, limits: &Limits) -> Self {
        let &Limits { connect, answer, answer_bytes, .. } = limits;
        Self { socket, idle: Idle::default(), connect, answer, answer_bytes }
    }

    /// Sends a request. `within` bounds the time until the answer's head.
    pub async fn send(
        &self,
        mut request: Request<Body>,
        within: Option<Duration>,
    ) -> Result<Response<EngineBody>, EngineError> {
        loop {
            let (mut sender, kept) = match self.take().await {
                Some(sender) => (sender, true),
                None => (self.open().await?, false),
            };
            let answer = bounded(within, sender.try_send_request(request)).await?;
            match answer {
                Ok(response) => {
                    let lease = Lease { sender, idle: self.idle.clone() };
                    return Ok(response.map(|incoming| EngineBody::new(incoming, lease)));
                }
                // A kept connection that the engine closed in the meantime: nothing was sent.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if kept => request = unsent,
                    _ => return Err(EngineError::Broken(error.into_error().into())),
                },
            }
        }
    }

    /// Asks for the connection itself: the engine's bytes from here on, or what it answered instead.
    pub async fn hijack(
        &self,
        mut request: Request<Body>,
    ) -> Result<Result<(StatusCode, TokioIo<Upgraded>), Response<EngineBody>>, EngineError> {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
        let mut sender = self.open().await?;
        let answer = bounded(Some(self.answer), sender.send_request(request)).await?;
        let mut response = answer.map_err(|error| EngineError::Broken(error.into()))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let lease = Lease { sender, idle: Idle::default() };
            return Ok(Err(response.map(|incoming| EngineBody::new(incoming, lease))));
        }
        let upgraded = bounded(Some(self.answer), hyper::upgrade::on(&mut response)).await?;
        let upgraded = upgraded.map_err(|error| EngineError::Broken(error.into()))?;
        Ok(Ok((response.status(), TokioIo::new(upgraded))))
    }

    /// Reads something small and whole.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let response = self.send(request(Method::GET, path, empty())?, Some(self.answer)).await?;
        let (status, bytes) = self.collect(response).await?;
        if !status.is_success() {
            return Err(EngineError::Said { status, message: message(&bytes) });
        }
        serde_json::from_slice(&bytes).map_err(|error| EngineError::Unreadable(error.into()))
    }

    /// The whole of an answer.
    pub async fn collect(&self, response: Response<EngineBody>) -> Result<(StatusCode, Bytes), EngineError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), self.answer_bytes);
        let collected = bounded(Some(self.answer), body.collect()).await?;
        Ok((status, collected.map_err(EngineError::Unreadable)?.to_bytes()))
    }

    async fn take(&self) -> Option<SendRequest<Body>> {
        loop {
            let mut sender = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            // The answer before was read to its end; the connection may need a turn to see that, too.
            if let Ok(Ok(())) = timeout(TURN, sender.ready()).await {
                return Some(sender);
            }
        }
    }

    async fn open(&self) -> Result<SendRequest<Body>, EngineError> {
        let stream = timeout(self.connect, UnixStream::connect(&self.socket)).await;
        let stream = stream.map_err(|_| EngineError::Away("connecting took too long".into()))?;
        let stream = stream.map_err(|error| EngineError::Away(error.into()))?;
        let handshake = Builder::new().max_buf_size(128 << 10).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| EngineError::Away(error.into()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the engine ended");
            }
        });
        Ok(sender)
    }
}

/// A request of the gateway's own, with nothing of the client's but what it was parsed into.
pub fn request(method: Method, path: &str, body: Body) -> Result<Request<Body>, EngineError> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "docker");
    if !body.is_end_stream() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request.body(body).map_err(|error| EngineError::Unreadable(error.into()))
}

/// A call as it is sent.
pub fn written(call: &EngineCall) -> Result<Request<Body>, EngineError> {
    let body = call.body.clone().map_or_else(empty, full);
    request(call.method.clone(), &call.path_and_query, body)
}

/// A call whose body is an archive that comes as it comes.
pub fn written_with(call: &EngineCall, archive: Body) -> Result<Request<Body>, EngineError> {
    let mut request = request(call.method.clone(), &call.path_and_query, archive)?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(request)
}

/// The message in an error's body.
#[must_use]
pub fn message(bytes: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let message = value.as_ref().and_then(|value| value.get("message")).and_then(serde_json::Value::as_str);
    let message = message.map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), str::to_owned);
    message.chars().take(2000).collect()
}

async fn bounded<F: Future>(within: Option<Duration>, future: F) -> Result<F::Output, EngineError> {
    match within {
        Some(within) => timeout(within, future).await.map_err(|_| EngineError::Slow(within)),
        None => Ok(future.await),
    }
}

struct Lease {
    sender: SendRequest<Body>,
    idle: Idle,
}

impl Lease {
    fn give_back(self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE && !self.sender.is_closed() {
            idle.push(self.sender);
        }
    }
}

/// The body of an answer. Read to its end it gives its connection back; dropped before, it closes it.
pub struct EngineBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl EngineBody {
    fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self { incoming, lease: Some(lease) };
        body.end_if_done();
        body
    }

    fn end_if_done(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl HttpBody for EngineBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        match &polled {
            Poll::Ready(None) => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
            }
            Poll::Ready(Some(Ok(_))) => self.end_if_done(),
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Pending => {}
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
