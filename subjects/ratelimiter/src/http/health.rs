//! `GET /healthz`: whether this node can do its work, and if not, which dependency is bad.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::App;
use crate::store::Health;

/// 200 or 503; the probe's last finding, so that the answer comes at once whatever Redis does.
pub async fn healthz(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let (ok, redis) = match app.store.health() {
        Health::Good => (true, json!({"status": "ok"})),
        Health::Unwritable(fault) => {
            (false, json!({"status": "refuses_writes", "kind": fault.kind.as_str(), "message": fault.to_string()}))
        }
        Health::Down(fault) => {
            (false, json!({"status": "disconnected", "kind": fault.kind.as_str(), "message": fault.to_string()}))
        }
    };
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if ok { "ok" } else { "unhealthy" },
        "node": app.node,
        "dependencies": {"redis": redis},
    });
    (status, Json(body))
}
