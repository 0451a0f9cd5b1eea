//! `/limits`: reading, setting and removing the limits of keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use redis::AsyncCommands;
use serde_json::{Value, json};

use super::{App, parse};
use crate::error::{ApiError, FaultKind, RedisFault};
use crate::limits::{Limit, check_key};
use crate::window::LIMITS;

type Answer = Result<Json<Value>, ApiError>;
type Key = Result<Path<String>, PathRejection>;

fn key(path: Key) -> Result<String, ApiError> {
    let Path(key) = path.map_err(|_| ApiError::Invalid("the key in the path is not valid UTF-8".to_owned()))?;
    check_key(&key)?;
    Ok(key)
}

fn stored(key: &str, text: &str) -> Result<Limit, RedisFault> {
    serde_json::from_str(text)
        .map_err(|error| RedisFault::new(FaultKind::Data, format!("the stored limit of {key} cannot be read: {error}")))
}

fn shown(key: &str, limit: Limit, source: &str) -> Json<Value> {
    Json(json!({
        "key": key,
        "limit": limit.limit,
        "window_ms": limit.window_ms,
        "source": source,
    }))
}

/// `GET /limits`: the default and all that were set. One that cannot be read is named as such, and
/// does not hide the others.
pub async fn list(State(app): State<Arc<App>>) -> Answer {
    let all: BTreeMap<String, String> = app.store.run(async |c| c.hgetall(LIMITS).await).await?;
    let limits: serde_json::Map<String, Value> = all
        .into_iter()
        .map(|(key, text)| {
            let value = match stored(&key, &text) {
                Ok(limit) => json!(limit),
                Err(fault) => json!({"error": fault.to_string()}),
            };
            (key, value)
        })
        .collect();
    Ok(Json(json!({"default": app.window.default_limit(), "limits": limits})))
}

/// `GET /limits/{key}`: the limit in force, set or default.
pub async fn show(State(app): State<Arc<App>>, path: Key) -> Answer {
    let key = key(path)?;
    let text: Option<String> = app.store.run(async |c| c.hget(LIMITS, &key).await).await?;
    Ok(match text {
        Some(text) => shown(&key, stored(&key, &text)?, "set"),
        None => shown(&key, app.window.default_limit(), "default"),
    })
}

/// `PUT /limits/{key}`: in force for the next check on every node. What the window holds stays.
pub async fn set(State(app): State<Arc<App>>, path: Key, body: Result<Bytes, BytesRejection>) -> Answer {
    let key = key(path)?;
    let limit = parse::<Limit>(body)?.checked()?;
    let text = serde_json::to_string(&limit)
        .map_err(|error| ApiError::Invalid(format!("the limit cannot be stored: {error}")))?;
    app.store.run(async |c| c.hset::<_, _, _, ()>(LIMITS, &key, &text).await).await?;
    tracing::info!(key, limit = limit.limit, window_ms = limit.window_ms, "limit set");
    Ok(shown(&key, limit, "set"))
}

/// `DELETE /limits/{key}`: back to the default.
pub async fn remove(State(app): State<Arc<App>>, path: Key) -> Answer {
    let key = key(path)?;
    let removed: u64 = app.store.run(async |c| c.hdel(LIMITS, &key).await).await?;
    if removed == 0 {
        return Err(ApiError::NotFound(format!("no limit is set for {key}")));
    }
    tracing::info!(key, "limit removed");
    Ok(shown(&key, app.window.default_limit(), "default"))
}
