//! Exec and attach: what runs in a container, with a stream in both directions.

use std::sync::Arc;

use bollard::models::ExecConfig;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::act::{announced, answered, result, target, unanswered, unknown};
use super::body::{Body, BoxError, empty, full};
use super::call::{self, EngineCall};
use super::engine::{EngineBody, EngineError, written};
use super::execs::Exec;
use super::forward::{Caller, Gateway, passed};
use super::hijack::{Bridge, Client, Ended};
use super::inventory::Container;
use super::ledger::Permit;
use super::meter::Meter;
use super::refusal::Refusal;
use super::request::{Ask, Size};
use crate::audit::entry::{Change, ChangeOutcome};

/// The kind of a stream, as the engine names it.
const RAW: HeaderValue = HeaderValue::from_static("application/vnd.docker.raw-stream");

/// What the engine says of an exec, as far as it is put on record.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecState {
    #[serde(default)]
    running: bool,
    exit_code: Option<i64>,
}

/// A stream that runs, and what is to be said of it in the end.
struct Following {
    call: EngineCall,
    permit: Option<Permit>,
    /// The exec, if it is one.
    exec: Option<String>,
    /// Whether what the client writes goes in.
    input: bool,
}

impl Gateway {
    /// Announces a command. It runs nothing, so it is no change; but it is closed where its start would be.
    pub(super) async fn exec_create(
        &self,
        container: Container,
        config: &ExecConfig,
        call: &EngineCall,
    ) -> Result<Response<Body>, Refusal> {
        let response = self.send(call, Some(self.limits.answer)).await?;
        if !response.status().is_success() {
            return Ok(passed(response));
        }
        let (status, bytes) = self.engine.collect(response).await.map_err(|error| error.refusal())?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if let Some(id) = answer.get("Id").and_then(Value::as_str) {
            self.execs().add(id.to_owned(), Exec { container, config: config.clone(), refused: false });
        }
        let mut response = Response::new(full(bytes));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    fn exec(&self, id: &str) -> Result<Exec, Refusal> {
        self.execs().get(id).ok_or_else(|| Refusal::not_found("exec instance", id))
    }

    /// What became of a command.
    pub(super) async fn exec_inspect(&self, id: &str) -> Result<Response<Body>, Refusal> {
        self.exec(id)?;
        if let Some(unstarted) = self.unstarted(id) {
            return Ok(unstarted);
        }
        self.pass(&call::exec_inspect(id)?, Some(self.limits.answer)).await
    }

    /// The size of a command's terminal.
    pub(super) async fn exec_resize(&self, id: &str, size: Size) -> Result<Response<Body>, Refusal> {
        if self.exec(id)?.refused {
            // The client goes on asking for it, and complains.
            return Ok(Response::new(empty()));
        }
        self.pass(&call::exec_resize(id, size)?, Some(self.limits.answer)).await
    }

    /// Runs a command.
    pub(super) async fn exec_start(self: Arc<Self>, ask: Ask, caller: Caller) -> Result<Response<Body>, Refusal> {
        let Ask::ExecStart(id, start) = &ask else { return Err(unknown()) };
        self.may_change()?;
        let exec = self.exec(id)?;
        self.is_open(&exec.container).await?;
        let call = call::exec_start(id, start)?;
        let mut change = announced(&ask, target(&exec.container), "", Some(&exec.config), &call)?;
        if let Some(call) = change.call.as_object_mut() {
            // What the start alone does not say: as whom, where, with which variables.
            call.insert("exec".into(), json!(exec.config));
        }
        if start.detach {
            let within = Some(self.limits.answer);
            return self.change(change, call, within).await;
        }
        let permit = Some(self.ledger.begin(change).await?);
        let input = exec.config.attach_stdin.unwrap_or(false);
        self.hijacked(Following { call, permit, exec: Some(id.clone()), input }, caller).await
    }

    /// Joins a container's own streams. It is a change if something can be typed.
    pub(super) async fn attach(
        self: Arc<Self>,
        change: Option<Change>,
        call: EngineCall,
        caller: Caller,
    ) -> Result<Response<Body>, Refusal> {
        let input = change.is_some();
        let permit = match change {
            Some(change) => Some(self.ledger.begin(change).await?),
            None => None,
        };
        self.hijacked(Following { call, permit, exec: None, input }, caller).await
    }

    /// Takes a connection of the engine over and gives it to the client; follows it to its end.
    async fn hijacked(self: Arc<Self>, following: Following, caller: Caller) -> Result<Response<Body>, Refusal> {
        let (answer, answering) = oneshot::channel();
        tokio::spawn(self.follow(following, caller, answer));
        answering.await.unwrap_or_else(|_| {
            let reason = "the stream ended before it began";
            Err(Refusal::new(StatusCode::BAD_GATEWAY, reason))
        })
    }

    async fn follow(
        self: Arc<Self>,
        following: Following,
        caller: Caller,
        answer: oneshot::Sender<Result<Response<Body>, Refusal>>,
    ) {
        let Following { call, mut permit, exec, input } = following;
        if let Some(permit) = &mut permit {
            permit.start();
        }
        let hijacked = async { self.engine.hijack(written(&call)?).await };
        let engine = match hijacked.await {
            Ok(Ok((_, engine))) => engine,
            Ok(Err(response)) => {
                let (outcome, said) = self.declined(response).await;
                if let Some(permit) = permit {
                    permit.finish(result(outcome, None, Value::Null));
                }
                let _ = answer.send(said);
                return;
            }
            Err(error) => {
                if let Some(permit) = permit {
                    permit.finish(result(unanswered(&error), None, Value::Null));
                }
                let _ = answer.send(Err(error.refusal()));
                return;
            }
        };
        let (client, response) = client_side(caller.upgrade);
        // If it went away, its side fails at once, and what was started is followed without it.
        let _ = answer.send(Ok(response));
        let mut meter = Meter::default();
        let bridge = Bridge { follow: permit.is_some(), input, meter: &mut meter, closing: &self.ledger.closing };
        let ended = bridge.run(engine, client).await;
        drop(caller.place);
        let Some(permit) = permit else { return };
        let (outcome, details) = self.end_of(ended, exec.as_deref()).await;
        permit.finish(result(outcome, meter.record(), details));
    }

    /// The engine did not give its connection: its answer, for the record and for the client.
    async fn declined(&self, response: Response<EngineBody>) -> (ChangeOutcome, Result<Response<Body>, Refusal>) {
        let headers = super::answer::headers(response.headers());
        match self.engine.collect(response).await {
            Ok((status, bytes)) => {
                let outcome = answered(status, &bytes);
                let mut said = Response::new(full(bytes));
                *said.status_mut() = status;
                *said.headers_mut() = headers;
                (outcome, Ok(said))
            }
            Err(error) => (unanswered(&error), Err(error.refusal())),
        }
    }

    /// What can be said at the end of a stream.
    async fn end_of(&self, ended: Ended, exec: Option<&str>) -> (ChangeOutcome, Value) {
        let status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let Some(exec) = exec else {
            let outcome = match ended {
                Ended::Session => ChangeOutcome::Unknown { reason: "the session ended".into() },
                Ended::Engine | Ended::Client => ChangeOutcome::Succeeded { status },
            };
            return (outcome, Value::Null);
        };
        let state: Result<ExecState, EngineError> = self.engine.get(&format!("/exec/{exec}/json")).await;
        match state {
            Ok(ExecState { running: false, exit_code: Some(code) }) => {
                (ChangeOutcome::Succeeded { status }, json!({ "exitCode": code }))
            }
            Ok(_) if ended == Ended::Session => {
                (ChangeOutcome::Unknown { reason: "the session ended while it ran".into() }, json!({ "running": true }))
            }
            // Its stream ended and it runs: it closed its output, or left the terminal with the detach keys.
            Ok(_) => (ChangeOutcome::Succeeded { status }, json!({ "running": true })),
            Err(error) => (ChangeOutcome::Unknown { reason: error.to_string() }, Value::Null),
        }
    }
}

/// The client's side of a stream and the answer that gives it: its connection if it offered it, else a body.
fn client_side(upgrade: Option<hyper::upgrade::OnUpgrade>) -> (Client, Response<Body>) {
    if let Some(upgrade) = upgrade {
        return (Client::Connection(upgrade), switching());
    }
    let (out, chunks) = mpsc::channel::<Bytes>(4);
    let chunks = ReceiverStream::new(chunks).map(|chunk| Ok::<_, BoxError>(Frame::data(chunk)));
    let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, RAW);
    (Client::Reader(out), response)
}

/// The answer that gives a client its connection.
pub(super) fn switching() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    headers.insert(CONTENT_TYPE, RAW);
    response
}
