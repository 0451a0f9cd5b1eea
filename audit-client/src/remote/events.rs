//! The events of one path, over one connection after another.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::connection::{CALL_LIMIT, Connection, MAX_ANSWER, broken, open_at, refusal, send, unreachable};
use super::sse;
use super::transport::Transport;
use crate::error::chain;
use crate::record::AuditError;

/// The pause before a follower connects again.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// A stream without a sign of life for this long is dead; the server gives one every 10 seconds.
const SILENCE_LIMIT: Duration = Duration::from_secs(35);

/// A connection of its own, which is opened again as often as it broke.
pub(super) struct Events {
    transport: Transport,
    live: Option<Live>,
    ready: VecDeque<sse::Event>,
    /// Which of the controller's pods is asked: another one when one refuses to say anything.
    pod: usize,
}

/// Something that happens on a connection.
pub(super) enum Beat {
    /// It is open.
    Open,
    /// An event came.
    Event(sse::Event),
}

struct Live {
    body: Incoming,
    decoder: sse::Decoder,
    connection: Connection,
}

impl Events {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, live: None, ready: VecDeque::new(), pod: 0 }
    }

    /// What comes next, from `path` if there is no connection. An error means that there is none any more.
    pub(super) async fn next(&mut self, path: &str) -> Result<Beat, AuditError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Beat::Event(event));
            }
            if self.live.is_none() {
                self.live = Some(self.begin(path).await?);
                return Ok(Beat::Open);
            }
            self.read().await?;
        }
    }

    /// Asks another pod from now on, if there are several.
    pub(super) fn ask_another(&mut self) {
        self.live = None;
        self.pod = self.pod.wrapping_add(1);
    }

    /// Reads until there are events, or the connection is found dead.
    async fn read(&mut self) -> Result<(), AuditError> {
        let Some(mut live) = self.live.take() else { return Ok(()) };
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

    async fn begin(&self, path: &str) -> Result<Live, AuditError> {
        let mut connection = open_at(&self.transport, self.pod).await.map_err(unreachable)?;
        let response = match tokio::time::timeout(CALL_LIMIT, send(&mut connection, path)).await {
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
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
            let body = tokio::time::timeout(CALL_LIMIT, body).await.ok().and_then(Result::ok);
            return Err(refusal(status, &body.map(http_body_util::Collected::to_bytes).unwrap_or_default()));
        }
        Ok(Live { body: response.into_body(), decoder: sse::Decoder::default(), connection })
    }
}
