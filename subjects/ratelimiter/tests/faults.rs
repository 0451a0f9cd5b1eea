//! What the nodes do when Redis is sick, and when somebody's hand was in it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // helpers of tests are not "in tests" to clippy

#[allow(dead_code)]
#[path = "common/node.rs"]
mod node;
#[allow(dead_code)]
#[path = "common/redis.rs"]
mod redis_server;

use std::time::{Duration, Instant};

use node::Node;
use redis_server::Redis;
use serde_json::json;

#[tokio::test]
async fn a_read_only_redis_gives_503_with_its_own_words_and_heals() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::healthy("n1", &redis.url(), &["--default-limit", "1"]).await;
    assert_eq!((node.check("a").await.0, node.check("a").await.0), (200, 429));
    redis.command(&["REPLICAOF", "192.0.2.1", "6379"]).await;
    // A full key too: an answer from a Redis that counts nothing any more is worth nothing.
    let (status, body) = node.check("a").await;
    assert_eq!((status, &body["error"]), (503, &json!("redis_readonly")), "{body}");
    assert!(body["message"].as_str().unwrap().starts_with("READONLY You can't write"), "{body}");
    let limit = json!({"limit": 5, "window_ms": 1000});
    assert_eq!(node.put("/limits/a", limit).await.1["error"], "redis_readonly");
    assert_eq!(node.get("/limits").await.0, 200, "reading still works");
    node.wait_for("503 from healthz", async |n| n.get("/healthz").await.0 == 503).await;
    let health = node.get("/healthz").await.1;
    assert_eq!(health["dependencies"]["redis"]["kind"], "readonly", "{health}");
    assert_eq!(node.metric(&["redis_up"]).await, Some(1.0));
    assert_eq!(node.metric(&["redis_writable"]).await, Some(0.0));
    assert!(node.metric(&["redis_errors_total", "readonly"]).await >= Some(2.0));

    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(node.check("b").await.0, 200, "at once, without waiting for a probe");
    node.wait_for("health", async |n| n.get("/healthz").await.0 == 200).await;
}

#[tokio::test]
async fn a_dead_redis_is_told_at_once_and_found_again_when_it_returns() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let node = Node::healthy("n1", &redis.url(), &[]).await;
    redis.kill();
    node.wait_for("503", async |n| n.check("a").await.0 == 503).await;
    node.wait_for("redis_up 0", async |n| n.metric(&["redis_up"]).await == Some(0.0)).await;
    let began = Instant::now();
    for _ in 0..20 {
        let (status, body) = node.check("a").await;
        assert_eq!((status, &body["error"]), (503, &json!("redis_connection")), "{body}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "a check must not wait for a dead Redis");
    redis.restart();
    node.wait_for("health", async |n| n.get("/healthz").await.0 == 200).await;
    assert_eq!(node.check("a").await.0, 200);
}

#[tokio::test]
async fn a_redis_that_hangs_is_a_timeout() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::healthy("n1", &redis.url(), &["--redis-timeout-ms", "200"]).await;
    redis.command(&["CLIENT", "PAUSE", "3000", "ALL"]).await;
    let (status, body) = node.check("a").await;
    assert_eq!((status, &body["error"]), (503, &json!("redis_timeout")), "{body}");
    node.wait_for("503 from healthz", async |n| n.get("/healthz").await.0 == 503).await;
    node.wait_for("health", async |n| n.get("/healthz").await.0 == 200).await;
    assert_eq!(node.check("a").await.0, 200);
}

#[tokio::test]
async fn a_node_starts_without_redis_and_can_be_told_to_let_all_through() {
    let nowhere = "redis://127.0.0.1:1/";
    let closed = Node::start("n1", nowhere, &[]).await;
    closed
        .wait_for("the reason", async |n| {
            let (status, body) = n.check("a").await;
            assert_eq!((status, &body["allowed"]), (503, &json!(false)));
            body["message"].as_str().unwrap().contains("refused")
        })
        .await;
    let open = Node::start("n2", nowhere, &["--on-redis-failure", "allow"]).await;
    let (status, body) = open.check("a").await;
    assert_eq!((status, &body["allowed"], &body["degraded"]), (200, &json!(true), &json!(true)));
    assert_eq!(open.metric(&["ghost_allowed_total"]).await, Some(1.0));
    assert_eq!(open.metric(&["checks_total", "error"]).await, Some(1.0));
    assert_eq!(open.metric(&["max_drift"]).await, None, "unknown is not none");
}

#[tokio::test]
async fn units_that_vanish_from_redis_are_seen_as_drift() {
    let Some(redis) = Redis::start() else { return };
    let flags = ["--default-limit", "1000", "--default-window-ms", "20000"];
    let node = Node::healthy("n1", &redis.url(), &flags).await;
    for _ in 0..30 {
        node.check("a").await;
    }
    let settled = async |n: &Node| n.metric(&["key_local{", "key=\"a\""]).await == Some(30.0);
    node.wait_for("a settled count", settled).await;
    assert_eq!(node.metric(&["max_drift{"]).await, Some(0.0));
    redis.command(&["DEL", "limiter:window:a"]).await;
    node.wait_for("drift", async |n| n.metric(&["key_drift{", "key=\"a\""]).await == Some(-30.0)).await;
    assert_eq!(node.metric(&["max_drift{"]).await, Some(30.0));
}

#[tokio::test]
async fn a_client_that_goes_away_makes_no_drift() {
    let Some(redis) = Redis::start() else { return };
    let flags = ["--redis-timeout-ms", "2000", "--default-window-ms", "20000"];
    let node = Node::healthy("n1", &redis.url(), &flags).await;
    node.check("a").await;
    redis.command(&["CLIENT", "PAUSE", "400", "ALL"]).await;
    node.check_and_leave("a").await;
    let counted = async |n: &Node| n.metric(&["key_redis_own{", "key=\"a\""]).await == Some(2.0);
    node.wait_for("Redis' count", counted).await;
    assert_eq!(node.metric(&["key_drift{", "key=\"a\""]).await, Some(0.0));
}

#[tokio::test]
async fn a_counter_pushed_over_its_limit_stays_and_is_shown() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::healthy("n1", &redis.url(), &["--default-limit", "5"]).await;
    node.check("a").await;
    redis.command(&["HSET", "limiter:window:a", "9999999999999:import", "1000"]).await;
    redis.command(&["PERSIST", "limiter:window:a"]).await;
    assert_eq!(node.check("a").await.0, 429);
    node.wait_for("over limit", async |n| n.metric(&["keys_over_limit{"]).await == Some(1.0)).await;
    redis.command(&["DEL", "limiter:window:a"]).await;
    assert_eq!(node.check("a").await.0, 200);
}

#[tokio::test]
async fn rubbish_in_redis_is_a_named_error_and_no_crash() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::healthy("n1", &redis.url(), &[]).await;
    redis.command(&["HSET", "limiter:limits", "a", "{nonsense"]).await;
    let (status, body) = node.check("a").await;
    assert_eq!((status, &body["error"]), (503, &json!("redis_data")), "{body}");
    assert!(body["message"].as_str().unwrap().contains("limit of a cannot be read"), "{body}");
    assert!(node.get("/limits").await.1["limits"]["a"]["error"].is_string());
    assert_eq!(node.get("/limits/a").await.0, 503);
    let limit = json!({"limit": 5, "window_ms": 1000});
    assert_eq!(node.put("/limits/a", limit).await.0, 200, "setting it anew repairs it");
    assert_eq!(node.check("a").await.0, 200);

    redis.command(&["SET", "limiter:window:b", "text"]).await;
    let (status, body) = node.check("b").await;
    assert_eq!((status, &body["error"]), (503, &json!("redis_data")), "{body}");
    redis.command(&["HSET", "limiter:window:c", "rubbish", "x", "12:n", "y"]).await;
    assert_eq!(node.check("c").await.0, 200, "fields that are none of ours are swept out");
    assert_eq!(node.get("/healthz").await.0, 200);
}
