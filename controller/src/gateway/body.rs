//! Bodies and answers as the gateway makes them.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use serde::Serialize;

use super::refusal::Refusal;

/// Whatever goes wrong while a body is read.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body in either direction.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// No body.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// These bytes.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer in JSON.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(full(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A refusal as Docker writes errors. It says who speaks, but for what looks as if it were not there: that
/// must read as the engine has it.
#[must_use]
pub fn refused(refusal: &Refusal) -> Response<Body> {
    let prefix = if refusal.status == StatusCode::NOT_FOUND { "" } else { "operator gateway: " };
    json(refusal.status, &serde_json::json!({ "message": format!("{prefix}{}", refusal.reason) }))
}
