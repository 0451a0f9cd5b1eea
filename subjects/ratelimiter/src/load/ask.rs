//! Asking a node, and putting the answer into one of a few words.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::limits::Limit;

/// How one request went.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) result: Result<bool, String>,
    pub(super) target: Option<usize>,
    /// Nothing, when it was not sent.
    pub(super) taken: Option<Duration>,
}

impl Answer {
    /// A request that was not sent because too many are under way.
    pub(super) fn overrun() -> Self {
        Self { result: Err("overrun".to_owned()), target: None, taken: None }
    }
}

/// The targets and a client for them.
pub(super) struct Client {
    http: reqwest::Client,
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Body {
    allowed: Option<bool>,
    error: Option<String>,
}

impl Client {
    pub(super) fn new(targets: Vec<String>, timeout: Duration) -> Result<Self, reqwest::Error> {
        // reqwest panics without one, even for plain http. A second installation is refused: fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(1)))
            .no_proxy()
            // The targets speak plain http; a slim image has no certificates, and without any the
            // client would refuse to be made.
            .tls_certs_only(std::iter::empty())
            .build()?;
        let targets = targets.into_iter().map(|target| target.trim_end_matches('/').to_owned()).collect();
        Ok(Self { http, targets })
    }

    pub(super) async fn check(&self, key: &str) -> Answer {
        let target = rand::random_range(0..self.targets.len().max(1));
        let began = Instant::now();
        let result = match self.targets.get(target) {
            Some(url) => self.post(url, key).await,
            None => Err("no_target".to_owned()),
        };
        Answer { result, target: Some(target), taken: Some(began.elapsed()) }
    }

    async fn post(&self, url: &str, key: &str) -> Result<bool, String> {
        let request = self.http.post(format!("{url}/check"));
        let response = request.json(&json!({ "key": key })).send().await.map_err(|error| word(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| word(&error))?;
        let body: Option<Body> = serde_json::from_slice(&body).ok();
        match (status, body) {
            (200, Some(Body { allowed: Some(true), .. })) => Ok(true),
            (429, Some(Body { allowed: Some(false), .. })) => Ok(false),
            (_, Some(Body { error: Some(error), .. })) => Err(error.chars().take(40).collect()),
            _ => Err(format!("http_{status}")),
        }
    }

    /// The limit of a key, from the first node that tells.
    pub(super) async fn limit(&self, key: &str) -> Option<Limit> {
        #[derive(Deserialize)]
        struct Shown {
            limit: u64,
            window_ms: u64,
        }
        for url in &self.targets {
            let Ok(response) = self.http.get(format!("{url}/limits/{key}")).send().await else {
                continue;
            };
            if let Ok(Shown { limit, window_ms }) = response.json().await {
                return Some(Limit { limit, window_ms });
            }
        }
        None
    }
}

fn word(error: &reqwest::Error) -> String {
    let word = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "broken"
    };
    word.to_owned()
}
