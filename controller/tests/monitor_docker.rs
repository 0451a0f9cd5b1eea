//! The monitor on a real engine: observers behind their walls, kept, started again, out of the way of a project that
//! goes; and a container that is killed.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[allow(dead_code)] // this file needs a part of it
#[path = "sandbox_support/engine.rs"]
mod engine;

use std::sync::Arc;
use std::time::{Duration, Instant};

use controller::agent::verify::{Verdict, Verification};
use controller::config::Config;
use controller::incident::validate::Defaults;
use controller::monitor::fake::FakeCluster;
use controller::monitor::lines::Lines;
use controller::monitor::observers::{ObserverSpec, Observers as _, Said};
use controller::monitor::order::Order;
use controller::monitor::outside::Outside;
use controller::monitor::{self, Registry, Watch, Watched};
use controller::probe::{Reading, Round};
use controller::sandbox::SandboxError;
use controller::sandbox::dial::Condition;
use controller::sandbox::docker::DockerProvider;
use crds::Subject;
use crds::subject::SubjectStatus;
use engine::{Project, docker, first_address, image};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_mins(2);

/// Answers each line that it is sent, on port 7000.
const SERVER: &str = "use IO::Socket::INET; $| = 1; \
    my $door = IO::Socket::INET->new(LocalPort => 7000, Listen => 64, ReuseAddr => 1) or die; \
    while (my $guest = $door->accept) { close $guest }";

/// A service of the project, on its first network.
fn service(project: &Project, name: &str) -> String {
    let container = format!("{}-{name}-1", project.name);
    let own = format!("com.docker.compose.project={}", project.name);
    let service = format!("com.docker.compose.service={name}");
    let mut run = vec!["run", "-d", "--init", "--name", &container, "--label", &own, "--label", &service];
    run.extend(["--network", &project.networks[0], "--network-alias", name, image(), "perl", "-e", SERVER]);
    docker(&run);
    container
}

fn uid() -> String {
    format!("{:08x}-test", rand::random::<u32>())
}

fn spec(project: &Project, uid: &str, probes: &Value) -> ObserverSpec {
    ObserverSpec {
        uid: uid.to_owned(),
        subject: "default/shop".into(),
        project: project.name.clone(),
        image: image().into(),
        egress: Vec::new(),
        probes: probes.to_string(),
        commands: true,
    }
}

/// What the observer says of each probe, from `since` on, until all of them were read.
async fn read(provider: &DockerProvider, name: &str, since: Timestamp, probes: &[&str]) -> Vec<Round> {
    let mut words = provider.follow(name, since).await.unwrap();
    let (mut lines, mut rounds) = (Lines::default(), Vec::<Round>::new());
    let all = async {
        while !probes.iter().all(|probe| rounds.iter().any(|round| round.probe == *probe)) {
            match words.next().await.expect("it goes on").unwrap() {
                // The engine counts in whole seconds, so it says a little more than it is asked for.
                Said::Out(bytes) => {
                    let heard = lines.take(&bytes).into_iter().map(|heard| heard.round);
                    rounds.extend(heard.filter(|round| round.at >= since));
                }
                Said::Err(bytes) => panic!("{}", String::from_utf8_lossy(&bytes)),
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("rounds");
    assert_eq!(lines.bad(), 0);
    rounds
}

fn reading<'a>(rounds: &'a [Round], probe: &str) -> &'a Reading {
    &rounds.iter().rev().find(|round| round.probe == probe).unwrap().readings[""]
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_observer_looks_from_inside_behind_its_walls_and_is_kept() {
    let project = Project::up();
    service(&project, "node");
    let provider = project.provider();
    let (begin, uid) = (Timestamp::now(), uid());
    // Something on the host that a container without walls reaches.
    let host = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let gateway = format!("{}:{}", first_address(&project.networks[0]), host.local_addr().unwrap().port());
    let probes = json!([
        {"name": "node", "interval": "1s", "tcp": {"address": "node:7000"}},
        {"name": "nobody", "interval": "1s", "tcp": {"address": "nobody:7000"}},
        {"name": "host", "interval": "1s", "timeout": "2s", "tcp": {"address": gateway}},
        {"name": "who", "interval": "1s", "exec": {"as": "text", "command": ["sh", "-c",
            "id -u; touch /x /usr/x 2>/dev/null; echo $?; grep CapEff /proc/self/status; ls /sys/class/net | wc -l"]}},
    ]);
    let wanted = spec(&project, &uid, &probes);
    let standing = provider.ensure(&wanted).await.unwrap();
    assert!(standing.name.starts_with("operator-observer-") && standing.started_at.is_some(), "{standing:?}");
    let rounds = read(&provider, &standing.name, begin, &["node", "nobody", "host", "who"]).await;
    assert!(reading(&rounds, "node").ok, "{:?}", reading(&rounds, "node"));
    assert!(!reading(&rounds, "nobody").ok && !reading(&rounds, "host").ok, "{rounds:?}");
    let who = reading(&rounds, "who").value.clone().unwrap();
    assert_eq!(who, json!("1000\n1\nCapEff:\t0000000000000000\n3\n"), "two networks and the loopback");
    // All of its rounds, from its first moment: there was none before the walls stood.
    assert!(rounds.iter().filter(|round| round.probe == "host").all(|round| !round.readings[""].ok));

    // Whoever comes next finds it, and hears what it said before.
    let next = project.provider().with_epoch(2);
    assert_eq!(next.ensure(&wanted).await.unwrap(), standing);
    let again = read(&next, &standing.name, begin, &["node"]).await;
    assert_eq!(again[0], rounds[0]);
    let survey = next.survey().await.unwrap();
    assert_eq!(survey.projects[&project.name], 2);
    assert_eq!((survey.observers[0].uid.as_str(), survey.observers[0].subject.as_str()), (&*uid, "default/shop"));

    // It dies: its end is known, and it is started again behind walls, with what it said.
    docker(&["kill", &standing.name]);
    let (condition, _) = next.look(&standing.name).await;
    assert!(matches!(condition, Condition::Gone(how) if how.contains("137")));
    let later = next.ensure(&wanted).await.unwrap();
    assert!(later.name == standing.name && later.started_at > standing.started_at, "{later:?}");
    let since = Timestamp::now();
    let fresh = read(&next, &later.name, since, &["host", "node"]).await;
    assert!(!reading(&fresh, "host").ok && reading(&fresh, "node").ok, "{fresh:?}");

    // Other probes are another container.
    let other = spec(&project, &uid, &json!([{"name": "node", "interval": "1s", "tcp": {"address": "node:7000"}}]));
    let other = next.ensure(&other).await.unwrap();
    assert_ne!(other.name, standing.name);
    assert_eq!(next.survey().await.unwrap().observers.len(), 1);
    // What a later leader made is not an earlier one's.
    let error = provider.ensure(&wanted).await.unwrap_err();
    assert!(
        matches!(&error, SandboxError::EngineUnavailable { reason } if reason.contains("another one leads")),
        "{error}"
    );
    next.remove_all(&uid).await.unwrap();
    assert!(next.survey().await.unwrap().observers.is_empty());
}

#[tokio::test]
async fn a_project_that_goes_finds_its_networks_free_and_one_that_comes_back_is_looked_at_again() {
    let project = Project::up();
    let node = service(&project, "node");
    let provider = project.provider();
    let uid = uid();
    let wanted = spec(&project, &uid, &json!([{"name": "node", "interval": "1s", "tcp": {"address": "node:7000"}}]));
    let watching = {
        let provider = provider.clone();
        tokio::spawn(async move { provider.watch_projects().await })
    };
    let standing = provider.ensure(&wanted).await.unwrap();
    read(&provider, &standing.name, Timestamp::now(), &["node"]).await;

    // As `docker compose stop` does: what stopped is a finding, so the observer goes on, off the networks.
    docker(&["stop", "-t", "0", &node, &project.container()]);
    let networks = async || docker(&["inspect", "-f", "{{len .NetworkSettings.Networks}}", &standing.name]);
    until("off the networks", async || networks().await == "0").await;
    let since = Timestamp::now();
    let rounds = read(&provider, &standing.name, since, &["node"]).await;
    assert!(!reading(&rounds, "node").ok);
    docker(&["start", &node]);
    until("on them again", async || networks().await == "2").await;
    until("node answers", async || {
        let rounds = read(&provider, &standing.name, Timestamp::now(), &["node"]).await;
        reading(&rounds, "node").ok
    })
    .await;

    // As `docker compose down` does.
    docker(&["rm", "-f", &node, &project.container()]);
    until("off the networks", async || networks().await == "0").await;
    for network in &project.networks {
        docker(&["network", "rm", network]);
    }
    let error = provider.ensure(&wanted).await.unwrap_err();
    assert_eq!(error, SandboxError::ProjectNotRunning { project: project.name.clone() });
    assert!(!provider.survey().await.unwrap().projects.contains_key(&project.name));
    watching.abort();
}

// More than one thread: the networks are watched while compose runs.
#[tokio::test(flavor = "multi_thread")]
async fn compose_takes_a_project_down_with_an_observer_on_its_networks() {
    let project = Project::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    // Both need a moment to end, as programs do.
    let serve = "trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.05; done";
    let service = json!({"image": image(), "command": ["bash", "-c", serve], "networks": ["front", "back"]});
    let compose = json!({"services": {"one": service, "two": service}, "networks": {"front": {}, "back": {}}});
    std::fs::write(&file, compose.to_string()).unwrap();
    let compose = |words: &[&str]| {
        let at = ["compose", "--project-name", &project.name, "--file", file.to_str().unwrap()];
        let output = std::process::Command::new("docker").args(at).args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        said
    };
    compose(&["up", "--detach"]);
    let provider = project.provider();
    let watching = {
        let provider = provider.clone();
        tokio::spawn(async move { provider.watch_projects().await })
    };
    let wanted = spec(&project, &uid(), &json!([{"name": "one", "interval": "1s", "tcp": {"address": "one:7000"}}]));
    let standing = provider.ensure(&wanted).await.unwrap();
    let networks = async || docker(&["inspect", "-f", "{{len .NetworkSettings.Networks}}", &standing.name]);
    assert_eq!(networks().await, "2");

    // A signal that a program takes without ending: it is looked at again.
    docker(&["kill", "--signal", "INT", &format!("{}-one-1", project.name), &format!("{}-two-1", project.name)]);
    until("off the networks, for who is told to end mostly does", async || networks().await == "0").await;
    until("on them again", async || networks().await == "2").await;

    let said = compose(&["down"]);
    assert!(!said.contains("still in use"), "{said}");
    assert_eq!(docker(&["network", "ls", "--quiet", "--filter", &format!("name={}", project.name)]), "");
    watching.abort();
}

/// A controller's monitor on the real engine, with a cluster in memory.
struct Monitor {
    watch: Arc<Watch>,
    subject: Subject,
    /// Looks at the engine as the controller does, and follows the projects.
    helpers: [JoinHandle<()>; 2],
}

impl Monitor {
    fn start(provider: &DockerProvider, cluster: &FakeCluster, subject: &Subject) -> Self {
        let watch = Arc::new(Watch::new(Arc::new(provider.clone()), Registry::default(), Arc::default()));
        let defaults = Defaults { model: "m".into(), image: image().into(), config: Config::default() };
        let order = Order::new(&Arc::new(subject.clone()), &defaults).unwrap();
        let outside: Arc<dyn Outside> = Arc::new(cluster.clone());
        watch.tend(&ObjectRef::from_obj(subject), Some(order), &outside);
        let (survey, engine, following) = (watch.clone(), provider.clone(), provider.clone());
        let survey = tokio::spawn(async move {
            loop {
                survey.surveyed(engine.survey().await.map(Arc::new));
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        let following = tokio::spawn(async move { following.watch_projects().await });
        Self { watch, subject: subject.clone(), helpers: [survey, following] }
    }

    /// The controller goes, and leaves everything where it stands.
    async fn stop(self) -> Subject {
        let mut subject = self.subject.clone();
        subject.status = Some(self.status());
        self.watch.abandon().await;
        self.helpers.iter().for_each(JoinHandle::abort);
        subject
    }

    fn watched(&self) -> Arc<Watched> {
        self.watch.of(&ObjectRef::from_obj(&self.subject)).unwrap()
    }

    fn status(&self) -> SubjectStatus {
        let mut status = self.subject.status.clone().unwrap_or_default();
        if let Some(known) = self.watched().published() {
            monitor::status::put(&mut status, &known, Some(1), Timestamp::now());
        }
        status
    }

    fn healthy(&self) -> String {
        let status = self.status();
        crds::condition::find(&status.conditions, "Healthy").map(|c| c.reason.clone()).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_container_that_is_killed_opens_one_incident_also_across_a_restart_and_is_proven_well() {
    let project = Project::up();
    let node = service(&project, "node");
    let provider = project.provider();
    let cluster = FakeCluster::default();
    let subject: Subject = serde_json::from_value(json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "Subject",
        "metadata": {"name": "shop", "namespace": "ns", "uid": uid(), "generation": 1},
        "spec": {
            "where": {"docker": {"project": project.name}},
            "probes": [
                {"name": "node", "interval": "1s", "timeout": "1s", "tcp": {"address": "{{target}}:7000"}, "targets": ["node"]},
                {"name": "containers", "interval": "1s", "docker": {"services": ["node"]}},
            ],
            "invariants": [
                {"name": "silent", "forEach": "probes.node", "violated": "!item.ok", "message": "{{ key }}: {{ item.error }}"},
                {"name": "stopped", "forEach": "probes.containers.value", "violated": "item.state != 'running'",
                 "message": "{{ key }} is {{ item.state }}", "severity": "critical"},
            ],
        },
    }))
    .unwrap();
    let first = Monitor::start(&provider, &cluster, &subject);
    until("healthy", async || first.healthy() == "AllHold").await;
    assert!(cluster.all_incidents().is_empty() && cluster.events().is_empty());

    docker(&["kill", &node]);
    until("violated", async || first.status().violated == "2/2").await;
    until("an Incident with both", async || {
        let incidents = cluster.all_incidents();
        incidents.first().is_some_and(|one| one.spec.origin.as_ref().is_some_and(|origin| origin.violated.len() == 2))
    })
    .await;
    let before = first.status();
    let observer = before.observer.clone().unwrap();

    // Another controller hears what the observer said, and says and opens nothing twice.
    let events = cluster.events();
    let subject = first.stop().await;
    let next = project.provider().with_epoch(2);
    let second = Monitor::start(&next, &cluster, &subject);
    until("known again", async || second.watched().published().is_some()).await;
    until("violated", async || second.status().violated == "2/2").await;
    let after = second.status();
    assert_eq!(after.observer, Some(observer), "the observer was kept");
    let since = |status: &SubjectStatus| status.invariants.iter().map(|one| one.since.clone()).collect::<Vec<_>>();
    assert_eq!(since(&after), since(&before));
    assert_eq!((cluster.all_incidents().len(), cluster.events()), (1, events));

    // Not proven while it is down, and proven when it is up again.
    let verifier = second.watched().verifier();
    let must = cluster.all_incidents()[0].spec.origin.clone().unwrap().violated;
    let request = Verification { attempt: 1, stabilization: Duration::from_secs(3), must };
    let verdict = verifier.verify(&request).await;
    assert!(matches!(&verdict, Verdict::Violated { what } if !what.is_empty()), "{verdict:?}");
    docker(&["start", &node]);
    until("healthy", async || second.healthy() == "AllHold").await;
    let verdict = verifier.verify(&request).await;
    assert!(matches!(verdict, Verdict::Holds { seen, .. } if seen >= 4), "{verdict:?}");
    let cleared = cluster.events().iter().filter(|event| event.starts_with("InvariantCleared")).count();
    assert_eq!((cleared, cluster.all_incidents().len()), (2, 1));

    // What stopped and was removed is not well, as long as its Incident is open.
    docker(&["kill", &node]);
    until("violated", async || second.status().violated == "2/2").await;
    docker(&["rm", "-f", &node]);
    let verdict = verifier.verify(&request).await;
    assert!(matches!(&verdict, Verdict::Violated { .. }), "{verdict:?}");

    // The Subject goes, and its observer with it.
    let outside: Arc<dyn Outside> = Arc::new(cluster.clone());
    second.watch.tend(&ObjectRef::from_obj(&second.subject), None, &outside);
    until("the observer is gone", async || project.standing().is_empty()).await;
    second.watch.abandon().await;
    second.helpers.iter().for_each(JoinHandle::abort);
}
