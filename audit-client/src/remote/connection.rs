//! One HTTP connection over the way to the audit API, and what its errors mean.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::transport::{ConnectError, Transport, Trouble};
use crate::error::chain;
use crate::record::AuditError;
use crate::wire::Problem;

/// How long one answer may take.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(20);
/// The most bytes of one answer.
pub(super) const MAX_ANSWER: usize = 128 << 20;

pub(super) struct Connection {
    pub(super) sender: SendRequest<Empty<Bytes>>,
    pub(super) trouble: Trouble,
}

pub(super) async fn open(transport: &Transport) -> Result<Connection, ConnectError> {
    open_at(transport, 0).await
}

/// The same, to another one of the controller's pods for another number.
pub(super) async fn open_at(transport: &Transport, pod: usize) -> Result<Connection, ConnectError> {
    let way = transport.open(pod).await?;
    let shaken = http1::handshake(TokioIo::new(way.stream)).await;
    let (sender, connection) =
        shaken.map_err(|error| ConnectError::Unreachable(format!("no HTTP on the way: {error}")))?;
    // Ends with its sender; what went wrong is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(Connection { sender, trouble: way.trouble })
}

pub(super) async fn send(connection: &mut Connection, path: &str) -> Result<Response<Incoming>, String> {
    let request = Request::get(path).header(header::HOST, "localhost").body(Empty::new());
    let request = request.map_err(|error| error.to_string())?;
    connection.sender.ready().await.map_err(|error| chain(&error))?;
    connection.sender.send_request(request).await.map_err(|error| chain(&error))
}

/// A connection that broke: the kubelet knows why, if anybody does.
pub(super) async fn broken(trouble: &Trouble, error: &str) -> AuditError {
    let said = tokio::time::timeout(Duration::from_secs(1), trouble.clone()).await.ok().flatten();
    let reason = match said {
        Some(said) => format!("the port-forward to the audit API broke: {}", said.trim()),
        None => format!("the connection to the audit API broke: {error}"),
    };
    AuditError::Unavailable { reason }
}

#[allow(clippy::needless_pass_by_value)] // reads well in map_err
pub(super) fn unreachable(error: ConnectError) -> AuditError {
    if error.is_transient() {
        AuditError::Unavailable { reason: error.to_string() }
    } else {
        AuditError::Refused(error.to_string())
    }
}

pub(super) fn answer<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, AuditError> {
    if status.is_success() {
        return serde_json::from_slice(body)
            .map_err(|error| AuditError::Refused(format!("the audit API's answer cannot be read: {error}")));
    }
    Err(refusal(status, body))
}

/// The server's sentence, without the words that this side's error puts around it again.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> AuditError {
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

pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
