//! The session's gateway: a container of our own image with the engine's socket and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountBindOptions, MountType, MountVolumeOptions, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::exec::ExecDial;
use super::{DockerProvider, body, names};
use crate::gateway::policy::Policy;
use crate::sandbox::changes::Changes;
use crate::sandbox::dial::{Condition, Dial, Pipe};
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
        let container = Mutex::new(self.stand_gateway(plan).await?);
        let dial = GatewayDial { provider: self.clone(), plan: plan.clone(), container };
        let identity = Identity { session: plan.request.session.to_string(), epoch: self.epoch };
        Changes::connect(Arc::new(dial), identity, self.patience.clone(), ledger).await
    }

    /// The id of the session's gateway that runs, or of a new one.
    async fn stand_gateway(&self, plan: &SandboxPlan) -> Result<String, SandboxError> {
        let session = &plan.request.session;
        if let Some(found) = self.standing(session, names::Role::Gateway).await? {
            return Ok(found.id);
        }
        let name = names::container(session, names::Role::Gateway, self.epoch);
        let id = match Box::pin(self.make(self.gateway_body(plan)?, &name)).await {
            Ok(id) => id,
            // A call that was given up made it meanwhile: it is as good as ours.
            Err(error) => {
                return self.standing(session, names::Role::Gateway).await?.map(|found| found.id).ok_or(error);
            }
        };
        self.start(&id).await?;
        Ok(id)
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

/// The way to a session's gateway, in whichever container it is.
struct GatewayDial {
    provider: DockerProvider,
    plan: SandboxPlan,
    container: Mutex<String>,
}

impl GatewayDial {
    fn container(&self) -> String {
        self.container.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Dial for GatewayDial {
    async fn dial(&self) -> Result<Pipe, String> {
        let command = [self.provider.operator.as_str(), "gateway", "--attach"].map(str::to_owned).into();
        let dial = ExecDial { engine: self.provider.engine.clone(), container: self.container(), command };
        dial.dial().await
    }

    async fn look(&self) -> Condition {
        self.provider.engine.look(&self.container()).await
    }

    /// Not beside an agent that is gone, too: then both are made anew by who goes on with the session.
    ///
    /// Its socket stands in a volume of the session's, so the agent's CLI finds the new one where the old one was.
    async fn renew(&self) -> Result<(), String> {
        let made = async {
            if self.provider.standing(&self.plan.request.session, names::Role::Agent).await?.is_none() {
                return Err(SandboxError::Lost { reason: "nobody stands beside it".to_owned() });
            }
            self.provider.stand_gateway(&self.plan).await
        };
        let id = made.await.map_err(|error| error.to_string())?;
        *self.container.lock().unwrap_or_else(PoisonError::into_inner) = id;
        Ok(())
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
