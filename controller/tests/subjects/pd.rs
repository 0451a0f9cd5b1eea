//! A small server that answers like the placement drivers of `TiKV` and like Prometheus, from `subjects/tikv/fixtures`.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

use crate::files;

/// Which file answers what: the end of a path, or words of a query.
type Answers = Arc<Mutex<BTreeMap<&'static str, &'static str>>>;

/// The server.
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    answers: Answers,
}

impl Cluster {
    /// A healthy one.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Answers::default();
        let router = Router::new().fallback(answer).with_state(answers.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let cluster = Self { address, answers };
        cluster.heal();
        cluster
    }

    /// From now on this file answers.
    pub(crate) fn say(&self, what: &'static str, file: &'static str) {
        self.answers.lock().unwrap().insert(what, file);
    }

    pub(crate) fn heal(&self) {
        *self.answers.lock().unwrap() = BTreeMap::from([
            ("/stores", "stores-up.json"),
            ("/miss-peer", "regions-none.json"),
            ("/down-peer", "regions-none.json"),
            ("histogram_quantile", "prometheus-latency.json"),
            ("duration_seconds_count", "prometheus-operations.json"),
            ("store_size_bytes", "prometheus-space.json"),
        ]);
    }
}

async fn answer(State(answers): State<Answers>, request: Request) -> Response {
    let uri = request.uri().to_string();
    let found = answers.lock().unwrap().iter().find(|(what, _)| uri.contains(*what)).map(|(_, file)| *file);
    match found {
        // A PD that has no leader to ask.
        Some("no-leader") => (StatusCode::SERVICE_UNAVAILABLE, "[PD:server:ErrLeaderNil]no leader").into_response(),
        Some(file) => {
            fs::read_to_string(files::root().join("subjects/tikv/fixtures").join(file)).unwrap().into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
