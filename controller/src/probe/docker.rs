//! The containers of a project, as the engine sees them. The controller runs this kind itself: an observer has no way to
//! the engine.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use crds::probe::Probe;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::answer::{Answer, Failure, Stage};
use super::gather::Gather;
use super::mistake::Mistake;
use super::plan::{Plan, What, plan};
use super::round::Round;
use super::run::{begun, select, within};
use crate::error::chain;

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// Containers that are looked at at the same time: the engine has other things to do.
const AT_ONCE: usize = 4;
/// Containers of a project that are looked at.
const MOST: usize = 512;

/// A `docker` probe that is ready to be run.
pub struct Containers {
    plan: Plan,
    services: Vec<String>,
}

/// What one look at a project's containers said.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    /// The reading.
    pub round: Round,
    /// Whether the engine has no container of the project at all: they were removed, or the project goes just now.
    pub empty: bool,
}

impl Containers {
    /// Makes a probe ready; nothing, if it is of another kind. A mistake's path begins with `probe`.
    pub fn new(probe: &Probe) -> Result<Option<Self>, Mistake> {
        if probe.docker.is_none() {
            return Ok(None);
        }
        let plan = plan(probe, "probe")?;
        let services = match &plan.what {
            What::Engine(docker) => docker.services.clone(),
            What::Here(_) => return Ok(None),
        };
        Ok(Some(Self { plan, services }))
    }

    /// The probe's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Between the beginnings of two rounds.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.plan.interval
    }

    /// One round: whatever the engine does, it is there within the probe's time limit.
    pub async fn round(&self, docker: &Docker, project: &str) -> Looked {
        let mut gather = Gather::new(begun(&self.plan.name));
        let stage = Stage::new();
        let mut empty = false;
        let read = async {
            stage.set("asking the engine");
            let containers = containers(docker, project, &self.services).await;
            let (containers, listed) =
                containers.map_err(|error| Failure::new(format!("the engine: {}", chain(&error))))?;
            empty = listed == 0;
            let answer = Answer { value: Some(value(&containers, &self.services)), ..Answer::default() };
            select(&self.plan, answer, "", &stage).await
        };
        gather.push(String::new(), within(self.plan.timeout, &stage, read).await);
        Looked { round: gather.finish(), empty }
    }
}

/// The project's containers, those that do not run included; and how many there are, those of other services included.
async fn containers(
    docker: &Docker,
    project: &str,
    services: &[String],
) -> Result<(Vec<ContainerInspectResponse>, usize), Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{PROJECT}={project}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let all = docker.list_containers(Some(options)).await?;
    let count = all.len();
    let listed = all.into_iter().filter(|container| {
        // Those of other services are not even asked about.
        services.is_empty()
            || container.labels.as_ref().and_then(|labels| labels.get(SERVICE)).is_none_or(|of| services.contains(of))
    });
    let ids: Vec<_> = listed.filter_map(|container| container.id).take(MOST).collect();
    let containers = futures::stream::iter(ids)
        .map(|id| async move {
            match docker.inspect_container(&id, None::<InspectContainerOptions>).await {
                Ok(container) => Ok(Some(container)),
                // Gone meanwhile: it is not in the reading.
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .buffered(AT_ONCE)
        .try_filter_map(|container| async move { Ok(container) })
        .try_collect()
        .await?;
    Ok((containers, count))
}

/// What a reading says of these containers: a map from service and number (`node1`, from the second on `node1-2`) to
/// what is known of each. Containers of `docker compose run` are nobody's service and are left out.
#[must_use]
pub fn value(containers: &[ContainerInspectResponse], services: &[String]) -> Value {
    let mut found: BTreeMap<String, &ContainerInspectResponse> = BTreeMap::new();
    for container in containers {
        let Some(key) = key(container, services) else { continue };
        // While one is replaced there are two of its number: what runs counts, then what was started last.
        let is_better = found.get(&key).is_none_or(|other| rank(container) > rank(other));
        if is_better {
            found.insert(key, container);
        }
    }
    Value::Object(found.into_iter().map(|(key, container)| (key, describe(container))).collect())
}

fn key(container: &ContainerInspectResponse, services: &[String]) -> Option<String> {
    let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
    let label = |name: &str| labels.and_then(|labels| labels.get(name)).map(String::as_str);
    if label(ONE_OFF).is_some_and(|one_off| one_off.eq_ignore_ascii_case("true")) {
        return None;
    }
    let service = label(SERVICE)?;
    if !services.is_empty() && !services.iter().any(|wanted| wanted == service) {
        return None;
    }
    match label(NUMBER) {
        None | Some("1") => Some(service.to_owned()),
        Some(number) => Some(format!("{service}-{number}")),
    }
}

fn rank(container: &ContainerInspectResponse) -> (bool, &str) {
    let state = container.state.as_ref();
    let started = state.and_then(|state| state.started_at.as_deref()).unwrap_or_default();
    (state.and_then(|state| state.running).unwrap_or_default(), started)
}

fn describe(container: &ContainerInspectResponse) -> Value {
    let state = container.state.clone().unwrap_or_default();
    let status = state.status.map(|status| status.to_string()).unwrap_or_default();
    let health = state.health.and_then(|health| health.status).map(|status| status.to_string());
    let image = container.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default();
    // The engine's way to say that it never was.
    let started = state.started_at.filter(|at| !at.starts_with("0001-")).unwrap_or_default();
    json!({
        "name": container.name.as_deref().unwrap_or_default().trim_start_matches('/'),
        "id": container.id.as_deref().unwrap_or_default().get(..12).unwrap_or_default(),
        "state": status,
        "health": health.filter(|health| !health.is_empty()).unwrap_or_else(|| "none".into()),
        "restarts": container.restart_count.unwrap_or_default(),
        "exitCode": state.exit_code.unwrap_or_default(),
        "oomKilled": state.oom_killed.unwrap_or_default(),
        "startedAt": started,
        "image": image,
    })
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // what json! makes
mod tests {
    use super::*;

    fn container(name: &str, service: Option<&str>, number: &str, state: Value) -> ContainerInspectResponse {
        let mut labels = json!({PROJECT: "shop", NUMBER: number, ONE_OFF: "False"});
        if let Some(service) = service {
            labels[SERVICE] = json!(service);
        }
        serde_json::from_value(json!({
            "Id": "e93da7f759c2aabbccddeeff00112233445566778899aabbccddeeff00112233",
            "Name": format!("/{name}"),
            "RestartCount": 2,
            "State": state,
            "Config": {"Image": "redis:7", "Labels": labels}
        }))
        .unwrap()
    }

    fn running(name: &str, service: &str, number: &str) -> ContainerInspectResponse {
        let state = json!({"Status": "running", "Running": true, "OOMKilled": false, "ExitCode": 0,
            "StartedAt": "2026-01-28T20:54:48.5Z", "Health": {"Status": "healthy", "FailingStreak": 0}});
        container(name, Some(service), number, state)
    }

    #[test]
    fn containers_are_known_by_service_and_number() {
        let exited = json!({"Status": "exited", "Running": false, "OOMKilled": true, "ExitCode": 137,
            "StartedAt": "2026-01-28T20:54:48.5Z"});
        let never = json!({"Status": "created", "Running": false, "StartedAt": "0001-01-01T00:00:00Z"});
        let all = [
            running("shop-node1-1", "node1", "1"),
            running("shop-node1-2", "node1", "2"),
            container("shop-redis-1", Some("redis"), "1", exited),
            container("shop-new-1", Some("new"), "1", never),
            container("odd", None, "1", json!({})),
        ];
        assert_eq!(
            value(&all, &[]),
            json!({
                "new": {"name": "shop-new-1", "id": "e93da7f759c2", "state": "created", "health": "none", "restarts": 2,
                    "exitCode": 0, "oomKilled": false, "startedAt": "", "image": "redis:7"},
                "node1": {"name": "shop-node1-1", "id": "e93da7f759c2", "state": "running", "health": "healthy",
                    "restarts": 2, "exitCode": 0, "oomKilled": false, "startedAt": "2026-01-28T20:54:48.5Z",
                    "image": "redis:7"},
                "node1-2": {"name": "shop-node1-2", "id": "e93da7f759c2", "state": "running", "health": "healthy",
                    "restarts": 2, "exitCode": 0, "oomKilled": false, "startedAt": "2026-01-28T20:54:48.5Z",
                    "image": "redis:7"},
                "redis": {"name": "shop-redis-1", "id": "e93da7f759c2", "state": "exited", "health": "none",
                    "restarts": 2, "exitCode": 137, "oomKilled": true, "startedAt": "2026-01-28T20:54:48.5Z",
                    "image": "redis:7"}
            })
        );
        let some = value(&all, &["redis".to_owned(), "absent".to_owned()]);
        assert_eq!(some.as_object().unwrap().keys().collect::<Vec<_>>(), ["redis"]);
    }

    #[test]
    fn of_two_with_the_same_number_the_one_that_runs_counts() {
        let old = container("old", Some("a"), "1", json!({"Status": "exited", "Running": false, "StartedAt": "2027"}));
        for all in [[running("new", "a", "1"), old.clone()], [old.clone(), running("new", "a", "1")]] {
            assert_eq!(value(&all, &[])["a"]["name"], "new");
        }
    }

    #[test]
    fn containers_that_somebody_ran_once_are_left_out() {
        let mut once = running("shop-node1-run-1", "node1", "1");
        let labels = once.config.as_mut().unwrap().labels.as_mut().unwrap();
        labels.insert(ONE_OFF.into(), "True".into());
        assert_eq!(value(&[once], &[]), json!({}));
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_a_reading() {
        let docker = Docker::connect_with_unix("/nowhere/docker.sock", 5, bollard::API_DEFAULT_VERSION);
        // Some versions look for the socket at once.
        let Ok(docker) = docker else { return };
        let probe: Probe = serde_json::from_value(json!({"name": "containers", "docker": {}})).unwrap();
        let containers = Containers::new(&probe).unwrap().unwrap();
        let Looked { round, empty } = containers.round(&docker, "shop").await;
        assert!(!empty, "nobody knows");
        let reading = &round.readings[""];
        assert!(!reading.ok);
        assert!(reading.error.as_deref().unwrap().starts_with("the engine: "), "{reading:?}");
    }

    #[test]
    fn only_docker_probes_are_for_the_engine() {
        let probe = |value| serde_json::from_value::<Probe>(value).unwrap();
        assert!(Containers::new(&probe(json!({"name": "a", "tcp": {"address": "a:1"}}))).unwrap().is_none());
        let wrong = probe(json!({"name": "a", "docker": {}, "select": {"x": "y"}}));
        assert_eq!(
            Containers::new(&wrong).err().unwrap().to_string(),
            "probe.select.x: y is not known: there are value, status, target"
        );
    }
}
