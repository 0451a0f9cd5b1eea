//! What a project's containers are, as far as a plan has to know.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, HostConfig, MountPoint};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::{DockerProvider, names};
use crate::fault::view::{ContainerView, Cpus, MountView, ProjectView, State};
use crate::gateway::host_access::effective;
use crate::sandbox::{NetworkRef, SandboxError};

const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";
/// How many containers are looked at at once.
const AT_ONCE: usize = 4;
/// Networks of the engine itself: they lead to everybody's containers, and to the host.
const SHARED: [&str; 3] = ["host", "bridge", "none"];

impl DockerProvider {
    /// The project's containers, and the networks that are its own or that its containers stand on.
    pub(super) async fn view_project(&self, project: &str) -> Result<ProjectView, SandboxError> {
        let (networks, found) = tokio::try_join!(self.networks(project), self.service_containers(project, None))?;
        let mut networks = networks;
        let ends = found.iter().filter_map(|inspect| inspect.network_settings.as_ref()?.networks.as_ref());
        for (name, end) in ends.flatten() {
            let id = end.network_id.clone().filter(|id| !id.is_empty());
            let Some(id) = id.filter(|id| networks.iter().all(|network| network.id != *id)) else { continue };
            if !SHARED.contains(&name.as_str()) {
                networks.push(NetworkRef { id, name: name.clone() });
            }
        }
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        let mut containers: Vec<_> = found.iter().map(view).collect();
        containers.sort_by(|a, b| (&a.service, a.number, &a.name).cmp(&(&b.service, b.number, &b.name)));
        Ok(ProjectView { project: project.to_owned(), networks, containers })
    }

    /// Each container of the project's services, or of one of them, as the engine describes it.
    async fn service_containers(
        &self,
        project: &str,
        service: Option<&str>,
    ) -> Result<Vec<ContainerInspectResponse>, SandboxError> {
        let mut labels = vec![(names::COMPOSE_PROJECT, project)];
        labels.extend(service.map(|service| (SERVICE, service)));
        let ids: Vec<_> = self.containers(&labels, true).await?.into_iter().filter_map(|found| found.id).collect();
        let found: Vec<Option<ContainerInspectResponse>> = stream::iter(ids)
            .map(|id| async move { self.inspected(&id).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().filter(is_of_service).collect())
    }

    /// The container that a plan meant, or the one that stands in its place by now.
    pub(super) async fn current(
        &self,
        project: &str,
        target: &crate::fault::Resolved,
    ) -> Result<Option<ContainerView>, SandboxError> {
        if let Some(found) = self.inspected(&target.id).await? {
            return Ok(Some(view(&found)));
        }
        let of_service = self.service_containers(project, Some(&target.service)).await?;
        Ok(of_service.iter().map(view).min_by_key(|view| (view.number, view.state == State::Stopped)))
    }
}

/// Containers of `docker compose run` are nobody's service, and ours are not the project's.
fn is_of_service(inspect: &ContainerInspectResponse) -> bool {
    let labels = inspect.config.as_ref().and_then(|config| config.labels.as_ref());
    let label = |name: &str| labels.and_then(|labels| labels.get(name)).map(String::as_str);
    label(SERVICE).is_some()
        && !label(ONE_OFF).is_some_and(|one_off| one_off.eq_ignore_ascii_case("true"))
        && label(names::ROLE).is_none()
        && label(names::SESSION).is_none()
}

/// One container.
pub(super) fn view(inspect: &ContainerInspectResponse) -> ContainerView {
    let none = HashMap::new();
    let labels = inspect.config.as_ref().and_then(|config| config.labels.as_ref()).unwrap_or(&none);
    let usual = HostConfig::default();
    let host = inspect.host_config.as_ref().unwrap_or(&usual);
    let mode = host.network_mode.as_deref().unwrap_or_default();
    let config = inspect.config.as_ref();
    ContainerView {
        id: inspect.id.clone().unwrap_or_default(),
        name: inspect.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
        service: labels.get(SERVICE).cloned().unwrap_or_default(),
        number: labels.get(NUMBER).and_then(|number| number.parse().ok()).unwrap_or(1),
        state: state(inspect),
        started_at: inspect.state.as_ref().and_then(|state| state.started_at.clone()).unwrap_or_default(),
        image: inspect.image.clone().unwrap_or_default(),
        user: config.and_then(|config| config.user.clone()).unwrap_or_default(),
        env: config.and_then(|config| config.env.clone()).unwrap_or_default(),
        own_network: !matches!(mode, "host" | "none") && !mode.starts_with("container:"),
        addresses: addresses(inspect),
        mounts: inspect.mounts.iter().flatten().map(mount).collect(),
        overrides: is_overriding(host),
        cpus: Cpus {
            nano: host.nano_cpus.unwrap_or(0),
            quota: host.cpu_quota.unwrap_or(0),
            period: host.cpu_period.unwrap_or(0),
        },
    }
}

fn state(inspect: &ContainerInspectResponse) -> State {
    match &inspect.state {
        Some(state) if state.paused == Some(true) => State::Paused,
        Some(state) if state.running == Some(true) => State::Running,
        _ => State::Stopped,
    }
}

fn is_overriding(host: &HostConfig) -> bool {
    let has = effective(host.cap_add.as_deref(), host.cap_drop.as_deref());
    host.privileged == Some(true) || ["ALL", "DAC_OVERRIDE"].iter().any(|capability| has.contains(*capability))
}

fn addresses(inspect: &ContainerInspectResponse) -> Vec<IpAddr> {
    let ends = inspect.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let said = ends.into_iter().flatten().flat_map(|(_, end)| [&end.ip_address, &end.global_ipv6_address]);
    let mut addresses: Vec<IpAddr> = said.flatten().filter_map(|address| address.parse().ok()).collect();
    addresses.sort_unstable();
    addresses
}

fn mount(mount: &MountPoint) -> MountView {
    MountView {
        kind: mount.typ.as_deref().unwrap_or_default().to_owned(),
        volume: mount.name.clone().filter(|name| !name.is_empty()),
        destination: mount.destination.clone().unwrap_or_default(),
        writable: mount.rw == Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn inspect(more: &serde_json::Value) -> ContainerInspectResponse {
        let mut whole = json!({
            "Id": "i1", "Name": "/shop-web-2", "Image": "sha256:1",
            "State": {"Running": true, "Paused": false, "StartedAt": "2026-01-01T00:00:00.5Z"},
            "Config": {"User": "app", "Env": ["A=b"], "Labels": {
                "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
                "com.docker.compose.container-number": "2"}},
            "HostConfig": {"NetworkMode": "shop_default", "NanoCpus": 500_000_000, "CapDrop": ["CAP_DAC_OVERRIDE"]},
            "Mounts": [{"Type": "volume", "Name": "shop_data", "Destination": "/data", "RW": true}],
            "NetworkSettings": {"Networks": {"shop_default": {"NetworkID": "n", "IPAddress": "10.1.0.2",
                "GlobalIPv6Address": ""}}},
        });
        if let (Some(whole), Some(more)) = (whole.as_object_mut(), more.as_object()) {
            whole.extend(more.clone());
        }
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_container_is_read() {
        let found = inspect(&json!({}));
        assert!(is_of_service(&found));
        let view = view(&found);
        assert_eq!((&*view.name, &*view.service, view.number, view.state), ("shop-web-2", "web", 2, State::Running));
        assert_eq!(view.addresses, ["10.1.0.2".parse::<IpAddr>().unwrap()]);
        assert_eq!((view.cpus.nano, view.overrides, view.own_network), (500_000_000, false, true));
        assert_eq!((view.mounts[0].volume.as_deref(), view.mounts[0].writable), (Some("shop_data"), true));
    }

    #[test]
    fn a_network_that_is_shared_is_not_its_own() {
        for mode in ["host", "none", "container:abc"] {
            let found = inspect(&json!({"HostConfig": {"NetworkMode": mode}}));
            assert!(!view(&found).own_network, "{mode}");
            assert!(view(&found).overrides, "what drops nothing has it");
        }
        let paused = inspect(&json!({"State": {"Running": true, "Paused": true}}));
        assert_eq!(view(&paused).state, State::Paused);
    }

    #[test]
    fn what_is_ours_or_a_one_off_is_no_service() {
        let labels = |more: &[(&str, &str)]| {
            let mut labels = json!({"com.docker.compose.service": "web"});
            for (name, value) in more {
                labels[name] = json!(value);
            }
            inspect(&json!({"Config": {"Labels": labels}}))
        };
        assert!(is_of_service(&labels(&[])));
        for more in [(names::ROLE, "client"), (names::SESSION, "s"), (ONE_OFF, "True")] {
            assert!(!is_of_service(&labels(&[more])), "{more:?}");
        }
    }
}
