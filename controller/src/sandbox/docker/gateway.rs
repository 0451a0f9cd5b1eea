//! The session's gateway: a container of our own image with the engine's socket and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountBindOptions, MountType, MountVolumeOptions, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::exec::ExecDial;
use super::{DockerProvider, body, names};
use crate::gateway::policy::Policy;
use crate::sandbox::changes::Changes;
use crate::sandbox::stream::Identity;
use crate::sandbox::{Ledger, SandboxError, SandboxPlan, SandboxRequest};

/// Where the directory stands that gateway and agent share, in both containers.
const SHARED: &str = "/run/gateway";
/// The gateway's socket in it, as the agent's `DOCKER_HOST`.
pub(super) const DOCKER_HOST: &str = "unix:///run/gateway/docker.sock";
/// Where the gateway finds the engine's socket.
const ENGINE: &str = "/run/engine.sock";
/// A gateway measures some megabytes; what it streams it does not keep.
const MEMORY: i64 = 64 << 20;
const PIDS: i64 = 64;

impl DockerProvider {
    /// Makes the session's gateway, or finds the one that stands, and opens the stream to it.
    pub(super) async fn gateway(&self, plan: &SandboxPlan, ledger: Arc<dyn Ledger>) -> Result<Changes, SandboxError> {
        let session = &plan.request.session;
        let id = if let Some(found) = self.standing(session, names::Role::Gateway).await? {
            found.id
        } else {
            let name = names::container(session, names::Role::Gateway, self.epoch);
            let id = Box::pin(self.make(self.gateway_body(plan)?, &name)).await?;
            self.start(&id).await?;
            id
        };
        let dial = ExecDial {
            engine: self.engine.clone(),
            container: id,
            command: [self.operator.as_str(), "gateway", "--attach"].map(str::to_owned).into(),
        };
        let identity = Identity { session: session.to_string(), epoch: self.epoch };
        Changes::connect(Arc::new(dial), identity, self.patience.clone(), ledger).await
    }

    fn gateway_body(&self, plan: &SandboxPlan) -> Result<ContainerCreateBody, SandboxError> {
        let request = &plan.request;
        let access = &request.access;
        let policy = Policy {
            project: request.project.clone(),
            mode: access.mode,
            trust_host_access: access.trust_host_access,
            destructive: access.destructive,
        };
        let policy = serde_json::to_string(&policy).map_err(|error| SandboxError::Refused(error.to_string()))?;
        let arguments = [
            "gateway",
            "--session",
            request.session.as_str(),
            "--policy",
            &policy,
            "--engine",
            ENGINE,
            "--wall-limit",
            &body::wall_limit(request),
        ];
        let mut labels = names::labels(&self.installation, request, names::Role::Gateway);
        labels.insert(names::EPOCH.into(), self.epoch.to_string());
        Ok(ContainerCreateBody {
            hostname: Some("gateway".into()),
            // The engine's socket is root's; nothing else of root is left to it.
            user: Some("0:0".into()),
            image: Some(self.operator_image.clone()),
            entrypoint: Some(vec![self.operator.clone()]),
            cmd: Some(arguments.map(str::to_owned).into()),
            working_dir: Some("/".into()),
            env: Some(names::environment(self.epoch)),
            healthcheck: Some(body::no_healthcheck()),
            labels: Some(labels),
            stop_timeout: Some(1),
            host_config: Some(self.gateway_host(request)),
            ..ContainerCreateBody::default()
        })
    }

    fn gateway_host(&self, request: &SandboxRequest) -> HostConfig {
        let engine = Mount {
            target: Some(ENGINE.into()),
            source: Some(self.engine_socket.clone()),
            typ: Some(MountType::BIND),
            bind_options: Some(MountBindOptions { create_mountpoint: Some(false), ..MountBindOptions::default() }),
            ..Mount::default()
        };
        HostConfig {
            network_mode: Some("none".into()),
            tmpfs: Some(HashMap::from([("/run/operator".into(), "rw,noexec,nosuid,nodev,mode=0700,size=1m".into())])),
            mounts: Some(vec![engine, shared(request, &self.installation, false)]),
            // It ends by itself after the wall limit, well; after a crash it is wanted again.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::ON_FAILURE),
                maximum_retry_count: Some(5),
            }),
            ..body::shut_in(MEMORY, PIDS)
        }
    }
}

/// The directory in which the gateway's socket stands: the gateway's to write, the agent's to read.
pub(super) fn shared(request: &SandboxRequest, installation: &str, read_only: bool) -> Mount {
    Mount {
        target: Some(SHARED.into()),
        source: Some(names::shared(&request.session)),
        typ: Some(MountType::VOLUME),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(names::labels(installation, request, names::Role::Gateway)),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}
