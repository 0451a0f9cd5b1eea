//! The controller's own HTTP: `/healthz`, `/readyz`, `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// What the start still waits for.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// `what` is not there yet, because of `why`. Logged when it is new or different.
    pub fn pending(&self, what: &'static str, why: &str) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.insert(what, why.to_owned()).as_deref() != Some(why) {
            tracing::info!(what, why, "waiting");
        }
    }

    /// `what` is there.
    pub fn done(&self, what: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    /// What is still pending.
    #[must_use]
    pub fn list(&self) -> BTreeMap<&'static str, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone)]
struct Shared {
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

/// A socket to listen on, or one sentence that names the setting.
pub async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("{setting}: cannot listen on {address}: {error}"))
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, readiness: Readiness, metrics: Arc<Metrics>, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state(Shared { readiness, metrics });
    run(listener, router, stop).await;
}

/// Serves a router until `stop`.
pub async fn run(listener: TcpListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP server ended");
    }
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let pending = shared.readiness.list();
    if pending.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines: Vec<String> = pending.iter().map(|(what, why)| format!("{what}: {why}")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.join("\n") + "\n")
}

async fn text(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.text())
}
