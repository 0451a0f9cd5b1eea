//! Two whole controllers, as processes, on a real Postgres: who leads, and what becomes of one that was stopped.
//! The API server is a small one of this test's own, with nothing in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use axum::extract::{Query, Request};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use controller::audit::testing::{self, TestDatabase};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

/// Lists nothing, and tells nothing more: what the controllers watch is never there.
async fn api(Query(query): Query<std::collections::HashMap<String, String>>, request: Request) -> Response {
    if query.get("watch").is_some_and(|watch| watch == "true" || watch == "1") {
        return axum::body::Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>())
            .into_response();
    }
    let kind = match request.uri().path() {
        "/apis/operator.dev/v1alpha1" => {
            let resource = |name: &str, kind: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list", "watch"]});
            let resources = [resource("incidents", "Incident"), resource("subjects", "Subject")];
            return Json(json!({
                "kind": "APIResourceList", "apiVersion": "v1",
                "groupVersion": "operator.dev/v1alpha1", "resources": resources,
            }))
            .into_response();
        }
        path if path.ends_with("/incidents") => "IncidentList",
        _ => "SubjectList",
    };
    let metadata = json!({"resourceVersion": "1"});
    Json(json!({"apiVersion": "operator.dev/v1alpha1", "kind": kind, "metadata": metadata, "items": []}))
        .into_response()
}

async fn serve_api(folder: &Path) -> PathBuf {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(api)).await.unwrap() });
    let file = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "t",
        "clusters": [{"name": "t", "cluster": {"server": server}}],
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        "users": [{"name": "t", "user": {}}],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

/// A controller that runs; it goes with this.
struct Controller {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Controller {
    fn start(name: &str, folder: &Path, database: &TestDatabase, kubeconfig: &Path) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (listen, audit) = (free(), free());
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
        command.arg("run").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOSTNAME", name).env("KUBECONFIG", kubeconfig).env("DATABASE_URL", &database.url);
        command.env("OPERATOR_LISTEN", listen.to_string()).env("OPERATOR_AUDIT_LISTEN", audit.to_string());
        command.env("DOCKER_HOST", "tcp://127.0.0.1:1").env("ANTHROPIC_API_KEY", "none").env("RUST_LOG", "info");
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Self { child: command.spawn().unwrap(), port: listen.port(), log }
    }

    /// What it answers; nothing while nobody listens, or nobody answers at once.
    fn get(&self, path: &str) -> String {
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let _ = write!(stream, "GET {path} HTTP/1.0\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
        }
        text
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            pause().await;
        }
    }

    async fn until_ready_as(&mut self, seat: &str) {
        loop {
            let said = self.get("/readyz");
            if said.starts_with("HTTP/1.0 200") && said.contains(seat) {
                return;
            }
            assert_eq!(self.child.try_wait().unwrap(), None, "it ended: {}", self.log());
            pause().await;
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn lease(database: &TestDatabase) -> (i64, String) {
    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    let select = "SELECT epoch, split_part(holder, '/', 1) FROM lease";
    sqlx::query_as(select).fetch_one(&mut owner).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_ends_when_it_goes_on_and_one_that_is_told_to_end_gives_the_lease_back() {
    let folder = tempfile::tempdir().unwrap();
    let database = testing::shared().unled_database().await;
    let kubeconfig = serve_api(folder.path()).await;
    let start = |name: &str| Controller::start(name, folder.path(), &database, &kubeconfig);

    let mut first = start("first");
    first.until_ready_as("leads in epoch 1").await;
    assert_eq!(lease(&database).await, (1, "first".into()));
    let mut second = start("second");
    second.until_ready_as("standby: first/").await;
    for (controller, leads, epoch) in [(&first, 1, 1), (&second, 0, 0)] {
        let metrics = controller.get("/metrics");
        assert!(metrics.contains(&format!("\noperator_leader {leads}\n")), "{metrics}");
        assert!(metrics.contains(&format!("\noperator_lease_epoch {epoch}\n")), "{metrics}");
    }

    // Stopped past the takeover. It goes on, finds that its time is over, and ends with a sentence.
    first.send(Signal::STOP);
    second.until_ready_as("leads in epoch 2").await;
    first.send(Signal::CONT);
    let status = first.ended().await;
    let log = first.log();
    assert_eq!((status.code(), status.signal()), (Some(1), None), "{log}");
    assert!(log.contains("operator: this controller does not lead any more, and ends to begin anew: "), "{log}");
    assert_eq!(lease(&database).await, (2, "second".into()));

    // Started again it stands by; told to end, the leader gives the lease back, and that one need not wait.
    let mut first = start("first-again");
    first.until_ready_as("standby: second/").await;
    second.send(Signal::TERM);
    let status = second.ended().await;
    assert!(status.success(), "{}", second.log());
    assert!(second.log().contains("the lease is given back"), "{}", second.log());
    first.until_ready_as("leads in epoch 3").await;

    // Who stands by and is told to end takes nothing with it.
    let mut third = start("third");
    third.until_ready_as("standby: first-again/").await;
    third.send(Signal::TERM);
    assert!(third.ended().await.success(), "{}", third.log());
    assert_eq!(lease(&database).await, (3, "first-again".into()));
}
