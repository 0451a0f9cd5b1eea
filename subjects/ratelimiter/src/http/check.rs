//! `POST /check`: may this key have so many units now?

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::{App, parse};
use crate::error::ApiError;
use crate::limits::{MAX_LIMIT, check_key};
use crate::metrics::CheckResult;
use crate::window::{Outcome, Verdict};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    key: String,
    #[serde(default = "one")]
    cost: u64,
}

fn one() -> u64 {
    1
}

/// The handler. The work is a task of its own: a client that goes away must not stop it between
/// Redis' count and ours.
pub async fn check(State(app): State<Arc<App>>, body: Result<Bytes, BytesRejection>) -> Response {
    match tokio::spawn(measured(app, body)).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn measured(app: Arc<App>, body: Result<Bytes, BytesRejection>) -> Response {
    let began = Instant::now();
    let (result, response) = match decide(&app, body).await {
        Ok(verdict) => answer(&verdict),
        Err(ApiError::Redis(fault)) if app.fail_open => {
            app.metrics.ghost_allowed.inc();
            let body = json!({"allowed": true, "degraded": true, "message": fault.to_string()});
            (CheckResult::Error, Json(body).into_response())
        }
        Err(error @ ApiError::Redis(_)) => {
            let (status, code) = error.code();
            let body = json!({
                "allowed": false,
                "error": code,
                "message": error.to_string(),
                "node": app.node,
            });
            (CheckResult::Error, (status, Json(body)).into_response())
        }
        Err(error) => (CheckResult::Invalid, error.into_response()),
    };
    app.metrics.check(result, began.elapsed());
    response
}

async fn decide(app: &App, body: Result<Bytes, BytesRejection>) -> Result<Verdict, ApiError> {
    let Request { key, cost } = parse(body)?;
    check_key(&key)?;
    if !(1..=MAX_LIMIT).contains(&cost) {
        return Err(ApiError::Invalid(format!("cost must be between 1 and {MAX_LIMIT}, not {cost}")));
    }
    let verdict = app.store.run(async |connection| app.window.check(connection, &key, cost).await).await?;
    let charged = match verdict.outcome {
        Outcome::Allowed => cost,
        Outcome::Denied => 0,
        Outcome::NeverFits => {
            return Err(ApiError::Invalid(format!(
                "cost {cost} is above the limit {} of this key, so it can never be allowed",
                verdict.limit.limit
            )));
        }
    };
    app.tally.note(&key, verdict.limit, verdict.bucket_ms, charged);
    Ok(verdict)
}

fn answer(verdict: &Verdict) -> (CheckResult, Response) {
    let allowed = verdict.outcome == Outcome::Allowed;
    let body = Json(json!({
        "allowed": allowed,
        "remaining": verdict.limit.limit.saturating_sub(verdict.used),
        "limit": verdict.limit.limit,
        "reset_ms": verdict.reset_ms,
    }));
    if allowed {
        return (CheckResult::Allowed, body.into_response());
    }
    let seconds = verdict.reset_ms.div_ceil(1000).max(1).to_string();
    let response = (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)], body);
    (CheckResult::Denied, response.into_response())
}
