//! The container of the session, and one command in it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Progress, SandboxSource};
use crate::sandbox::{Command, CommandResult, Sandbox, SandboxError};

/// How long a killed command may take to be gone.
const KILL: Duration = Duration::from_secs(5);
/// How long after its limit a command's outcome must be there.
const GRACE: Duration = Duration::from_secs(30);
/// How long the end of the session waits for changes that are under way.
const CLOSE: Duration = Duration::from_secs(30);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Opening = AbortOnDropHandle<Result<Arc<dyn Sandbox>, SandboxError>>;

/// Makes containers ahead of time, one at a time.
pub(super) struct Sandboxes {
    source: Arc<dyn SandboxSource>,
    progress: watch::Sender<Progress>,
    deadline: Instant,
    opening: Option<Opening>,
    current: Option<Arc<dyn Sandbox>>,
}

impl Sandboxes {
    pub(super) fn new(source: Arc<dyn SandboxSource>, progress: watch::Sender<Progress>, deadline: Instant) -> Self {
        Self { source, progress, deadline, opening: None, current: None }
    }

    /// Begins to make a container; the one before is forgotten.
    pub(super) fn begin(&mut self, replacement: u32) {
        self.current = None;
        let open = open(self.source.clone(), replacement, self.progress.clone(), self.deadline);
        self.opening = Some(AbortOnDropHandle::new(tokio::spawn(open)));
    }

    /// The container, and whether it is handed out for the first time. Waits for it as long as the
    /// wall time.
    pub(super) async fn ready(&mut self) -> Result<(Arc<dyn Sandbox>, bool), SandboxError> {
        if let Some(sandbox) = &self.current {
            return Ok((sandbox.clone(), false));
        }
        let lost = |reason: &str| SandboxError::Lost { reason: reason.to_owned() };
        let opening = self.opening.take().ok_or_else(|| lost("no container was asked for"))?;
        let sandbox = opening.await.map_err(|_| lost("making the container was given up"))??;
        self.current = Some(sandbox.clone());
        Ok((sandbox, true))
    }

    /// Nothing of the subject is changed from here on, also not by what a command left running.
    pub(super) async fn close(&mut self) {
        // A container that is not ready yet never will be.
        self.opening = None;
        if let Some(sandbox) = self.current.take() {
            let _ = timeout(CLOSE, sandbox.close()).await;
        }
    }
}

/// Asks for the container until it is there, the error will not go away, or the time is over.
async fn open(
    source: Arc<dyn SandboxSource>,
    replacement: u32,
    progress: watch::Sender<Progress>,
    deadline: Instant,
) -> Result<Arc<dyn Sandbox>, SandboxError> {
    let say = |sentence: Option<String>| progress.send_modify(|progress| progress.waiting = sentence);
    let mut pause = Duration::from_millis(250);
    let mut lost = 0;
    let mut seen = SandboxError::EngineUnavailable { reason: "the container was not ready in time".to_owned() };
    loop {
        let Ok(opened) = timeout_at(deadline, source.open(replacement)).await else { return Err(seen) };
        match opened {
            Ok(sandbox) => {
                if lost > 0 || pause > Duration::from_millis(250) {
                    say(None);
                }
                return Ok(sandbox);
            }
            Err(error) => {
                lost += u32::from(matches!(error, SandboxError::Lost { .. }));
                let again = error.is_transient() || (lost > 0 && lost < 3);
                if !again || Instant::now() + pause >= deadline {
                    return Err(error);
                }
                say(Some(format!("waiting for the agent's container: {error}")));
                seen = error;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How a command ended, seen from the loop.
pub(super) enum Ran {
    /// With an outcome.
    Done(CommandResult),
    /// The session was cancelled meanwhile; with an outcome if one could be had.
    Cancelled(Option<CommandResult>),
    /// The container is lost or silent: nobody knows what became of the command.
    Lost(String),
}

/// Runs one command to its end, whatever that is. Never longer than its limit and a grace.
pub(super) async fn run(sandbox: &dyn Sandbox, command: &Command, cancel: &CancellationToken) -> Ran {
    let overdue = Instant::now() + command.timeout + GRACE;
    let outcome = outcome(sandbox, command);
    tokio::pin!(outcome);
    tokio::select! {
        biased;
        ran = &mut outcome => match ran {
            Ok(result) => Ran::Done(result),
            Err(error) => Ran::Lost(error.to_string()),
        },
        () = cancel.cancelled() => {
            let (_, ran) = tokio::join!(timeout(KILL, sandbox.kill(command.seq)), timeout(KILL, &mut outcome));
            Ran::Cancelled(ran.ok().and_then(Result::ok))
        }
        () = sleep_until(overdue) => {
            let _ = timeout(KILL, sandbox.kill(command.seq)).await;
            Ran::Lost(format!("no outcome came within {} s after the command's limit", GRACE.as_secs()))
        }
    }
}

/// The command's outcome. While the engine is away it is asked for again, under the same number, so
/// that nothing is started twice.
async fn outcome(sandbox: &dyn Sandbox, command: &Command) -> Result<CommandResult, SandboxError> {
    let mut pause = Duration::from_millis(100);
    loop {
        match sandbox.run(command).await {
            Err(SandboxError::EngineUnavailable { .. }) => sleep(pause).await,
            other => return other,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
