//! A node of the rate limiter inside the test's process, and a client for it.

use std::time::{Duration, Instant};

use clap::Parser;
use ratelimiter::cli::{Cli, Command};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A node that ends with the test.
pub(crate) struct Node {
    base: String,
    http: reqwest::Client,
    task: JoinHandle<()>,
}

/// Status and JSON body.
pub(crate) type Answer = (u16, Value);

impl Node {
    /// Starts a node with these flags; it need not be healthy.
    pub(crate) async fn start(name: &str, redis_url: &str, flags: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut words = vec!["ratelimiter", "serve", "--node", name, "--redis-url", redis_url];
        words.extend(flags);
        let Command::Serve(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not a node");
        };
        let task = tokio::spawn(async move {
            ratelimiter::serve::serve_on(listener, args, std::future::pending()).await.unwrap();
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        Self { base, http, task }
    }

    /// Starts a node and waits until it is healthy.
    pub(crate) async fn healthy(name: &str, redis_url: &str, flags: &[&str]) -> Self {
        let node = Self::start(name, redis_url, flags).await;
        node.wait_for("health", async |n| n.get("/healthz").await.0 == 200).await;
        node
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let method = method.parse().unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base));
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, body.to_string()).await
    }

    pub(crate) async fn check(&self, key: &str) -> Answer {
        self.send("POST", "/check", json!({ "key": key }).to_string()).await
    }

    pub(crate) async fn check_cost(&self, key: &str, cost: u64) -> Answer {
        self.send("POST", "/check", json!({"key": key, "cost": cost}).to_string()).await
    }

    /// Sends a check and goes away without waiting for its answer.
    pub(crate) async fn check_and_leave(&self, key: &str) {
        use tokio::io::AsyncWriteExt;
        let address = self.base.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let body = json!({ "key": key }).to_string();
        let head = format!("POST /check HTTP/1.1\r\nhost: n\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        // Long enough to be read, shorter than Redis is paused.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// The value of the first series whose name and labels contain all of these.
    pub(crate) async fn metric(&self, parts: &[&str]) -> Option<f64> {
        let (_, text) = self.get("/metrics").await;
        text.as_str().unwrap().lines().find_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            parts.iter().all(|part| series.contains(part)).then(|| value.parse().ok())?
        })
    }

    /// Waits for a condition; the limit only ends a test that has failed.
    pub(crate) async fn wait_for(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !condition(self).await {
            assert!(Instant::now() < until, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}
