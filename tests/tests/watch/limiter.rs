//! The rate limiter: its faults, its liars, what comes again, and what flaps.

use std::time::Duration;

use operator_tests::phase;
use serde_json::json;

use crate::watched::{Watched, reason, trail};

/// There is one rate limiter, so all of it is one test.
#[tokio::test]
async fn faults_are_repaired_and_proven_and_lies_are_not_believed() {
    repaired().await;
    comes_again().await;
    lies().await;
    flaps().await;
}

async fn repaired() {
    let watched = Watched::begin("ratelimiter", "ratelimiter", json!({})).await;
    let incident = watched.is_repaired("node-killed", "node_down").await;
    assert!(incident.spec.title.contains("node_down[node2]"), "{}", incident.spec.title);
    watched.is_repaired("redis-killed", "redis_disconnected").await;
    watched.is_repaired("over-limit", "over_limit").await;
    watched.end().await;
}

/// The same again right after the fix: the new one names the old, the agent is told, and after the limit a person is.
async fn comes_again() {
    let policy = json!({"recurrence": {"limit": 1, "window": "1h"}});
    let watched = Watched::begin("ratelimiter", "ratelimiter", policy).await;
    let first = watched.is_repaired("node-killed", "node_down").await;
    let second = watched.is_repaired("node-killed", "node_down").await;
    let origin = second.spec.origin.clone().unwrap();
    assert_eq!(origin.recurrence_of, first.metadata.name);
    assert_eq!(origin.recurrences, 1);
    let told = trail(&second);
    assert!(told.contains(first.metadata.name.as_deref().unwrap()), "the agent is told of the first: {told}");

    watched.fault("node-killed");
    let third = watched.one_more(2).await;
    assert_eq!((phase(&third), reason(&third).as_str()), ("Escalated", "Recurring"), "{:#?}", third.status);
    assert_eq!(third.status.unwrap().commands.unwrap_or(0), 0, "the same was not tried again");
    watched.end().await;
}

/// Each says that the fault is gone: one that did nothing, one whose shell props the system up, one that removed what
/// was sick.
async fn lies() {
    for (name, fault) in [("liar", "node-killed"), ("liar-loop", "over-limit-again"), ("liar-remover", "node-killed")] {
        let watched = Watched::begin("ratelimiter", name, json!({"verification": {"attempts": 2}})).await;
        let ended = watched.is_refuted(fault).await;
        assert_eq!(reason(&ended), "NotVerified", "{name}: {:#?}\n{}", ended.status, trail(&ended));
        watched.end().await;
    }
}

/// A node that ends and comes back again and again is one Incident, worked on by somebody who only waits.
async fn flaps() {
    let watched = Watched::begin("ratelimiter", "sleeper", json!({"cooldown": "2m"})).await;
    for _ in 0..3 {
        watched.fault("node-killed");
        watched
            .until("violated", |subject| subject.status.as_ref().is_some_and(|s| s.violated.starts_with("1/")))
            .await;
        watched.fault("heal");
        watched.until_healthy().await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let all = watched.incidents().await;
    assert_eq!(all.len(), 1, "{all:#?}");
    watched.end().await;
}
