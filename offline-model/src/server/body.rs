//! Headers and body of a request, before anything is understood of them.

use axum::body::Body;
use axum::http::HeaderMap;
use futures::StreamExt;
use serde_json::Value;

use crate::error::ApiError;
use crate::request::ApiVersion;

/// The API's limit for a body.
const LIMIT: usize = 32 * 1024 * 1024;
/// A client that sends too much is listened to a while longer, so that it reads the refusal
/// instead of a broken connection.
const DRAIN: usize = 4 * LIMIT;

/// A key must be there; which one does not matter offline. The API takes it in either header, and
/// its newer clients send the second.
pub(super) fn authenticate(headers: &HeaderMap) -> Result<(), ApiError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(key) = header("x-api-key") {
        return if key.trim().is_empty() { Err(ApiError::new(401, "invalid x-api-key")) } else { Ok(()) };
    }
    match header("authorization").map(|value| value.strip_prefix("Bearer ").map(str::trim)) {
        Some(Some(token)) if !token.is_empty() => Ok(()),
        Some(_) => Err(ApiError::new(401, "Invalid bearer token")),
        None => Err(ApiError::new(401, "x-api-key header is required")),
    }
}

/// The version of the API that the client speaks.
pub(super) fn version(headers: &HeaderMap) -> Result<ApiVersion, ApiError> {
    match headers.get("anthropic-version").map(|value| value.to_str()) {
        None => Err(ApiError::invalid("anthropic-version: header is required")),
        Some(Ok("2023-01-01" | "2023-06-01")) => Ok(ApiVersion::V2023),
        Some(Ok("2026-10-21")) => Ok(ApiVersion::V2026),
        Some(other) => {
            Err(ApiError::invalid(format!("anthropic-version: \"{}\" is not a valid version", other.unwrap_or("?"))))
        }
    }
}

/// Reads a body as JSON.
pub(super) async fn json(body: Body) -> Result<Value, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut size = 0_usize;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| ApiError::invalid(format!("the body could not be read: {error}")))?;
        size = size.saturating_add(chunk.len());
        if size <= LIMIT {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
        }
        if size > DRAIN {
            break;
        }
    }
    if size > LIMIT {
        return Err(ApiError::new(413, "Request exceeds the maximum size of 32 MB"));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid(format!("The request body is not valid JSON: {error}")))
}
