//! The window and the HTTP side of it, on a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // helpers of tests are not "in tests" to clippy

#[allow(dead_code)]
#[path = "common/node.rs"]
mod node;
#[allow(dead_code)]
#[path = "common/redis.rs"]
mod redis_server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use node::Node;
use redis_server::Redis;
use serde_json::json;

#[tokio::test]
async fn a_limit_is_kept_and_the_answers_say_what_is_left() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::healthy("n1", &redis.url(), &["--default-limit", "3"]).await;
    for left in [2, 1, 0] {
        let (status, body) = node.check("a").await;
        assert_eq!((status, &body["allowed"]), (200, &json!(true)));
        assert_eq!((&body["remaining"], &body["limit"]), (&json!(left), &json!(3)));
    }
    let (status, body) = node.check("a").await;
    assert_eq!((status, &body["allowed"], &body["remaining"]), (429, &json!(false), &json!(0)));
    let reset = body["reset_ms"].as_u64().unwrap();
    assert!((1..=10_500).contains(&reset), "{reset}");
    assert_eq!(node.check("b").await.0, 200, "another key has a window of its own");
    assert_eq!(node.metric(&["checks_total", "allowed"]).await, Some(4.0));
    assert_eq!(node.metric(&["checks_total", "denied"]).await, Some(1.0));
}

#[tokio::test]
async fn a_cost_counts_as_a_whole_or_not_at_all() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::healthy("n1", &redis.url(), &["--default-limit", "10"]).await;
    assert_eq!(node.check_cost("a", 7).await.1["remaining"], 3);
    assert_eq!(node.check_cost("a", 4).await.0, 429);
    assert_eq!(node.check_cost("a", 3).await.1["remaining"], 0);
    let (status, body) = node.check_cost("a", 11).await;
    assert_eq!(status, 400);
    assert!(body["message"].as_str().unwrap().contains("can never be allowed"), "{body}");
}

#[tokio::test]
async fn the_window_slides_and_reset_tells_when() {
    let Some(redis) = Redis::start() else { return };
    let flags = ["--default-limit", "2", "--default-window-ms", "1000"];
    let node = Node::healthy("n1", &redis.url(), &flags).await;
    let began = Instant::now();
    node.check_cost("a", 2).await;
    let (status, body) = node.check("a").await;
    assert_eq!(status, 429);
    tokio::time::sleep(Duration::from_millis(body["reset_ms"].as_u64().unwrap() + 5)).await;
    assert_eq!(node.check("a").await.0, 200);
    assert!(began.elapsed() >= Duration::from_secs(1), "no unit leaves before the window is over");
}

// Whatever window one looks at, it holds no more than the limit; and the windows are used.
#[tokio::test]
async fn no_window_ever_holds_more_than_the_limit() {
    let Some(redis) = Redis::start() else { return };
    let flags = ["--default-limit", "20", "--default-window-ms", "500"];
    let node = Node::healthy("n1", &redis.url(), &flags).await;
    let mut allowed = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let sent = Instant::now();
        if node.check("a").await.0 == 200 {
            allowed.push((sent, Instant::now()));
        }
    }
    for (first, (_, answered)) in allowed.iter().enumerate() {
        // From an answer to the sending of another, the two were surely this near to each other.
        let near = allowed[first..]
            .iter()
            .filter(|(sent, done)| *sent >= *answered && *done < *answered + Duration::from_millis(499))
            .count();
        assert!(near <= 20, "{near} in one window");
    }
    // Six windows; each holds a unit for at most a bucket (1/20) and a turn longer.
    assert!(allowed.len() >= 80, "only {} of about 110", allowed.len());
}

#[tokio::test]
async fn three_nodes_share_one_window() {
    let Some(redis) = Redis::start() else { return };
    let mut nodes = Vec::new();
    for name in ["n1", "n2", "n3"] {
        let flags = ["--default-limit", "50", "--default-window-ms", "60000"];
        nodes.push(Arc::new(Node::healthy(name, &redis.url(), &flags).await));
    }
    let tasks = (0..300).map(|n| {
        let node = Arc::clone(&nodes[n % 3]);
        tokio::spawn(async move { node.check("a").await.0 })
    });
    let mut statuses = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        statuses.push(task.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 50);
    assert_eq!(statuses.iter().filter(|s| **s == 429).count(), 250);
}

#[tokio::test]
async fn limits_are_set_shown_used_and_removed_on_all_nodes() {
    let Some(redis) = Redis::start() else { return };
    let one = Node::healthy("n1", &redis.url(), &[]).await;
    let two = Node::healthy("n2", &redis.url(), &[]).await;
    assert_eq!(one.get("/limits/a").await.1["source"], "default");
    let limit = json!({"limit": 1, "window_ms": 60_000});
    assert_eq!(one.put("/limits/a", limit.clone()).await.0, 200);
    assert_eq!(two.get("/limits/a").await.1["source"], "set");
    assert_eq!(two.get("/limits").await.1["limits"]["a"], limit);
    assert_eq!(two.get("/limits").await.1["default"]["limit"], 100);
    assert_eq!((two.check("a").await.0, one.check("a").await.0), (200, 429));
    assert_eq!(two.send("DELETE", "/limits/a", "").await.0, 200);
    let (status, body) = two.send("DELETE", "/limits/a", "").await;
    assert_eq!((status, &body["error"]), (404, &json!("not_found")));
    // What was used stays used: setting a limit is no way around it.
    assert_eq!(one.check("a").await.1["remaining"], 98);
}

#[tokio::test]
async fn bad_requests_are_answered_with_what_to_change() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::healthy("n1", &redis.url(), &[]).await;
    let long = "x".repeat(20_000);
    for (body, expected) in [
        ("", "a JSON body is needed"),
        ("{", "the JSON body is wrong: EOF"),
        ("[]", "the JSON body is wrong"),
        (r#"{"cost":1}"#, "missing field `key`"),
        (r#"{"key":"a","cots":1}"#, "unknown field `cots`"),
        (r#"{"key":""}"#, "key must not be empty"),
        (r#"{"key":"a b"}"#, "letters, digits and _ . : @ - only"),
        (r#"{"key":"a","cost":0}"#, "cost must be between 1 and"),
        (r#"{"key":"a","cost":-1}"#, "invalid value: integer `-1`"),
        (r#"{"key":"a","cost":1.5}"#, "invalid type: floating point"),
        (r#"{"key":7}"#, "invalid type: integer `7`"),
        (long.as_str(), "larger than 16384 bytes"),
    ] {
        let (status, answer) = node.send("POST", "/check", body.to_owned()).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(message.contains(expected), "{body}: {message}");
    }
    for (path, body, expected) in [
        ("/limits/a", json!({"limit": 0, "window_ms": 1000}), "limit must be between 1"),
        ("/limits/a", json!({"limit": 5, "window_ms": 1}), "window_ms must be between 100"),
        ("/limits/a", json!({"limit": 5}), "missing field `window_ms`"),
        ("/limits/a%20b", json!({"limit": 5, "window_ms": 1000}), "letters, digits"),
        ("/limits/%ff", json!({"limit": 5, "window_ms": 1000}), "not valid UTF-8"),
    ] {
        let (status, answer) = node.put(path, body).await;
        assert_eq!(status, 400, "{path}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(expected), "{answer}");
    }
    assert_eq!(node.get("/check").await.0, 405);
    assert_eq!(node.get("/nothing").await.0, 404);
    assert_eq!(node.metric(&["checks_total", "invalid"]).await, Some(12.0));
}
