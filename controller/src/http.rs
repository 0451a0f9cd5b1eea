//! The controller's own HTTP: `/healthz`, `/readyz`, `/metrics`, and beside them the webhooks ([`crate::alert::http`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// What the start still waits for, and which seat this process has.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Waits>>);

#[derive(Default)]
struct Waits {
    pending: BTreeMap<&'static str, String>,
    seat: String,
}

impl Readiness {
    /// `what` is not there yet, because of `why`. Logged when it is new or different.
    pub fn pending(&self, what: &'static str, why: &str) {
        if self.waits().pending.insert(what, why.to_owned()).as_deref() != Some(why) {
            tracing::info!(what, why, "waiting");
        }
    }

    /// `what` is there.
    pub fn done(&self, what: &'static str) {
        self.waits().pending.remove(what);
    }

    /// What is still pending.
    #[must_use]
    pub fn list(&self) -> BTreeMap<&'static str, String> {
        self.waits().pending.clone()
    }

    /// What this process does when it waits for nothing: whether it leads or stands by, in a line.
    /// Logged when it is new.
    pub fn seat(&self, line: &str) {
        let mut waits = self.waits();
        if waits.seat != line {
            tracing::info!("{line}");
            line.clone_into(&mut waits.seat);
        }
    }

    /// The line of [`Readiness::seat`].
    #[must_use]
    pub fn seated(&self) -> String {
        self.waits().seat.clone()
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Serves these and further routes until `stop`.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    more: Router,
    stop: CancellationToken,
) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state(Shared { readiness, metrics })
        .merge(more);
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
        // One that stands by is ready to do so: it serves the trail, and an upgrade may go on.
        return (StatusCode::OK, format!("ready\n{}\n", shared.readiness.seated()).trim_end().to_owned() + "\n");
    }
    let lines: Vec<String> = pending.iter().map(|(what, why)| format!("{what}: {why}")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.join("\n") + "\n")
}

async fn text(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.text())
}
