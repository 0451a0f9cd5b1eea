//! A receiver of notices as a real server.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;

/// What was heard: path, the header `authorization`, body.
pub(crate) type Heard = (String, Option<String>, Value);

/// One who hears, and answers as he is told.
#[derive(Clone, Default)]
pub(crate) struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl Ear {
    /// Begins to listen.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(hear).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// What was heard since this was last asked.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    /// What is answered next.
    pub(crate) fn answer(&self, answers: &[u16]) {
        let answers = answers.iter().map(|code| StatusCode::from_u16(*code).unwrap());
        self.answers.lock().unwrap().extend(answers);
    }
}

async fn hear(State(ear): State<Ear>, uri: Uri, headers: HeaderMap, body: String) -> (StatusCode, &'static str) {
    let header = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    ear.heard.lock().unwrap().push((uri.path().to_owned(), header, serde_json::from_str(&body).unwrap()));
    let status = ear.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
    (status, "an answer\u{1b}[2J")
}
