//! A demo whose controller is killed in the middle of each of its chapters.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::demo_chapter::{ActionState, Advance, ChapterState};
use kube::ResourceExt;
use operator_tests::demo::{Demo, is_over};
use operator_tests::{controller_process, kubectl, lease, phase, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const SOON: Duration = Duration::from_mins(1);

/// What the engine does to the project's containers and to those that chapters make, followed live: it remembers only its
/// last few hundred events.
struct Events {
    child: Child,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Events {
    fn follow() -> Self {
        let mut child = Command::new("docker")
            .args(["events", "--filter", "type=container", "--format", "{{json .}}"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    into.lock().unwrap().push(event);
                }
            }
        });
        Self { child, seen }
    }

    /// How often each container of a chapter was started, by its name.
    fn starts_of_helpers(&self) -> BTreeMap<String, usize> {
        let mut starts = BTreeMap::new();
        for event in self.seen.lock().unwrap().iter() {
            let attributes = &event["Actor"]["Attributes"];
            if event["Action"] == "start" && attributes.get("operator.dev/fault").is_some() {
                *starts.entry(attributes["name"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        starts
    }

    /// How often a container of the project was killed by a fault: with that signal which compose and the engine's own stop
    /// begin without.
    fn kills(&self, project: &str) -> usize {
        let is = |event: &&Value| {
            let attributes = &event["Actor"]["Attributes"];
            event["Action"] == "kill"
                && attributes["signal"] == "9"
                && attributes["com.docker.compose.project"] == project
        };
        self.seen.lock().unwrap().iter().filter(is).count()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills who leads, and waits until another one does.
async fn kill_the_leader() {
    let before = lease().expect("a lease");
    let process = controller_process(&before.pod).expect("the leader's process");
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), Signal::KILL).unwrap();
    wait_until("another one leads", SOON, || {
        let before = before.clone();
        async move { lease().is_some_and(|now| now.epoch > before.epoch && !now.pod.is_empty()) }
    })
    .await;
    // The kubelet starts what dies so often later each time; a new pod has no such past.
    kubectl(&["delete", "pod", &before.pod, "--wait=false"]);
}

/// Plays a demo of so many Incidents whose controller is killed in the middle of each chapter; then it is reset.
async fn is_killed_in_each_chapter(folder: &str, name: &str, incidents: usize) -> Events {
    let demo = Demo::set(folder, name).await;
    let events = Events::follow();
    let chapters: Vec<String> = demo.chapters().await.iter().map(ResourceExt::name_any).collect();
    let mut killed = 0;
    let mut turns_itself = false;
    for name in &chapters {
        if !turns_itself {
            demo.enter(name).await;
        }
        // In the middle: what it counts down to, does or waits for has begun.
        let entered = demo
            .until(name, "entered", |chapter| {
                let status = chapter.status.clone().unwrap_or_default();
                status.entered == 1 && status.state != ChapterState::Idle
            })
            .await;
        turns_itself = entered.spec.advance == Advance::Auto;
        kill_the_leader().await;
        killed += 1;
        let over = demo.until(name, "over", is_over).await;
        let status = over.status.clone().unwrap_or_default();
        assert!(status.state != ChapterState::Failed && status.completed_at.is_some(), "{name}: {status:#?}");
        for action in &status.actions {
            assert_eq!(action.state, ActionState::Done, "{name}: {action:?}");
        }
    }
    assert_eq!(killed, chapters.len());
    let opened = demo.incidents().await;
    assert_eq!(
        opened.iter().map(phase).collect::<Vec<_>>(),
        vec!["Resolved"; incidents],
        "{name}: no more, and proven"
    );
    let starts = events.starts_of_helpers();
    assert!(starts.values().all(|times| *times == 1), "{name}: a helper was started twice: {starts:?}");

    demo.reset().await;
    assert_eq!(demo.helpers(), Vec::<String>::new(), "a reset leaves nothing");
    demo.healthy().await;
    demo.end().await;
    events
}

// One after the other: there is one controller to kill.
#[tokio::test]
async fn demos_go_on_whose_controller_is_killed_in_each_chapter_and_nothing_is_done_twice() {
    let events = is_killed_in_each_chapter("ratelimiter", "ratelimiter-node", 1).await;
    assert_eq!(events.kills("ratelimiter"), 1, "a node was killed once");

    let events = is_killed_in_each_chapter("ratelimiter", "ratelimiter", 1).await;
    assert!(!events.starts_of_helpers().is_empty(), "this one is played by helpers");

    let events = is_killed_in_each_chapter("etcd", "etcd", 2).await;
    assert_eq!(events.kills("etcd"), 1, "the leader was killed once, and who led after it was not");
    let starts = events.starts_of_helpers();
    let done = starts.keys().filter(|helper| !helper.ends_with("-undo")).count();
    assert_eq!(done, 1, "the quota was filled once: {starts:?}");
}
