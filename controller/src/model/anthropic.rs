//! The Anthropic Messages API, streamed.
//!
//! One call is one message: [`Anthropic::complete`] sends the conversation, reads the stream of
//! events, and gives the message when it is whole. Whatever breaks before that is retried, because
//! nothing of an unfinished message was acted on.

mod assemble;
mod body;
mod failure;
mod retry;
mod sse;
mod stream;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::Full;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use retry::RetryPolicy;
#[cfg(any(test, fuzzing, feature = "testing"))]
pub use stream::{Read, read_in_pieces};

use super::{ErrorKind, Model, ModelError, ModelEvent, ModelMessage, ModelRequest, OnEvent};
use failure::Failure;
use stream::MessageReader;

/// The version of the API that this client was written against.
const API_VERSION: &str = "2026-10-21";

/// How the API is reached.
#[derive(Clone, Debug)]
pub struct AnthropicOptions {
    /// The base URL, without `/v1/messages`.
    pub base_url: String,
    /// The key; none is sent if there is none (an offline model wants none).
    pub key: Option<SecretString>,
    /// Limits of waiting.
    pub timeouts: Timeouts,
    /// When and how often a failed attempt is made again.
    pub retry: RetryPolicy,
}

impl AnthropicOptions {
    /// The public API with this key.
    #[must_use]
    pub fn new(base_url: impl Into<String>, key: Option<SecretString>) -> Self {
        Self { base_url: base_url.into(), key, timeouts: Timeouts::default(), retry: RetryPolicy::default() }
    }
}

/// Limits of waiting, of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the answer's head.
    pub first_byte: Duration,
    /// Between two pieces of the stream (the API sends pings).
    pub idle: Duration,
    /// For the whole answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(90),
            idle: Duration::from_secs(90),
            total: Duration::from_mins(10),
        }
    }
}

/// A client of the Messages API. Cheap to clone; its `Debug` does not show the key.
#[derive(Clone, Debug)]
pub struct Anthropic {
    client: reqwest::Client,
    url: reqwest::Url,
    options: AnthropicOptions,
}

impl Anthropic {
    /// A client. Fails with a sentence if the base URL or the key cannot be used in a request.
    /// rustls' default provider must be installed before.
    pub fn new(options: AnthropicOptions) -> Result<Self, ModelError> {
        let refuse = |reason: String| ModelError::new(ErrorKind::InvalidRequest, reason);
        let base = options.base_url.trim_end_matches('/');
        let url = reqwest::Url::parse(&format!("{base}/v1/messages"))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| refuse("ANTHROPIC_BASE_URL is not an http or https URL".to_owned()))?;
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static(API_VERSION));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &options.key {
            let mut value = HeaderValue::from_str(key.expose_secret().trim())
                .map_err(|_| refuse("ANTHROPIC_API_KEY holds characters that no key has".to_owned()))?;
            value.set_sensitive(true);
            headers.insert("x-api-key", value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("operator/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.timeouts.connect)
            // A redirect would carry the key to a host that nobody named.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| refuse(failure::causes(&error)))?;
        Ok(Self { client, url, options })
    }

    /// One attempt, from the request to the whole message.
    async fn attempt(&self, body: Vec<u8>, on_event: OnEvent<'_>) -> Result<ModelMessage, Failure> {
        let limits = self.options.timeouts;
        // A body that cannot be read twice is gone once it is sent, and not kept through the wait for an answer.
        let body = reqwest::Body::wrap(Full::new(Bytes::from(body)));
        let send = self.client.post(self.url.clone()).body(body).send();
        let response = timeout(limits.first_byte, send)
            .await
            .map_err(|_| Failure::network(format!("no answer within {} s", limits.first_byte.as_secs())))?
            .map_err(|error| Failure::network(failure::causes(&error.without_url())))?;
        if !response.status().is_success() {
            return Err(failure::of_response(response, limits.idle).await);
        }
        let request_id = failure::request_id(response.headers());
        timeout(limits.total, read(response, limits.idle, on_event))
            .await
            .unwrap_or_else(|_| Err(Failure::stream(format!("not whole after {} s", limits.total.as_secs()))))
            .map(|message| ModelMessage { request_id: request_id.clone(), ..message })
            .map_err(|failure| failure.with_request_id(request_id))
    }

    /// Takes the key out of what is told, should the API or a proxy ever repeat it.
    fn scrub(&self, mut error: ModelError) -> ModelError {
        if let Some(key) = &self.options.key {
            let key = key.expose_secret().trim();
            if !key.is_empty() && error.detail.contains(key) {
                error.detail = error.detail.replace(key, "[key]");
            }
        }
        error
    }
}

/// Reads the stream of a good answer.
async fn read(response: reqwest::Response, idle: Duration, on_event: OnEvent<'_>) -> Result<ModelMessage, Failure> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !kind.starts_with("text/event-stream") {
        return Err(Failure::stream(format!("the answer is {kind:?} and not an event stream")).for_good());
    }
    let mut chunks = response.bytes_stream();
    let mut reader = MessageReader::default();
    loop {
        let chunk = timeout(idle, chunks.next())
            .await
            .map_err(|_| Failure::stream(format!("nothing came for {} s", idle.as_secs())))?;
        let Some(chunk) = chunk else {
            return Err(Failure::stream("the stream ended before the message did"));
        };
        let chunk = chunk.map_err(|error| Failure::stream(failure::causes(&error.without_url())))?;
        if let Some(message) = reader.push(&chunk, on_event)? {
            return Ok(message);
        }
    }
}

#[async_trait]
impl Model for Anthropic {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_event: OnEvent<'_>,
        cancel: &CancellationToken,
    ) -> Result<ModelMessage, ModelError> {
        let cancelled = || ModelError::new(ErrorKind::Cancelled, "");
        let started = Instant::now();
        let mut attempt = 1;
        loop {
            let body = body::encode(request).map_err(|error| {
                ModelError::new(ErrorKind::InvalidRequest, format!("it cannot be encoded: {error}"))
            })?;
            let answer = cancel.run_until_cancelled(self.attempt(body, on_event)).await;
            let failure = match answer.ok_or_else(cancelled)? {
                Ok(message) => return Ok(message),
                Err(failure) => failure,
            };
            let wait = self.options.retry.wait(&failure, attempt, started.elapsed());
            let error = self.scrub(ModelError { attempts: attempt, ..failure.error });
            let Some(wait) = wait else { return Err(error) };
            on_event(ModelEvent::Retry { attempt, error: error.to_string(), category: error.category(), wait });
            cancel.run_until_cancelled(tokio::time::sleep(wait)).await.ok_or_else(cancelled)?;
            attempt += 1;
        }
    }
}
