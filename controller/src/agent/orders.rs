//! What people order from outside while a session runs: notes, a halt, the end.
//!
//! The loop reads these, and knows nothing of where they come from.

use std::sync::Arc;

use async_trait::async_trait;
use crds::incident::Evidence;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::audit::entry::NoteEntry;
use crate::halt::Halt;
use crate::sandbox::SandboxError;

/// What people order.
pub struct Orders {
    /// All that people have said to the agent so far, in order; it only grows.
    pub notes: watch::Receiver<Vec<NoteEntry>>,
    /// All that was seen of the Incident so far, in order; it only grows.
    pub evidence: watch::Receiver<Vec<Evidence>>,
    /// The halt of the whole installation, while there is one.
    pub halt: watch::Receiver<Option<Halt>>,
    /// What stops the container, whatever happens inside.
    pub brake: Arc<dyn Brake>,
}

/// Stops what runs.
#[async_trait]
pub trait Brake: Send + Sync + 'static {
    /// Ends every process of the session's container at once, and says what is left elsewhere. Bounded; a second call
    /// waits for the first.
    async fn end(&self) -> Aftermath;

    /// Ends every process of the session's container at once, because the installation is halted; the container is
    /// lost with that.
    async fn kill(&self) -> Result<(), SandboxError>;

    /// Holds every process of the session's container where it stands, or lets it go on; a halt of the installation
    /// holds it as well, and each lets go of its own only. Bounded.
    async fn hold(&self, held: bool) -> Result<(), SandboxError>;
}

/// What is left when a session was ended from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aftermath {
    /// How many changes of the subject were begun.
    pub changes: usize,
    /// The last of them in words.
    pub last_changes: Vec<String>,
    /// Commands that still run in the subject's own containers.
    pub still_runs: Vec<StillRuns>,
    /// Why it is not known whether all of the container's processes ended, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A command that still runs in one of the subject's containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StillRuns {
    /// The `change` entry that announced it.
    pub entry: i64,
    /// The container's name.
    pub container: String,
    /// As a person would type it.
    pub command: String,
    /// Its process number on the engine's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i64>,
}

impl Aftermath {
    /// What a person has to know besides that it ended; empty if nothing.
    #[must_use]
    pub fn warning(&self) -> String {
        let mut text = String::new();
        if !self.still_runs.is_empty() {
            let one = |runs: &StillRuns| match runs.pid {
                Some(pid) => format!("`{}` (pid {pid}, change {})", runs.command, runs.entry),
                None => format!("`{}` (change {})", runs.command, runs.entry),
            };
            let all: Vec<_> = self.still_runs.iter().map(one).collect();
            text = format!("; still running in the subject: {}", all.join(", "));
        }
        if let Some(trouble) = &self.trouble {
            text = format!("{text}; {trouble}");
        }
        text
    }
}

/// Orders nothing and stops nothing: for a session of which nobody wants anything.
#[must_use]
pub fn none() -> Orders {
    struct Nothing;

    #[async_trait]
    impl Brake for Nothing {
        async fn end(&self) -> Aftermath {
            Aftermath::default()
        }

        async fn kill(&self) -> Result<(), SandboxError> {
            Ok(())
        }

        async fn hold(&self, _held: bool) -> Result<(), SandboxError> {
            Ok(())
        }
    }

    // A receiver keeps its last value when its sender is gone.
    Orders {
        notes: watch::channel(Vec::new()).1,
        evidence: watch::channel(Vec::new()).1,
        halt: watch::channel(None).1,
        brake: Arc::new(Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_still_runs_is_named() {
        assert_eq!(Aftermath::default().warning(), "");
        let runs = StillRuns {
            entry: 7,
            container: "shop-web-1".into(),
            command: "docker exec -d shop-web-1 sleep 900".into(),
            pid: Some(4711),
        };
        let aftermath = Aftermath { still_runs: vec![runs], trouble: Some("x".into()), ..Aftermath::default() };
        assert_eq!(
            aftermath.warning(),
            "; still running in the subject: `docker exec -d shop-web-1 sleep 900` (pid 4711, change 7); x"
        );
    }
}
