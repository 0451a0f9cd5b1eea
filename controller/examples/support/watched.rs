//! A Subject as people write them: three nodes, their metrics, a store, six invariants.

use controller::probe::{Reading, Round};
use crds::Subject;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The nodes.
pub(crate) const NODES: [&str; 3] = ["node1", "node2", "node3"];
/// How many elements its invariants judge in all.
#[allow(dead_code)] // not every measurement needs it
pub(crate) const ELEMENTS: u64 = 3 + 3 + 1 + 1 + 3 + 1;

/// Subject `name`, in a compose project that is called the same.
pub(crate) fn subject(name: &str) -> Result<Subject, serde_json::Error> {
    let each = |metrics: Value| json!({"name": "nodes", "interval": "5s", "targets": NODES, "prometheus": metrics});
    serde_json::from_value(json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "Subject",
        "metadata": {"name": name, "namespace": "bench", "uid": format!("uid-{name}"), "generation": 1},
        "spec": {
            "where": {"docker": {"project": name}},
            "probes": [
                each(json!({"url": "http://{{target}}:8080/metrics", "metrics": ["requests_total", "latency"]})),
                {"name": "health", "interval": "5s", "targets": NODES, "http": {"url": "http://{{target}}:8080/healthz"}},
                {"name": "store", "interval": "5s", "redis": {"address": "store:6379", "commands": [["INFO"]]}},
            ],
            "invariants": [
                {"name": "down", "grace": "10s", "forEach": "probes.health", "violated": "!item.ok",
                 "message": "{{key}} does not answer ({{item.error}})"},
                {"name": "disconnected", "forEach": "probes.health", "violated": "item.ok && item.value.store != \"connected\""},
                {"name": "store_down", "grace": "10s", "violated": "!probes.store.ok"},
                {"name": "read_only", "violated": "probes.store.value.role != \"master\""},
                {"name": "slow", "forEach": "probes.nodes", "over": {"p99": {"value": "item.value.latency[0].value", "window": "60s"}},
                 "violated": "p99.min > 0.1 && p99.span > 50.0"},
                {"name": "drift", "violated": "probes.nodes.map(n, probes.nodes[n].value.requests_total.map(s, s.value).sum()).max() > 1000000000.0"},
            ],
            "display": {"groups": [{"title": "Nodes", "forEach": "probes.health", "state": "item.ok ? \"ok\" : \"bad\""}]},
        },
    }))
}

/// A round of each of its probes that began now.
pub(crate) fn rounds() -> [Round; 3] {
    let of = |probe: &str, readings: Vec<(&str, Value)>| {
        let reading = |value| Reading { ok: true, ms: 3, status: Some(200), value: Some(value), ..Reading::default() };
        let readings = readings.into_iter().map(|(target, value)| (target.to_owned(), reading(value))).collect();
        Round { probe: probe.to_owned(), at: Timestamp::now(), readings }
    };
    let samples: Vec<Value> =
        (0..10).map(|code| json!({"labels": {"code": code.to_string()}, "value": 12.5})).collect();
    let metrics = json!({"requests_total": samples, "latency": [{"labels": {"quantile": "0.99"}, "value": 0.003}]});
    [
        of("nodes", NODES.map(|node| (node, metrics.clone())).into()),
        of("health", NODES.map(|node| (node, json!({"store": "connected", "limits": 4}))).into()),
        of("store", vec![("", json!({"role": "master", "connected_clients": 3, "used_memory": 1_048_576}))]),
    ]
}
