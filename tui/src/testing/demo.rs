//! A demo to look at: a store of a database is killed, and an agent brings it back.

use std::sync::Arc;

use serde_json::{Value, json};

use super::session::SESSION;
use super::{chapter as chapter_of, incident as incident_of, subject as subject_of};
use crate::feed::{FeedEvent, Object, SubjectKey};

/// The demo's chapters: name, title, what is told, what is waited for.
pub const PAGES: [(&str, &str, &str); 8] = [
    (
        "Welcome",
        "Three stores keep the data, three placement drivers know where it is. In the next minutes one store is killed on purpose, and nobody will start it again but {{model}}. Everything beside this is the real system.",
        "",
    ),
    (
        "Three stores and three drivers",
        "Each store tells the placement drivers every ten seconds that it lives. Six invariants say what has to hold.",
        "all stores are up, and all invariants hold",
    ),
    (
        "Load",
        "A client writes and reads all the time. What it gets done is the number below.",
        "clients get their answers",
    ),
    (
        "Fault injection",
        "One of the three stores gets SIGKILL. Nothing starts it again by itself. Nobody tells the agent.",
        "",
    ),
    (
        "Detection",
        "No person watches. The invariant store_up needs ten seconds until it is sure. Then it opens an Incident by itself: an object in the cluster that says what is wrong, and not why.",
        "the monitor opens an Incident",
    ),
    (
        "AI remediation",
        "{{model}} works in a container of its own, beside the broken system: a shell, the project's containers, no playbook. Every command is on record before it runs. When it says that it is done, nobody believes it: the invariants must hold for 30 seconds.",
        "the Incident is Resolved",
    ),
    (
        "Recovery",
        "The agent is gone, its container too. What counts is what the clients see.",
        "all invariants hold, and no Incident is open",
    ),
    ("Complete", "A fault that nobody announced was noticed, understood, repaired and proven to be gone.", ""),
];

/// A chapter with this status.
#[must_use]
pub fn page(index: usize, status: &Value) -> Object {
    let (title, narration, waiting) = PAGES[index];
    let mut spec =
        json!({"narration": narration, "waiting": waiting, "entered": status["entered"].as_i64().unwrap_or(0)});
    if index == 3 {
        spec["countdown"] = json!("3s");
        spec["actions"] = json!([{"kill": {"target": {"service": "tikv1"}}}]);
    }
    if index == 4 {
        spec["advance"] = json!("Auto");
    }
    let order = i64::try_from(index).unwrap() + 1;
    let more = json!({"metadata": {"generation": 1}, "spec": spec});
    let Object::Chapter(chapter) = chapter_of("tikv", order, title, &more) else { panic!("no chapter") };
    let mut chapter = (*chapter).clone();
    let mut full = json!({"observedGeneration": 1, "model": "offline-tikv"});
    for (key, value) in status.as_object().into_iter().flatten() {
        full[key] = value.clone();
    }
    chapter.status = if status.is_null() { None } else { Some(serde_json::from_value(full).unwrap()) };
    Object::Chapter(Arc::new(chapter))
}

/// When a chapter was entered.
#[must_use]
pub fn entered_at(index: usize) -> String {
    ["11:59:00", "11:59:20", "11:59:40", "12:00:38", "12:00:43", "12:00:52", "12:00:58", "12:01:00"][index].to_owned()
}

/// A time of that day.
#[must_use]
pub fn at(clock: &str) -> String {
    format!("2026-01-28T{clock}Z")
}

/// The action of the fourth chapter.
#[must_use]
pub fn killed(state: &str) -> Value {
    json!([{"says": "kill tikv1", "state": state, "targets": ["tikv1"], "at": at("12:00:41")}])
}

/// All chapters, the one of this index open and in this state.
#[must_use]
pub fn open(index: usize, state: &str, more: &Value) -> Vec<Object> {
    let chapter = |other: usize| {
        let mut status = match other.cmp(&index) {
            std::cmp::Ordering::Less => {
                json!({"state": "Left", "entered": 1, "enteredAt": at(&entered_at(other)), "completedAt": at(&entered_at(other + 1))})
            }
            std::cmp::Ordering::Equal => json!({"state": state, "entered": 1, "enteredAt": at(&entered_at(other))}),
            std::cmp::Ordering::Greater => json!({"state": "Idle"}),
        };
        if other == 3 && index > 3 {
            status["actions"] = killed("Done");
        }
        if other == index {
            if state == "Complete" {
                status["completedAt"] = json!(at("12:01:01"));
            }
            for (key, value) in more.as_object().into_iter().flatten() {
                status[key] = value.clone();
            }
        }
        page(other, &status)
    };
    (0..PAGES.len()).map(chapter).collect()
}

/// All chapters at the beginning.
#[must_use]
pub fn idle() -> Vec<Object> {
    (0..PAGES.len()).map(|index| page(index, &json!({"state": "Idle"}))).collect()
}

/// The Subject, its store well or down.
#[must_use]
pub fn system(store: &str) -> Object {
    let invariant = |name: &str, state: &str, since: &str, message: &str| json!({"name": name, "state": state, "severity": "error", "since": at(since), "message": message, "total": 3});
    let mut store_up = invariant("store_up", store, if store == "Ok" { "11:40:00" } else { "12:00:46" }, "");
    if store != "Ok" {
        store_up["keys"] = json!([{"key": "tikv1", "state": store, "since": at("12:00:46"), "message": "tikv1 is Disconnected for 5 s (grace 10 s)"}]);
    }
    let invariants = json!([
        store_up,
        invariant("pd_quorum", "Ok", "11:40:00", ""),
        invariant("region_health", "Ok", "11:40:00", ""),
        invariant("p99_latency", if store == "Ok" { "Ok" } else { "Unknown" }, "12:00:31", "the reading is 31s old"),
    ]);
    subject_of("tikv", &json!({"spec": {"invariants": []}, "status": {"invariants": invariants}}))
}

/// The Incident of the fault.
#[must_use]
pub fn incident(phase: &str, more: &Value) -> Object {
    let mut status = json!({"phase": phase, "attempt": 1, "sessionId": SESSION, "startedAt": at("12:00:52"), "turns": 6, "commands": 4, "cost": "$0.00", "model": "offline-tikv"});
    for (key, value) in more.as_object().into_iter().flatten() {
        status[key] = value.clone();
    }
    let title = "store_up violated on tikv1";
    let more = json!({"metadata": {"creationTimestamp": at("12:00:51")}, "spec": {"title": title, "severity": "critical"}, "status": status});
    incident_of("inc-7f3a", "tikv", &more)
}

/// The Subject.
#[must_use]
pub fn key() -> SubjectKey {
    SubjectKey { namespace: "shop".to_owned(), name: "tikv".to_owned() }
}

/// What the monitor reads in a second.
#[must_use]
pub fn read(clock: &str, down: bool, operations: f64) -> FeedEvent {
    let row =
        |label: &str, state: &str, text: &str| json!({"key": label, "label": label, "state": state, "text": text});
    let store = |n: u8, leaders: u8| row(&format!("tikv{n}"), "ok", &format!("leads {leaders}"));
    let broken = if down { row("tikv1", "bad", "Disconnected, 42 regions, leads 0") } else { store(1, 43) };
    let document = json!({
        "subject": "shop/tikv", "at": at(clock), "rounds": 7, "invariants": [],
        "observed": {"status": "True", "reason": "Reading", "message": ""},
        "display": {
            "groups": [
                {"title": "Stores", "rows": [store(0, 41), broken, store(2, 44)]},
                {"title": "Placement drivers", "rows": [row("pd0", "ok", "leads"), row("pd1", "ok", ""), row("pd2", "warn", "slow")]},
            ],
            "workload": {"label": "Operations", "value": operations, "unit": "/s"},
        },
    });
    FeedEvent::Observations { subject: key(), document }
}

/// The readings of two minutes, the last of which with a store down if `down`.
#[must_use]
pub fn readings(down: bool) -> Vec<FeedEvent> {
    let clock =
        |second: u32| format!("{:02}:{:02}:{:02}", 11 + (3540 + second) / 3600, (3540 + second) / 60 % 60, second % 60);
    (0_u32..120)
        .map(|second| {
            let wave = f64::from(second % 7) * 31.0;
            let after = second.saturating_sub(101);
            let operations = match after {
                _ if !down => 8600.0 + wave,
                0 => 8600.0 + wave,
                1..=6 => 8600.0 - f64::from(after) * 1350.0,
                _ => 700.0 + f64::from(after) * 190.0,
            };
            read(&clock(second), down && after > 3, operations)
        })
        .collect()
}
