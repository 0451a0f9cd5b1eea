//! The HTTP side of a node.

pub mod check;
pub mod health;
pub mod limits;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::tally::Tally;
use crate::window::Window;

/// The largest request body.
pub const MAX_BODY: usize = 16 * 1024;

/// The content type of what `/metrics` answers.
pub const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every handler can reach.
pub struct App {
    /// Name of this node.
    pub node: String,
    /// Redis.
    pub store: Arc<Store>,
    /// The window.
    pub window: Window,
    /// Own counts.
    pub tally: Arc<Tally>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Whether a check is allowed when Redis cannot count it.
    pub fail_open: bool,
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/check", post(check::check))
        .route("/limits", get(limits::list))
        .route("/limits/{key}", get(limits::show).put(limits::set).delete(limits::remove))
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(metrics))
        .fallback(async || {
            ApiError::NotFound("there is no such path; see /check, /limits, /healthz, /metrics".to_owned())
        })
        .method_not_allowed_fallback(async || {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                axum::Json(serde_json::json!({
                    "error": "invalid",
                    "message": "this path does not take this method",
                })),
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}

/// Reads a JSON body whatever its content type says, and says plainly what is wrong with it.
pub fn parse<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, ApiError> {
    let body =
        body.map_err(|_| ApiError::Invalid(format!("the body could not be read, or is larger than {MAX_BODY} bytes")))?;
    if body.is_empty() {
        return Err(ApiError::Invalid("a JSON body is needed".to_owned()));
    }
    serde_json::from_slice(&body).map_err(|error| ApiError::Invalid(format!("the JSON body is wrong: {error}")))
}

async fn metrics(axum::extract::State(app): axum::extract::State<Arc<App>>) -> Response {
    match app.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
