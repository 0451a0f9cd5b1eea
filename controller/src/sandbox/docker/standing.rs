//! What stands for a session already: found by its labels, whichever leader made it under which name.

use std::cmp::Reverse;

use bollard::models::ContainerSummary;

use super::engine::QUICK;
use super::{DockerProvider, names};
use crate::sandbox::SandboxError;
use crate::sandbox::dial::Condition;
use crate::session::SessionId;

/// A container that can be gone on with.
pub(super) struct Standing {
    pub(super) id: String,
    pub(super) name: String,
}

impl DockerProvider {
    /// The container of this session for this role that can be gone on with, if there is one. Others
    /// for the same role go.
    pub(super) async fn standing(
        &self,
        session: &SessionId,
        role: names::Role,
    ) -> Result<Option<Standing>, SandboxError> {
        // Another installation's too: its volumes would have the names of ours.
        let labels = [(names::SESSION, session.as_str()), (names::ROLE, role.as_str())];
        let mut found = self.containers(&labels, true).await?;
        if let Some(foreign) = found.iter().find(|container| !self.is_ours(container)) {
            let name = name(foreign);
            return Err(SandboxError::Refused(format!("the container {name} belongs to another installation")));
        }
        self.none_is_later(&found)?;
        // The latest first: an earlier one beside it was made by a call that came too late.
        found.sort_by_key(|container| Reverse((names::epoch(container.labels.as_ref()), container.created)));
        let mut kept = None;
        for container in found {
            let name = name(&container);
            let id = container.id.unwrap_or_else(|| name.clone());
            if kept.is_none() && self.goes_on(&id).await? {
                kept = Some(Standing { id, name });
            } else {
                self.remove_container(&id).await?;
            }
        }
        Ok(kept)
    }

    /// Whether a container can be gone on with, which is then awake and enclosed.
    async fn goes_on(&self, id: &str) -> Result<bool, SandboxError> {
        match self.engine.look(id).await {
            Condition::Running => Ok(true),
            Condition::Paused => {
                // Whoever paused it may have been about to set its walls.
                self.enclose(id).await?;
                self.engine.call(QUICK, |docker| async move { docker.unpause_container(id).await }).await?;
                Ok(true)
            }
            // Never started, or dead: what is in it is not to be trusted with a second life.
            Condition::Gone(_) => Ok(false),
            Condition::Unknown(reason) => Err(SandboxError::EngineUnavailable { reason }),
        }
    }

    /// That no later leader than this one made any of these: what it made is not ours to touch.
    pub(super) fn none_is_later(&self, containers: &[ContainerSummary]) -> Result<(), SandboxError> {
        let later = containers.iter().find(|container| names::epoch(container.labels.as_ref()) > self.epoch);
        let Some(later) = later else { return Ok(()) };
        Err(SandboxError::EngineUnavailable {
            reason: format!(
                "the container {} was made in epoch {}, and this controller leads in epoch {}: another one leads, or the \
                 database was set back (see \"Backup\" in docs/operations.md)",
                name(later),
                names::epoch(later.labels.as_ref()),
                self.epoch
            ),
        })
    }

    fn is_ours(&self, container: &ContainerSummary) -> bool {
        container.labels.as_ref().and_then(|labels| labels.get(names::INSTALLATION)) == Some(&self.installation)
    }
}

pub(super) fn name(container: &ContainerSummary) -> String {
    let name = container.names.as_ref().and_then(|names| names.first()).cloned().unwrap_or_default();
    name.trim_start_matches('/').to_owned()
}
