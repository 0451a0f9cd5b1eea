//! Which containers of a compose project would give the host away, as far as the engine says. What
//! makes one so is decided in [`crate::gateway::host_access`]; here it is only asked.

use std::collections::{BTreeSet, HashMap};

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{InspectContainerOptions, ListVolumesOptions};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::engine::{CallError, QUICK};
use super::{DockerProvider, names};
use crate::gateway::host_access::reasons;
use crate::sandbox::{HostAccess, SandboxError};

/// How many containers are looked at at once.
const AT_ONCE: usize = 8;

impl DockerProvider {
    /// Those of the project, running or not, that would give the host away.
    pub(super) async fn find_host_access(&self, project: &str) -> Result<Vec<HostAccess>, SandboxError> {
        let labels = [(names::COMPOSE_PROJECT, project)];
        let (containers, bound) = tokio::try_join!(self.containers(&labels, true), self.bound_volumes())?;
        let ids = containers.into_iter().filter_map(|container| container.id);
        let found: Vec<Option<HostAccess>> = stream::iter(ids)
            .map(|id| async move { self.inspected(&id).await })
            .buffer_unordered(AT_ONCE)
            .map_ok(|found| found.and_then(|inspect| judged(&inspect, &bound)))
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The container, unless it went meanwhile.
    pub(super) async fn inspected(&self, id: &str) -> Result<Option<ContainerInspectResponse>, SandboxError> {
        let inspect = self
            .engine
            .call(QUICK, |docker| async move { docker.inspect_container(id, None::<InspectContainerOptions>).await });
        match inspect.await {
            Ok(found) => Ok(Some(found)),
            Err(CallError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of the volumes that are directories or devices of the host in disguise.
    pub(super) async fn bound_volumes(&self) -> Result<BTreeSet<String>, SandboxError> {
        let all = self
            .engine
            .call(QUICK, |docker| async move { docker.list_volumes(None::<ListVolumesOptions>).await })
            .await?;
        let volumes = all.volumes.unwrap_or_default().into_iter();
        Ok(volumes.filter(|volume| is_bound(&volume.options)).map(|volume| volume.name).collect())
    }
}

fn judged(inspect: &ContainerInspectResponse, bound: &BTreeSet<String>) -> Option<HostAccess> {
    let reasons = reasons(inspect, bound);
    let name = inspect.name.clone().or_else(|| inspect.id.clone()).unwrap_or_default();
    (!reasons.is_empty()).then(|| HostAccess { container: name.trim_start_matches('/').to_owned(), reasons })
}

/// The options are those of `mount`: a path of the host as the device, or a bind, is the host's own.
fn is_bound(options: &HashMap<String, String>) -> bool {
    let device = options.get("device").is_some_and(|device| device.starts_with('/'));
    device || options.get("o").is_some_and(|o| o.split(',').any(|word| matches!(word.trim(), "bind" | "rbind")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_is_a_path_of_the_host_is_seen() {
        let options = |all: &[(&str, &str)]| all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        for bound in [
            options(&[("type", "none"), ("o", "bind"), ("device", "/srv")]),
            options(&[("device", "/dev/sda1")]),
            options(&[("o", "ro, rbind")]),
        ] {
            assert!(is_bound(&bound), "{bound:?}");
        }
        for free in [
            options(&[]),
            options(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]),
            options(&[("type", "nfs"), ("device", ":/export"), ("o", "addr=10.0.0.1")]),
        ] {
            assert!(!is_bound(&free), "{free:?}");
        }
    }
}
