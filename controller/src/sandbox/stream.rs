//! The controller's end of the stream to a supervisor.
//!
//! One task owns the stream; [`Stream`] asks it. When the stream breaks it is opened again, for a
//! bounded time, and each command that is waited for is asked about: ended, running, or never
//! started, and only then started (again). What comes from the container is hostile: a frame that
//! nobody asked for, or that is none, ends it all with the reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::dial::Dial;
use super::{Command, CommandResult, Recovered, SandboxError};
use driver::Driver;

mod driver;
pub(super) mod link;
mod pending;

/// How patient a stream is.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For the first hello of a new container.
    pub hello: Duration,
    /// For a stream that broke to stand again.
    pub reattach: Duration,
    /// Between two signs of life that are asked for.
    pub ping: Duration,
    /// Without any sign of life.
    pub silence: Duration,
    /// For the result of a command whose time limit has passed.
    pub overdue: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(20),
            reattach: Duration::from_mins(1),
            ping: Duration::from_secs(5),
            silence: Duration::from_secs(20),
            overdue: Duration::from_secs(30),
        }
    }
}

/// Who speaks: what the hello says.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The session.
    pub session: String,
    /// The fencing token.
    pub epoch: u64,
}

/// A stream to a supervisor. Dropping it ends the stream, not the commands.
pub struct Stream {
    asks: mpsc::Sender<Ask>,
    lost: watch::Receiver<Option<String>>,
}

type Answer = oneshot::Sender<Result<Recovered, SandboxError>>;

enum Ask {
    Run { command: Command, answer: Answer },
    Recover { command: Command, answer: Answer },
    Kill { seq: i64, answer: oneshot::Sender<()> },
}

impl Stream {
    /// Opens the stream and waits for the supervisor's hello.
    pub async fn connect(dial: Arc<dyn Dial>, identity: Identity, patience: Patience) -> Result<Self, SandboxError> {
        let (asks, queue) = mpsc::channel(64);
        let (tell, lost) = watch::channel(None);
        let (driver, link) = Driver::connect(dial, identity, patience, queue, tell)
            .await
            .map_err(|reason| SandboxError::Lost { reason })?;
        tokio::spawn(driver.drive(link));
        Ok(Self { asks, lost })
    }

    /// Runs a command to its end, or finds the outcome of one that was started before.
    pub async fn run(&self, command: &Command) -> Result<CommandResult, SandboxError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Run { command: command.clone(), answer }).await?;
        match self.answered(answered).await? {
            Recovered::Ended(result) => Ok(result),
            Recovered::NeverStarted => {
                let reason = format!("command {} was given up by who asked for it before", command.seq);
                Err(SandboxError::Lost { reason })
            }
        }
    }

    /// Finds the outcome of a command that may have been started before, and never starts it.
    pub async fn recover(&self, command: &Command) -> Result<Recovered, SandboxError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Recover { command: command.clone(), answer }).await?;
        self.answered(answered).await
    }

    async fn answered(
        &self,
        answered: oneshot::Receiver<Result<Recovered, SandboxError>>,
    ) -> Result<Recovered, SandboxError> {
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(self.lost().await),
        }
    }

    /// Kills a command, if it runs.
    pub async fn kill(&self, seq: i64) -> Result<(), SandboxError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Kill { seq, answer }).await?;
        match answered.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.lost().await),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<(), SandboxError> {
        if self.asks.send(ask).await.is_err() {
            return Err(self.lost().await);
        }
        Ok(())
    }

    /// Why nothing is answered any more. The reason is told before the last answer is dropped.
    async fn lost(&self) -> SandboxError {
        let mut lost = self.lost.clone();
        let reason = match lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        SandboxError::Lost { reason: reason.unwrap_or_else(|| "its stream was dropped".into()) }
    }
}
