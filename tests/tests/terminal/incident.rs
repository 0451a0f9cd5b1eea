//! An Incident from its beginning to its end, as somebody sees it who watches.

use serde_json::json;

use operator_tests::tmux::Terminal;
use operator_tests::{Cluster, condition, phase};

use super::{LATER, SOON};

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_followed_from_pending_scrolled_back_cancelled_and_its_end_is_seen() {
    let namespace = Cluster::connect().await.namespace("terminal").await;
    namespace.subject("limiter", "ratelimiter").await;
    let terminal = Terminal::operator(120, 36, &format!("incidents --namespace {}", namespace.name));
    terminal.wait("LIVE", SOON);

    // Two of one Subject: the second waits for the first.
    let busy = json!({"agent": {"model": "offline-sleeper"}, "severity": "critical"});
    namespace.incident("first-one", "limiter", busy.clone()).await;
    terminal.wait("first-one", SOON);
    terminal.until("the first one at work", LATER, |screen| row(screen, "first-one").contains("Running"));
    namespace.incident("second-one", "limiter", busy).await;
    terminal.until("the second one waits", SOON, |screen| row(screen, "second-one").contains("Pending"));

    // Its session, live: the command that runs, and what led to it.
    terminal.press(&["g", "g"]);
    terminal.press(&["Enter"]);
    terminal.wait("$ echo started", LATER);
    terminal.wait("I wait.", SOON);
    terminal.press(&["k"]);
    terminal.wait("PAUSED", SOON);
    terminal.press(&["G"]);
    terminal.wait_gone("PAUSED", SOON);

    // Cancelled from here: the exact call is shown, and no is the default.
    terminal.press(&["x"]);
    terminal.wait("{\"spec\":{\"cancel\":1}}", SOON);
    terminal.press(&["Enter"]);
    terminal.wait_gone("{\"spec\":{\"cancel\":1}}", SOON);
    let incident = namespace.wait("first-one", "still at work", SOON, |_| true).await;
    assert_eq!(phase(&incident), "Running", "nothing was cancelled by pressing enter");
    terminal.press(&["x"]);
    terminal.wait("{\"spec\":{\"cancel\":1}}", SOON);
    terminal.press(&["y"]);
    let ended =
        namespace.wait("first-one", "cancelled", LATER, |incident| condition(incident, "Finished").0 == "True").await;
    assert_eq!(phase(&ended), "Cancelled");
    let cancelled = ended.metadata.managed_fields.unwrap_or_default();
    assert!(
        cancelled.iter().any(|manager| manager.manager.as_deref() == Some("operator-tui")),
        "who did it is on record: {cancelled:?}"
    );
    terminal.wait("Cancelled", SOON);

    // Back in the list: the first one has ended, and the second one has its place.
    terminal.press(&["Escape"]);
    terminal.until("both ends in the list", LATER, |screen| {
        row(screen, "first-one").contains("Cancelled") && row(screen, "second-one").contains("Running")
    });
    terminal.press(&["q"]);
    terminal.wait("EXIT=0", SOON);
    assert!(terminal.is_restored(), "the terminal is as it was");
    namespace.patch("second-one", json!({"cancel": 1})).await;
    namespace.wait("second-one", "over", LATER, |incident| condition(incident, "Finished").0 == "True").await;
    namespace.remove().await;
}

/// The line of the list that is about this one.
fn row<'a>(screen: &'a str, name: &str) -> &'a str {
    screen.lines().find(|line| line.contains(name)).unwrap_or_default()
}
