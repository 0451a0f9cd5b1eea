//! What the project's containers are or were: templates for their replacements, and what makes some of them as good as
//! the host. What counts of a container is fixed when it is made, so each is looked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bollard::models::ContainerInspectResponse;
use http::StatusCode;

use super::things::{Named, Volumes};
use super::{EngineError, Inventory};
use crate::gateway::host_access;
use crate::gateway::replacement::Project;

/// How many of the project's containers, removed ones too, are remembered as templates.
const TEMPLATES: usize = 64;

impl Inventory {
    /// All that the engine says of a container, remembered from now on.
    pub async fn inspect(&self, id: &str) -> Result<Arc<ContainerInspectResponse>, EngineError> {
        let inspect: ContainerInspectResponse = self.engine.get(&format!("/containers/{id}/json")).await?;
        let inspect = Arc::new(inspect);
        let mut state = self.state();
        state.templates.retain(|known| known.id != inspect.id);
        if state.templates.len() >= TEMPLATES {
            state.templates.pop_front();
        }
        state.templates.push_back(inspect.clone());
        Ok(inspect)
    }

    /// What was said of a container when it was last looked at; looks if it never was.
    async fn inspected(&self, id: &str) -> Result<Arc<ContainerInspectResponse>, EngineError> {
        let known = self.state().templates.iter().find(|known| known.id.as_deref() == Some(id)).cloned();
        match known {
            Some(known) => Ok(known),
            None => self.inspect(id).await,
        }
    }

    /// Why a container would give the host away. What counts is fixed when a container is made.
    pub async fn host_access(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let inspect = self.inspected(id).await?;
        Ok(host_access::reasons(&inspect, &self.bound_volumes().await?))
    }

    /// Looks at each container of the project that was not looked at yet.
    pub async fn look_around(&self) -> Result<(), EngineError> {
        for container in self.containers(true).await?.iter() {
            match self.inspected(&container.id).await {
                // It went away in the meantime.
                Ok(_) | Err(EngineError::Said { status: StatusCode::NOT_FOUND, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Every container that the project is known to have or to have had, the one last looked at first.
    #[must_use]
    pub fn templates(&self) -> Vec<Arc<ContainerInspectResponse>> {
        self.state().templates.iter().rev().cloned().collect()
    }

    /// What of the project a replacement may use.
    pub async fn project(&self, trust_host_access: bool) -> Result<Project, EngineError> {
        let mut networks: BTreeMap<String, String> = BTreeMap::new();
        // External ones, too, that its containers are in.
        for template in self.templates() {
            let settings = template.network_settings.as_ref().and_then(|settings| settings.networks.clone());
            for (name, endpoint) in settings.into_iter().flatten() {
                networks.extend(endpoint.network_id.filter(|id| !id.is_empty()).map(|id| (name, id)));
            }
        }
        let own = self.networks(true).await?;
        networks.extend(own.iter().map(|network| (network.name.clone(), network.id.clone())));
        let bound_volumes = if trust_host_access { BTreeSet::new() } else { self.bound_volumes().await? };
        Ok(Project { name: self.project.clone(), networks, bound_volumes })
    }

    /// The volumes, whosever they are, that are paths of the host in disguise.
    async fn bound_volumes(&self) -> Result<BTreeSet<String>, EngineError> {
        let list: Volumes = self.engine.get("/volumes").await?;
        let bound = list.volumes.unwrap_or_default().into_iter().filter(Named::is_bound);
        Ok(bound.map(|volume| volume.name).collect())
    }
}
