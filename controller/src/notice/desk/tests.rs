//! The task on Incidents in memory, with receivers that are real servers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use crds::IncidentStatus;
use serde_json::Value;

use super::*;
use crate::config::Config;
use crate::notice::courier::testing::Ear;

const PATIENCE: Duration = Duration::from_secs(30);

/// Incidents in memory, by name; who writes into a status sees to it that only its own part changes.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    incidents: BTreeMap<String, Incident>,
    leaving: Vec<Arc<Incident>>,
    events: Vec<String>,
    refuses: bool,
    writes: usize,
}

impl Cluster {
    fn all(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    fn escalated(&self, name: &str, attempt: i64) {
        let mut all = self.all();
        let incident = all.incidents.entry(name.to_owned()).or_insert_with(|| {
            let yaml = format!(
                "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: {name}, namespace: ns, uid: {name}}}\n\
                 spec: {{title: t, subjectRef: {{name: s}}}}\nstatus: {{phase: Escalated}}"
            );
            serde_saphyr::from_str(&yaml).unwrap()
        });
        incident.spec.attempt = attempt;
        let status = incident.status.get_or_insert_default();
        status.attempt = Some(attempt);
        status.phase = crds::IncidentPhase::Escalated;
        status.finished_at =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2026-01-28T20:54:48Z".parse().unwrap()));
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Incident)) {
        change(self.all().incidents.get_mut(name).unwrap());
    }

    fn delete(&self, name: &str) {
        let mut all = self.all();
        let gone = Arc::new(all.incidents.remove(name).unwrap());
        if !record::open(&gone).is_empty() {
            all.leaving.push(gone);
        }
    }

    fn status(&self, name: &str) -> IncidentStatus {
        self.all().incidents[name].status.clone().unwrap_or_default()
    }

    fn notified(&self, name: &str) -> String {
        let status = self.status(name);
        let found = crds::condition::find(&status.conditions, record::NOTIFIED);
        found.map(|condition| condition.reason.clone()).unwrap_or_default()
    }
}

#[async_trait]
impl Board for Cluster {
    async fn listed(&self) {}

    fn incidents(&self) -> Vec<Arc<Incident>> {
        self.all().incidents.values().cloned().map(Arc::new).collect()
    }

    fn now(&self, incident: &Incident) -> Option<Arc<Incident>> {
        self.all().incidents.get(&incident.name_any()).cloned().map(Arc::new)
    }

    fn leaving(&self) -> Vec<Arc<Incident>> {
        std::mem::take(&mut self.all().leaving)
    }

    async fn write(&self, incident: &Incident, part: &Value) -> Result<bool, String> {
        let mut all = self.all();
        if all.refuses {
            return Err("no API server".into());
        }
        all.writes += 1;
        let Some(there) = all.incidents.get_mut(&incident.name_any()) else { return Ok(false) };
        let status = there.status.get_or_insert_default();
        status.notices = serde_json::from_value(part["notices"].clone()).unwrap();
        status.conditions.retain(|condition| condition.type_ != record::NOTIFIED);
        status.conditions.extend(serde_json::from_value::<Vec<_>>(part["conditions"].clone()).unwrap());
        Ok(true)
    }

    async fn tell(&self, incident: &Incident, news: News) {
        self.all().events.push(format!("{} {}: {}", incident.name_any(), news.reason, news.note));
    }
}

/// A controller that leads; it dies with this.
struct Leader(tokio::task::JoinHandle<()>);

impl Drop for Leader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lead(cluster: &Cluster, receivers: &str) -> Leader {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config: Config =
        serde_saphyr::from_str(&format!("notices: {{waitingAfter: 1s, receivers: [{receivers}]}}")).unwrap();
    let clean = Arc::new(|_: &Notice, text: &str| text.to_owned());
    let metrics = Arc::new(Metrics::default());
    let receivers = &config.notices.receivers;
    let courier = Courier::new(receivers, "operator", clean, Arc::new(|| Ok(())), metrics.clone()).unwrap();
    let desk = Desk::new(Arc::new(cluster.clone()), courier, config.notices.waiting_after, metrics);
    Leader(tokio::spawn(desk.run()))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a webhook heard: `status incident`.
fn said(ear: &Ear) -> Vec<String> {
    let line = |body: &Value| {
        let about = body["about"]["incident"].as_str().or(body["name"].as_str()).unwrap_or_default();
        format!("{} {about}", body["status"].as_str().unwrap_or_default())
    };
    ear.heard().iter().map(|(_, _, body)| line(body)).collect()
}

#[tokio::test]
async fn a_page_comes_stands_on_record_and_goes_when_somebody_knows() {
    let (ear, cluster) = (Ear::default(), Cluster::default());
    let address = ear.listen().await;
    cluster.escalated("slow", 1);
    let _leader = lead(&cluster, &format!("{{name: chat, webhook: {{url: 'http://{address}'}}}}"));
    until("told", || cluster.notified("slow") == "Told").await;
    assert_eq!(said(&ear), ["firing slow"]);
    let notice = cluster.status("slow").notices.remove(0);
    assert_eq!((notice.receiver.as_str(), notice.reason.as_str(), notice.ended_at), ("chat", "Escalated", None));
    cluster.change("slow", |incident| incident.spec.acknowledged = Some(1));
    until("over", || cluster.notified("slow") == "Ended").await;
    assert_eq!(said(&ear), ["resolved slow"]);
    assert!(cluster.status("slow").notices[0].ended_at.is_some());
    let writes = cluster.all().writes;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!((said(&ear).len(), cluster.all().writes), (0, writes), "nothing new, nothing said and written");
    let events = cluster.all().events.clone();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0].starts_with("slow Notified: chat was told") && events[1].starts_with("slow NoticeEnded: chat"));
}

#[tokio::test]
async fn a_restart_repeats_no_page_and_forgets_none() {
    let (ear, cluster) = (Ear::default(), Cluster::default());
    let address = ear.listen().await;
    let receivers = format!("{{name: chat, webhook: {{url: 'http://{address}'}}}}");
    for name in ["a", "b", "c"] {
        cluster.escalated(name, 1);
    }
    let first = lead(&cluster, &receivers);
    until("told", || ["a", "b", "c"].iter().all(|name| cluster.notified(name) == "Told")).await;
    assert_eq!(said(&ear).len(), 3);
    drop(first);
    // While nobody leads: one is known, one is tried again and escalates again, one more comes, one is deleted.
    cluster.change("a", |incident| incident.spec.acknowledged = Some(1));
    cluster.escalated("b", 2);
    cluster.escalated("d", 1);
    cluster.delete("c");
    let _second = lead(&cluster, &receivers);
    until("all is said", || cluster.notified("a") == "Ended" && cluster.notified("d") == "Told").await;
    until("the second attempt", || cluster.status("b").notices[0].attempt == 2).await;
    let mut heard = Vec::new();
    while heard.len() < 4 {
        heard.extend(said(&ear));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    heard.extend(said(&ear));
    heard.sort();
    assert_eq!(heard, ["firing b", "firing d", "resolved a", "resolved c"]);
}

#[tokio::test]
async fn who_could_not_be_told_is_named_and_told_later() {
    let (ear, cluster) = (Ear::default(), Cluster::default());
    let address = ear.listen().await;
    ear.answer(&[503]);
    cluster.escalated("slow", 1);
    let _leader = lead(&cluster, &format!("{{name: team, alertmanager: {{url: 'http://{address}'}}}}"));
    until("not told", || cluster.notified("slow") == "NotTold").await;
    until("told", || cluster.notified("slow") == "Told").await;
    let events = cluster.all().events.clone();
    assert!(
        events[0].starts_with("slow NotNotified: team could not be told, and is tried again: it answered 503"),
        "{events:?}"
    );
    assert!(events[1].starts_with("slow Notified: "), "{events:?}");
}

#[tokio::test]
async fn what_cannot_be_written_is_written_later() {
    let (ear, cluster) = (Ear::default(), Cluster::default());
    let address = ear.listen().await;
    cluster.escalated("slow", 1);
    cluster.all().refuses = true;
    let _leader = lead(&cluster, &format!("{{name: chat, webhook: {{url: 'http://{address}'}}}}"));
    until("said", || !cluster.all().events.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(cluster.notified("slow"), "");
    cluster.all().refuses = false;
    until("told", || cluster.notified("slow") == "Told").await;
    assert_eq!(said(&ear), ["firing slow"], "once");
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_once_for_all() {
    let (ear, cluster) = (Ear::default(), Cluster::default());
    let address = ear.listen().await;
    for name in ["a", "b"] {
        cluster.escalated(name, 1);
        cluster.change(name, |incident| {
            let status = json!({"phase": "Pending", "attempt": 1, "message": "it is away", "conditions": [{
                "type": "SessionReady", "status": "False", "reason": "EngineUnavailable", "message": "m",
                "lastTransitionTime": "2026-01-28T20:54:48Z"}]});
            incident.status = Some(serde_json::from_value(status).unwrap());
        });
    }
    let _leader = lead(&cluster, &format!("{{name: chat, webhook: {{url: 'http://{address}'}}}}"));
    let heard = Mutex::new(Vec::new());
    let hear = |count: usize| {
        heard.lock().unwrap().extend(said(&ear));
        heard.lock().unwrap().len() == count
    };
    until("told", || hear(1)).await;
    cluster.all().incidents.clear();
    until("over", || hear(2)).await;
    assert_eq!(*heard.lock().unwrap(), ["firing OperatorWaitsForEngine", "resolved OperatorWaitsForEngine"]);
}
