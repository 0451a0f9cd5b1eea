//! Resources, as a cluster would send them.

use std::sync::Arc;

use crds::{DemoChapter, Incident, Subject};
use serde_json::{Value, json};

use crate::feed::Object;

/// An Incident of a running attempt. `more` is laid over it.
#[must_use]
pub fn incident(name: &str, subject: &str, more: &Value) -> Object {
    let mut object = json!({
        "apiVersion": "operator.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1,
            "creationTimestamp": "2026-01-28T11:58:48Z",
        },
        "spec": {"title": format!("{subject} is not well"), "subjectRef": {"name": subject}, "severity": "critical"},
    });
    merge(&mut object, more);
    Object::Incident(Arc::new(serde_json::from_value::<Incident>(object).unwrap()))
}

/// An Incident with a status.
#[must_use]
pub fn with_status(name: &str, subject: &str, severity: &str, status: &Value) -> Object {
    incident(name, subject, &json!({"spec": {"severity": severity}, "status": status}))
}

/// A Subject with a healthy and a violated invariant. `more` is laid over it.
#[must_use]
pub fn subject(name: &str, more: &Value) -> Object {
    let mut object = json!({
        "apiVersion": "operator.dev/v1alpha1",
        "kind": "Subject",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1,
            "creationTimestamp": "2026-01-20T08:00:00Z",
        },
        "spec": {"where": {"docker": {"project": name}}},
    });
    merge(&mut object, more);
    Object::Subject(Arc::new(serde_json::from_value::<Subject>(object).unwrap()))
}

/// A chapter of a demo. `more` is laid over it.
#[must_use]
pub fn chapter(demo: &str, order: i64, title: &str, more: &Value) -> Object {
    let name = format!("{demo}-{order}");
    let mut object = json!({
        "apiVersion": "operator.dev/v1alpha1",
        "kind": "DemoChapter",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"demo": demo, "order": order, "title": title, "subjectRef": {"name": demo}},
    });
    merge(&mut object, more);
    Object::Chapter(Arc::new(serde_json::from_value::<DemoChapter>(object).unwrap()))
}

/// So many Incidents, of all severities and phases.
#[must_use]
pub fn incidents(how_many: usize) -> Vec<Object> {
    let phases = ["Running", "Pending", "Verifying", "Resolved", "Concluded", "Escalated", "Failed", "Cancelled"];
    let severities = ["critical", "error", "warning", "info"];
    (0..how_many)
        .map(|index| {
            let phase = phases[index % phases.len()];
            let (hour, minute, second) = (index / 3600 % 12, index / 60 % 60, index % 60);
            incident(
                &format!("inc-{index:05}"),
                ["tikv", "ratelimiter", "etcd"][index % 3],
                &json!({
                    "metadata": {"creationTimestamp": format!("2026-01-28T{hour:02}:{minute:02}:{second:02}Z")},
                    "spec": {"severity": severities[index / 8 % 4], "title": format!("something is wrong, number {index}")},
                    "status": {
                        "phase": phase, "attempt": 1, "sessionId": format!("s-{index}"), "commands": index % 40,
                        "cost": format!("$0.{:02}", index % 100), "message": format!("message {index}"),
                    },
                }),
            )
        })
        .collect()
}

fn merge(object: &mut Value, more: &Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (key, value) in more {
                merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (object, more) => *object = more.clone(),
    }
}
