//! The task of a Subject, on an engine and a cluster that do what the test says; the judge is the real one.

use std::time::Duration;

use crds::invariant::InvariantState;
use crds::subject::SubjectStatus;
use crds::{Incident, IncidentPhase, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::reflector::ObjectRef;
use serde_json::{Value, json};

use super::*;
use crate::agent::verify::{Verdict, Verification};
use crate::config::Config;
use crate::incident::validate::Defaults;
use crate::monitor::fake::{FakeCluster, FakeEngine, Trouble};
use crate::monitor::{Registry, Watch, status};
use crate::probe::Reading;
use crate::sandbox::SandboxError;

const UID: &str = "0a1b2c3d";
/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// One controller, an engine and a cluster.
struct World {
    engine: FakeEngine,
    cluster: FakeCluster,
    watch: Arc<Watch>,
    metrics: Arc<Metrics>,
    subject: Subject,
}

fn spec(more: &Value) -> Value {
    let mut spec = json!({
        "where": {"docker": {"project": "shop"}},
        "probes": [{"name": "web", "interval": "1s", "tcp": {"address": "{{target}}:80"}, "targets": ["a", "b"]}],
        "invariants": [{
            "name": "down", "description": "Each answers.", "severity": "critical",
            "forEach": "probes.web", "violated": "!item.ok", "message": "{{ key }} says {{ item.error }}",
        }],
    });
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        spec[key] = value;
    }
    spec
}

fn subject(spec: &Value) -> Subject {
    serde_json::from_value(json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "Subject",
        "metadata": {"name": "shop", "namespace": "ns", "uid": UID, "generation": 1}, "spec": spec,
    }))
    .unwrap()
}

impl World {
    fn new(more: &Value) -> Self {
        Self::on(FakeEngine::with(&["shop"]), FakeCluster::default(), subject(&spec(more)), Bench::default())
    }

    /// A controller that begins.
    fn on(engine: FakeEngine, cluster: FakeCluster, subject: Subject, bench: Bench) -> Self {
        let metrics = Arc::new(Metrics::default());
        let (observers, registry) = (Arc::new(engine.clone()), Registry::default());
        let watch = Arc::new(Watch::with_bench(observers, registry, metrics.clone(), bench));
        let world = Self { engine, cluster, watch, metrics, subject };
        world.tend();
        let (watch, engine) = (Arc::downgrade(&world.watch), world.engine.clone());
        tokio::spawn(async move {
            while let Some(watch) = watch.upgrade() {
                watch.surveyed(engine.survey().await.map(Arc::new));
                drop(watch);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        world
    }

    fn tend(&self) {
        let defaults = Defaults { model: "m".into(), image: "agent:1".into(), config: Config::default() };
        let order = Order::new(&Arc::new(self.subject.clone()), &defaults).ok();
        let outside: Arc<dyn Outside> = Arc::new(self.cluster.clone());
        self.watch.tend(&self.object(), order, &outside);
    }

    fn edit(&mut self, more: &Value) {
        self.subject.spec = subject(&spec(more)).spec;
        self.subject.metadata.generation = self.subject.metadata.generation.map(|generation| generation + 1);
        self.tend();
    }

    /// The controller goes, and another one comes, which finds the status that stands there.
    async fn again(self) -> Self {
        let mut subject = self.subject.clone();
        subject.status = Some(self.status());
        self.watch.abandon().await;
        Self::on(self.engine, self.cluster, subject, Bench::default())
    }

    fn object(&self) -> ObjectRef<Subject> {
        ObjectRef::from_obj(&self.subject)
    }

    fn watched(&self) -> Arc<Watched> {
        self.watch.of(&self.object()).unwrap()
    }

    fn status(&self) -> SubjectStatus {
        let mut status = self.subject.status.clone().unwrap_or_default();
        if let Some(known) = self.watched().published() {
            status::put(&mut status, &known, Some(1), Timestamp::now());
        }
        status
    }

    fn condition(&self, type_: &str) -> String {
        let status = self.status();
        let condition = crds::condition::find(&status.conditions, type_);
        condition.map(|c| format!("{} {}: {}", c.status, c.reason, c.message)).unwrap_or_default()
    }

    fn state(&self) -> Option<InvariantState> {
        self.watched().views.borrow().views.first().map(|view| view.state)
    }

    fn read(&self, a: bool, b: bool) {
        let reading = |ok: bool| Reading {
            ok,
            error: (!ok).then(|| "connection refused".to_owned()),
            ms: 1,
            ..Reading::default()
        };
        self.engine.round(UID, "web", &[("a", reading(a)), ("b", reading(b))]);
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}\n{:#?}\n{:#?}\n{:?}",
                self.status(),
                self.cluster.events(),
                self.watched().views.borrow()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Reads this again and again until something holds, as an observer does.
    async fn reading(&self, a: bool, b: bool, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}\n{:#?}\n{:#?}", self.status(), self.cluster.events());
            self.read(a, b);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn observing(&self) {
        self.until("an observer", |world| !world.engine.observers().is_empty()).await;
    }

    fn incidents(&self) -> Vec<Incident> {
        self.cluster.all_incidents()
    }

    fn count(&self, event: &str) -> usize {
        self.cluster.events().iter().filter(|line| line.starts_with(event)).count()
    }

    fn end(&self, phase: IncidentPhase, ago: i64) {
        self.cluster.change(|incidents| {
            for incident in incidents {
                let at = Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(ago)).unwrap();
                incident.status = Some(crds::IncidentStatus {
                    phase,
                    attempt: Some(incident.spec.attempt),
                    finished_at: Some(Time(at)),
                    ..crds::IncidentStatus::default()
                });
            }
        });
    }
}

#[tokio::test]
async fn a_violation_opens_one_incident_with_evidence_and_clears() {
    let world = World::new(&json!({}));
    world.observing().await;
    world.reading(true, true, "healthy", |world| world.condition("Healthy").starts_with("True AllHold")).await;
    assert!(world.condition("Observed").starts_with("True Observing"), "{}", world.condition("Observed"));
    assert!(world.incidents().is_empty() && world.cluster.events().is_empty(), "{:?}", world.cluster.events());

    world.reading(true, false, "an Incident", |world| !world.incidents().is_empty()).await;
    world.reading(true, false, "violated", |world| world.status().violated == "1/1").await;
    let incidents = world.incidents();
    let spec = &incidents[0].spec;
    assert_eq!((incidents.len(), spec.title.as_str()), (1, "down[b]: b says connection refused"));
    assert_eq!(spec.severity, crds::Severity::Critical);
    assert!(spec.evidence[0].message.starts_with("b says connection refused\n- "), "{}", spec.evidence[0].message);
    assert!(world.condition("Healthy").starts_with("False Violated: 1 of 1 invariants violated: down[b]"));

    world.reading(true, true, "cleared", |world| world.count("InvariantCleared: down[b]") == 1).await;
    world.reading(true, true, "healthy", |world| world.condition("Healthy").starts_with("True AllHold")).await;
    assert_eq!((world.count("InvariantViolated"), world.count("IncidentOpened")), (1, 1));
    assert_eq!(world.incidents().len(), 1);
}

#[tokio::test]
async fn another_controller_knows_what_the_first_one_knew() {
    let world = World::new(&json!({}));
    world.observing().await;
    world.reading(true, false, "an Incident", |world| !world.incidents().is_empty()).await;
    world.reading(true, false, "violated", |world| world.status().violated == "1/1").await;
    let (before, started, events) = (world.status(), world.engine.starts(), world.cluster.events());

    let world = world.again().await;
    assert_eq!(world.status(), before, "it goes on saying what was said");
    world.reading(true, false, "seen again", |world| world.watched().published().is_some()).await;
    let after = world.status();
    assert_eq!(after.invariants[0].since, before.invariants[0].since);
    assert_eq!((after.violated.as_str(), world.engine.starts()), ("1/1", started), "the observer was kept");
    for _ in 0..20 {
        world.read(true, false);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((world.incidents().len(), world.cluster.events()), (1, events), "nothing is said or opened twice");
}

#[tokio::test]
async fn an_incident_of_whose_creation_nobody_heard_is_not_created_again() {
    let world = World::new(&json!({}));
    world.cluster.trouble(Some(Trouble::AnswerLost));
    world.observing().await;
    world.reading(true, false, "an Incident", |world| !world.incidents().is_empty()).await;
    world.reading(true, false, "held", |world| world.condition("Healthy").contains("the connection broke")).await;
    let world = world.again().await;
    world.reading(true, false, "seen again", |world| world.watched().published().is_some()).await;
    for _ in 0..30 {
        world.read(true, false);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.incidents().len(), 1);
}

#[tokio::test]
async fn what_flaps_and_what_else_breaks_is_evidence_of_the_one_that_is_open() {
    let world = World::new(&json!({"policy": {"cooldown": "1h"}}));
    world.observing().await;
    world.reading(false, true, "an Incident", |world| !world.incidents().is_empty()).await;
    world.reading(false, false, "joined", |world| world.incidents()[0].spec.evidence.len() == 2).await;
    let named = |world: &World| world.incidents()[0].spec.origin.clone().unwrap().violated.len();
    assert_eq!(named(&world), 2);
    world.reading(true, true, "cleared", |world| world.count("InvariantCleared") == 2).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.reading(false, true, "evidence again", |world| world.incidents()[0].spec.evidence.len() == 3).await;

    // It ends, and the same comes and goes within the cooldown.
    world.end(IncidentPhase::Resolved, 0);
    for round in 0..3 {
        world.reading(true, true, "cleared", |world| world.state() == Some(InvariantState::Ok)).await;
        world.reading(false, true, "violated", |world| world.state() == Some(InvariantState::Violated)).await;
        assert_eq!(world.incidents().len(), 1, "{round}");
    }
}

#[tokio::test]
async fn the_same_after_a_resolved_one_is_a_recurrence() {
    let world = World::new(&json!({"policy": {"cooldown": "0s"}}));
    world.observing().await;
    world.reading(false, true, "an Incident", |world| !world.incidents().is_empty()).await;
    world.reading(true, true, "cleared", |world| world.count("InvariantCleared") == 1).await;
    world.end(IncidentPhase::Resolved, 0);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.reading(false, true, "another one", |world| world.incidents().len() == 2).await;
    let incidents = world.incidents();
    let origin = incidents[1].spec.origin.clone().unwrap();
    assert_eq!((origin.recurrence_of, origin.recurrences), (incidents[0].metadata.name.clone(), 1));
    assert_eq!(Some(origin.fingerprint), incidents[0].spec.origin.clone().map(|origin| origin.fingerprint));
}

#[tokio::test]
async fn two_hundred_at_once_are_one_incident() {
    let targets: Vec<String> = (0..60).map(|n| format!("t{n:02}")).collect();
    let world = World::new(&json!({"probes": [
        {"name": "web", "interval": "1s", "tcp": {"address": "{{target}}:80"}, "targets": targets},
    ]}));
    world.observing().await;
    let bad = Reading { error: Some("no".into()), ..Reading::default() };
    let all: Vec<(&str, Reading)> = targets.iter().map(|target| (target.as_str(), bad.clone())).collect();
    let begun = Instant::now();
    while world.incidents().is_empty() && begun.elapsed() < PATIENCE {
        world.engine.round(UID, "web", &all);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let incidents = world.incidents();
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0].spec.title.ends_with("(and 59 more)"), "{}", incidents[0].spec.title);
    assert!(incidents[0].spec.description.contains("60 violations at once are one Incident, because"));
    assert_eq!(world.count("InvariantViolated"), 9, "not sixty Events");
}

#[tokio::test]
async fn maintenance_watches_and_opens_nothing() {
    for off in [json!({"suspend": true}), json!({"policy": {"autoCreate": false}})] {
        let world = World::new(&off);
        world.observing().await;
        world.reading(false, true, "an Event", |world| world.count("InvariantViolated: down[a]") == 1).await;
        for _ in 0..10 {
            world.read(false, true);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(world.incidents().is_empty());
    }
}

#[tokio::test]
async fn somebody_elses_incident_hears_of_it() {
    let world = World::new(&json!({"policy": {"cooldown": "1h"}}));
    let theirs = json!({"apiVersion": "operator.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "jane"},
        "spec": {"title": "slow", "subjectRef": {"name": "shop"}}});
    world.cluster.change(|incidents| incidents.push(serde_json::from_value(theirs).unwrap()));
    world.observing().await;
    world.reading(false, true, "an Event on it", |world| world.count("jane InvariantViolated: down[a]") == 1).await;
    world.reading(false, true, "said", |world| world.condition("Healthy").contains("an agent works on jane")).await;
    assert_eq!(world.incidents().len(), 1);
    world.end(IncidentPhase::Escalated, 7200);
    world.cluster.change(|incidents| incidents[0].metadata.creation_timestamp = None);
    world.reading(false, true, "one of the monitor's", |world| world.incidents().len() == 2).await;
}

#[tokio::test]
async fn one_that_cannot_be_opened_says_why_and_is_opened_later() {
    let world = World::new(&json!({}));
    world.cluster.trouble(Some(Trouble::Refused("quota exceeded".into())));
    world.observing().await;
    let why = "no Incident yet: quota exceeded";
    world.reading(false, true, "said", |world| world.condition("Healthy").contains(why)).await;
    world.cluster.trouble(None);
    world.reading(false, true, "opened", |world| world.incidents().len() == 1).await;
    world.reading(false, true, "not said any more", |world| !world.condition("Healthy").contains(why)).await;
}

#[tokio::test]
async fn an_observer_that_dies_is_started_again_and_its_last_words_are_said() {
    let world = World::new(&json!({}));
    world.observing().await;
    world.reading(true, true, "healthy", |world| world.condition("Healthy").starts_with("True")).await;
    world.engine.die(UID, "out of memory");
    world
        .until("its last words", |world| {
            world.condition("Observed").starts_with("False ObserverDied")
                && world.condition("Observed").contains("its last words: out of memory")
        })
        .await;
    world.until("another start", |world| world.engine.starts() == 2).await;
    world.until("observed again", |world| world.condition("Observed").starts_with("True")).await;
    assert!(world.metrics.text().contains("operator_observer_restarts_total 1"));
}

#[tokio::test]
async fn a_project_that_goes_takes_its_observer_along_and_opens_nothing() {
    let world = World::new(&json!({"probes": [
        {"name": "web", "interval": "1s", "tcp": {"address": "{{target}}:80"}, "targets": ["a"]},
        {"name": "containers", "interval": "1s", "docker": {}},
    ], "invariants": [
        {"name": "gone", "violated": "!('node' in probes.containers.value)"},
    ]}));
    world.engine.docker(json!({"node": {"state": "running"}}));
    world.observing().await;
    world.until("healthy", |world| world.condition("Healthy").starts_with("True")).await;
    world.engine.project("shop", false);
    world.engine.docker(json!({}));
    world.until("said", |world| world.condition("Observed").starts_with("False ProjectNotRunning")).await;
    world.until("its observer is gone", |world| world.engine.observers().is_empty()).await;
    world.until("unknown", |world| world.state() == Some(InvariantState::Unknown)).await;
    assert!(world.incidents().is_empty());
    world.engine.project("shop", true);
    world.engine.docker(json!({"node": {"state": "running"}}));
    world.until("healthy", |world| world.condition("Healthy").starts_with("True")).await;
}

#[tokio::test]
async fn what_is_missing_is_named_and_waited_for() {
    let world = World::new(&json!({}));
    let missing = SandboxError::ImageMissing { image: "agent:1".into(), reason: "no such image".into() };
    world.engine.refuse(Some(missing));
    world
        .until("said", |world| {
            let observed = world.condition("Observed");
            observed.starts_with("False ImageMissing") && observed.contains("\"agent:1\"") || world.engine.starts() > 0
        })
        .await;
    world.engine.refuse(None);
    world.observing().await;
    world.reading(true, true, "healthy", |world| world.condition("Healthy").starts_with("True")).await;
}

#[tokio::test]
async fn nonsense_from_an_observer_is_counted_and_survived() {
    let world = World::new(&json!({}));
    world.observing().await;
    world.reading(true, true, "healthy", |world| world.condition("Healthy").starts_with("True")).await;
    world.engine.say(UID, "not a round");
    world.engine.say(UID, &"x".repeat(100 << 10));
    world.engine.round(UID, "of_another", &[("", Reading::default())]);
    world.engine.say(UID, "\u{0}\u{7f}{\"probe\": 7}");
    let count = |world: &World| world.metrics.text().contains("operator_observer_bad_lines_total 4");
    world.until("all are counted", count).await;
    // A clock that is ahead keeps nothing fresh for ever.
    let ahead = Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    world.engine.say(UID, &format!(r#"{{"probe":"web","at":"{ahead}","readings":{{"a":{{"ok":true,"ms":1}}}}}}"#));
    world.until("it is taken for now", |world| world.watched().rounds().0.len() >= 2).await;
    world.reading(true, true, "healthy", |world| world.condition("Healthy").starts_with("True")).await;
}

#[tokio::test]
async fn a_judge_that_takes_too_long_is_said_and_holds_up_nobody() {
    let slow = "probes.web['a'].ok && [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all(a, \
                [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all(b, \
                [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all(c, \
                [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all(d, a + b + c + d > 0))))";
    let spec = spec(&json!({"invariants": [{"name": "slow", "violated": format!("!({slow})")}]}));
    let bench = Bench::new(Duration::from_millis(20));
    let world = World::on(FakeEngine::with(&["shop"]), FakeCluster::default(), subject(&spec), bench);
    world.observing().await;
    world.reading(true, true, "said", |world| world.condition("Observed").starts_with("False TooSlow")).await;
    let status = world.status();
    assert_eq!(status.invariants[0].state, InvariantState::Unknown);
    assert!(world.incidents().is_empty());
}

#[tokio::test]
async fn an_edited_subject_is_watched_as_it_is_now() {
    let mut world = World::new(&json!({}));
    world.observing().await;
    world.reading(true, false, "an Incident", |world| !world.incidents().is_empty()).await;
    world.reading(true, false, "violated", |world| world.status().violated == "1/1").await;
    let (first, since) = (world.engine.observers(), world.status().invariants[0].since.clone());

    // Words only: nothing begins anew.
    world.edit(&json!({"description": "A shop."}));
    world.read(true, false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((world.engine.observers(), world.state()), (first.clone(), Some(InvariantState::Violated)));

    // Other probes: another observer, and the same violation.
    world.edit(&json!({"probes": [
        {"name": "web", "interval": "1s", "tcp": {"address": "{{target}}:80"}, "targets": ["a", "b"]},
        {"name": "db", "interval": "1s", "tcp": {"address": "db:1"}},
    ]}));
    world.until("another observer", |world| world.engine.observers() != first).await;
    world
        .reading(true, false, "violated", |world| {
            world.engine.round(UID, "db", &[("", Reading { ok: true, ..Reading::default() })]);
            world.engine.observers().len() == 1 && world.state() == Some(InvariantState::Violated)
        })
        .await;
    assert_eq!(world.status().invariants[0].since, since);
    assert_eq!((world.incidents().len(), world.count("InvariantViolated")), (1, 1));

    // Nothing to watch any more.
    world.subject.spec.probes.clear();
    world.tend();
    let begun = Instant::now();
    while !world.engine.observers().is_empty() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.engine.observers().is_empty() && world.watch.of(&world.object()).is_none());
}

fn request(stabilization: u64, must: &[(&str, &str)]) -> Verification {
    let must = must.iter().map(|(invariant, key)| crds::incident::Violated {
        invariant: (*invariant).to_owned(),
        key: (*key).to_owned(),
    });
    Verification { attempt: 1, stabilization: Duration::from_secs(stabilization), must: must.collect() }
}

#[tokio::test]
async fn a_proof_takes_fresh_readings_for_as_long_as_it_is_said() {
    let world = World::new(&json!({}));
    world.observing().await;
    world.reading(true, true, "healthy", |world| world.condition("Healthy").starts_with("True")).await;
    let verifier = world.watched().verifier();
    assert!(verifier.can_prove());
    let read = async |a, b| loop {
        world.read(a, b);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let verdict = tokio::select! {
        verdict = async { verifier.verify(&request(1, &[("down", "a")])).await } => verdict,
        () = read(true, true) => unreachable!(),
    };
    assert!(
        matches!(verdict, Verdict::Holds { window, seen } if window >= Duration::from_secs(1) && seen > 0),
        "{verdict:?}"
    );

    // What was read before does not count: nothing comes, nothing is proven.
    let silent = tokio::time::timeout(Duration::from_secs(3), verifier.verify(&request(1, &[]))).await;
    assert!(silent.is_err(), "{silent:?}");

    for must in [&[("down", "b")][..], &[]] {
        let verdict = tokio::select! {
            verdict = async { verifier.verify(&request(5, must)).await } => verdict,
            () = read(true, false) => unreachable!(),
        };
        let Verdict::Violated { what } = verdict else { panic!("{verdict:?}") };
        assert_eq!((what[0].invariant.as_str(), what[0].key.as_str()), ("down", "b"));
    }
    // A key that has to be there and is not.
    let verdict = tokio::select! {
        verdict = async { verifier.verify(&request(5, &[("down", "c")])).await } => verdict,
        () = read(true, true) => unreachable!(),
    };
    assert!(matches!(&verdict, Verdict::Violated { what } if what[0].key == "c"), "{verdict:?}");
}

#[tokio::test]
async fn a_system_that_heals_by_itself_is_noticed() {
    let world = World::new(&json!({}));
    world.observing().await;
    world.reading(true, false, "violated", |world| world.state() == Some(InvariantState::Violated)).await;
    let verifier = world.watched().verifier();
    let healed = tokio::spawn(async move { verifier.healed().await });
    for _ in 0..5 {
        world.read(true, false);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!healed.is_finished());
    world.reading(true, true, "healed", |_| healed.is_finished()).await;
}

#[tokio::test]
async fn a_key_that_vanished_is_violated_while_its_incident_is_open_and_forgotten_after() {
    let world = World::new(&json!({}));
    world.observing().await;
    world.reading(true, false, "an Incident", |world| !world.incidents().is_empty()).await;
    let good = Reading { ok: true, ..Reading::default() };
    let only_a = |world: &World| world.engine.round(UID, "web", &[("a", good.clone())]);
    for _ in 0..40 {
        only_a(&world);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.state(), Some(InvariantState::Violated), "{:?}", world.watched().views.borrow());
    world.end(IncidentPhase::Escalated, 0);
    world
        .until("forgotten", |world| {
            only_a(world);
            world.state() == Some(InvariantState::Ok)
        })
        .await;
    assert_eq!(world.incidents().len(), 1);
}
