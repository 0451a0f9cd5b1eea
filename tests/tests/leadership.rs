//! Two controllers, of which one leads: it is killed, and it is stopped and goes on. In a file of its own, because
//! other tests cannot run beside these.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use operator_tests::{
    Cluster, Lease, TempNamespace, controller_process, kubectl, lease, phase, run, standing, wait_until,
};
use serde_json::json;

const SOON: Duration = Duration::from_mins(1);
const LATER: Duration = Duration::from_mins(3);

async fn two_are_ready() {
    wait_until("two controllers are ready", LATER, || async {
        kubectl(&["get", "deployment/operator", "--output", "jsonpath={.status.readyReplicas}"]) == "2"
    })
    .await;
}

/// The lease, once another has it than `before`.
async fn next_after(before: &Lease) -> Lease {
    let next = || lease().filter(|lease| lease.epoch > before.epoch && !lease.pod.is_empty());
    wait_until("another one leads", SOON, || async { next().is_some() }).await;
    next().unwrap()
}

fn send(signal: &str, pid: u32) {
    run("kill", &["-s", signal, &pid.to_string()]);
}

/// An Incident whose agent sleeps in a command; its session's name.
async fn start_busy(namespace: &TempNamespace, name: &str) -> String {
    namespace.incident(name, "limiter", json!({"agent": {"model": "offline-sleeper"}})).await;
    let running = namespace
        .wait(name, "running a command", LATER, |i| {
            i.status.as_ref().is_some_and(|s| s.commands == Some(1) && s.container.is_some())
        })
        .await;
    running.status.unwrap().session_id.unwrap()
}

async fn cancel(namespace: &TempNamespace, name: &str) {
    namespace.patch(name, json!({"cancel": 1})).await;
    namespace.wait(name, "cancelled", LATER, |i| phase(i) == "Cancelled").await;
}

#[tokio::test]
async fn a_leader_that_is_killed_or_stopped_is_followed_and_can_do_nothing_more() {
    let namespace = Cluster::connect().await.namespace("leader").await;
    namespace.subject("limiter", "ratelimiter").await;
    two_are_ready().await;

    // Killed, without a word: the other one follows, and works.
    let first = lease().expect("somebody leads");
    send("KILL", controller_process(&first.pod).expect("the leader's process, on this machine"));
    let second = next_after(&first).await;
    let session = start_busy(&namespace, "after-the-kill").await;
    let names = standing(&session);
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.ends_with(&format!("-e{}", second.epoch))), "{names:?}: {second:?}");
    cancel(&namespace, "after-the-kill").await;
    two_are_ready().await;

    // Stopped past the takeover: the next one works, and the one that goes on ends without having touched anything.
    let stopped = controller_process(&second.pod).expect("the leader's process, on this machine");
    send("STOP", stopped);
    let third = next_after(&second).await;
    assert_ne!(third.pod, second.pod, "the one that is stopped cannot have taken it");
    let session = start_busy(&namespace, "after-the-stop").await;
    let names = standing(&session);
    send("CONT", stopped);
    wait_until("the former leader ends", SOON, || async { controller_process(&second.pod) != Some(stopped) }).await;
    two_are_ready().await;
    assert_eq!(lease(), Some(third.clone()), "the lease is where it was");
    assert_eq!(standing(&session), names, "nothing of the session was touched");
    let runs = namespace.wait("after-the-stop", "there", SOON, |_| true).await;
    assert_eq!((phase(&runs), runs.status.unwrap().session_id), ("Running", Some(session)));
    cancel(&namespace, "after-the-stop").await;

    // Deleted in good order: it gives the lease back.
    kubectl(&["delete", "pod", &third.pod]);
    let fourth = next_after(&third).await;
    assert_ne!(fourth.pod, third.pod);
    two_are_ready().await;
    namespace.remove().await;
}
