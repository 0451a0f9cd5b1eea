//! The terminal itself: it is given back whatever happens, and nothing that a command printed reaches it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use operator_tests::Cluster;
use operator_tests::tmux::Terminal;
use serde_json::json;

use super::SOON;

/// The process of the program that runs in a terminal.
fn program(terminal: &Terminal) -> String {
    let shell = terminal.shell().to_string();
    let output = Command::new("pgrep").args(["-P", &shell, "operator-tui"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn signal(terminal: &Terminal, name: &str) {
    let process = program(terminal);
    assert!(!process.is_empty(), "the program runs");
    assert!(Command::new("kill").args([&format!("-{name}"), &process]).status().unwrap().success());
}

fn opened(arguments: &str) -> Terminal {
    let terminal = Terminal::operator(120, 36, arguments);
    terminal.wait("LIVE", SOON);
    terminal
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_back_after_every_end() {
    let namespace = Cluster::connect().await.namespace("ends").await;
    let arguments = format!("incidents --namespace {}", namespace.name);
    let ends: [(&str, &dyn Fn(&Terminal)); 4] = [
        ("q", &|terminal| terminal.press(&["q"])),
        ("^C", &|terminal| terminal.press(&["C-c"])),
        ("SIGTERM", &|terminal| signal(terminal, "TERM")),
        ("SIGHUP", &|terminal| signal(terminal, "HUP")),
    ];
    for (name, end) in ends {
        let terminal = opened(&arguments);
        end(&terminal);
        terminal.wait("EXIT=", SOON);
        assert!(terminal.is_restored(), "after {name}");
    }
    namespace.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_as_a_job_and_comes_back() {
    let namespace = Cluster::connect().await.namespace("job").await;
    let binary = operator_tests::tmux::binary();
    let terminal = Terminal::open(120, 36, "PS1='ready> ' exec bash --norc -i");
    terminal.wait("ready>", SOON);
    terminal.type_text(&format!("{binary} incidents --namespace {}\n", namespace.name));
    terminal.wait("LIVE", SOON);
    for stop in ["C-z", "TSTP"] {
        match stop {
            "TSTP" => {
                let jobs =
                    Command::new("pkill").args(["-TSTP", "-f", &format!("incidents --namespace {}", namespace.name)]);
                assert!({ jobs }.status().unwrap().success());
            }
            key => terminal.press(&[key]),
        }
        terminal.wait("Stopped", SOON);
        assert!(terminal.is_restored(), "after {stop}");
        terminal.type_text("fg\n");
        terminal.wait("LIVE", SOON);
    }
    terminal.press(&["q"]);
    terminal.wait_gone("LIVE", SOON);
    namespace.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_sizes_leaves_a_whole_screen() {
    let namespace = Cluster::connect().await.namespace("sizes").await;
    let terminal = opened(&format!("incidents --namespace {}", namespace.name));
    for round in 0..60_u16 {
        terminal.resize(20 + (round * 37) % 180, 4 + (round * 13) % 56);
    }
    terminal.resize(50, 10);
    terminal.wait("too small", SOON);
    terminal.resize(120, 36);
    terminal.wait("LIVE", SOON);
    terminal.press(&["q"]);
    terminal.wait("EXIT=0", SOON);
    namespace.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_colours_there_are_none() {
    let namespace = Cluster::connect().await.namespace("plain").await;
    let binary = operator_tests::tmux::binary();
    let terminal = Terminal::open(120, 36, &format!("NO_COLOR=1 {binary} incidents --namespace {}", namespace.name));
    terminal.wait("LIVE", SOON);
    let coloured = terminal.coloured();
    let has_colour = ["\u{1b}[3", "\u{1b}[9"].iter().any(|start| {
        coloured.match_indices(start).any(|(at, _)| coloured[at + 3..].starts_with(|c: char| c.is_ascii_digit()))
    });
    assert!(!has_colour, "{coloured:?}");
    terminal.press(&["q"]);
    terminal.wait("EXIT=0", SOON);
    namespace.remove().await;
}

/// A recording of a session with these outputs.
fn recording(folder: &Path, outputs: &[String]) -> String {
    let source = json!({"session": "2026-01-01T00-00-00-00000001"});
    let mut text = json!({"operatorTui": 1}).to_string() + "\n";
    for (index, output) in outputs.iter().enumerate() {
        let (call, result) = (2 * index + 1, 2 * index + 2);
        let call_entry = json!({"seq": call, "at": "2026-01-01T00:00:00Z", "kind": "tool_call", "data": {
            "turn": 1, "toolUseId": format!("c{index}"), "tool": "shell", "input": {"command": "true"},
            "command": format!("echo {index}"), "reasoning": "see", "timeoutMs": 1000}});
        let result_entry = json!({"seq": result, "at": "2026-01-01T00:00:01Z", "kind": "tool_result", "data": {
            "turn": 1, "call": call, "toolUseId": format!("c{index}"), "outcome": {"exited": {"code": 1}},
            "durationMs": 10, "stdout": {"text": output, "total": output.len()}, "content": output, "isError": true, "redacted": 0}});
        for entry in [call_entry, result_entry] {
            let _ = writeln!(text, "{}", json!({"source": source, "entry": entry}));
        }
    }
    let file = folder.join("recording.jsonl");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn a_recording_helper_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = recording(folder.path(), &["x".into()]);
    assert!(Path::new(&file).exists());
    std::thread::sleep(Duration::from_millis(1));
}
