//! The monitor of the installed controller on systems of the tests' own: two hundred violations at once, a Subject that is
//! edited and deleted while its Incident runs, and one whose readings a real Prometheus has.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use crds::condition::find;
use crds::{Incident, Subject};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use operator_tests::counter::{Counter, docker, try_docker};
use operator_tests::{Cluster, TempNamespace, containers_of, phase, prometheus, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_mins(2);

/// A system of one container.
struct System {
    counter: Counter,
    label: String,
}

impl System {
    async fn up(what: &str) -> Self {
        let project = format!("{what}{:08x}", rand::random::<u32>());
        let label = format!("operator.dev/stage={project}");
        Self { counter: Counter::up(&project, &label).await, label }
    }

    /// A Prometheus more, which scrapes these once a second.
    async fn prometheus(&self, service: &str, scrapes: &[&str]) {
        let config = json!({"global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "all", "static_configs": [{"targets": scrapes}]}]});
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let (container, network) = (self.container(service), self.network());
        let project = format!("com.docker.compose.project={}", self.counter.project);
        let label = format!("com.docker.compose.service={service}");
        let mut create = vec!["create", "--name", &container, "--label", &project, "--label", &label];
        create.extend(["--label", &self.label, "--network", &network, "--network-alias", service]);
        create.extend([prometheus::IMAGE, "prometheus", "--config.file=/tmp/prometheus.yml"]);
        create.extend(["--storage.tsdb.path=/tmp/data"]);
        docker(&create).await;
        docker(&["cp", file.to_str().unwrap(), &format!("{container}:/tmp/prometheus.yml")]).await;
        docker(&["start", &container]).await;
    }

    fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.counter.project)
    }

    fn network(&self) -> String {
        format!("{}_default", self.counter.project)
    }

    async fn down(self) {
        let all = docker(&["ps", "--all", "--quiet", "--filter", &format!("label={}", self.label)]).await;
        docker(&[&["rm", "--force"], all.lines().collect::<Vec<_>>().as_slice()].concat()).await;
        let network = self.network();
        wait_until("nothing of ours holds the network", SOON, || async {
            try_docker(&["network", "rm", &network]).await.is_ok()
        })
        .await;
        let left = docker(&["ps", "--all", "--quiet", "--filter", &format!("label={}", self.label)]).await;
        assert_eq!(left, "");
    }

    fn spec(&self, probes: &Value, invariants: &Value) -> Value {
        json!({
            "where": {"docker": {"project": self.counter.project}},
            "probes": probes,
            "invariants": invariants,
            "policy": {"cooldown": "0s", "verification": {"stabilization": "2s"}},
        })
    }
}

async fn until(namespace: &TempNamespace, name: &str, what: &str, holds: impl Fn(&Subject) -> bool) -> Subject {
    let begun = Instant::now();
    loop {
        let subject = namespace.api::<Subject>().get(name).await.unwrap();
        if holds(&subject) {
            return subject;
        }
        assert!(begun.elapsed() < SOON, "{what}: {:#?}", subject.status);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_healthy(subject: &Subject) -> bool {
    let conditions = subject.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    find(conditions, "Healthy").is_some_and(|healthy| healthy.status == "True")
}

async fn opened(namespace: &TempNamespace) -> Vec<Incident> {
    let begun = Instant::now();
    loop {
        let all = namespace.api::<Incident>().list(&ListParams::default()).await.unwrap().items;
        if !all.is_empty() {
            return all;
        }
        assert!(begun.elapsed() < SOON, "an Incident is opened; Events:\n{}", namespace.events().await.join("\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn stopped() -> Value {
    json!([{"name": "stopped", "forEach": "probes.containers.value", "violated": "item.state != 'running'",
            "message": "{{ key }} is {{ item.state }}"}])
}

fn containers() -> Value {
    json!({"name": "containers", "interval": "1s", "docker": {}})
}

#[tokio::test]
async fn two_hundred_violations_at_once_are_one_incident_that_says_so() {
    let system = System::up("crowd").await;
    let namespace = Cluster::connect().await.namespace("crowd").await;
    let keys =
        json!({"name": "keys", "interval": "1s", "exec": {"command": ["jq", "-nc", "[range(200) | \"shard-\\(.)\"]"]}});
    let each = json!([{"name": "shard_down", "forEach": "probes.keys.value", "severity": "critical",
        "violated": "probes.containers.value['counter'].state != 'running'", "message": "{{ key }} has no server"}]);
    let spec = system.spec(&json!([containers(), keys]), &each);
    namespace.create::<Subject>("patient", &spec).await.unwrap();
    until(&namespace, "patient", "healthy", is_healthy).await;

    docker(&["pause", &system.counter.container()]).await;
    let first = opened(&namespace).await.remove(0);
    until(&namespace, "patient", "all are violated", |subject| {
        let status = subject.status.as_ref().unwrap();
        status.violated == "1/1" && status.invariants[0].total == 200
    })
    .await;
    // For a while nothing else is opened, however many there are.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let all = opened(&namespace).await;
    assert_eq!(all.len(), 1, "{:?}", all.iter().map(|one| &one.spec.title).collect::<Vec<_>>());
    let spec = &all[0].spec;
    assert_eq!(all[0].metadata.name, first.metadata.name);
    assert!(spec.title.ends_with("(and 199 more)"), "{}", spec.title);
    assert_eq!(spec.evidence.len(), 64, "what there is room for");
    let last = spec.evidence.last().unwrap();
    assert!(last.source == "monitor: no room for more" && last.message.starts_with("137 more, "), "{last:?}");
    assert_eq!(spec.origin.as_ref().unwrap().violated.len(), 64);

    docker(&["unpause", &system.counter.container()]).await;
    until(&namespace, "patient", "healthy again", is_healthy).await;
    assert_eq!(opened(&namespace).await.len(), 1);
    namespace.remove().await;
    system.down().await;
}

#[tokio::test]
async fn a_subject_edited_and_deleted_while_its_incident_runs_ends_orderly() {
    let system = System::up("edited").await;
    let namespace = Cluster::connect().await.namespace("edited").await;
    let spec = system.spec(&json!([containers()]), &stopped());
    // The script of that name works until somebody ends it.
    namespace.create::<Subject>("sleeper", &spec).await.unwrap();
    until(&namespace, "sleeper", "healthy", is_healthy).await;
    docker(&["pause", &system.counter.container()]).await;
    let name = opened(&namespace).await[0].metadata.name.clone().unwrap();
    let running = namespace
        .wait(&name, "works", SOON, |incident| {
            let status = incident.status.clone().unwrap_or_default();
            status.message.is_some_and(|message| message.starts_with("$ "))
        })
        .await;
    let session = running.status.unwrap().session_id.unwrap();

    // Another invariant takes the place of the one that opened it.
    let other = json!([{"name": "present", "violated": "size(probes.containers.value) == 0"}]);
    let patch = Patch::Merge(json!({"spec": {"invariants": other}}));
    namespace.api::<Subject>().patch("sleeper", &PatchParams::default(), &patch).await.unwrap();
    let edited = until(&namespace, "sleeper", "judged by the new one", |subject| {
        is_healthy(subject) && subject.status.as_ref().is_some_and(|status| status.invariants[0].name == "present")
    })
    .await;
    assert_eq!(edited.status.unwrap().invariants.len(), 1);
    let incident = namespace.api::<Incident>().get(&name).await.unwrap();
    assert_eq!(phase(&incident), "Running");
    assert_eq!(opened(&namespace).await.len(), 1, "nothing else is opened");

    // The Subject goes; its session stays until it ends, and ends as a person wants it.
    namespace.api::<Subject>().delete("sleeper", &DeleteParams::default()).await.unwrap();
    wait_until("the Subject is gone", SOON, || async {
        namespace.api::<Subject>().get_opt("sleeper").await.unwrap().is_none()
    })
    .await;
    namespace.patch(&name, json!({"cancel": 1})).await;
    let ended = namespace
        .wait(&name, "cancelled", SOON, |incident| {
            incident.status.as_ref().is_some_and(|status| status.phase.is_finished())
        })
        .await;
    assert_eq!(phase(&ended), "Cancelled");
    wait_until("its containers are gone", SOON, || async { containers_of(&session).is_empty() }).await;
    assert_eq!(opened(&namespace).await.len(), 1);

    docker(&["unpause", &system.counter.container()]).await;
    namespace.remove().await;
    // Its observer has left the network with it.
    system.down().await;
}

#[tokio::test]
async fn what_a_real_prometheus_says_opens_an_incident() {
    prometheus::build();
    let system = System::up("metrics").await;
    system.prometheus("node", &["node:9090"]).await;
    system.prometheus("prometheus", &["prometheus:9090", "node:9090"]).await;
    let namespace = Cluster::connect().await.namespace("metrics").await;
    let server = "http://prometheus:9090";
    let probes = json!([
        {"name": "up", "interval": "1s", "prometheus": {"url": server, "query": "up"}},
        {"name": "page", "interval": "1s",
         "prometheus": {"url": format!("{server}/metrics"), "metrics": ["prometheus_build_info"]}},
    ]);
    let invariants = json!([
        {"name": "target_down", "forEach": "probes.up.value", "key": "item.labels.instance",
         "violated": "item.value < 1.0", "message": "{{ key }} is not scraped"},
        {"name": "another_program", "violated": "!probes.page.value['prometheus_build_info'].all(one, one.value == 1.0)"},
    ]);
    namespace.create::<Subject>("patient", &system.spec(&probes, &invariants)).await.unwrap();
    until(&namespace, "patient", "healthy", is_healthy).await;

    docker(&["kill", &system.container("node")]).await;
    let incident = opened(&namespace).await.remove(0);
    assert_eq!(incident.spec.title, "target_down[node:9090]: node:9090 is not scraped");
    let violated = &incident.spec.origin.as_ref().unwrap().violated;
    assert_eq!((violated.len(), violated[0].invariant.as_str()), (1, "target_down"));

    docker(&["start", &system.container("node")]).await;
    until(&namespace, "patient", "healthy again", is_healthy).await;
    namespace.remove().await;
    system.down().await;
}
