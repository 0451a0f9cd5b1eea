//! The container of the session, and one command in it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Progress, SandboxSource, Wanted};
use crate::halt::Halt;
use crate::sandbox::{Command, CommandResult, Recovered, Sandbox, SandboxError};

/// How long a killed command may take to be gone.
const KILL: Duration = Duration::from_secs(5);
/// The same in a halt, after which the whole container is killed.
const HALT: Duration = Duration::from_millis(1200);
/// How long after its limit a command's outcome must be there.
const GRACE: Duration = Duration::from_secs(30);
/// How long the end of the session waits for changes that are under way.
const CLOSE: Duration = Duration::from_secs(30);
/// How long a container that is being made is waited for before it is paused.
const QUIET: Duration = Duration::from_secs(20);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Opening = AbortOnDropHandle<Result<Opened, SandboxError>>;

/// A container that is there.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) sandbox: Arc<dyn Sandbox>,
    /// Why the one that stood there was given up on the way.
    pub(super) lost: Option<String>,
}

/// Makes containers ahead of time, one at a time.
pub(super) struct Sandboxes {
    source: Arc<dyn SandboxSource>,
    progress: watch::Sender<Progress>,
    deadline: Instant,
    opening: Option<Opening>,
    current: Option<Opened>,
    /// How many were lost before the one that is wanted now.
    generation: Option<u32>,
}

impl Sandboxes {
    pub(super) fn new(source: Arc<dyn SandboxSource>, progress: watch::Sender<Progress>, deadline: Instant) -> Self {
        Self { source, progress, deadline, opening: None, current: None, generation: None }
    }

    /// Sees to it that the container is there or being made of which `lost` ones went before.
    pub(super) fn want(&mut self, lost: u32, wanted: Wanted) {
        if self.generation == Some(lost) {
            return;
        }
        self.generation = Some(lost);
        self.current = None;
        let open = open(self.source.clone(), wanted, self.progress.clone(), self.deadline);
        self.opening = Some(AbortOnDropHandle::new(tokio::spawn(open)));
    }

    /// The container that is there is the one of which `lost` ones went before: it was made in place of one that
    /// was found to be gone.
    pub(super) fn rename(&mut self, lost: u32) {
        self.generation = Some(lost);
    }

    /// The container. Waits for it as long as the wall time.
    pub(super) async fn ready(&mut self) -> Result<Opened, SandboxError> {
        if let Some(opened) = &self.current {
            return Ok(opened.clone());
        }
        let lost = |reason: &str| SandboxError::Lost { reason: reason.to_owned() };
        let opening = self.opening.as_mut().ok_or_else(|| lost("no container was asked for"))?;
        let opened = opening.await.map_err(|_| lost("making the container was given up"));
        self.opening = None;
        let opened = opened??;
        self.current = Some(opened.clone());
        Ok(opened)
    }

    /// Waits for a container that is being made: it is not to be paused half made.
    pub(super) async fn quiet(&self) {
        let made = async {
            while self.opening.as_ref().is_some_and(|opening| !opening.is_finished()) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let _ = timeout(QUIET, made).await;
    }

    /// The wall time ends later than it was said.
    pub(super) fn put_off(&mut self, deadline: Instant) {
        self.deadline = self.deadline.max(deadline);
    }

    /// The container, if it is there.
    pub(super) fn current(&self) -> Option<Arc<dyn Sandbox>> {
        self.current.as_ref().map(|opened| opened.sandbox.clone())
    }

    /// Nothing of the subject is changed from here on, also not by what a command left running.
    pub(super) async fn close(&mut self) {
        // A container that is not ready yet never will be.
        self.opening = None;
        if let Some(opened) = self.current.take() {
            let _ = timeout(CLOSE, opened.sandbox.close()).await;
        }
        let _ = timeout(CLOSE, self.source.settle()).await;
    }
}

/// Asks for the container until it is there, the error will not go away, or the time is over.
async fn open(
    source: Arc<dyn SandboxSource>,
    wanted: Wanted,
    progress: watch::Sender<Progress>,
    deadline: Instant,
) -> Result<Opened, SandboxError> {
    let say = |sentence: Option<String>| progress.send_modify(|progress| progress.waiting = sentence);
    let mut pause = Duration::from_millis(250);
    let mut lost = 0;
    let mut given_up = None;
    let mut seen = SandboxError::EngineUnavailable { reason: "the container was not ready in time".to_owned() };
    loop {
        let Ok(opened) = timeout_at(deadline, source.open(wanted)).await else { return Err(seen) };
        match opened {
            Ok(sandbox) => {
                if lost > 0 || pause > Duration::from_millis(250) {
                    say(None);
                }
                return Ok(Opened { sandbox, lost: given_up });
            }
            Err(error) => {
                if let SandboxError::Lost { reason } = &error {
                    lost += 1;
                    given_up.get_or_insert_with(|| reason.clone());
                }
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

/// Whether this controller starts a command, or an earlier one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// By this one, now.
    Here,
    /// By an earlier one, perhaps: it is asked for and never started.
    Before,
}

/// How a command ended, seen from the loop.
pub(super) enum Ran {
    /// With an outcome.
    Done(CommandResult),
    /// It was never started, and will not be.
    Never,
    /// The session was cancelled meanwhile; with an outcome if one could be had.
    Cancelled(Option<CommandResult>),
    /// The installation was halted meanwhile; with an outcome if one could be had in time.
    Halted(Option<Recovered>),
    /// The container is lost or silent: nobody knows what became of the command.
    Lost(String),
}

/// Runs one command to its end, whatever that is, or finds the end of one that was begun before. Never longer than
/// its limit and a grace.
pub(super) async fn run(
    sandbox: &dyn Sandbox,
    command: &Command,
    begun: Begun,
    cancel: &CancellationToken,
    mut halt: watch::Receiver<Option<Halt>>,
) -> Ran {
    let halted = async {
        if halt.wait_for(Option::is_some).await.is_err() {
            // The controller stops.
            std::future::pending::<()>().await;
        }
    };
    let overdue = Instant::now() + command.timeout + GRACE;
    let outcome = outcome(sandbox, command, begun);
    tokio::pin!(outcome);
    tokio::select! {
        biased;
        ran = &mut outcome => match ran {
            Ok(Recovered::Ended(result)) => Ran::Done(result),
            Ok(Recovered::NeverStarted) => Ran::Never,
            Err(error) => Ran::Lost(error.to_string()),
        },
        () = cancel.cancelled() => {
            let (_, ran) = tokio::join!(timeout(KILL, sandbox.kill(command.seq)), timeout(KILL, &mut outcome));
            match ran.ok().and_then(Result::ok) {
                Some(Recovered::NeverStarted) => Ran::Never,
                Some(Recovered::Ended(result)) => Ran::Cancelled(Some(result)),
                None => Ran::Cancelled(None),
            }
        }
        () = halted => {
            let (_, ran) =
                tokio::join!(timeout(HALT, sandbox.kill(command.seq)), timeout(HALT, &mut outcome));
            Ran::Halted(ran.ok().and_then(Result::ok))
        }
        () = sleep_until(overdue) => {
            let _ = timeout(KILL, sandbox.kill(command.seq)).await;
            Ran::Lost(format!("no outcome came within {} s after the command's limit", GRACE.as_secs()))
        }
    }
}

/// The command's outcome. While the engine is away it is asked for again, under the same number, so
/// that nothing is started twice.
async fn outcome(sandbox: &dyn Sandbox, command: &Command, begun: Begun) -> Result<Recovered, SandboxError> {
    let mut pause = Duration::from_millis(100);
    loop {
        let ran = match begun {
            Begun::Here => sandbox.run(command).await.map(Recovered::Ended),
            Begun::Before => sandbox.recover(command).await,
        };
        match ran {
            Err(SandboxError::EngineUnavailable { .. }) => sleep(pause).await,
            other => return other,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
