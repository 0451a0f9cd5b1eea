use std::collections::BTreeMap;

use crds::Severity;
use crds::alert::KnownAlert;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn alert(print: &str, since: i64) -> Alert {
    Alert {
        fingerprint: print.into(),
        name: "HighLatency".into(),
        severity: Severity::Error,
        summary: String::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts_at: at(since),
        since_is_said: true,
        ends_at: None,
        url: String::new(),
    }
}

fn ended(print: &str, since: i64, end: i64) -> Alert {
    Alert { ends_at: Some(at(end)), ..alert(print, since) }
}

fn knows_alert(print: &str, since: i64, end: Option<i64>) -> KnownAlert {
    let ends_at = end.map(|end| Time(at(end)));
    KnownAlert { fingerprint: print.into(), name: String::new(), starts_at: Time(at(since)), ends_at }
}

/// One that is about these alerts.
fn incident(name: &str, alerts: &[KnownAlert], ended: Option<(IncidentPhase, i64)>) -> Known {
    Known {
        name: name.into(),
        version: None,
        fingerprint: None,
        violated: Vec::new(),
        alerts: alerts.to_vec(),
        evidence: Vec::new(),
        severity: Severity::Error,
        created: at(0),
        ended: ended.map(|(phase, end)| (phase, at(end))),
        goes: false,
        repairs: true,
    }
}

const OPENING: Opening =
    Opening { wanted: true, cooldown: Duration::from_mins(2), recurrence: Duration::from_hours(1) };

fn prints(decision: &Decision) -> (&'static str, Vec<&str>) {
    match decision {
        Decision::Known { .. } => ("known", Vec::new()),
        Decision::Had { .. } => ("had", Vec::new()),
        Decision::Off => ("off", Vec::new()),
        Decision::Wait { .. } => ("wait", Vec::new()),
        Decision::Join { alerts, .. } => ("join", alerts.iter().map(|alert| alert.fingerprint.as_str()).collect()),
        Decision::Open { alerts } => ("open", alerts.iter().map(|alert| alert.fingerprint.as_str()).collect()),
    }
}

fn decided(alerts: &[Alert], known: &[Known], now: i64) -> (&'static str, Vec<String>) {
    let decision = firing(alerts.to_vec(), known, OPENING, at(now));
    let (what, prints) = prints(&decision);
    (what, prints.into_iter().map(str::to_owned).collect())
}

#[test]
fn the_first_opens_one_and_the_next_joins_it() {
    let worse = Alert { severity: Severity::Critical, ..alert("b", 5) };
    assert_eq!(decided(&[alert("a", 0), worse], &[], 10), ("open", vec!["b".into(), "a".into()]));
    let open = incident("i", &[knows_alert("a", 0, None)], None);
    assert_eq!(decided(&[alert("a", 0), alert("c", 20)], std::slice::from_ref(&open), 30), ("join", vec!["c".into()]));
    assert_eq!(decided(&[alert("a", 0)], &[open], 3600), ("known", vec![]), "Alertmanager repeats itself");
}

#[test]
fn it_joins_what_the_monitor_opened_and_not_what_a_person_wrote() {
    let violated = crds::incident::Violated { invariant: "down".into(), key: String::new() };
    let monitors = Known { violated: vec![violated], ..incident("m", &[], None) };
    assert_eq!(decided(&[alert("a", 0)], &[monitors], 10).0, "join");
    let persons = incident("p", &[], None);
    assert_eq!(decided(&[alert("a", 0)], &[persons], 10).0, "open", "it is stored, and waits in the queue");
}

#[test]
fn one_that_began_anew_is_told_anew_and_an_old_word_is_not() {
    let open = |alert| incident("i", &[alert], None);
    let still = open(knows_alert("a", 10, None));
    assert_eq!(decided(&[alert("a", 20)], std::slice::from_ref(&still), 30).0, "join");
    assert_eq!(decided(&[alert("a", 5)], &[still], 30).0, "known");
    let over = open(knows_alert("a", 10, Some(20)));
    assert_eq!(decided(&[alert("a", 25)], std::slice::from_ref(&over), 30).0, "join");
    assert_eq!(
        decided(&[alert("a", 10)], std::slice::from_ref(&over), 30).0,
        "join",
        "it is said to fire: it is not lost"
    );
    assert_eq!(decided(&[alert("a", 5)], &[over], 30).0, "known");
}

#[test]
fn who_does_not_say_since_when_speaks_of_the_one_that_fires() {
    let unsaid = Alert { since_is_said: false, ..alert("a", 500) };
    let open = incident("i", &[knows_alert("a", 10, None)], None);
    assert_eq!(decided(std::slice::from_ref(&unsaid), &[open], 500).0, "known");
    let escalated = incident("i", &[knows_alert("a", 10, None)], Some((IncidentPhase::Escalated, 100)));
    assert_eq!(decided(std::slice::from_ref(&unsaid), &[escalated], 500).0, "had");
    let over = incident("i", &[knows_alert("a", 10, Some(90))], Some((IncidentPhase::Escalated, 100)));
    assert_eq!(decided(&[unsaid], &[over], 500).0, "open");
}

#[test]
fn after_an_end_the_cooldown_is_waited_for() {
    for phase in [IncidentPhase::Resolved, IncidentPhase::Concluded] {
        let over = [incident("i", &[knows_alert("a", 0, None)], Some((phase, 100)))];
        let decision = firing(vec![alert("a", 0)], &over, OPENING, at(150));
        assert_eq!(decision, Decision::Wait { until: at(220) });
        assert_eq!(decided(&[alert("a", 0)], &over, 221).0, "open", "it goes on: the repair did not last");
        assert_eq!(
            decided(&[alert("a", 0), alert("b", 140)], &over, 150),
            ("open", vec!["b".into(), "a".into()]),
            "b is new"
        );
        assert_eq!(decided(&[alert("b", 50)], &over, 150).0, "wait", "an agent was at it while b fired");
    }
}

#[test]
fn what_an_agent_could_not_repair_needs_a_person_and_no_other_agent() {
    for phase in [IncidentPhase::Escalated, IncidentPhase::Failed, IncidentPhase::Cancelled] {
        let over = [incident("i", &[knows_alert("a", 0, None)], Some((phase, 100)))];
        assert_eq!(firing(vec![alert("a", 0)], &over, OPENING, at(10_000)), Decision::Had { incident: "i".into() });
        assert_eq!(decided(&[alert("a", 5000)], &over, 10_000).0, "open", "it was gone, and came again");
        let goes = [Known { goes: true, ..over[0].clone() }];
        assert_eq!(decided(&[alert("a", 0)], &goes, 150).0, "wait", "somebody deletes it");
    }
}

#[test]
fn a_subject_that_opens_none_has_none_opened_and_an_open_one_is_joined_all_the_same() {
    let off = Opening { wanted: false, ..OPENING };
    assert_eq!(firing(vec![alert("a", 0)], &[], off, at(1)), Decision::Off);
    let open = incident("i", &[knows_alert("b", 0, None)], None);
    assert!(matches!(firing(vec![alert("a", 0)], &[open], off, at(1)), Decision::Join { .. }));
}

#[test]
fn an_end_is_told_to_all_that_knew_it_as_firing() {
    let known = [
        incident("old", &[knows_alert("a", 0, None)], Some((IncidentPhase::Escalated, 50))),
        incident("new", &[knows_alert("a", 60, None), knows_alert("b", 60, Some(70))], None),
        incident("other", &[knows_alert("c", 0, None)], None),
    ];
    let told = |alerts: &[Alert]| -> Vec<(String, usize)> {
        resolved(alerts.to_vec(), &known).into_iter().map(|(name, alerts)| (name, alerts.len())).collect()
    };
    assert_eq!(told(&[ended("a", 60, 90), ended("b", 60, 70)]), [("old".to_owned(), 1), ("new".to_owned(), 1)]);
    assert_eq!(told(&[ended("a", 0, 40)]), [("old".to_owned(), 1)], "the end of an earlier time");
    assert!(told(&[ended("x", 0, 40)]).is_empty());
}

#[test]
fn what_came_again_is_counted() {
    let over = |name: &str, phase, end: i64, print: &str, gone: Option<i64>| {
        incident(name, &[knows_alert(print, 0, gone)], Some((phase, end)))
    };
    let known = [
        over("one", IncidentPhase::Resolved, 100, "a", Some(90)),
        over("two", IncidentPhase::Concluded, 5000, "a", Some(4900)),
        over("three", IncidentPhase::Escalated, 6000, "a", Some(5900)),
        over("four", IncidentPhase::Resolved, 6000, "b", None),
    ];
    let of = |print: &str, since: i64, now: i64| recurrence(&alert(print, since), &known, OPENING.recurrence, at(now));
    assert_eq!(of("a", 6500, 7000), Recurrence { of: Some("two".into()), count: 1 });
    assert_eq!(of("a", 6500, 100_000), Recurrence::default());
    assert_eq!(of("b", 0, 100_000), Recurrence { of: Some("four".into()), count: 1 }, "it was never gone");
    assert_eq!(of("c", 0, 7000), Recurrence::default());
}
