//! `operator observe` as a process: what it prints, what it refuses, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use controller::probe::Round;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn operator(probes: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
    command.arg("observe").env("OPERATOR_PROBES", probes);
    // None of these may reach a probe.
    command.env("http_proxy", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9").env("ALL_PROXY", "x");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(command: &mut Command) -> Output {
    command.spawn().unwrap().wait_with_output().unwrap()
}

/// Answers every request with `1`; keeps its connections.
fn web() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
                    }
                }
            });
        }
    });
    port
}

/// Takes connections and leaves them.
fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    port
}

fn terminate(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}

/// Waits for the end; a process that does not end is killed and fails the test.
fn ended(child: &mut Child) -> std::process::ExitStatus {
    for _ in 0..3000 {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("it did not end");
}

fn probes(web: u16, silent: u16) -> Value {
    json!([
        {"name": "web", "interval": "1s", "timeout": "30s", "http": {"url": format!("http://127.0.0.1:{web}/")}},
        {"name": "hangs", "interval": "1s", "timeout": "60s", "http": {"url": format!("http://127.0.0.1:{silent}/")}},
        {"name": "command", "interval": "1s", "timeout": "30s", "targets": ["a", "b"],
         "exec": {"command": ["printf", "%s", "{{target}}"], "as": "text"}},
        {"name": "containers", "docker": {}}
    ])
}

#[test]
fn it_prints_a_line_a_round_until_it_is_told_to_end() {
    let mut child = operator(&probes(web(), silent()).to_string()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    while seen.get("web").copied().unwrap_or_default() < 2 || seen.get("command").copied().unwrap_or_default() < 2 {
        let round: Round = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let values: Vec<_> = round.readings.iter().map(|(target, one)| (target.as_str(), one.value.clone())).collect();
        match round.probe.as_str() {
            "web" => assert_eq!(values, [("", Some(json!(1)))]),
            "command" => assert_eq!(values, [("a", Some(json!("a"))), ("b", Some(json!("b")))]),
            other => panic!("a round of {other}"),
        }
        assert!(round.readings.values().all(|reading| reading.ok), "{round:?}");
        *seen.entry(round.probe).or_default() += 1;
    }
    terminate(&child);
    assert!(ended(&mut child).success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn once_runs_each_probe_once() {
    let probes = json!([
        {"name": "web", "http": {"url": format!("http://127.0.0.1:{}/", web())}},
        {"name": "hangs", "timeout": "100ms", "http": {"url": format!("http://127.0.0.1:{}/", silent())}}
    ]);
    let output = run(operator(&probes.to_string()).arg("--once"));
    assert!(output.status.success(), "{output:?}");
    let rounds: Vec<Round> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rounds.iter().map(|round| round.probe.as_str()).collect::<Vec<_>>(), ["web", "hangs"]);
    assert!(rounds[0].readings[""].ok);
    let said = rounds[1].readings[""].error.as_deref();
    assert_eq!(said, Some("no answer within 100ms, while waiting for the answer"));
}

#[test]
fn bad_input_is_refused_in_one_sentence() {
    for (probes, said) in [
        ("[", "operator: OPERATOR_PROBES is not JSON: EOF while parsing a list at line 1 column 1\n"),
        ("{}", "operator: OPERATOR_PROBES is not a list of probes\n"),
        ("[]", "operator: there is no probe to run\n"),
        (
            r#"[{"name":"a","tcp":{"address":"a:1"}},{"name":"b","http":{"url":"http://{{x}}/"}}]"#,
            "operator: OPERATOR_PROBES: probes[1].http.url: {{x}} is not known: the only placeholder is {{target}}\n",
        ),
        (
            r#"[{"name":"a","tcp":{"address":"a:1"},"select":{"x":"value +"}}]"#,
            "operator: OPERATOR_PROBES: probes[0].select.x: 1:",
        ),
    ] {
        let output = run(&mut operator(probes));
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with(said) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_reader_that_stopped_reading_does_not_hold_up_its_end() {
    // Lines of 60 KiB: two of them fill the pipe.
    let script = "head -c 60000 /dev/zero | tr '\\0' x";
    let probes: Vec<_> = (0..8)
        .map(|n| json!({"name": format!("p{n}"), "interval": "1s", "exec": {"command": ["sh", "-c", script], "as": "text"}}))
        .collect();
    let mut child = operator(&json!(probes).to_string()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.len() > 60_000);
    std::thread::sleep(Duration::from_secs(3));
    terminate(&child);
    assert!(ended(&mut child).success());
}

#[test]
fn without_a_reader_it_ends() {
    let probes = json!([{"name": "p", "interval": "1s", "exec": {"command": ["echo", "1"]}}]);
    let mut child = operator(&probes.to_string()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(!ended(&mut child).success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "operator: standard output cannot be written any more: broken pipe\n");
}

#[test]
fn its_help_says_what_it_prints() {
    let output = run(operator("").arg("--help"));
    let help = String::from_utf8(output.stdout).unwrap();
    for word in ["OPERATOR_PROBES", "--once", "one line of JSON", "SIGTERM"] {
        assert!(help.contains(word), "{help}");
    }
}
