//! Turning answers and errors into HTTP, broken ones included.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde_json::Value;

use crate::answer::Reply;
use crate::error::ApiError;
use crate::play::Trouble;
use crate::sse::{self, Event};

/// The server writes out what it has before it polls for more only when it has to wait, so a cut
/// waits a moment: the events before it must arrive.
const BEFORE_CUT: Duration = Duration::from_millis(30);

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// An error answer.
pub(super) fn error(error: &ApiError, request_id: &str) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &error.body(request_id));
    if let Some(seconds) = error.retry_after {
        add(&mut response, "retry-after", &seconds.to_string());
    }
    response
}

/// An answer, whole or streamed, with whatever is to go wrong with it.
pub(super) fn reply(reply: &Reply, trouble: Trouble, streamed: bool, request_id: &str) -> Response {
    match (trouble, streamed) {
        (Trouble::Error(wrong) | Trouble::ErrorAfter(_, wrong), false) | (Trouble::Error(wrong), true) => {
            error(&wrong, request_id)
        }
        (Trouble::Cut(_), false) => {
            let text = reply.message().to_string();
            let half: String = text.chars().take(text.chars().count() / 2).collect();
            broken("application/json", vec![half])
        }
        (Trouble::None | Trouble::BrokenJson, false) => json(StatusCode::OK, &reply.message()),
        (Trouble::None, true) => whole_stream(sse::events(reply, false)),
        (Trouble::BrokenJson, true) => whole_stream(sse::events(reply, true)),
        (Trouble::ErrorAfter(count, wrong), true) => {
            let mut events = sse::events(reply, false);
            events.truncate(count);
            events.push(Event::error(wrong.body(request_id)));
            whole_stream(events)
        }
        (Trouble::Cut(count), true) => {
            let events = sse::events(reply, false);
            let frames = events.iter().take(count).map(Event::frame).collect();
            broken("text/event-stream; charset=utf-8", frames)
        }
    }
}

fn whole_stream(events: Vec<Event>) -> Response {
    let frames = events.into_iter().map(|event| Ok::<_, io::Error>(Bytes::from(event.frame())));
    streaming("text/event-stream; charset=utf-8", Body::from_stream(stream::iter(frames)))
}

/// Sends the pieces and then breaks the connection.
fn broken(content_type: &'static str, pieces: Vec<String>) -> Response {
    let pieces = stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece))));
    let cut = stream::once(async {
        tokio::time::sleep(BEFORE_CUT).await;
        Err(io::Error::other("the offline script cuts here"))
    });
    streaming(content_type, Body::from_stream(pieces.chain(cut)))
}

fn streaming(content_type: &'static str, body: Body) -> Response {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")], body).into_response()
}

/// Adds a header, if it can be one.
pub(super) fn add(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}
