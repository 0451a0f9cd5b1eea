//! What the load generator shows: its last second, its totals, `/healthz` and `/metrics`.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::ask::Answer;
use super::seconds::Report;
use super::witness::Witness;
use crate::http::METRICS_TYPE;
use crate::latency::Sliding;
use crate::limits::Limit;
use crate::metrics::QUANTILE_SECONDS;

/// Without a closed second for this long, the generator itself is stuck.
const STUCK: Duration = Duration::from_secs(5);

struct Inner {
    second: Report,
    total: Report,
    last: Report,
    closed: Instant,
    witness: Witness,
    /// By target: ok, denied, errors.
    targets: Vec<(String, [u64; 3])>,
}

/// Everything that is shown.
pub(super) struct View {
    inner: Mutex<Inner>,
    recent: Sliding,
}

impl View {
    pub(super) fn new(keys: &[String], targets: &[String]) -> Self {
        Self {
            inner: Mutex::new(Inner {
                second: Report::default(),
                total: Report::default(),
                last: Report::default(),
                closed: Instant::now(),
                witness: Witness::new(keys),
                targets: targets.iter().map(|t| (target_name(t), [0; 3])).collect(),
            }),
            recent: Sliding::new(QUANTILE_SECONDS),
        }
    }

    pub(super) fn note(&self, answer: &Answer, key: Option<&str>) {
        if let Some(taken) = answer.taken {
            self.recent.record(taken);
        }
        let mut inner = self.lock();
        inner.second.note(answer);
        inner.total.note(answer);
        let column = match answer.result {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(_) => 2,
        };
        let target = answer.target.and_then(|target| inner.targets.get_mut(target));
        if let Some((_, counts)) = target {
            counts[column] += 1;
        }
        if let (Ok(true), Some(key)) = (&answer.result, key) {
            inner.witness.allowed(key, Instant::now());
        }
    }

    pub(super) fn set_limit(&self, key: &str, limit: Limit) {
        self.lock().witness.set_limit(key, limit);
    }

    /// Ends the running second and gives it.
    pub(super) fn close_second(&self) -> Report {
        let mut inner = self.lock();
        inner.last = std::mem::take(&mut inner.second);
        inner.closed = Instant::now();
        inner.last.clone()
    }

    pub(super) fn total(&self) -> Report {
        self.lock().total.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Made anew for every scrape: there is nothing here that another thread would have to hold.
    fn encode(&self) -> Result<String, fmt::Error> {
        let (total, last, windows, targets) = {
            let mut inner = self.lock();
            let windows = inner.witness.windows(Instant::now());
            let targets = inner.targets.clone();
            (inner.total.clone(), inner.last.clone(), windows, targets)
        };
        let mut registry = Registry::with_prefix("load");
        let requests = Family::<[(&'static str, String); 2], Counter>::default();
        for (target, counts) in targets {
            for (result, n) in ["ok", "denied", "error"].into_iter().zip(counts) {
                let labels = [("target", target.clone()), ("result", result.to_owned())];
                requests.get_or_create(&labels).inc_by(n);
            }
        }
        registry.register("requests", "Requests, by target and result", requests);
        let errors = Family::<[(&'static str, String); 1], Counter>::default();
        for (kind, n) in total.kinds {
            errors.get_or_create(&[("kind", kind)]).inc_by(n);
        }
        registry.register("errors", "Requests that failed, by kind", errors);

        let rates = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        for (result, n) in [("ok", last.ok), ("denied", last.denied), ("error", last.errors)] {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            rates.get_or_create(&[("result", result)]).set(n);
        }
        registry.register("last_second", "Requests of the last second, by result", rates);
        let recent = self.recent.now();
        for (name, per_mille) in [("p50_seconds", 500), ("p99_seconds", 990)] {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(recent.at(per_mille).as_secs_f64());
            registry.register(name, "Quantile of the last 10 s, as the client saw it", gauge);
        }

        let allowed = Family::<[(&'static str, String); 1], Gauge>::default();
        let limits = Family::<[(&'static str, String); 1], Gauge>::default();
        for (key, seen, limit) in windows {
            let number = |n| i64::try_from(n).unwrap_or(i64::MAX);
            allowed.get_or_create(&[("key", key.clone())]).set(number(seen));
            limits.get_or_create(&[("key", key)]).set(number(limit));
        }
        registry.register("key_allowed", "Allowed in the key's last window, over all nodes", allowed);
        registry.register("key_limit", "The key's limit, as a node told it", limits);

        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

// Host and port; two targets of one host stay two.
fn target_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.trim_end_matches('/').to_owned()
}

/// `/healthz` says whether the generator itself works; how the service does is in the numbers.
pub(super) fn router(view: Arc<View>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/metrics", get(metrics)).with_state(view)
}

async fn healthz(State(view): State<Arc<View>>) -> Response {
    let (stuck, last) = {
        let inner = view.lock();
        (inner.closed.elapsed() > STUCK, inner.last.to_json("second"))
    };
    let (status, word) = if stuck { (StatusCode::SERVICE_UNAVAILABLE, "stuck") } else { (StatusCode::OK, "sending") };
    (status, Json(json!({"status": word, "last_second": last}))).into_response()
}

async fn metrics(State(view): State<Arc<View>>) -> Response {
    match view.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
