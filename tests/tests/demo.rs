//! Demos that play by themselves, as a plain log.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::process::Command;

use operator_tests::demo::Demo;
use operator_tests::phase;
use operator_tests::tmux::binary;

/// Plays one, and returns its log.
async fn plays_by_itself(folder: &str, name: &str) -> (Demo, String) {
    let demo = Demo::set(folder, name).await;
    let arguments =
        ["demo", name, "--namespace", &demo.namespace.name, "--auto", "--pause", "0", "--limit", "480", "--plain"];
    let output = Command::new(binary()).args(arguments).output().expect("operator-tui");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}\n{log}", output.status);
    assert!(!log.contains('\u{1b}'), "a pipe gets no escape sequences");
    for chapter in demo.chapters().await {
        assert!(log.contains(&chapter.spec.title), "{} is not told:\n{log}", chapter.spec.title);
    }
    assert!(demo.flows());
    (demo, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_plays_by_itself() {
    let (demo, log) = plays_by_itself("etcd", "etcd").await;
    assert_eq!(demo.incidents().await.iter().map(phase).collect::<Vec<_>>(), ["Resolved", "Resolved"]);
    assert!(log.matches("Resolved").count() >= 2, "{log}");
    demo.end().await;
}

// One after the other: they play on one system.
#[tokio::test(flavor = "multi_thread")]
async fn those_of_the_rate_limiter_play_by_themselves() {
    let (demo, log) = plays_by_itself("ratelimiter", "ratelimiter-node").await;
    assert_eq!(demo.incidents().await.iter().map(phase).collect::<Vec<_>>(), ["Resolved"]);
    assert!(log.contains("node_down"), "{log}");
    demo.end().await;

    let (demo, log) = plays_by_itself("ratelimiter", "ratelimiter").await;
    assert_eq!(demo.incidents().await.iter().map(phase).collect::<Vec<_>>(), ["Resolved"]);
    for part in ["offline-auto", "$ ", "Resolved", "over_limit"] {
        assert!(log.contains(part), "{part:?} is missing:\n{log}");
    }

    // One that does not exist is an error that names those that do.
    let output = Command::new(binary())
        .args(["demo", "nothing", "--namespace", &demo.namespace.name, "--auto", "--plain", "--limit", "20"])
        .output()
        .expect("operator-tui");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("nothing") && errors.contains("ratelimiter"), "{errors}");
    demo.end().await;
}
