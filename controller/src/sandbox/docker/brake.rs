//! Stops what runs, past everything inside the container: the engine ends or freezes all of its processes, also those
//! that a command left behind in a session of their own.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptionsBuilder;
use futures::future::try_join_all;

use super::engine::{CallError, QUICK};
use super::{DockerProvider, names};
use crate::sandbox::SandboxError;
use crate::session::SessionId;

/// The answer to a question that only fills a sentence.
const ASK: Duration = Duration::from_secs(2);

impl DockerProvider {
    /// Ids of the agent's containers of a session that run or are paused.
    async fn agents(&self, session: &SessionId) -> Result<Vec<String>, SandboxError> {
        let labels = [
            (names::INSTALLATION, self.installation.as_str()),
            (names::SESSION, session.as_str()),
            (names::ROLE, names::Role::Agent.as_str()),
        ];
        let found = self.containers(&labels, false).await?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }

    /// SIGKILL to all processes of the agent's container. A paused one is killed, too.
    pub(super) async fn kill_agents(&self, session: &SessionId) -> Result<(), SandboxError> {
        let ids = self.agents(session).await?;
        let kill = |id: String| async move {
            let options = KillContainerOptionsBuilder::default().signal("KILL").build();
            let id = &id;
            let call =
                self.engine.call(QUICK, |docker| async move { docker.kill_container(id, Some(options)).await }).await;
            match call {
                // Gone, or it ended in this very moment.
                Ok(()) | Err(CallError::NotFound(_) | CallError::Conflict(_)) => Ok(()),
                Err(CallError::Other(error)) => Err(error),
            }
        };
        try_join_all(ids.into_iter().map(kill)).await.map(drop)
    }

    /// Freezes the agent's container, or lets it go on.
    pub(super) async fn pause_agents(&self, session: &SessionId, paused: bool) -> Result<(), SandboxError> {
        let _order = self.held.set(session, paused).await;
        let ids = self.agents(session).await?;
        let set = |id: String| async move {
            let id = &id;
            let call = self.engine.call(QUICK, |docker| async move {
                if paused { docker.pause_container(id).await } else { docker.unpause_container(id).await }
            });
            match call.await {
                Ok(()) | Err(CallError::NotFound(_) | CallError::Conflict(_)) => Ok(()),
                // Engines differ in the number that they give this.
                Err(CallError::Other(SandboxError::Refused(reason)))
                    if reason.contains("not paused") || reason.contains("already paused") =>
                {
                    Ok(())
                }
                Err(CallError::Other(error)) => Err(error),
            }
        };
        try_join_all(ids.into_iter().map(set)).await.map(drop)
    }

    /// The process of a command in one of the subject's containers, if it still runs.
    pub(super) async fn process_of(&self, exec: &str) -> Result<Option<i64>, SandboxError> {
        let inspect = self.engine.call(ASK, |docker| async move { docker.inspect_exec(exec).await });
        match inspect.await {
            Ok(state) => Ok(state.pid.filter(|_| state.running == Some(true))),
            // The engine forgets an exec some minutes after its end, or with its container.
            Err(CallError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
