//! Where commands run: an isolated container beside the broken system.
//!
//! [`SandboxProvider`] makes and removes containers, [`Sandbox`] runs commands in one of them. The
//! real part is Docker with the supervisor inside; the fake runs a closure.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use audit_client::redact::CapturedStream;

use crate::audit::entry::{Change, ChangeOrigin, ChangeResult};
use crate::gateway::policy::Mode;
use crate::session::SessionId;

pub mod changes;
pub mod dial;
pub mod docker;
pub mod fake;
pub mod stream;

/// Why a sandbox could not be had or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// The engine does not answer; the same call may succeed later.
    #[error("the Docker engine is unavailable: {reason}")]
    EngineUnavailable {
        /// What the connection said.
        reason: String,
    },
    /// The compose project has no container and no network on this engine.
    #[error(
        "the compose project {project:?} has no networks on this engine: is it up? (`docker compose -p {project} up -d`)"
    )]
    ProjectNotRunning {
        /// The project.
        project: String,
    },
    /// The agent's image, or our own, is not on the engine and cannot be pulled.
    #[error("the image {image:?} is not on the engine and could not be pulled: {reason}")]
    ImageMissing {
        /// The image.
        image: String,
        /// What the engine said.
        reason: String,
    },
    /// The supervisor in the container is gone, silent, or does not speak the protocol.
    #[error("the agent's container is lost: {reason}")]
    Lost {
        /// What was seen.
        reason: String,
    },
    /// The engine refused for a reason that will not go away by itself.
    #[error("the Docker engine refused: {0}")]
    Refused(String),
}

impl SandboxError {
    /// Whether waiting may help without anybody changing the Incident or the Subject.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::EngineUnavailable { .. } | Self::ProjectNotRunning { .. } | Self::ImageMissing { .. })
    }

    /// The reason as a condition has it, also for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::EngineUnavailable { .. } => "EngineUnavailable",
            Self::ProjectNotRunning { .. } => "ProjectNotRunning",
            Self::ImageMissing { .. } => "ImageMissing",
            Self::Lost { .. } => "SandboxLost",
            Self::Refused(_) => "EngineRefused",
        }
    }
}

/// What a session wants of a sandbox. Frozen in its first entry, so that a later controller asks for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxRequest {
    /// The session, for names and labels.
    pub session: SessionId,
    /// `namespace/name` of the Subject, for labels.
    pub subject: String,
    /// The compose project on whose networks the container stands.
    pub project: String,
    /// The agent's image.
    pub image: String,
    /// Limits of the container.
    pub limits: ContainerLimits,
    /// What the agent may do to the subject through the engine.
    pub access: Access,
    /// Networks beside the subject's own that the agent may reach.
    pub egress: Vec<IpNet>,
    /// After this long the supervisor ends by itself, whatever became of the controller.
    pub wall_limit: Duration,
}

impl SandboxRequest {
    /// For a session that asks for no container any more.
    #[must_use]
    pub fn unused(session: &SessionId) -> Self {
        Self {
            session: session.clone(),
            subject: String::new(),
            project: String::new(),
            image: String::new(),
            limits: ContainerLimits::default(),
            access: Access::default(),
            egress: Vec::new(),
            wall_limit: Duration::ZERO,
        }
    }
}

/// What the agent may do to the subject through the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Whether it may change anything.
    pub mode: Mode,
    /// Whether containers that would give the host away are open to it.
    pub trust_host_access: bool,
    /// Whether volumes may be removed.
    pub destructive: bool,
    /// The project's compose file, for the agent's own `docker compose`.
    pub compose_file: Option<String>,
}

/// Limits of the agent's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ContainerLimits {
    /// Memory in bytes, swap included.
    pub memory_bytes: u64,
    /// CPUs in thousandths.
    pub cpu_millis: u32,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for ContainerLimits {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, cpu_millis: 1000, pids: 512 }
    }
}

/// What was found to be there before anything is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxPlan {
    /// The request that it answers.
    pub request: SandboxRequest,
    /// The image, by id.
    pub image_id: String,
    /// Ids and names of the project's networks.
    pub networks: Vec<NetworkRef>,
}

impl SandboxPlan {
    /// For a session that asks for no container: nothing was looked for.
    #[must_use]
    pub fn unused(request: &SandboxRequest) -> Self {
        Self { request: request.clone(), image_id: String::new(), networks: Vec::new() }
    }
}

/// A network of the subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRef {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
}

/// A session's things that stand on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The session by its label.
    pub session: SessionId,
    /// The container's id.
    pub container: String,
    /// Its name.
    pub name: String,
}

/// A container of a subject that would give the host away to whoever can use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAccess {
    /// Its name.
    pub container: String,
    /// Why, each in a few words.
    pub reasons: Vec<String>,
}

/// Makes and removes sandboxes. Every call is bounded in time.
#[async_trait]
pub trait SandboxProvider: Send + Sync + 'static {
    /// Looks whether everything is there, and makes nothing. Milliseconds.
    async fn preflight(&self, request: &SandboxRequest) -> Result<SandboxPlan, SandboxError>;

    /// Makes and starts the container with its walls and its gateway, and waits for both to answer. If one
    /// stands there already for this session it is taken over. Changes of the subject go to `ledger`.
    async fn create(&self, plan: &SandboxPlan, ledger: Arc<dyn Ledger>) -> Result<Arc<dyn Sandbox>, SandboxError>;

    /// Ends every process of the session's agent at once, whatever its supervisor says or does, paused or not. Nothing
    /// there is fine.
    async fn kill(&self, session: &SessionId) -> Result<(), SandboxError>;

    /// Holds every process of the session's agent where it stands, or lets it go on. Nothing there is fine.
    async fn pause(&self, session: &SessionId, paused: bool) -> Result<(), SandboxError>;

    /// The process of a command that was begun in a container of the subject, if it still runs there. `exec` is the
    /// engine's id of it.
    async fn running_exec(&self, exec: &str) -> Result<Option<i64>, SandboxError>;

    /// Removes all that this session has on the engine; nothing there is fine.
    async fn remove(&self, session: &SessionId) -> Result<(), SandboxError>;

    /// All sandboxes of this installation on the engine.
    async fn list(&self) -> Result<Vec<Leftover>, SandboxError>;

    /// The containers of a compose project that would give the host away.
    async fn host_access(&self, _project: &str) -> Result<Vec<HostAccess>, SandboxError> {
        Ok(Vec::new())
    }
}

/// A running sandbox.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// The container's name, for people.
    fn name(&self) -> &str;

    /// Runs one command to its end. Start is idempotent by `seq`: a second start of the same number
    /// is refused by the supervisor, and its outcome asked for instead. Dropping the future does not
    /// kill the command; [`Sandbox::kill`] does.
    async fn run(&self, command: &Command) -> Result<CommandResult, SandboxError>;

    /// What became of a command that an earlier controller put on record and may have started. One that runs
    /// is waited for. It is never started here, and never will be once that it was not is said. What cannot
    /// be known any more is [`SandboxError::Lost`].
    async fn recover(&self, command: &Command) -> Result<Recovered, SandboxError>;

    /// Whether this is the container that stood there when it was asked for, with all that is in it.
    fn is_kept(&self) -> bool {
        false
    }

    /// Kills the command `seq` and its process group, if it still runs.
    async fn kill(&self, seq: i64) -> Result<(), SandboxError>;

    /// From here on nothing of the subject is changed through this sandbox; what was under way is ended and
    /// in the ledger. Bounded in time. Called before the session's last entry.
    async fn close(&self) {}
}

/// Where changes of the subject go on record, each before it happens and again after.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Commits that the change is about to happen, and says the number of its entry. An error is a
    /// sentence, and means that it must not happen.
    async fn begin(&self, change: &Change) -> Result<i64, String>;

    /// Commits what came of the change that was announced as entry `begun`.
    async fn complete(&self, begun: i64, result: &ChangeResult) -> Result<(), String>;

    /// The changes of which an earlier controller put the beginning on record and not the end, by their entry.
    /// The gateway may still know what came of them.
    fn left_open(&self) -> Vec<(i64, Option<ChangeOrigin>)> {
        Vec::new()
    }
}

/// A command to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The number of its `tool_call` entry.
    pub seq: i64,
    /// Text for `bash -c`.
    pub command: String,
    /// After this long its process group is killed.
    pub timeout: Duration,
    /// Where output goes while it runs; best effort, dropped when full.
    pub live: Option<mpsc::Sender<OutputChunk>>,
}

/// A piece of output while a command runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// The command's `seq`.
    pub seq: i64,
    /// Which stream.
    pub stream: OutputStream,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Standard output or standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CommandEnd {
    /// The main process exited.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// It died of a signal that the supervisor did not send.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The limit passed; the supervisor killed its process group.
    TimedOut,
    /// Killed on the controller's order.
    Killed,
    /// It could not be started.
    NotStarted {
        /// Why.
        reason: String,
    },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandResult {
    /// How it ended.
    pub end: CommandEnd,
    /// How long it ran, by the supervisor's monotonic clock.
    pub duration: Duration,
    /// Standard output.
    pub stdout: CapturedStream,
    /// Standard error.
    pub stderr: CapturedStream,
}

/// What became of a command that may have been started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// It ended, so or so.
    Ended(CommandResult),
    /// It was never started.
    NeverStarted,
}

impl CommandResult {
    /// A command that exited with `code` and wrote this.
    #[must_use]
    pub fn exited(code: i32, stdout: &str, stderr: &str) -> Self {
        Self {
            end: CommandEnd::Exited { code },
            duration: Duration::ZERO,
            stdout: CapturedStream::from(stdout.as_bytes()),
            stderr: CapturedStream::from(stderr.as_bytes()),
        }
    }
}
