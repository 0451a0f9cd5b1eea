use crds::{Incident, IncidentPhase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::monitor::fake::{FakeCluster, Trouble};

pub(in crate::alert) fn subject(name: &str, more: &Value) -> Subject {
    let mut spec = json!({
        "where": {"docker": {"project": name}},
        "alerts": [{"matchers": [{"name": "service", "value": name}]}],
    });
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        spec[key] = value;
    }
    serde_json::from_value(json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "Subject",
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "generation": 1}, "spec": spec,
    }))
    .unwrap()
}

fn desk(cluster: &FakeCluster) -> Desk {
    Desk::new(Arc::new(cluster.clone()), Tenants::default(), Arc::new(Metrics::default()))
}

fn alert(service: &str, print: &str) -> Alert {
    Alert {
        fingerprint: print.into(),
        name: "Slow".into(),
        severity: crds::Severity::Error,
        summary: "it is slow".into(),
        labels: [("service".to_owned(), service.to_owned())].into(),
        annotations: BTreeMap::new(),
        starts_at: Timestamp::from_second(Timestamp::now().as_second() - 60).unwrap(),
        since_is_said: true,
        ends_at: None,
        url: String::new(),
    }
}

fn over(alert: &Alert) -> Alert {
    Alert { ends_at: Some(Timestamp::now()), ..alert.clone() }
}

fn shop() -> FakeCluster {
    let cluster = FakeCluster::default();
    cluster.set_subjects(vec![subject("shop", &json!({})), subject("bank", &json!({}))]);
    cluster
}

fn end(cluster: &FakeCluster, phase: &str, ago: i64) {
    let at = Timestamp::from_second(Timestamp::now().as_second() - ago).unwrap();
    cluster.change(|all| {
        for incident in all {
            let status = json!({"phase": phase, "attempt": incident.spec.attempt});
            incident.status = Some(serde_json::from_value(status).unwrap());
            incident.status.as_mut().unwrap().finished_at = Some(Time(at));
            incident.metadata.creation_timestamp = Some(Time(at));
        }
    });
}

fn only(report: &Report) -> (Outcome, Option<String>) {
    assert_eq!(report.subjects.len(), 1, "{report:?}");
    (report.subjects[0].outcome, report.subjects[0].incident.clone())
}

fn alerts_of(incident: &Incident) -> Vec<(String, bool)> {
    let alerts = incident.spec.origin.as_ref().unwrap().alerts.iter();
    alerts.map(|alert| (alert.fingerprint.clone(), alert.ends_at.is_none())).collect()
}

#[tokio::test]
async fn an_alert_opens_an_incident_a_second_joins_and_a_repeat_changes_nothing() {
    let cluster = shop();
    let desk = desk(&cluster);
    let first = desk.take(vec![alert("shop", "a")], 0).await;
    let name = cluster.all_incidents()[0].name_any();
    assert_eq!(only(&first), (Outcome::Opened, Some(name.clone())));
    assert_eq!(only(&desk.take(vec![alert("shop", "b")], 0).await), (Outcome::Joined, Some(name.clone())));
    let version = cluster.all_incidents()[0].metadata.resource_version.clone();
    assert_eq!(
        only(&desk.take(vec![alert("shop", "a"), alert("shop", "b")], 0).await),
        (Outcome::Known, Some(name.clone()))
    );
    let all = cluster.all_incidents();
    assert_eq!((all.len(), &all[0].metadata.resource_version), (1, &version));
    assert_eq!(alerts_of(&all[0]), [("a".to_owned(), true), ("b".to_owned(), true)]);
    assert!(cluster.events().iter().any(|event| event.starts_with("IncidentOpened: ")));

    let resolved = desk.take(vec![over(&alert("shop", "a"))], 0).await;
    assert_eq!(only(&resolved), (Outcome::Resolved, Some(name)));
    let all = cluster.all_incidents();
    assert_eq!(alerts_of(&all[0]), [("a".to_owned(), false), ("b".to_owned(), true)]);
    assert!(all[0].spec.evidence.last().unwrap().message.starts_with("the alert is resolved: Slow; 1 alert"));
    assert_eq!(only(&desk.take(vec![over(&alert("shop", "a"))], 0).await).0, Outcome::Over);
}

#[tokio::test]
async fn an_alert_of_nobody_is_counted_and_told() {
    let cluster = shop();
    let desk = desk(&cluster);
    let report = desk.take(vec![alert("mail", "a"), alert("shop", "b")], 0).await;
    assert_eq!((report.received, report.unmatched, report.again), (2, 1, None));
    assert_eq!(report.unmatched_alerts, ["service=\"mail\""]);
    assert_eq!(cluster.all_incidents().len(), 1);
    assert!(desk.metrics.text().contains("operator_alerts_total{category=\"unmatched\"} 1"), "{}", desk.metrics.text());
}

#[tokio::test]
async fn an_alert_of_several_subjects_opens_on_each_and_one_of_too_many_on_none() {
    let cluster = FakeCluster::default();
    let everybody = json!({"alerts": [{"matchers": [{"name": "service", "op": "=~", "value": ".+"}]}]});
    let subjects = |count: usize| (0..count).map(|number| subject(&format!("s{number}"), &everybody)).collect();
    cluster.set_subjects(subjects(3));
    let desk = desk(&cluster);
    let report = desk.take(vec![alert("shop", "a")], 0).await;
    assert_eq!(report.subjects.iter().filter(|line| line.outcome == Outcome::Opened).count(), 3);
    cluster.set_subjects(subjects(9));
    let report = desk.take(vec![alert("shop", "b")], 0).await;
    assert_eq!((report.ambiguous, report.subjects.len()), (1, 0));
    assert!(
        report.unmatched_alerts[0].ends_with("the rules of 9 Subjects fit, and an alert may be of 8 at most"),
        "{report:?}"
    );
    assert_eq!(cluster.all_incidents().len(), 3);
}

#[tokio::test]
async fn a_subject_that_opens_none_or_is_not_accepted_says_so() {
    let cluster = FakeCluster::default();
    let kubernetes = json!({"where": {"kubernetes": {"namespace": "a", "serviceAccountName": "b"}}});
    cluster.set_subjects(vec![
        subject("quiet", &json!({"policy": {"autoCreate": false}})),
        subject("asleep", &json!({"suspend": true})),
        subject("strange", &kubernetes),
    ]);
    let desk = desk(&cluster);
    for (service, outcome, why) in [
        ("quiet", Outcome::Off, "policy.autoCreate"),
        ("asleep", Outcome::Off, "spec.suspend"),
        ("strange", Outcome::Refused, "where.kubernetes is not supported"),
    ] {
        let report = desk.take(vec![alert(service, "a")], 0).await;
        assert_eq!((only(&report).0, report.again), (outcome, None));
        assert!(report.subjects[0].message.as_deref().unwrap().contains(why), "{report:?}");
    }
    assert!(cluster.all_incidents().is_empty());
    assert_eq!(
        cluster.events().iter().filter(|event| event.starts_with("AlertReceived: Slow it is slow: ")).count(),
        2
    );
}

#[tokio::test]
async fn what_cannot_be_stored_is_said_to_be_sent_again() {
    let cluster = shop();
    let desk = desk(&cluster);
    for call in ["subjects", "incidents", "open"] {
        cluster.fate(move |now| (now == call).then(|| Trouble::Refused("no API server".into())));
        let report = desk.take(vec![alert("shop", "a")], 0).await;
        assert!(
            report.again.is_some() && report.error.as_deref().unwrap().contains("no API server"),
            "{call}: {report:?}"
        );
        assert!(cluster.all_incidents().is_empty());
    }
    // It was created, and the answer was lost: the next time finds it.
    cluster.fate(|now| (now == "open").then_some(Trouble::AnswerLost));
    assert!(desk.take(vec![alert("shop", "a")], 0).await.again.is_some());
    cluster.fate(|_| None);
    assert_eq!(only(&desk.take(vec![alert("shop", "a")], 0).await).0, Outcome::Known);
    assert_eq!(cluster.all_incidents().len(), 1);
    cluster.fate(|now| (now == "join").then(|| Trouble::Refused("no API server".into())));
    assert!(desk.take(vec![alert("shop", "b")], 0).await.again.is_some());
    assert!(desk.take(vec![over(&alert("shop", "a"))], 0).await.again.is_some());
}

#[tokio::test]
async fn a_cooldown_is_waited_for_by_the_sender_and_then_it_is_a_recurrence() {
    let cluster = shop();
    let desk = desk(&cluster);
    desk.take(vec![alert("shop", "a")], 0).await;
    end(&cluster, "Resolved", 30);
    let report = desk.take(vec![alert("shop", "a")], 0).await;
    assert_eq!(only(&report).0, Outcome::Later);
    let again = report.again.unwrap();
    assert!((Duration::from_secs(80)..=Duration::from_secs(90)).contains(&again), "{again:?}");
    end(&cluster, "Resolved", 130);
    assert_eq!(only(&desk.take(vec![alert("shop", "a")], 0).await).0, Outcome::Opened);
    let all = cluster.all_incidents();
    assert_eq!(all.len(), 2);
    let origin = all[1].spec.origin.clone().unwrap();
    assert_eq!((origin.recurrences, origin.recurrence_of), (1, Some(all[0].name_any())));
}

#[tokio::test]
async fn an_escalated_incident_is_not_followed_by_another_and_hears_of_the_end() {
    let cluster = shop();
    let desk = desk(&cluster);
    desk.take(vec![alert("shop", "a")], 0).await;
    end(&cluster, "Escalated", 3);
    let report = desk.take(vec![alert("shop", "a")], 0).await;
    assert_eq!((only(&report).0, report.again), (Outcome::Ended, None));
    assert_eq!(only(&desk.take(vec![over(&alert("shop", "a"))], 0).await).0, Outcome::Resolved);
    let all = cluster.all_incidents();
    assert_eq!((all.len(), alerts_of(&all[0])), (1, vec![("a".to_owned(), false)]));
    assert_eq!(all[0].status.as_ref().unwrap().phase, IncidentPhase::Escalated);
}

#[tokio::test]
async fn many_systems_at_once_do_not_open_an_incident_each() {
    let cluster = FakeCluster::default();
    cluster.set_subjects((0..30).map(|number| subject(&format!("s{number}"), &json!({}))).collect());
    let desk = desk(&cluster);
    let alerts: Vec<Alert> = (0..30).map(|number| alert(&format!("s{number}"), "a")).collect();
    let report = desk.take(alerts.clone(), 0).await;
    assert_eq!(cluster.all_incidents().len(), 10);
    assert_eq!(report.subjects.iter().filter(|line| line.outcome == Outcome::Later).count(), 20);
    assert!(report.error.as_deref().unwrap().contains("at most 10 Incidents a minute"), "{report:?}");
    assert!(report.again.is_some(), "the others are sent again, and are not lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_open_one() {
    for round in 0..50 {
        let cluster = shop();
        let (one, two) = (Arc::new(desk(&cluster)), Arc::new(desk(&cluster)));
        let both = [(one.clone(), "a"), (two.clone(), "b"), (one, "b"), (two, "a")];
        let sent =
            both.map(|(desk, print)| tokio::spawn(async move { desk.take(vec![alert("shop", print)], 0).await }));
        for report in futures::future::join_all(sent).await {
            assert_eq!(report.unwrap().again, None);
        }
        let all = cluster.all_incidents();
        assert_eq!((all.len(), alerts_of(&all[0]).len()), (1, 2), "round {round}");
    }
}

#[tokio::test]
async fn a_wrong_expression_keeps_no_other_rule_from_working() {
    let cluster = FakeCluster::default();
    let rules = json!({"alerts": [
        {"matchers": [{"name": "service", "op": "=~", "value": "("}]},
        {"matchers": [{"name": "service", "value": "shop"}]},
    ]});
    cluster.set_subjects(vec![subject("shop", &rules)]);
    assert_eq!(only(&desk(&cluster).take(vec![alert("shop", "a")], 0).await).0, Outcome::Opened);
}

#[tokio::test]
async fn who_says_whose_it_is_needs_no_rule_and_must_be_right() {
    let cluster = FakeCluster::default();
    cluster.set_subjects(vec![subject("shop", &json!({"alerts": []}))]);
    let desk = desk(&cluster);
    assert_eq!(only(&desk.take_for("ns", "shop", alert("x", "a")).await.unwrap()).0, Outcome::Opened);
    let error = desk.take_for("ns", "shops", alert("x", "a")).await.unwrap_err();
    assert_eq!(error, "there is no Subject \"shops\" in namespace \"ns\" that this Operator serves");
}
