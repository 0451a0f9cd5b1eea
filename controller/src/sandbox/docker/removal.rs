//! How what a session has on the engine goes: containers first, then the volumes that they used.

use std::time::Duration;

use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder};
use futures::future::try_join_all;

use super::engine::{CallError, QUICK, SLOW, not_found_is_fine};
use super::{DockerProvider, names};
use crate::sandbox::SandboxError;
use crate::sandbox::dial::Condition;
use crate::session::SessionId;

impl DockerProvider {
    pub(super) async fn remove_container(&self, container: &str) -> Result<(), SandboxError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let call =
            self.engine.call(SLOW, |docker| async move { docker.remove_container(container, Some(options)).await });
        match call.await {
            // Somebody else removes it; then it is gone in a moment.
            Err(CallError::Conflict(reason)) if reason.contains("already in progress") => {
                for _ in 0..100 {
                    if matches!(self.engine.look(container).await, Condition::Gone(how) if how.contains("removed")) {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(SandboxError::Refused(reason))
            }
            other => not_found_is_fine(other),
        }
    }

    async fn remove_volume(&self, volume: &str) -> Result<(), SandboxError> {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        let call = self.engine.call(QUICK, |docker| async move { docker.remove_volume(volume, Some(options)).await });
        not_found_is_fine(call.await)
    }

    /// Removes all that a session has on the engine.
    pub(super) async fn remove_all(&self, session: &SessionId) -> Result<(), SandboxError> {
        // What a call that was given up made meanwhile still uses a volume.
        for _ in 0..2 {
            match self.remove_once(session).await {
                Err(SandboxError::Refused(reason)) if reason.contains("volume is in use") => {}
                other => return other,
            }
        }
        self.remove_once(session).await
    }

    async fn remove_once(&self, session: &SessionId) -> Result<(), SandboxError> {
        let labels = [(names::INSTALLATION, self.installation.as_str()), (names::SESSION, session.as_str())];
        let containers = self.containers(&labels, true).await?;
        self.none_is_later(&containers)?;
        let ids = containers.iter().filter_map(|container| container.id.as_deref());
        try_join_all(ids.map(|id| self.remove_container(id))).await?;
        // Only now: a volume that is in use stays.
        let volumes = self.volumes(Some(session)).await?;
        try_join_all(volumes.iter().map(|(volume, _)| self.remove_volume(volume))).await?;
        Ok(())
    }

    /// The volumes of this installation, or of one session of it, with their sessions.
    pub(super) async fn volumes(&self, session: Option<&SessionId>) -> Result<Vec<(String, SessionId)>, SandboxError> {
        let mut labels = vec![(names::INSTALLATION, self.installation.as_str())];
        labels.extend(session.map(|session| (names::SESSION, session.as_str())));
        let options = ListVolumesOptionsBuilder::default().filters(&names::filter(&labels)).build();
        let found = self.engine.call(QUICK, |docker| async move { docker.list_volumes(Some(options)).await }).await?;
        let volumes = found.volumes.unwrap_or_default().into_iter();
        Ok(volumes
            .filter_map(|mut volume| Some((volume.name, SessionId::from(volume.labels.remove(names::SESSION)?))))
            .collect())
    }
}
