//! What an Incident of the monitor says, and that the API server takes it.

use std::sync::Arc;
use std::time::Duration;

use kube::core::cel::validate_cel;

use super::*;
use crate::config::Config;
use crate::incident::validate::Defaults;
use crate::monitor::open::{self, Decision, Facts, Told};
use crate::monitor::order::Opening;

fn order() -> Order {
    let yaml = "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {name: shop, namespace: ns, uid: u-1}\n\
                spec: {where: {docker: {project: shop}}, probes: [{name: c, docker: {}}], invariants: [\
                {name: node_down, description: Each node answers., violated: 'true'}]}";
    let subject = Arc::new(serde_saphyr::from_str(yaml).unwrap());
    let defaults = Defaults { model: "m".into(), image: "agent:1".into(), config: Config::default() };
    Order::new(&subject, &defaults).unwrap()
}

fn violation(key: &str, since: i64) -> Violation {
    Violation {
        invariant: "node_down".into(),
        key: key.into(),
        severity: Severity::Critical,
        since: Timestamp::from_second(1_769_633_688 + since).unwrap(),
        message: format!("{key} does not answer"),
    }
}

fn readings(violation: &Violation) -> Readings {
    HashMap::from([(violation.named(), vec!["probe http of node1: connection refused".to_owned()])])
}

/// That the types and the rules of the schema take it, also after a way through JSON.
fn is_valid(incident: &Incident) {
    let again: Incident = serde_json::from_value(serde_json::to_value(incident).unwrap()).unwrap();
    assert_eq!(&again, incident);
    validate_cel(incident).unwrap();
    let spec = &incident.spec;
    assert!(spec.title.chars().count() <= 200 && spec.description.chars().count() <= 32_768);
    assert!(spec.evidence.len() <= 64);
    for evidence in &spec.evidence {
        assert!((1..=4096).contains(&evidence.message.chars().count()), "{evidence:?}");
        assert!((1..=253).contains(&evidence.source.chars().count()), "{evidence:?}");
    }
    assert!(incident.name_any().len() <= 253);
}

#[test]
fn one_violation_is_told_with_what_was_read_around_it() {
    let one = violation("node1", 0);
    let incident = incident(&order(), "operator", std::slice::from_ref(&one), &readings(&one), &Recurrence::default());
    is_valid(&incident);
    assert_eq!(
        incident.name_any(),
        format!("shop-node-down-{}-t9le3c", &fingerprint("u-1", "node_down", "node1")[..8])
    );
    assert_eq!(incident.spec.title, "node_down[node1]: node1 does not answer");
    assert_eq!(incident.spec.severity, Severity::Critical);
    let text = &incident.spec.description;
    for said in [
        "node_down[node1] (critical), since 2026-01-28T20:54:48Z\nnode1 does not answer",
        "What this invariant is about: Each node answers.",
        "- probe http of node1: connection refused",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let origin = incident.spec.origin.clone().unwrap();
    assert_eq!(origin.violated, [one.named()]);
    assert_eq!(incident.labels()[names::LABEL_FINGERPRINT], origin.fingerprint);
    assert_eq!(incident.labels()[names::LABEL_INSTALLATION], "operator");
    assert!(incident.spec.evidence[0].message.ends_with("- probe http of node1: connection refused"));
    assert!(!text.contains("at once") && !text.contains("did not last"), "{text}");
}

#[test]
fn a_storm_is_one_incident_that_says_why() {
    let many: Vec<_> = (0..200).map(|n| violation(&format!("{n:03}{}", "k".repeat(240)), n)).collect();
    let incident = incident(&order(), "operator", &many, &Readings::new(), &Recurrence::default());
    is_valid(&incident);
    assert!(incident.spec.title.ends_with("… (and 199 more)"), "{}", incident.spec.title);
    assert!(incident.spec.description.contains("200 violations at once are one Incident, because"));
    let evidence = &incident.spec.evidence;
    assert_eq!((evidence.len(), incident.spec.origin.clone().unwrap().violated.len()), (64, 64));
    assert!(evidence[63].message.starts_with("137 more, the last of them node_down[199k"), "{}", evidence[63].message);
}

#[test]
fn a_recurrence_names_the_one_before() {
    let again = Recurrence { of: Some("shop-node-down-1".into()), count: 2 };
    let incident = incident(&order(), "operator", &[violation("a", 0)], &Readings::new(), &again);
    is_valid(&incident);
    let origin = incident.spec.origin.unwrap();
    assert_eq!((origin.recurrence_of.as_deref(), origin.recurrences), (Some("shop-node-down-1"), 2));
    let text = incident.spec.description;
    assert!(
        text.contains("2 time(s)") && text.contains("Incident shop-node-down-1. That repair did not last"),
        "{text}"
    );
}

#[test]
fn long_words_stay_within_the_limits() {
    let mut long = violation(&"k".repeat(5000), 0);
    long.message = "m\u{e9}".repeat(5000);
    let read = HashMap::from([(long.named(), vec!["r".repeat(9000); 20])]);
    let mut incident = incident(&order(), "operator", &[long.clone(), long], &read, &Recurrence::default());
    // A key of this length is the judge's to refuse; all else fits.
    incident.spec.origin = None;
    is_valid(&incident);
}

#[test]
fn a_name_is_the_same_for_the_same_and_valid_for_any_subject() {
    let one = violation("node1", 0);
    assert_eq!(name("s", "u", &one), name("s", "u", &one));
    assert_ne!(name("s", "u", &one), name("s", "u", &violation("node1", 1)));
    assert_ne!(name("s", "u", &one), name("s", "u", &violation("node2", 0)));
    let long = format!("{}.{}", "a".repeat(179), "b".repeat(70));
    let long = name(&long, "u", &one);
    assert!(long.len() <= 253 && !long.contains(".-") && !long.contains('_'), "{long}");
    assert_eq!((base36(0), base36(35), base36(36)), ("0".into(), "z".into(), "10".into()));
}

/// What is opened and then joined is told; nothing is told twice, and what comes beyond the room is counted.
#[test]
fn evidence_joins_and_is_told_once() {
    let opening = Opening { wanted: true, cooldown: Duration::ZERO, recurrence: Duration::ZERO };
    let now = Timestamp::from_second(2_000_000_000).unwrap();
    let mut standing = vec![violation("000", 0)];
    let opened = incident(&order(), "operator", &standing, &Readings::new(), &Recurrence::default());
    let mut known = [Known::of(&opened)];
    let mut told = Told::new();
    for round in 1..100 {
        let mut new = violation(&format!("{round:03}"), round);
        new.severity = Severity::Error;
        standing.push(new.clone());
        let facts = Facts { known: &known, told: &told, opening, now };
        let Decision::Join { violations, .. } = open::decide(standing.clone(), facts) else {
            unreachable!("a new one joins: {round}")
        };
        assert_eq!(violations, [new], "and it alone");
        let Joined { evidence, violated, severity, .. } = join(&known[0], &violations, &Readings::new());
        told.extend(violations.iter().map(|violation| (violation.named(), violation.since.as_second())));
        let mut changed = opened.clone();
        changed.spec.evidence.clone_from(&evidence);
        is_valid(&changed);
        known[0] = Known { violated, evidence, severity, ..known[0].clone() };
    }
    assert_eq!((known[0].evidence.len(), known[0].violated.len()), (64, 64));
    assert_eq!(known[0].severity, Severity::Critical, "the worst");
    let last = &known[0].evidence[63].message;
    assert!(last.starts_with("37 more, the last of them node_down[099]"), "{last}");
}

/// Two hundred at once: what has no room is counted once, also by a controller that remembers nothing of it.
#[test]
fn what_is_only_counted_is_counted_once() {
    let opening = Opening { wanted: true, cooldown: Duration::ZERO, recurrence: Duration::ZERO };
    let now = Timestamp::from_second(2_000_000_000).unwrap();
    let mut standing: Vec<_> = (0..200).map(|number| violation(&format!("{number:03}"), number % 3)).collect();
    open::sort(&mut standing);
    let opened = incident(&order(), "operator", &standing, &Readings::new(), &Recurrence::default());
    is_valid(&opened);
    let told = Told::new();
    let known = [Known::of(&opened)];
    let last = &opened.spec.evidence[63].message;
    assert!(last.starts_with("137 more, "), "{last}");
    let facts = || Facts { known: &known, told: &told, opening, now };
    assert_eq!(open::decide(standing.clone(), facts()), Decision::Nothing);

    // One that begins later is told.
    let new = violation("later", 9);
    standing.push(new.clone());
    let Decision::Join { violations, .. } = open::decide(standing, facts()) else { unreachable!("a new one joins") };
    assert_eq!(violations, [new]);
    let joined = join(&known[0], &violations, &Readings::new());
    let last = joined.evidence.last().unwrap();
    assert!(last.message.starts_with("138 more, the last of them node_down[later]"), "{last:?}");

    // What is counted stays told when an older one is counted after it.
    let older = violation("older", -5);
    let again = join(&Known { evidence: joined.evidence, ..known[0].clone() }, &[older], &Readings::new());
    let last = again.evidence.last().unwrap();
    assert!(last.message.starts_with("139 more"), "{last:?}");
    assert_eq!(last.observed_at.as_ref().unwrap().0, violations[0].since);
}
