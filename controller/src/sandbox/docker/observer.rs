//! The container from which a Subject is looked at: `operator observe` on the project's networks.
//!
//! It is made of the agent's image, whose tools `exec` probes use, and is shut in like the agent's container, behind the
//! same walls: whoever writes a probe reaches what an agent would reach, and no more. The walls know the container's own
//! addresses, so they are set once it runs; until then `operator observe` waits for a file, which is made when they
//! stand. The file is gone with each start, so a container in which it is there is behind its walls.
//!
//! It has no state but its log, from which whoever leads next learns what was read. So it is kept: found by its name,
//! which says all that it was made of, and started again when it ended.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, ExecConfig, HostConfig, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{ListNetworksOptionsBuilder, LogsOptionsBuilder};
use futures::StreamExt as _;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::engine::QUICK;
use super::networks::stands_on;
use super::standing::name;
use super::{DockerProvider, body, names};
use crate::audit::proof::hex;
use crate::monitor::observers::{Found, ObserverSpec, Observers, Said, Standing, Survey, Words};
use crate::probe::docker::{Containers, Looked};
use crate::probe::{Reading, Round};
use crate::sandbox::dial::{Aside, Condition};
use crate::sandbox::{NetworkRef, SandboxError};

/// An observer measures some megabytes.
const MEMORY: i64 = 64 << 20;
/// With commands: a client written in Go takes half of this.
const MEMORY_WITH_COMMANDS: i64 = 256 << 20;
const PIDS: i64 = 64;
/// Half a core.
const NANO_CPUS: i64 = 500_000_000;
/// The agent's user in its image.
const USER: &str = "1000:1000";
/// The file that says that the walls stand.
const GO: &str = "/tmp/go";
/// What changes when observers are made otherwise: those that stand are then made anew.
const EDITION: &str = "1";

impl DockerProvider {
    fn observer_body(&self, spec: &ObserverSpec, image: &str, network: &NetworkRef) -> ContainerCreateBody {
        let mut environment = names::environment(self.epoch);
        environment.push(format!("OPERATOR_PROBES={}", spec.probes));
        ContainerCreateBody {
            hostname: Some("observer".into()),
            user: Some(USER.into()),
            image: Some(image.to_owned()),
            entrypoint: Some(vec![self.operator.clone()]),
            cmd: Some(["observe", "--after", GO].map(str::to_owned).into()),
            working_dir: Some("/tmp".into()),
            env: Some(environment),
            healthcheck: Some(body::no_healthcheck()),
            labels: Some(self.observer_labels(spec)),
            stop_timeout: Some(1),
            host_config: Some(observer_host(spec, network)),
            ..ContainerCreateBody::default()
        }
    }

    fn observer_labels(&self, spec: &ObserverSpec) -> HashMap<String, String> {
        let egress: Vec<_> = spec.egress.iter().map(ToString::to_string).collect();
        let labels = [
            (names::INSTALLATION, self.installation.clone()),
            (names::SUBJECT, spec.subject.clone()),
            (names::SUBJECT_UID, spec.uid.clone()),
            (names::PROJECT, spec.project.clone()),
            (names::ROLE, names::Role::Observer.as_str().to_owned()),
            (names::EGRESS, egress.join(",")),
            (names::EPOCH, self.epoch.to_string()),
            ("app.kubernetes.io/managed-by", "operator".to_owned()),
        ];
        labels.map(|(label, value)| (label.to_owned(), value)).into()
    }

    /// This installation's observers; of one Subject if `uid` is said.
    async fn observers(&self, uid: Option<&str>) -> Result<Vec<ContainerSummary>, SandboxError> {
        let mut labels =
            vec![(names::INSTALLATION, self.installation.as_str()), (names::ROLE, names::Role::Observer.as_str())];
        labels.extend(uid.map(|uid| (names::SUBJECT_UID, uid)));
        self.containers(&labels, true).await
    }

    /// Makes an observer, or goes on with one that stands under its name.
    async fn stand(
        &self,
        spec: &ObserverSpec,
        name: &str,
        image: &str,
        networks: &[NetworkRef],
        found: Option<&ContainerSummary>,
    ) -> Result<(), SandboxError> {
        if let Some(found) = found {
            let id = found.id.clone().unwrap_or_else(|| name.to_owned());
            let runs = found.state == Some(ContainerSummaryStateEnum::RUNNING);
            if runs && matches!(self.run_in(&id, USER, QUICK, &["test", "-e", GO]).await, Ok((Some(0), _))) {
                return Ok(());
            }
            // It runs and waits, or is dead, or paused. On other networks than it was made for it would not start.
            if networks.iter().all(|network| stands_on(found, network)) && self.wake(&id, found).await.is_ok() {
                return self.let_go(&id).await;
            }
            self.remove_container(&id).await?;
        }
        let Some(first) = networks.first() else { return Err(not_running(spec)) };
        let id = Box::pin(self.make(self.observer_body(spec, image, first), name)).await?;
        for network in networks.get(1..).unwrap_or_default() {
            self.join(network, &id).await?;
        }
        self.start(&id).await?;
        self.let_go(&id).await
    }

    async fn wake(&self, id: &str, found: &ContainerSummary) -> Result<(), SandboxError> {
        match found.state {
            Some(ContainerSummaryStateEnum::RUNNING) => Ok(()),
            Some(ContainerSummaryStateEnum::PAUSED) => {
                self.enclose(id).await?;
                Ok(self.engine.call(QUICK, |docker| async move { docker.unpause_container(id).await }).await?)
            }
            _ => self.start(id).await,
        }
    }

    /// Sets the walls around an observer that runs, and says so to it.
    async fn let_go(&self, id: &str) -> Result<(), SandboxError> {
        Box::pin(self.enclose(id)).await?;
        match self.run_in(id, USER, QUICK, &["touch", GO]).await? {
            (Some(0), _) => Ok(()),
            (_, said) => Err(SandboxError::Refused(format!("the observer could not be told to begin: {said}"))),
        }
    }

    /// Runs a command in a container: its exit code, and what it said.
    pub(super) async fn run_in(
        &self,
        id: &str,
        user: &str,
        limit: Duration,
        command: &[&str],
    ) -> Result<(Option<i64>, String), SandboxError> {
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            user: Some(user.into()),
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            ..ExecConfig::default()
        };
        let exec = self.engine.call(QUICK, |docker| async move { docker.create_exec(id, config).await }).await?.id;
        let exec = &exec;
        let ran = self.engine.call(limit, |docker| async move {
            let heard = Aside::default();
            if let StartExecResults::Attached { mut output, .. } =
                docker.start_exec(exec, None::<StartExecOptions>).await?
            {
                while let Some(piece) = output.next().await {
                    heard.add(&piece?.into_bytes());
                }
            }
            Ok((docker.inspect_exec(exec).await?.exit_code, heard.text()))
        });
        Ok(ran.await?)
    }
}

/// Whether a container was to set an observer's walls and never ran: a controller that died meanwhile left it.
fn is_idle_helper(container: &ContainerSummary, now: i64) -> bool {
    let labels = container.labels.as_ref();
    let has = |label: &str| labels.is_some_and(|labels| labels.contains_key(label));
    let idle = container.state == Some(ContainerSummaryStateEnum::CREATED);
    idle && !has(names::ROLE) && !has(names::SESSION) && now - container.created.unwrap_or(now) > 120
}

fn not_running(spec: &ObserverSpec) -> SandboxError {
    SandboxError::ProjectNotRunning { project: spec.project.clone() }
}

/// All that makes an observer what it is.
fn hash(spec: &ObserverSpec, image: &str) -> String {
    let egress: Vec<_> = spec.egress.iter().map(ToString::to_string).collect();
    let parts = [EDITION, &spec.uid, &spec.project, image, &egress.join(","), &spec.probes];
    let hash = Sha256::digest(parts.join("\n"));
    hex::encode(&hash[..8])
}

fn observer_host(spec: &ObserverSpec, network: &NetworkRef) -> HostConfig {
    let tmpfs = "rw,noexec,nosuid,nodev,mode=1777,nr_inodes=1k,size=8m";
    HostConfig {
        // It reaps what commands leave behind.
        init: Some(true),
        network_mode: Some(network.id.clone()),
        dns: Some(vec![body::NO_RESOLVER.into()]),
        dns_search: Some(vec![".".into()]),
        dns_options: Some(["timeout:1", "attempts:1"].map(str::to_owned).into()),
        nano_cpus: Some(NANO_CPUS),
        tmpfs: Some(HashMap::from([("/tmp".into(), tmpfs.into())])),
        // Whoever watches starts it again, and says why it ended.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), ..RestartPolicy::default() }),
        log_config: Some(body::bounded_log("16m", 2)),
        ..body::shut_in(if spec.commands { MEMORY_WITH_COMMANDS } else { MEMORY }, PIDS)
    }
}

#[async_trait]
impl Observers for DockerProvider {
    async fn survey(&self) -> Result<Survey, SandboxError> {
        let filter = HashMap::from([("label".to_owned(), vec![names::COMPOSE_PROJECT.to_owned()])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filter).build();
        let networks = self.engine.call(QUICK, |docker| async move { docker.list_networks(Some(options)).await });
        let ours = [(names::INSTALLATION, self.installation.as_str())];
        let (networks, ours) = tokio::join!(networks, self.containers(&ours, true));
        let mut survey = Survey::default();
        for network in networks? {
            if let Some(project) = network.labels.and_then(|mut labels| labels.remove(names::COMPOSE_PROJECT)) {
                *survey.projects.entry(project).or_default() += 1;
            }
        }
        for container in ours? {
            if is_idle_helper(&container, Timestamp::now().as_second()) {
                self.remove_container(container.id.as_deref().unwrap_or_default()).await?;
                continue;
            }
            let name = name(&container);
            let mut labels = container.labels.unwrap_or_default();
            if labels.get(names::ROLE).map(String::as_str) == Some(names::Role::Observer.as_str()) {
                let mut label = |name| labels.remove(name).unwrap_or_default();
                survey.observers.push(Found { name, uid: label(names::SUBJECT_UID), subject: label(names::SUBJECT) });
            }
        }
        Ok(survey)
    }

    async fn ensure(&self, spec: &ObserverSpec) -> Result<Standing, SandboxError> {
        let (networks, image) = tokio::join!(self.networks(&spec.project), self.image(&spec.image));
        let networks = networks?;
        if networks.is_empty() {
            return Err(not_running(spec));
        }
        let image = image?;
        let wanted = names::observer(&spec.uid, &hash(spec, &image));
        let found = self.observers(Some(&spec.uid)).await?;
        self.none_is_later(&found)?;
        let standing = found.iter().find(|container| name(container) == wanted);
        self.stand(spec, &wanted, &image, &networks, standing).await?;
        for other in found.iter().filter(|container| name(container) != wanted) {
            self.remove_container(other.id.as_deref().unwrap_or_default()).await?;
        }
        // It may have come onto the networks of a project that has just stopped.
        self.release_networks_if_project_gone(&spec.project).await?;
        let found = self.inspect(&wanted).await?;
        let started_at = found.state.and_then(|state| state.started_at).and_then(|time| time.parse().ok());
        Ok(Standing { name: wanted, started_at })
    }

    async fn follow(&self, container: &str, since: Timestamp) -> Result<Words, SandboxError> {
        let options = LogsOptionsBuilder::default()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .since(i32::try_from(since.as_second()).unwrap_or(i32::MAX).max(0))
            .build();
        let client = self.engine.client()?;
        let words = client.logs(container, Some(options)).map(|said| match said {
            Ok(LogOutput::StdErr { message }) => Ok(Said::Err(message)),
            Ok(other) => Ok(Said::Out(other.into_bytes())),
            Err(error) => Err(SandboxError::EngineUnavailable { reason: error.to_string() }),
        });
        Ok(words.boxed())
    }

    async fn look(&self, container: &str) -> (Condition, String) {
        let condition = self.engine.look(container).await;
        let words = match condition {
            Condition::Gone(_) => self.last_words(container).await,
            _ => String::new(),
        };
        (condition, words)
    }

    async fn remove(&self, container: &str) -> Result<(), SandboxError> {
        self.remove_container(container).await
    }

    async fn remove_all(&self, uid: &str) -> Result<(), SandboxError> {
        let found = self.observers(Some(uid)).await?;
        self.none_is_later(&found)?;
        for container in found {
            self.remove_container(container.id.as_deref().unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn containers(&self, project: &str, probe: &Containers) -> Looked {
        match self.engine.client() {
            Ok(client) => probe.round(&client, project).await,
            Err(error) => {
                let reading = Reading { error: Some(error.to_string()), ..Reading::default() };
                let readings = [(String::new(), reading)].into();
                let round = Round { probe: probe.name().to_owned(), at: Timestamp::now(), readings };
                Looked { round, empty: false }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ObserverSpec {
        ObserverSpec {
            uid: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9".into(),
            subject: "default/shop".into(),
            project: "shop".into(),
            image: "agent:dev".into(),
            egress: vec!["10.9.0.0/16".parse().unwrap()],
            probes: r#"[{"name":"web","tcp":{"address":"web:80"}}]"#.into(),
            commands: false,
        }
    }

    #[test]
    fn it_is_shut_in_and_named_by_all_that_it_is() {
        let provider = DockerProvider::connect("unix:///nowhere", "test").unwrap();
        let network = NetworkRef { id: "n1".into(), name: "shop_default".into() };
        let body = provider.observer_body(&spec(), "sha256:1", &network);
        assert_eq!(body.user.as_deref(), Some("1000:1000"));
        assert!(body.env.unwrap().iter().any(|one| one.starts_with("OPERATOR_PROBES=[{")));
        let labels = body.labels.unwrap();
        assert_eq!((&*labels[names::ROLE], &*labels[names::PROJECT]), ("observer", "shop"));
        assert_eq!((&*labels[names::SUBJECT], &*labels[names::EGRESS]), ("default/shop", "10.9.0.0/16"));
        assert!(!labels.contains_key(names::SESSION), "no sweep of sessions takes it for one's");
        assert!(!labels.keys().any(|label| label.starts_with("com.docker.compose")), "{labels:?}");
        let host = body.host_config.unwrap();
        assert_eq!((host.privileged, host.binds, host.mounts, host.cap_add), (None, None, None, None));
        assert_eq!((host.cap_drop.unwrap(), host.readonly_rootfs), (vec!["ALL".to_owned()], Some(true)));
        assert_eq!((host.memory, host.memory_swap, host.pids_limit), (Some(64 << 20), Some(64 << 20), Some(64)));

        let one = hash(&spec(), "sha256:1");
        let others = [
            hash(&spec(), "sha256:2"),
            hash(&ObserverSpec { probes: "[]".into(), ..spec() }, "sha256:1"),
            hash(&ObserverSpec { egress: Vec::new(), ..spec() }, "sha256:1"),
            hash(&ObserverSpec { project: "bank".into(), ..spec() }, "sha256:1"),
        ];
        assert!(!others.contains(&one) && hash(&spec(), "sha256:1") == one);
    }
}
