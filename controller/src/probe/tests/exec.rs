use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{LONG, SHORT, fails, read};

fn shell(script: &str) -> Value {
    json!({"timeout": LONG, "exec": {"command": ["sh", "-c", script]}})
}

/// Whether some process has this word among its arguments.
fn runs(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    })
}

async fn is_gone(word: &str) {
    for _ in 0..1000 {
        if !runs(word) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a process with {word:?} is still there");
}

/// A number of seconds that no other test sleeps.
fn seconds(of: u32) -> String {
    format!("{}.{of}", 100_000 + std::process::id())
}

#[tokio::test]
async fn output_is_the_value_and_the_exit_code_the_status() {
    let reading = read(shell("echo '{\"a\": [1, 2]}'; echo noise >&2")).await;
    assert_eq!((reading.ok, reading.status, reading.value), (true, Some(0), Some(json!({"a": [1, 2]}))));
    let reading = read(json!({"exec": {"command": ["printf", "%s", "a b\n"], "as": "text"}})).await;
    assert_eq!(reading.value, Some(json!("a b\n")));
}

#[tokio::test]
async fn another_code_than_0_is_a_failure_with_its_last_words() {
    let reading = read(shell("echo '{\"a\": 1}'; echo first >&2; echo 'the disk is full' >&2; exit 3")).await;
    assert_eq!((reading.ok, reading.status, reading.value), (false, Some(3), Some(json!({"a": 1}))));
    assert_eq!(reading.error.as_deref(), Some("the command ended with 3: the disk is full"));
    let said = fails(shell("kill -9 $$")).await;
    assert!(said.starts_with("the command was ended by a signal"), "{said}");
    assert_eq!(
        fails(json!({"exec": {"command": ["/nowhere/program"]}})).await,
        "/nowhere/program could not be started: no such file"
    );
    assert!(fails(shell("echo no json")).await.starts_with("the answer is not JSON"));
}

#[tokio::test]
async fn it_sees_nothing_of_the_observer_s_environment() {
    let reading = read(json!({"exec": {"command": ["env"], "as": "text"}})).await;
    let names = reading.value.unwrap();
    let mut names: Vec<_> = names.as_str().unwrap().lines().map(|line| line.split('=').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LANG", "NO_COLOR", "OPERATOR_PROBE", "PATH", "TERM"]);
}

#[tokio::test]
async fn at_its_time_it_is_killed_with_all_that_it_started() {
    let [one, two, three] = [1, 2, 3].map(seconds);
    let script = format!("sleep {one} & setsid sleep {two} & sleep {three}");
    let mut probe = shell(&script);
    probe["timeout"] = json!(SHORT);
    assert_eq!(fails(probe).await, "no answer within 300ms, while waiting for the command's end");
    for word in [one, two, three] {
        is_gone(&word).await;
    }
}

#[tokio::test]
async fn what_it_leaves_in_the_background_is_not_waited_for_and_killed() {
    let [one, two] = [4, 5].map(seconds);
    let reading = read(shell(&format!("sleep {one} & setsid sleep {two} & echo 1"))).await;
    assert_eq!((reading.ok, reading.value), (true, Some(json!(1))));
    is_gone(&one).await;
    is_gone(&two).await;
}

#[tokio::test]
async fn output_without_end_is_cut_off() {
    let word = format!("flood-{}", std::process::id());
    let said = fails(json!({"exec": {"command": ["yes", word]}})).await;
    assert_eq!(said, "the answer is longer than 1048576 bytes");
    is_gone(&word).await;
    let reading = read(shell("head -c 50000000 /dev/zero >&2; echo 1")).await;
    assert_eq!(reading.value, Some(json!(1)));
}

#[tokio::test]
async fn a_command_that_closes_its_output_is_waited_for() {
    let reading = read(shell("echo 2; exec >&- 2>&-; sleep 0.2; exit 4")).await;
    assert_eq!((reading.status, reading.value), (Some(4), Some(json!(2))));
}
