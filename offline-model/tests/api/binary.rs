//! The program itself.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

const BIN: &str = env!("CARGO_BIN_EXE_offline-model");

fn offline_model(args: &[&str]) -> Command {
    let mut command = Command::new(BIN);
    for name in ["LISTEN", "SCRIPTS", "DELAY_MS", "SUMMARY_DELAY_MS"] {
        command.env_remove(format!("OFFLINE_MODEL_{name}"));
    }
    command.args(args);
    command
}

#[test]
fn serves_says_where_and_ends_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.yaml"), "rules: [{name: a, answer: {text: x}}]").unwrap();
    let mut child = offline_model(&["--listen", "127.0.0.1:0"])
        .env("OFFLINE_MODEL_SCRIPTS", dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let port = first.strip_prefix("listening on http://127.0.0.1:").unwrap();
    assert_ne!(port, "0");
    std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "models: offline-summary, offline-auto, offline-a");
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn check_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = write("good.yaml", "rules: [{name: a, answer: {text: x}}]");
    let bad = write("bad.yaml", "rules:\n  - name: a\n    answr: {}\n");
    let output = offline_model(&["check", &good, &bad]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{good}: good\n"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with(&format!("{bad}:3:5: ")), "{said}");
    assert!(said.ends_with("offline-model: one script is wrong\n"), "{said}");
    let output = offline_model(&["check", &good]).output().unwrap();
    assert!(output.status.success());
}

#[test]
fn a_wrong_start_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.yaml"), "rules: [{name: a, answer: {}}]").unwrap();
    let path = dir.path().display().to_string();
    let cases = [
        (vec![], "no script to play"),
        (vec!["--scripts", "/nowhere"], "cannot read /nowhere"),
        (vec!["--scripts", &path], "the answer is empty"),
        (vec!["--script", "a"], "write it as NAME=FILE"),
    ];
    for (args, expected) in cases {
        let mut child = offline_model(&args).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
    }
}
