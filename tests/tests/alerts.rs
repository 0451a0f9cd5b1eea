//! Alerts in and notices out, with the real Alertmanager (Debian's): an alert opens an Incident, its agent hears that it is
//! resolved, an Incident that needs a person is a page, and the page goes when somebody knows.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use crds::{Incident, Subject};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ListParams, Patch, PatchParams};
use operator_tests::counter::docker;
use operator_tests::process::{Controller, free_address};
use operator_tests::stage::{LONG, Stage};
use operator_tests::{condition, phase, prometheus};
use serde_json::{Value, json};

const TOKEN: &str = "a-token-for-the-tests-of-alerts";
/// The token of the subject's counter for which the agent's first command waits.
const HOLD: &str = "alerts-c1";

/// Waits for the counter; then concludes that the fault is gone if it was told that the alert is resolved, and else that
/// it is not.
fn script() -> String {
    let wait = format!("exec 3<>/dev/tcp/counter/7000; echo '{HOLD}' >&3; read -r answer <&3; echo $answer");
    let conclude = |outcome: &str, summary: &str| {
        json!({"tools": [{"name": "conclude", "input": {
            "outcome": outcome, "root_cause": "The alert said so.", "summary": summary, "evidence": [1]}}]})
    };
    json!({"description": "Waits, and concludes by what it is told of the alert.", "rules": [
        {"name": "wait", "when": {"turn": 0}, "answer": {"text": "I look.", "tools": [{"name": "shell",
            "input": {"command": wait, "reasoning": "The script says so.", "timeout_seconds": 300}}]}},
        {"name": "resolved", "when": {"user": "no alert of this Incident fires any more"}, "answer": conclude("resolved", "It is over.")},
        {"name": "unresolved", "answer": conclude("unresolved", "It is not over.")},
    ]})
    .to_string()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap()
}

/// The real Alertmanager, in a container on the host's network.
struct Alertmanager {
    url: String,
    client: reqwest::Client,
}

impl Alertmanager {
    /// Starts one there that sends to this controller. It goes with the stage.
    async fn start(stage: &Stage, place: &str, controller: &Controller, directory: &Path) -> Self {
        let config = json!({
            // Our own notices go the same way: they must not come back as alerts.
            "route": {"receiver": "operator", "group_by": ["alertname", "service"],
                      "group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "operator", "webhook_configs": [{
                "url": format!("http://{}/webhooks/alertmanager", controller.address()),
                "send_resolved": true,
                "http_config": {"authorization": {"type": "Bearer", "credentials": TOKEN}},
            }]}],
        });
        let file = directory.join("alertmanager.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let name = format!("{}-alertmanager", stage.name);
        let label = format!("operator.dev/stage={}", stage.name);
        let listen = format!("--web.listen-address={place}");
        docker(&[
            "create",
            "--name",
            &name,
            "--label",
            &label,
            "--network",
            "host",
            prometheus::IMAGE,
            "prometheus-alertmanager",
            "--config.file=/tmp/alertmanager.yml",
            "--storage.path=/tmp/alertmanager",
            "--cluster.listen-address=",
            &listen,
        ])
        .await;
        docker(&["cp", file.to_str().unwrap(), &format!("{name}:/tmp/alertmanager.yml")]).await;
        docker(&["start", &name]).await;
        let url = format!("http://{place}");
        let client = client();
        let begun = Instant::now();
        loop {
            let ready = client.get(format!("{url}/-/ready")).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return Self { url, client };
            }
            let logs = || async { docker(&["logs", &name]).await };
            assert!(begun.elapsed() < LONG, "Alertmanager is not ready: {}", logs().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Has it believe that an alert fires, or does not any more.
    async fn alert(&self, instance: &str, since: Timestamp, ends: Option<Timestamp>) {
        let ends = ends.unwrap_or_else(|| Timestamp::now() + SignedDuration::from_hours(1));
        let alerts = json!([{
            "labels": {"alertname": "Slow", "service": "counter", "instance": instance, "severity": "critical"},
            "annotations": {"summary": format!("{instance} is slow")},
            "startsAt": since.to_string(), "endsAt": ends.to_string(), "generatorURL": "http://prometheus.example/graph",
        }]);
        let answer = self.client.post(format!("{}/api/v2/alerts", self.url)).json(&alerts).send().await.unwrap();
        let (status, said) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{status} {said}");
    }

    /// Its alerts of a name that fire.
    async fn firing(&self, name: &str) -> Vec<Value> {
        let answer = self.client.get(format!("{}/api/v2/alerts", self.url)).send().await.unwrap();
        let all: Vec<Value> = answer.json().await.unwrap();
        all.into_iter().filter(|alert| alert["labels"]["alertname"] == name).collect()
    }

    async fn until(&self, what: &str, name: &str, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let firing = self.firing(name).await;
            if firing.len() == count {
                return firing;
            }
            assert!(begun.elapsed() < LONG, "{what}: {firing:#?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn incidents(stage: &Stage) -> Vec<Incident> {
    stage.namespace.api::<Incident>().list(&ListParams::default()).await.unwrap().items
}

/// Waits until there are so many Incidents.
async fn until_there_are(stage: &Stage, count: usize) -> Vec<Incident> {
    let begun = Instant::now();
    loop {
        let all = incidents(stage).await;
        if all.len() == count {
            return all;
        }
        assert!(
            begun.elapsed() < LONG && all.len() < count,
            "{} Incidents, and {count} were wanted: {all:#?}",
            all.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn name(incident: &Incident) -> String {
    incident.metadata.name.clone().unwrap_or_default()
}

fn alerts_of(incident: &Incident) -> Vec<(String, bool)> {
    let origin = incident.spec.origin.clone().unwrap_or_default();
    origin.alerts.iter().map(|alert| (alert.name.clone(), alert.ends_at.is_none())).collect()
}

/// Its first command stands and waits.
fn waits(incident: &Incident) -> bool {
    incident.status.as_ref().and_then(|status| status.message.as_deref()).is_some_and(|said| said.starts_with("$ "))
}

async fn post(controller: &Controller, token: Option<&str>, body: Vec<u8>) -> (u16, Value) {
    let mut request = client().post(format!("http://{}/webhooks/alertmanager", controller.address())).body(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_the_real_alertmanager_opens_an_incident_and_an_escalated_one_is_a_page() {
    prometheus::build();
    let stage = Stage::set_with("alerts", 1, |_| vec![("alerts".to_owned(), script())]).await;
    let rules = json!({"spec": {
        "alerts": [{"matchers": [{"name": "service", "op": "=~", "value": "count.r"}]}],
        "policy": {"cooldown": "0s"},
    }});
    let subjects: Api<Subject> = stage.namespace.api();
    subjects.patch("counter-0", &PatchParams::default(), &Patch::Merge(&rules)).await.unwrap();
    stage.counters[0].hold(HOLD).await;

    let directory = tempfile::tempdir().unwrap();
    let place = free_address();
    let config = directory.path().join("operator.yaml");
    let notices =
        json!({"notices": {"receivers": [{"name": "team", "alertmanager": {"url": format!("http://{place}")}}]}});
    std::fs::write(&config, notices.to_string()).unwrap();
    let variables = [
        ("OPERATOR_WEBHOOK_TOKEN", TOKEN),
        ("OPERATOR_CONFIG", config.to_str().unwrap()),
        ("OPERATOR_MODEL", "offline-alerts"),
    ];
    let mut controller = stage.controller_with("controller", &variables);
    controller.ready().await.unwrap();
    refusals(&controller).await;
    assert!(incidents(&stage).await.is_empty());
    let alertmanager = Alertmanager::start(&stage, &place, &controller, directory.path()).await;

    let first = resolved(&stage, &alertmanager).await;
    escalated(&stage, &alertmanager, &first).await;
    stage.namespace.abandon().await;
}

/// What is refused, and how.
async fn refusals(controller: &Controller) {
    let payload = |version: &str| json!({"version": version, "alerts": []}).to_string().into_bytes();
    assert_eq!(post(controller, None, payload("4")).await.0, 401);
    assert_eq!(post(controller, Some("another-token-than-that-one"), payload("4")).await.0, 401);
    let (status, said) = post(controller, Some(TOKEN), vec![b'x'; 10 << 20]).await;
    assert_eq!((status, said["error"].as_str()), (413, Some("the body is larger than 1048576 bytes")));
    let (status, said) = post(controller, Some(TOKEN), payload("3")).await;
    let sentence = "this is version \"3\" of the payload of Alertmanager's webhook; version \"4\" is understood";
    assert_eq!((status, said["error"].as_str()), (400, Some(sentence)));
    assert_eq!(post(controller, Some(TOKEN), payload("4")).await.0, 200);
}

/// An alert opens an Incident, a second joins it, both are resolved, and the agent hears of it.
async fn resolved(stage: &Stage, alertmanager: &Alertmanager) -> String {
    let since = Timestamp::now() - SignedDuration::from_secs(30);
    alertmanager.alert("one", since, None).await;
    let opened = until_there_are(stage, 1).await.remove(0);
    let name = name(&opened);
    assert_eq!(opened.spec.title, "Slow: one is slow");
    assert_eq!((opened.spec.severity, opened.spec.evidence.len()), (crds::Severity::Critical, 1));
    stage.namespace.wait(&name, "waiting in its first command", LONG, waits).await;
    alertmanager.alert("two", since, None).await;
    let both = |incident: &Incident| alerts_of(incident).iter().filter(|(_, fires)| *fires).count() == 2;
    stage.namespace.wait(&name, "joined by the second", LONG, both).await;
    let now = Timestamp::now();
    for instance in ["one", "two"] {
        alertmanager.alert(instance, since, Some(now)).await;
    }
    let over = |incident: &Incident| {
        let alerts = alerts_of(incident);
        alerts.len() == 2 && alerts.iter().all(|(_, fires)| !fires)
    };
    let knows = stage.namespace.wait(&name, "told that both are resolved", LONG, over).await;
    let last = knows.spec.evidence.last().unwrap();
    assert!(last.message.ends_with("no alert of this Incident fires any more"), "{}", last.message);
    stage.counters[0].let_go(HOLD).await;
    let done = |incident: &Incident| phase(incident) == "Concluded";
    let ended = stage.namespace.wait(&name, "concluded by what its agent was told", LONG, done).await;
    assert_eq!(ended.status.unwrap().summary.as_deref(), Some("It is over."));
    assert_eq!(incidents(stage).await.len(), 1, "one for all of it");
    assert!(alertmanager.firing("OperatorIncidentEscalated").await.is_empty());
    name
}

/// An alert that stays: the Incident escalates, which is a page, until somebody knows.
async fn escalated(stage: &Stage, alertmanager: &Alertmanager, first: &str) {
    let since = Timestamp::now() - SignedDuration::from_secs(5);
    alertmanager.alert("three", since, None).await;
    let all = until_there_are(stage, 2).await;
    let name = all.iter().map(name).find(|name| name != first).unwrap();
    let done = |incident: &Incident| phase(incident) == "Escalated";
    let ended = stage.namespace.wait(&name, "escalated", LONG, done).await;
    let page = alertmanager.until("no page", "OperatorIncidentEscalated", 1).await.remove(0);
    assert_eq!((&page["labels"]["incident"], &page["labels"]["severity"]), (&json!(name), &json!("critical")));
    let session = ended.status.unwrap().session_id.unwrap();
    assert_eq!(page["annotations"]["command"], format!("operator audit show {session}"));
    let told = |incident: &Incident| condition(incident, "Notified") == ("True".into(), "Told".into());
    stage.namespace.wait(&name, "on record as told", LONG, told).await;

    // The page goes the same way as every alert, and opens nothing; neither does the alert that still fires.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(incidents(stage).await.len(), 2);
    stage.namespace.patch(&name, json!({"acknowledged": 1})).await;
    alertmanager.until("the page stays", "OperatorIncidentEscalated", 0).await;
    let ended = |incident: &Incident| condition(incident, "Notified") == ("False".into(), "Ended".into());
    stage.namespace.wait(&name, "on record as over", LONG, ended).await;

    // Tried again, it escalates again, and is a page again; deleted, it is none.
    stage.namespace.patch(&name, json!({"attempt": 2})).await;
    alertmanager.until("no second page", "OperatorIncidentEscalated", 1).await;
    let api: Api<Incident> = stage.namespace.api();
    api.delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
    alertmanager.until("the second page stays", "OperatorIncidentEscalated", 0).await;
}
