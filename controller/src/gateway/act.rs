//! Calls that change something: on record first, then followed to their end, whoever still listens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ExecConfig};
use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::answer;
use super::body::{Body, BoxError, full};
use super::call::{self, Description, EngineCall};
use super::changes::Unannounced;
use super::engine::{EngineError, message, written, written_with};
use super::forward::{Caller, Gateway};
use super::inventory::{Container, Named};
use super::ledger::{Denied, Permit};
use super::meter::Meter;
use super::refusal::Refusal;
use super::replacement;
use super::request::{Ask, ContainerAsk, Create};
use crate::audit::entry::{Change, ChangeOutcome, ChangeResult, ChangeTarget, InputRecord};

/// The engine's own time until it kills what does not stop.
const STOP_SECONDS: i64 = 10;

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let status = match denied {
            Denied::Unannounced(Unannounced::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, reason: denied.to_string() }
    }
}

/// A container as the target of a change.
pub(super) fn target(container: &Container) -> ChangeTarget {
    ChangeTarget {
        kind: "container".into(),
        id: container.id.clone(),
        name: container.name().to_owned(),
        service: container.service().map(str::to_owned),
    }
}

/// A result whose duration is filled in later.
pub(super) fn result(outcome: ChangeOutcome, input: Option<InputRecord>, details: Value) -> ChangeResult {
    ChangeResult { outcome, duration_ms: 0, input, details }
}

/// How a change ended that has no answer.
pub(super) fn unanswered(error: &EngineError) -> ChangeOutcome {
    let reason = error.to_string();
    if error.is_away() { ChangeOutcome::NotDone { reason } } else { ChangeOutcome::Unknown { reason } }
}

/// How a change ended that was answered so.
pub(super) fn answered(status: StatusCode, bytes: &[u8]) -> ChangeOutcome {
    if status.is_client_error() || status.is_server_error() {
        ChangeOutcome::Failed { status: status.as_u16(), message: message(bytes) }
    } else {
        ChangeOutcome::Succeeded { status: status.as_u16() }
    }
}

/// A change in words, as it goes on record. `other` is the second thing of a call that has two.
pub(super) fn announced(
    ask: &Ask,
    target: ChangeTarget,
    other: &str,
    exec: Option<&ExecConfig>,
    call: &EngineCall,
) -> Result<Change, Refusal> {
    let Description { action, summary } = call::describe(ask, &target.name, other, exec).ok_or_else(unknown)?;
    let argv = exec.and_then(|exec| exec.cmd.clone()).unwrap_or_default();
    Ok(Change { action: action.into(), target, summary, argv, call: call.record(), origin: None })
}

/// For a call that is none of those which a part of the gateway knows; it is a mistake if that is ever seen.
pub(super) fn unknown() -> Refusal {
    Refusal::forbidden("this call is not known here")
}

impl Gateway {
    /// What is asked of a container.
    pub(super) async fn of_container(self: Arc<Self>, ask: Ask, caller: Caller) -> Result<Response<Body>, Refusal> {
        let Ask::Container(reference, wanted) = &ask else { return Err(unknown()) };
        let answer = Some(self.limits.answer);
        match wanted {
            ContainerAsk::Inspect { .. }
            | ContainerAsk::Top { .. }
            | ContainerAsk::Logs(_)
            | ContainerAsk::Stats { .. }
            | ContainerAsk::Changes => return self.look_at(reference, wanted, answer).await,
            ContainerAsk::Wait { .. } => return self.look_at(reference, wanted, None).await,
            ContainerAsk::Stat { .. } | ContainerAsk::CopyOut { .. } => {}
            ContainerAsk::Attach(attach) if !attach.stdin => {}
            _ => self.may_change()?,
        }
        let container = self.inventory.container(reference, true).await?;
        let call = call::container(wanted, &container.id)?;
        let is_start = match wanted {
            ContainerAsk::Start
            | ContainerAsk::Exec(_)
            | ContainerAsk::Attach(_)
            | ContainerAsk::Resize(_)
            | ContainerAsk::Stat { .. }
            | ContainerAsk::CopyOut { .. }
            | ContainerAsk::CopyIn { .. } => true,
            // Of what does not run a restart is a start.
            ContainerAsk::Restart(_) => container.state != "running",
            _ => false,
        };
        if is_start {
            self.is_open(&container).await?;
        }
        match wanted {
            ContainerAsk::Exec(config) => self.exec_create(container, config, &call).await,
            ContainerAsk::Stat { .. } | ContainerAsk::CopyOut { .. } | ContainerAsk::Resize(_) => {
                self.pass(&call, answer).await
            }
            ContainerAsk::Attach(attach) => {
                let change = attach.stdin.then(|| announced(&ask, target(&container), "", None, &call)).transpose()?;
                self.attach(change, call, caller).await
            }
            ContainerAsk::CopyIn { .. } => {
                let change = announced(&ask, target(&container), "", None, &call)?;
                self.copy_in(change, call, caller).await
            }
            _ => self.change_container(&container, &ask, wanted, call).await,
        }
    }

    async fn change_container(
        self: Arc<Self>,
        container: &Container,
        ask: &Ask,
        wanted: &ContainerAsk,
        call: EngineCall,
    ) -> Result<Response<Body>, Refusal> {
        let mut within = Some(self.limits.answer);
        match wanted {
            ContainerAsk::Remove { volumes: true, .. } if !self.policy.destructive => {
                return Err(Refusal::forbidden(
                    "volumes are kept unless the Subject's policy.destructive allows otherwise: remove the container \
                     without its volumes (no -v, no --rm)",
                ));
            }
            ContainerAsk::Rename { name } => {
                self.inventory.inspect(&container.id).await.map_err(|error| error.refusal())?;
                self.may_be_called(Some(name))?;
            }
            // A replacement is measured by what goes now.
            ContainerAsk::Remove { .. } | ContainerAsk::Update(_) => {
                self.inventory.inspect(&container.id).await.map_err(|error| error.refusal())?;
            }
            ContainerAsk::Stop(ending) | ContainerAsk::Restart(ending) => {
                within = self.patience(container, ending.timeout).await.map(|patience| patience + self.limits.answer);
            }
            _ => {}
        }
        let change = announced(ask, target(container), "", None, &call)?;
        self.change(change, call, within).await
    }

    /// How long the engine waits for a container to stop; `None` for ever.
    async fn patience(&self, container: &Container, given: Option<i32>) -> Option<Duration> {
        let seconds = if let Some(seconds) = given {
            i64::from(seconds)
        } else {
            let inspect = self.inventory.inspect(&container.id).await.ok();
            let config = inspect.as_ref().and_then(|inspect| inspect.config.as_ref());
            config.and_then(|config| config.stop_timeout).unwrap_or(STOP_SECONDS)
        };
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }

    /// Holds a change until it is on record, does it, and says what came of it.
    pub(super) async fn change(
        self: Arc<Self>,
        change: Change,
        call: EngineCall,
        within: Option<Duration>,
    ) -> Result<Response<Body>, Refusal> {
        let permit = self.ledger.begin(change).await?;
        // From here on it goes its way even if the client goes.
        let doing = tokio::spawn(async move { self.perform(permit, &call, within).await });
        doing.await.unwrap_or_else(|error| Err(broken(&error)))
    }

    async fn perform(
        &self,
        mut permit: Permit,
        call: &EngineCall,
        within: Option<Duration>,
    ) -> Result<Response<Body>, Refusal> {
        permit.start();
        let done = async {
            let response = self.engine.send(written(call)?, within).await?;
            let headers = answer::headers(response.headers());
            let (status, bytes) = self.engine.collect(response).await?;
            Ok((status, headers, bytes))
        };
        let done: Result<_, EngineError> = done.await;
        self.inventory.forget();
        match done {
            Ok((status, headers, bytes)) => {
                let said: Option<Value> = serde_json::from_slice(&bytes).ok();
                let id = said.as_ref().and_then(|said| said.get("Id")).cloned();
                let details = id.map_or(Value::Null, |id| json!({ "id": id }));
                permit.finish(result(answered(status, &bytes), None, details));
                let bytes = if status.is_success() { bytes } else { answer::without_ids(&bytes, &call.path_and_query) };
                Ok(whole(status, headers, bytes))
            }
            Err(error) => {
                permit.finish(result(unanswered(&error), None, Value::Null));
                Err(error.refusal())
            }
        }
    }

    /// An archive goes in as it comes; what went in is counted and hashed on the way.
    async fn copy_in(
        self: Arc<Self>,
        change: Change,
        call: EngineCall,
        caller: Caller,
    ) -> Result<Response<Body>, Refusal> {
        let mut permit = self.ledger.begin(change).await?;
        let doing = tokio::spawn(async move {
            let meter = Arc::new(Mutex::new(Meter::default()));
            let body = measured(caller.body, meter.clone(), self.limits.answer);
            permit.start();
            let sent = async {
                let response = self.engine.send(written_with(&call, body)?, None).await?;
                let headers = answer::headers(response.headers());
                let (status, bytes) = self.engine.collect(response).await?;
                Ok((status, headers, bytes))
            };
            let sent: Result<_, EngineError> = tokio::select! {
                sent = sent => sent,
                () = self.ledger.closing.cancelled() => Err(EngineError::Broken("the session ended".into())),
            };
            let input = meter.lock().unwrap_or_else(PoisonError::into_inner).record();
            drop(caller.place);
            match sent {
                Ok((status, headers, bytes)) => {
                    permit.finish(result(answered(status, &bytes), input, Value::Null));
                    Ok(whole(status, headers, bytes))
                }
                Err(error) => {
                    permit.finish(result(unanswered(&error), input, Value::Null));
                    Err(error.refusal())
                }
            }
        });
        doing.await.unwrap_or_else(|error| Err(broken(&error)))
    }

    /// A replacement of a container that the project has or had.
    pub(super) async fn create(self: Arc<Self>, ask: Ask) -> Result<Response<Body>, Refusal> {
        let Ask::Create(create) = &ask else { return Err(unknown()) };
        self.may_change()?;
        self.inventory.look_around().await.map_err(|error| error.refusal())?;
        self.may_be_called(create.name.as_deref())?;
        let body = self.replacement(create).await?;
        let call = call::create(create.name.as_deref(), &body)?;
        let name = create.name.clone().unwrap_or_default();
        let labels = create.body.labels.as_ref();
        let service = labels.and_then(|labels| labels.get("com.docker.compose.service")).cloned();
        let target = ChangeTarget { kind: "container".into(), id: String::new(), name, service };
        let change = announced(&ask, target, "", None, &call)?;
        let within = Some(self.limits.answer);
        self.change(change, call, within).await
    }

    /// Names are the whole engine's: an own one can be had, and of a foreign one not even that it is taken.
    fn may_be_called(&self, name: Option<&str>) -> Result<(), Refusal> {
        let templates = self.inventory.templates();
        let known = templates.iter().filter_map(|template| template.name.as_deref());
        match name {
            Some(name) => replacement::may_be_called(name, &self.policy.project, known),
            None => Ok(()),
        }
    }

    /// What is made instead of one that the project has or had.
    async fn replacement(&self, create: &Create) -> Result<ContainerCreateBody, Refusal> {
        let trusted = self.policy.trust_host_access;
        let project = self.inventory.project(trusted).await.map_err(|error| error.refusal())?;
        let image_id = self.inventory.image_id(create.body.image.as_deref().unwrap_or_default()).await?;
        let templates: Vec<_> = self.inventory.templates().iter().map(|known| (**known).clone()).collect();
        replacement::check(create, &image_id, replacement::choose_template(create, &templates)?, &project)
    }

    /// Connects two things of the subject, or takes them apart.
    pub(super) async fn connect(self: Arc<Self>, ask: Ask) -> Result<Response<Body>, Refusal> {
        let (Ask::NetworkConnect(network, container, _) | Ask::NetworkDisconnect { network, container, .. }) = &ask
        else {
            return Err(unknown());
        };
        self.may_change()?;
        let network = self.inventory.network(network, true).await?;
        let container = self.inventory.container(container, true).await?;
        let call = match &ask {
            Ask::NetworkConnect(_, _, endpoint) => call::network_connect(&network.id, &container.id, endpoint)?,
            Ask::NetworkDisconnect { force, .. } => call::network_disconnect(&network.id, &container.id, *force)?,
            _ => return Err(unknown()),
        };
        let target = ChangeTarget { kind: "network".into(), id: network.id, name: network.name, service: None };
        let change = announced(&ask, target, container.name(), None, &call)?;
        let within = Some(self.limits.answer);
        self.change(change, call, within).await
    }

    /// Removes a volume, if the Subject's policy allows that.
    pub(super) async fn volume_remove(self: Arc<Self>, ask: Ask) -> Result<Response<Body>, Refusal> {
        let Ask::VolumeRemove { volume, force } = &ask else { return Err(unknown()) };
        self.may_change()?;
        let Named { name, .. } = self.inventory.volume(volume).await?;
        if !self.policy.destructive {
            return Err(Refusal::forbidden(
                "volumes are kept unless the Subject's policy.destructive allows otherwise",
            ));
        }
        let call = call::volume_remove(&name, *force)?;
        let target = ChangeTarget { kind: "volume".into(), id: name.clone(), name, service: None };
        let change = announced(&ask, target, "", None, &call)?;
        let within = Some(self.limits.answer);
        self.change(change, call, within).await
    }
}

/// An answer that was read whole.
fn whole(status: StatusCode, headers: http::HeaderMap, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn broken(error: &tokio::task::JoinError) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the call was not followed: {error}"))
}

/// The client's stream, measured. A client that sends nothing for so long has gone.
fn measured(body: Incoming, meter: Arc<Mutex<Meter>>, patience: Duration) -> Body {
    let chunks = stream::try_unfold((body, meter), move |(mut body, meter)| async move {
        loop {
            let frame = timeout(patience, body.frame()).await.map_err(|_| BoxError::from("the client sent nothing"))?;
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                meter.lock().unwrap_or_else(PoisonError::into_inner).add(&data);
                return Ok::<_, BoxError>(Some((Frame::data(data), (body, meter))));
            }
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}
