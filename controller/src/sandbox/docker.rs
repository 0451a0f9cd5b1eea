//! The sandbox on a Docker engine: one container per session, on the subject's networks.
//!
//! * `engine`: calls and their errors; `names`: names and labels;
//! * `body`: what the container is; `gateway`: the one beside it; `exec`: the streams into them;
//! * `standing`: what stands for a session already, and whose it is; `removal`: how it goes;
//! * `networks`: coming and going with the subject; `walls`: what of them is open; `held`: who stands still meanwhile;
//!   `told`: who of the subject is about to end;
//! * `observer`: the container from which a subject is looked at;
//! * `fault`: what a chapter of a demo does to a project, and how that is taken back;
//! * `host_access`: which of the subject's containers are as good as the host.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder,
    StartContainerOptions,
};
use futures::StreamExt as _;

use super::changes::Changes;
use super::dial::Aside;
use super::stream::{Identity, Patience, Stream};
use super::{
    Command, CommandResult, HostAccess, Ledger, Leftover, Recovered, Sandbox, SandboxError, SandboxPlan,
    SandboxProvider, SandboxRequest,
};
use crate::leader::Leadership;
use crate::session::SessionId;
use engine::{CallError, Engine, QUICK, SLOW};
use exec::ExecDial;
use held::Held;
use told::Told;

mod body;
mod brake;
mod engine;
mod exec;
mod fault;
mod gateway;
mod held;
mod host_access;
pub mod names;
mod networks;
mod observer;
mod removal;
mod standing;
mod told;
mod walls;

/// Where the agent's image and our own have this binary.
const OPERATOR: &str = "/usr/local/bin/operator";
/// Our own image, on the engine, unless it is said otherwise.
pub const OPERATOR_IMAGE: &str = "operator:dev";
/// The engine's own socket on its host, unless it is said otherwise.
pub const ENGINE_SOCKET: &str = "/var/run/docker.sock";

/// Makes sandboxes on one engine.
#[derive(Clone)]
pub struct DockerProvider {
    engine: Engine,
    installation: String,
    operator: String,
    operator_image: String,
    engine_socket: String,
    epoch: u64,
    patience: Patience,
    held: Arc<Held>,
    told: Arc<Mutex<Told>>,
    /// Held by whoever is about to start a helper: of two that found it unbegun, the second finds it begun.
    starting: Arc<tokio::sync::Mutex<()>>,
}

impl DockerProvider {
    /// For the engine at `docker_host` (`unix:///PATH`, `tcp://HOST:PORT`, or empty for the usual
    /// socket). Only the address is looked at; the engine may come and go.
    pub fn connect(docker_host: &str, installation: &str) -> Result<Self, SandboxError> {
        Ok(Self {
            engine: Engine::new(docker_host)?,
            installation: installation.to_owned(),
            operator: OPERATOR.to_owned(),
            operator_image: OPERATOR_IMAGE.to_owned(),
            engine_socket: ENGINE_SOCKET.to_owned(),
            epoch: 1,
            patience: Patience::default(),
            held: Arc::default(),
            told: Arc::default(),
            starting: Arc::default(),
        })
    }

    /// Speaks with this fencing token.
    #[must_use]
    pub fn with_epoch(self, epoch: u64) -> Self {
        Self { epoch, ..self }
    }

    /// Speaks with the epoch of this leadership, and with nobody once it is over.
    #[must_use]
    pub fn led_by(self, leadership: &Leadership) -> Self {
        Self { epoch: leadership.epoch(), engine: self.engine.led_by(leadership), ..self }
    }

    /// Makes gateways and walls from this image, which must be our own.
    #[must_use]
    pub fn with_operator_image(self, image: &str) -> Self {
        Self { operator_image: image.to_owned(), ..self }
    }

    /// Finds the engine's socket elsewhere on the engine's host.
    #[must_use]
    pub fn with_engine_socket(self, path: &str) -> Self {
        Self { engine_socket: path.to_owned(), ..self }
    }

    /// Finds this binary elsewhere in the image.
    #[must_use]
    pub fn with_operator_path(self, path: &str) -> Self {
        Self { operator: path.to_owned(), ..self }
    }

    /// With other limits for the stream.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The image's id; an image that is missing is pulled, for a bounded time.
    async fn image(&self, image: &str) -> Result<String, SandboxError> {
        let inspect = || self.engine.call(QUICK, |docker| async move { docker.inspect_image(image).await });
        let missing = |reason: String| SandboxError::ImageMissing { image: image.to_owned(), reason };
        match inspect().await {
            Err(CallError::NotFound(_)) => {}
            found => return found?.id.ok_or_else(|| missing("it has no id".into())),
        }
        let pull = self.engine.call(SLOW, |docker| async move {
            let options = CreateImageOptionsBuilder::default().from_image(image).build();
            let mut progress = docker.create_image(Some(options), None, None);
            while let Some(step) = progress.next().await {
                step?;
            }
            Ok(())
        });
        match pull.await {
            Ok(()) => {}
            Err(CallError::NotFound(reason) | CallError::Conflict(reason)) => return Err(missing(reason)),
            Err(CallError::Other(error)) => return Err(missing(error.to_string())),
        }
        match inspect().await {
            Err(CallError::NotFound(reason)) => Err(missing(reason)),
            found => found?.id.ok_or_else(|| missing("it has no id".into())),
        }
    }

    /// Makes the agent's container, on all of the networks before its first moment, and its walls before its first
    /// command: nothing is asked of the supervisor before they stand. A container that died says so on its stream.
    async fn begin(&self, plan: &SandboxPlan, name: &str) -> Result<Stream, SandboxError> {
        let request = &plan.request;
        let body = body::container(plan, &self.installation, &self.operator, self.epoch);
        let labels = body.labels.clone().unwrap_or_default();
        let id = Box::pin(self.make(body, name)).await?;
        let running = async {
            for network in plan.networks.get(1..).unwrap_or_default() {
                self.join(network, &id).await?;
            }
            self.start(&id).await?;
            self.inspect(&id).await.map_err(SandboxError::from)
        };
        // What sets the walls needs the container's network to run, not to be made.
        let (agent, helper, networks) =
            tokio::join!(running, Box::pin(self.helper(&id, &labels)), self.network_details(&request.project));
        let (agent, helper) = (agent?, helper?);
        let rules = walls::rules(&networks?, &agent, &request.egress);
        let (walls, stream) =
            tokio::join!(Box::pin(self.set(helper, &rules)), self.greet(id.clone(), &request.session));
        let stream = stream?;
        walls?;
        Ok(stream)
    }

    async fn inspect(&self, container: &str) -> Result<ContainerInspectResponse, CallError> {
        let options = None::<InspectContainerOptions>;
        self.engine.call(QUICK, |docker| async move { docker.inspect_container(container, options).await }).await
    }

    /// Makes a container, which does not run yet.
    async fn make(&self, body: ContainerCreateBody, name: &str) -> Result<String, SandboxError> {
        let image = body.image.clone().unwrap_or_default();
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let made =
            self.engine.call(SLOW, |docker| async move { docker.create_container(Some(options), body).await }).await;
        match made {
            Ok(made) => Ok(made.id),
            Err(CallError::NotFound(reason)) if reason.contains("No such image") => {
                Err(SandboxError::ImageMissing { image, reason })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn start(&self, container: &str) -> Result<(), SandboxError> {
        let options = None::<StartContainerOptions>;
        let call =
            self.engine.call(SLOW, |docker| async move { docker.start_container(container, options).await }).await;
        Ok(call?)
    }

    async fn greet(&self, id: String, session: &SessionId) -> Result<Stream, SandboxError> {
        let command = [self.operator.as_str(), "supervise", "--attach"].map(str::to_owned).into();
        let dial = ExecDial { engine: self.engine.clone(), container: id, command };
        let identity = Identity { session: session.to_string(), epoch: self.epoch };
        Stream::connect(Arc::new(dial), identity, self.patience.clone()).await
    }

    /// The last words of a container that is about to be removed.
    async fn last_words(&self, name: &str) -> String {
        let words = Aside::default();
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("5").build();
        let heard = words.clone();
        let read = self.engine.call(QUICK, |docker| async move {
            let mut lines = docker.logs(name, Some(options));
            while let Some(line) = lines.next().await {
                heard.add(&line?.into_bytes());
            }
            Ok(())
        });
        let _ = read.await;
        words.text()
    }
}

#[async_trait]
impl SandboxProvider for DockerProvider {
    async fn preflight(&self, request: &SandboxRequest) -> Result<SandboxPlan, SandboxError> {
        // Networks first in the order of errors: a project that is down is the likelier of the two.
        let (networks, image, own) =
            tokio::join!(self.networks(&request.project), self.image(&request.image), self.image(&self.operator_image));
        let networks = networks?;
        if networks.is_empty() {
            return Err(SandboxError::ProjectNotRunning { project: request.project.clone() });
        }
        own?;
        Ok(SandboxPlan { request: request.clone(), image_id: image?, networks })
    }

    async fn create(&self, plan: &SandboxPlan, ledger: Arc<dyn Ledger>) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let session = &plan.request.session;
        let found = self.standing(session, names::Role::Agent).await?;
        let is_kept = found.is_some();
        let (name, found) = match found {
            Some(found) => (found.name, Some(found.id)),
            None => (names::container(session, names::Role::Agent, self.epoch), None),
        };
        let made = async {
            let Some(id) = found else { return Box::pin(self.begin(plan, &name)).await };
            let (walls, stream) = tokio::join!(self.enclose(&id), self.greet(id.clone(), session));
            let stream = stream?;
            walls?;
            Ok(stream)
        };
        // Side by side: each takes the engine as long as the other. Both to their ends: what is still being made
        // while all is removed would stay.
        let (stream, changes) = tokio::join!(made, self.gateway(plan, ledger));
        match stream.and_then(|stream| Ok((stream, changes?))) {
            Ok((stream, changes)) => {
                Ok(Arc::new(DockerSandbox { name, engine: self.engine.clone(), stream, changes, is_kept }))
            }
            Err(mut error) => {
                if let SandboxError::Lost { reason } = &mut error {
                    let words = self.last_words(&name).await;
                    if !words.is_empty() {
                        *reason = format!("{reason}; its last words: {words}");
                    }
                }
                // An engine that is gone is no reason to throw away a container that may be well.
                if !matches!(error, SandboxError::EngineUnavailable { .. }) {
                    let _ = self.remove(session).await;
                }
                Err(error)
            }
        }
    }

    async fn kill(&self, session: &SessionId) -> Result<(), SandboxError> {
        self.kill_agents(session).await
    }

    async fn pause(&self, session: &SessionId, paused: bool) -> Result<(), SandboxError> {
        self.pause_agents(session, paused).await
    }

    async fn running_exec(&self, exec: &str) -> Result<Option<i64>, SandboxError> {
        self.process_of(exec).await
    }

    async fn remove(&self, session: &SessionId) -> Result<(), SandboxError> {
        self.remove_all(session).await?;
        self.held.forget(session);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Leftover>, SandboxError> {
        let mut all = Vec::new();
        for container in self.containers(&[(names::INSTALLATION, &self.installation)], true).await? {
            let Some(session) = container.labels.and_then(|mut labels| labels.remove(names::SESSION)) else { continue };
            let name = container.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
            all.push(Leftover {
                session: session.into(),
                container: container.id.unwrap_or_default(),
                name: name.trim_start_matches('/').to_owned(),
            });
        }
        // A volume whose container is gone is a leftover, too.
        for (name, session) in self.volumes(None).await? {
            if !all.iter().any(|leftover| leftover.session == session) {
                all.push(Leftover { session, container: String::new(), name });
            }
        }
        Ok(all)
    }

    async fn host_access(&self, project: &str) -> Result<Vec<HostAccess>, SandboxError> {
        self.find_host_access(project).await
    }
}

/// A container with a supervisor in it.
struct DockerSandbox {
    name: String,
    /// Asked whether it is open to us: frames are refused only once a later leader has said hello.
    engine: Engine,
    stream: Stream,
    changes: Changes,
    is_kept: bool,
}

#[async_trait]
impl Sandbox for DockerSandbox {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, command: &Command) -> Result<CommandResult, SandboxError> {
        self.engine.leading()?;
        self.stream.run(command).await
    }

    async fn recover(&self, command: &Command) -> Result<Recovered, SandboxError> {
        self.engine.leading()?;
        self.stream.recover(command).await
    }

    fn is_kept(&self) -> bool {
        self.is_kept
    }

    async fn kill(&self, seq: i64) -> Result<(), SandboxError> {
        self.engine.leading()?;
        self.stream.kill(seq).await
    }

    async fn close(&self) {
        if self.engine.leading().is_ok() {
            self.changes.close().await;
        }
    }
}
