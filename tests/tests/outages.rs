//! The plug is pulled: the database goes, the controller is killed. In a file of its own, because
//! other tests cannot run beside these.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use operator_tests::{Cluster, TempNamespace, containers_of, kubectl, lease, operator, phase, wait_until};
use serde_json::json;

const SOON: Duration = Duration::from_mins(1);
const LATER: Duration = Duration::from_mins(3);

/// How many controllers are ready.
fn ready() -> usize {
    let ready = "jsonpath={.items[*].status.containerStatuses[0].ready}";
    let pods = kubectl(&["get", "pods", "--selector", "app.kubernetes.io/component=controller", "--output", ready]);
    pods.split(' ').filter(|ready| *ready == "true").count()
}

async fn start_busy(namespace: &TempNamespace, name: &str) -> String {
    namespace.incident(name, "limiter", json!({"agent": {"model": "offline-sleeper"}})).await;
    let running = namespace
        .wait(name, "running a command", LATER, |i| {
            i.status.as_ref().is_some_and(|s| s.commands == Some(1) && s.container.is_some())
        })
        .await;
    running.status.unwrap().session_id.unwrap()
}

#[tokio::test]
async fn nothing_runs_without_the_database_and_a_killed_controller_leaves_nothing() {
    let namespace = Cluster::connect().await.namespace("outage").await;
    namespace.subject("limiter", "ratelimiter").await;

    // All controllers are killed in the middle of a command: the next leader waits for it, and sends it no second time.
    let session = start_busy(&namespace, "goes-on").await;
    let before = lease().expect("somebody leads").epoch;
    kubectl(&["delete", "pod", "--force", "--grace-period=0", "--selector", "app.kubernetes.io/component=controller"]);
    wait_until("a controller is ready", LATER, || async { ready() > 0 }).await;
    wait_until("the session goes on", LATER, || async {
        operator(&["audit", "show", &session]).contains("goes on behind")
    })
    .await;
    assert!(!containers_of(&session).is_empty(), "its container is kept");
    namespace.patch("goes-on", json!({"cancel": 1})).await;
    let ended = namespace.wait("goes-on", "cancelled", LATER, |i| phase(i) == "Cancelled").await;
    assert_eq!(ended.status.unwrap().commands, Some(1));
    wait_until("the container is gone", SOON, || async { containers_of(&session).is_empty() }).await;
    assert!(lease().expect("somebody leads").epoch > before);

    // Without the database nobody leads, so no session begins, and no controller says that it is ready. When it is
    // back, one of them leads, and the session begins.
    kubectl(&["scale", "statefulset/operator-postgres", "--replicas=0"]);
    kubectl(&["wait", "--for=delete", "pod/operator-postgres-0", "--timeout=60s"]);
    namespace.incident("waits", "limiter", json!({"agent": {"model": "offline-sleeper"}})).await;
    wait_until("no controller is ready", SOON, || async { ready() == 0 }).await;
    let waits = namespace.wait("waits", "there", SOON, |_| true).await;
    assert!(waits.status.is_none_or(|status| status.session_id.is_none()));
    kubectl(&["scale", "statefulset/operator-postgres", "--replicas=1"]);
    namespace.wait("waits", "running", LATER, |i| phase(i) == "Running").await;
    namespace.remove().await;
}
