//! The subject's networks: which there are, and leaving them when the subject goes.
//!
//! `docker compose down` cannot remove a network on which our container stands. So it leaves when
//! the last of the project's own containers is [told to end](super::told) or has ended, and comes back when one starts.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, EventMessage, Network, NetworkConnectRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use super::engine::{CallError, QUICK};
use super::told::Told;
use super::{DockerProvider, names};
use crate::sandbox::{NetworkRef, SandboxError};

impl DockerProvider {
    /// The networks of a compose project, by name.
    pub(super) async fn networks(&self, project: &str) -> Result<Vec<NetworkRef>, SandboxError> {
        let found = self.network_details(project).await?;
        let mut networks: Vec<_> =
            found.into_iter().filter_map(|network| Some(NetworkRef { id: network.id?, name: network.name? })).collect();
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(networks)
    }

    /// The networks of a compose project with all that the engine says of them.
    pub(super) async fn network_details(&self, project: &str) -> Result<Vec<Network>, SandboxError> {
        let filter = names::filter(&[(names::COMPOSE_PROJECT, project)]);
        let options = ListNetworksOptionsBuilder::default().filters(&filter).build();
        Ok(self.engine.call(QUICK, |docker| async move { docker.list_networks(Some(options)).await }).await?)
    }

    /// Attaches a container; that it stands there already is fine.
    pub(super) async fn join(&self, network: &NetworkRef, container: &str) -> Result<(), SandboxError> {
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: None };
        let call = self.engine.call(QUICK, |docker| async move { docker.connect_network(&network.id, request).await });
        match call.await {
            Err(CallError::Other(SandboxError::Refused(reason))) if reason.contains("already exists in network") => {
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Takes our containers off the networks of a project of which no container runs any more, and
    /// puts them back on those of one that runs. Returns how many attachments changed.
    pub async fn release_networks_if_project_gone(&self, project: &str) -> Result<usize, SandboxError> {
        // Gateways stand on none.
        let ours = [(names::INSTALLATION, self.installation.as_str()), (names::PROJECT, project)];
        let mut ours = self.containers(&ours, false).await?;
        let moves = [names::Role::Agent, names::Role::Observer, names::Role::Client].map(names::Role::as_str);
        ours.retain(|container| role_of(container).is_some_and(|role| moves.contains(&role)));
        if ours.is_empty() {
            return Ok(0);
        }
        let theirs = self.containers(&[(names::COMPOSE_PROJECT, project)], false).await?;
        let running = {
            let told = self.told();
            theirs.iter().any(|container| !told.is_ending(container.id.as_ref()))
        };
        let networks = self.networks(project).await?;
        let mut changed = 0;
        for container in &ours {
            let Some(id) = container.id.as_deref() else { continue };
            let to_change: Vec<_> =
                networks.iter().filter(|network| stands_on(container, network) != running).collect();
            changed += to_change.len();
            if !running {
                for network in to_change {
                    self.leave(network, id).await?;
                }
            } else if role_of(container) == Some(names::Role::Client.as_str()) {
                // It has no walls: it does what a chapter's author wrote, as the project's own containers do.
                for network in to_change {
                    self.join(network, id).await?;
                }
            } else if !to_change.is_empty() {
                self.rejoin(&to_change, id, container).await?;
            }
        }
        Ok(changed)
    }

    /// Puts a container back on networks. The walls know nothing of an interface that is new, so nothing moves in the
    /// container before they do; where they cannot be set, the interface goes again.
    async fn rejoin(
        &self,
        networks: &[&NetworkRef],
        container: &str,
        seen: &ContainerSummary,
    ) -> Result<(), SandboxError> {
        let was_paused = seen.state == Some(ContainerSummaryStateEnum::PAUSED);
        if !was_paused {
            self.engine.call(QUICK, |docker| async move { docker.pause_container(container).await }).await?;
        }
        let joined = async {
            for network in networks {
                self.join(network, container).await?;
            }
            self.enclose(container).await
        };
        let joined = joined.await;
        if joined.is_err() {
            // Where this fails as well, it stays paused.
            for network in networks {
                self.leave(network, container).await?;
            }
        }
        let session = seen.labels.as_ref().and_then(|labels| labels.get(names::SESSION));
        // Somebody may want it to stand still by now.
        if !was_paused && let Some(_order) = self.held.wake(session.map(String::as_str)).await {
            self.engine.call(QUICK, |docker| async move { docker.unpause_container(container).await }).await?;
        }
        joined
    }

    pub(super) async fn leave(&self, network: &NetworkRef, container: &str) -> Result<(), SandboxError> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let call =
            self.engine.call(QUICK, |docker| async move { docker.disconnect_network(&network.id, request).await });
        super::engine::not_found_is_fine(call.await)
    }

    /// Containers with all of these labels, stopped ones too if `all`.
    pub(super) async fn containers(
        &self,
        labels: &[(&str, &str)],
        all: bool,
    ) -> Result<Vec<ContainerSummary>, SandboxError> {
        let options = ListContainersOptionsBuilder::default().all(all).filters(&names::filter(labels)).build();
        Ok(self.engine.call(QUICK, |docker| async move { docker.list_containers(Some(options)).await }).await?)
    }

    /// Follows the engine's events and keeps our containers off the networks of projects that went.
    /// Never returns; drop it to end it.
    pub async fn watch_projects(&self) {
        loop {
            if let Err(error) = self.watch_once().await {
                tracing::debug!(%error, "the engine's events are followed again");
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    async fn watch_once(&self) -> Result<(), SandboxError> {
        let mut filter = names::filter(&[]);
        filter.remove("label");
        filter.insert("type".into(), vec!["container".into()]);
        filter.insert("event".into(), ["start", "kill", "die", "destroy"].map(str::to_owned).into());
        let client = self.engine.client()?;
        let mut events = client.events(Some(EventsOptionsBuilder::default().filters(&filter).build()));
        // What happened while nobody followed.
        for container in self.containers(&[(names::INSTALLATION, &self.installation)], false).await? {
            if let Some(project) = container.labels.as_ref().and_then(|labels| labels.get(names::PROJECT)) {
                self.tend(project).await;
            }
        }
        loop {
            let next = self.told().next();
            let event = tokio::select! {
                event = events.next() => event,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let went_on = self.told().went_on(Instant::now());
                    for project in went_on {
                        self.tend(&project).await;
                    }
                    continue;
                }
            };
            let Some(event) = event else { return Ok(()) };
            let event = event.map_err(|error| SandboxError::EngineUnavailable { reason: error.to_string() })?;
            self.told().hear(&event, Instant::now());
            if let Some(project) = project_of(&event) {
                self.tend(project).await;
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tend(&self, project: &str) {
        match self.release_networks_if_project_gone(project).await {
            Ok(0) => {}
            Ok(changed) => {
                tracing::info!(project, changed, "our containers follow their project on or off its networks");
            }
            Err(error) => {
                tracing::warn!(project, %error, "a container of ours could not follow its project's networks");
            }
        }
    }
}

fn role_of(container: &ContainerSummary) -> Option<&str> {
    container.labels.as_ref()?.get(names::ROLE).map(String::as_str)
}

fn project_of(event: &EventMessage) -> Option<&String> {
    event.actor.as_ref()?.attributes.as_ref()?.get(names::COMPOSE_PROJECT)
}

pub(super) fn stands_on(container: &ContainerSummary, network: &NetworkRef) -> bool {
    let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    networks.is_some_and(|networks| networks.values().any(|end| end.network_id.as_deref() == Some(&network.id)))
}
