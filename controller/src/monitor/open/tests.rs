//! What opens an Incident and what does not.

use crds::incident::Evidence;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn violation(invariant: &str, key: &str, since: i64) -> Violation {
    Violation {
        invariant: invariant.into(),
        key: key.into(),
        severity: Severity::Error,
        since: at(since),
        message: format!("{invariant} of {key}"),
    }
}

/// One that the monitor opened for these, each with its evidence.
fn monitors(name: &str, violations: &[Violation], ended: Option<(IncidentPhase, i64)>) -> Known {
    let evidence = |violation: &Violation| Evidence {
        source: crate::monitor::words::source(violation),
        message: violation.message.clone(),
        observed_at: Some(Time(violation.since)),
    };
    Known {
        name: name.into(),
        version: None,
        fingerprint: violations.first().map(|first| fingerprint("u", &first.invariant, &first.key)),
        violated: violations.iter().map(Violation::named).collect(),
        alerts: Vec::new(),
        evidence: violations.iter().map(evidence).collect(),
        severity: Severity::Error,
        created: at(0),
        ended: ended.map(|(phase, seconds)| (phase, at(seconds))),
        goes: false,
        repairs: true,
    }
}

fn persons(name: &str, ended: Option<(IncidentPhase, i64)>) -> Known {
    Known { fingerprint: None, ..monitors(name, &[], ended) }
}

const POLICY: Opening = Opening { wanted: true, cooldown: Duration::from_mins(2), recurrence: Duration::from_hours(1) };

fn facts<'a>(known: &'a [Known], told: &'a Told, now: i64) -> Facts<'a> {
    Facts { known, told, opening: POLICY, now: at(now) }
}

fn decided(violations: &[Violation], known: &[Known], now: i64) -> String {
    match decide(violations.to_vec(), facts(known, &Told::new(), now)) {
        Decision::Nothing => "nothing".into(),
        Decision::Join { incident, violations } => format!("join {incident}: {}", labels(&violations)),
        Decision::Theirs { incident } => format!("theirs {incident}"),
        Decision::Wait { until } => format!("wait {}", until.as_second() - 1_000_000),
        Decision::Open { violations } => format!("open {}", labels(&violations)),
    }
}

fn labels(violations: &[Violation]) -> String {
    violations.iter().map(Violation::label).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_first_violation_opens_one_and_all_at_once_open_one() {
    assert_eq!(decided(&[], &[], 0), "nothing");
    assert_eq!(decided(&[violation("down", "a", 0)], &[], 0), "open down[a]");
    let mut many: Vec<_> = (0..200).map(|n| violation("down", &format!("{n:03}"), 0)).collect();
    many[150].severity = Severity::Critical;
    many[20].since = at(-5);
    let opened = decided(&many, &[], 0);
    assert!(opened.starts_with("open down[150] down[020] down[000] down[001]"), "{opened}");
}

#[test]
fn what_else_is_violated_joins_once_and_again_when_it_came_again() {
    let first = violation("down", "a", 0);
    let open = monitors("one", std::slice::from_ref(&first), None);
    assert_eq!(decided(std::slice::from_ref(&first), std::slice::from_ref(&open), 10), "nothing");
    let second = violation("slow", "", 5);
    assert_eq!(decided(&[first.clone(), second.clone()], std::slice::from_ref(&open), 10), "join one: slow");
    let both = monitors("one", &[first.clone(), second.clone()], None);
    assert_eq!(decided(&[first, second], std::slice::from_ref(&both), 10), "nothing");
    assert_eq!(decided(&[violation("down", "a", 30)], &[both], 31), "join one: down[a]");
}

#[test]
fn one_that_found_no_room_as_evidence_is_told_by_its_name() {
    let mut open = monitors("one", &[violation("down", "a", 0), violation("down", "b", 0)], None);
    open.evidence.truncate(1);
    assert_eq!(decided(&[violation("down", "b", 0)], &[open], 1), "nothing");
}

#[test]
fn one_that_found_no_room_at_all_is_told_by_memory() {
    let open = [monitors("one", &[violation("down", "a", 0)], None)];
    let told = Told::from([(violation("down", "z", 5).named(), at(5).as_second())]);
    let decided = |since| decide(vec![violation("down", "z", since)], facts(&open, &told, 9));
    assert_eq!(decided(5), Decision::Nothing);
    assert!(matches!(decided(7), Decision::Join { .. }), "it came again");
}

#[test]
fn a_violation_without_a_break_has_one_incident_however_it_ended() {
    for phase in [IncidentPhase::Escalated, IncidentPhase::Failed, IncidentPhase::Cancelled, IncidentPhase::Concluded] {
        let ended = monitors("one", &[violation("down", "a", 0)], Some((phase, 100)));
        assert_eq!(
            decided(&[violation("down", "a", 0)], std::slice::from_ref(&ended), 100_000),
            "nothing",
            "{phase:?}"
        );
        // It held for a while, and the cooldown is over.
        assert_eq!(decided(&[violation("down", "a", 250)], std::slice::from_ref(&ended), 260), "open down[a]");
        // What was not in it has not had one.
        assert_eq!(decided(&[violation("down", "b", 0)], &[ended], 101), "open down[b]");
    }
}

#[test]
fn what_comes_and_goes_waits_for_the_cooldown() {
    let ended = monitors("one", &[violation("down", "a", 0)], Some((IncidentPhase::Resolved, 100)));
    let again = [violation("down", "a", 110)];
    assert_eq!(decided(&again, std::slice::from_ref(&ended), 111), "wait 220");
    assert_eq!(decided(&again, std::slice::from_ref(&ended), 220), "open down[a]");
    // Another key of the same invariant is another fault, and brings the first one along behind it.
    let both = [violation("down", "a", 110), violation("down", "b", 111)];
    assert_eq!(decided(&both, &[ended], 112), "open down[b] down[a]");
}

#[test]
fn a_resolved_one_proved_that_it_held_so_what_is_violated_now_is_new() {
    // Violated again after the proof and before the end was written.
    let ended = monitors("one", &[violation("down", "a", 0)], Some((IncidentPhase::Resolved, 100)));
    assert_eq!(decided(&[violation("down", "a", 98)], &[ended], 300), "open down[a]");
}

#[test]
fn somebody_elses_incident_is_enough_while_an_agent_works_on_it() {
    let now = [violation("down", "a", 50)];
    assert_eq!(decided(&now, &[persons("jane", None)], 60), "theirs jane");
    let looks_only = Known { repairs: false, ..persons("jane", None) };
    assert_eq!(decided(&now, &[looks_only], 60), "open down[a]");
    // It ended, and the violation stands.
    let ended = persons("jane", Some((IncidentPhase::Escalated, 100)));
    assert_eq!(decided(&now, std::slice::from_ref(&ended), 101), "wait 220");
    assert_eq!(decided(&now, std::slice::from_ref(&ended), 220), "open down[a]");
    assert_eq!(decided(&[violation("down", "a", 101)], &[ended], 102), "open down[a]", "it came after that");
    // The monitor's own comes first.
    let own = monitors("one", &[violation("down", "b", 0)], None);
    assert_eq!(decided(&now, &[persons("jane", None), own], 60), "join one: down[a]");
}

#[test]
fn maintenance_and_a_policy_without_it_open_nothing_and_join_what_is_open() {
    let off = Opening { wanted: false, ..POLICY };
    let now = vec![violation("down", "a", 0)];
    let told = Told::new();
    assert_eq!(decide(now.clone(), Facts { opening: off, ..facts(&[], &told, 1) }), Decision::Nothing);
    let own = [monitors("one", &[violation("down", "b", 0)], None)];
    assert!(matches!(decide(now, Facts { opening: off, ..facts(&own, &told, 1) }), Decision::Join { .. }));
}

#[test]
fn a_recurrence_is_counted_from_what_was_resolved_within_the_window() {
    let fault = violation("down", "a", 0);
    let one = |name: &str, phase, end| monitors(name, std::slice::from_ref(&fault), Some((phase, end)));
    let known = [
        one("long-ago", IncidentPhase::Resolved, 0),
        one("first", IncidentPhase::Resolved, 1000),
        one("given-up", IncidentPhase::Escalated, 1500),
        one("second", IncidentPhase::Resolved, 2000),
        monitors("other", &[violation("slow", "", 0)], Some((IncidentPhase::Resolved, 2100))),
    ];
    let found = recurrence("u", &fault, &known, POLICY.recurrence, at(4000));
    assert_eq!(found, Recurrence { of: Some("second".into()), count: 2 });
    assert_eq!(recurrence("u", &violation("down", "b", 0), &known, POLICY.recurrence, at(4000)), Recurrence::default());
    // It was in another one's, not its first.
    let along = monitors("along", &[violation("slow", "", 0), fault.clone()], Some((IncidentPhase::Resolved, 3000)));
    assert_eq!(recurrence("u", &fault, &[along], POLICY.recurrence, at(4000)).count, 1);
}
