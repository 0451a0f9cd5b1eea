//! The terminal itself: it is given back whatever happens, and nothing that a command printed reaches it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use operator_tests::Cluster;
use operator_tests::tmux::Terminal;
use serde_json::{Value, json};

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
    for name in ["q", "C-c", "TERM", "HUP"] {
        let terminal = opened(&arguments);
        match name {
            "TERM" | "HUP" => signal(&terminal, name),
            key => terminal.press(&[key]),
        }
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
                let of = format!("incidents --namespace {}", namespace.name);
                assert!(Command::new("pkill").args(["-TSTP", "-f", &of]).status().unwrap().success());
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
    let colours: Vec<&str> = renditions(&coloured).filter(|code| is_colour(code)).collect();
    assert!(renditions(&coloured).count() > 0, "reverse and bold are no colours: {coloured:?}");
    assert_eq!(colours, Vec::<&str>::new(), "{coloured:?}");
    terminal.press(&["q"]);
    terminal.wait("EXIT=0", SOON);
    namespace.remove().await;
}

/// The codes of all SGR sequences.
fn renditions(text: &str) -> impl Iterator<Item = &str> {
    text.split("\u{1b}[").skip(1).filter_map(|rest| rest.split_once('m')).flat_map(|(codes, _)| codes.split(';'))
}

/// Whether it chooses a colour; 39 and 49 go back to the terminal's own.
fn is_colour(code: &str) -> bool {
    code.parse().is_ok_and(|code: u8| matches!(code, 30..=38 | 40..=48 | 90..=107))
}

/// A session of these outputs, each of a command that failed, so that its step stands open. Recorded, so that it can be
/// played anywhere.
fn recording(folder: &Path, outputs: impl IntoIterator<Item = String>) -> String {
    let at = "2026-01-01T00:00:00Z";
    let mut text = String::new();
    let mut line = |event: Value| writeln!(text, "{event}").unwrap();
    let mut record = json!({"id": SESSION, "incidentNamespace": "ns", "incidentName": "inc", "incidentUid": "uid"});
    record["attempt"] = json!(1);
    line(json!({"at": at, "event": "session", "session": SESSION, "record": record}));
    for (index, output) in outputs.into_iter().enumerate() {
        let (call, id) = (2 * index + 1, format!("c{index}"));
        let called = json!({"turn": 1, "toolUseId": id, "tool": "shell", "input": {"command": format!("echo {index}")},
            "command": format!("echo {index}"), "reasoning": "look", "timeoutMs": 1000});
        let ended = json!({"turn": 1, "call": call, "toolUseId": id, "outcome": {"type": "exited", "code": 1},
            "durationMs": 10, "stdout": {"bytes": output.len(), "head": {"text": output}}, "content": "", "isError": false});
        let entries = json!([
            {"seq": call, "at": at, "kind": "tool_call", "data": called},
            {"seq": call + 1, "at": at, "kind": "tool_result", "data": ended},
        ]);
        line(json!({"at": at, "event": "entries", "session": SESSION, "entries": entries, "paged": false}));
    }
    let file = folder.join("recording.jsonl");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

const SESSION: &str = "2026-01-01T00-00-00-00000001";

#[test]
fn nothing_that_a_command_printed_reaches_the_terminal_but_colours() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = [
        // A title, a way out of the alternate screen, a cleared screen, a question for the terminal, a clipboard.
        "\u{1b}]0;PWNED\u{7}title",
        "\u{1b}[?1049lalternate",
        "\u{1b}[2J\u{1b}[Hcleared",
        "\u{1b}[6n\u{1b}[cquestion",
        "\u{1b}]52;c;UFdORUQ=\u{7}clipboard",
        "\u{9b}31mc1\u{90}dcs\u{9c}",
        "back\rwards\u{8}\u{8}\u{8}",
        "\u{202e}bidi",
        "\u{1b}[31mred\u{1b}[0m",
    ];
    let file = recording(folder.path(), [hostile.join("\n")]);
    let terminal = Terminal::operator(120, 36, &format!("session {SESSION} --replay {file}"));
    let screen = terminal.wait("clipboard", SOON);
    for word in ["title", "alternate", "cleared", "question", "bidi", "red"] {
        assert!(screen.contains(word), "{word} is missing:\n{screen}");
    }
    assert!(screen.contains("operator"), "the header stands:\n{screen}");
    assert!(!terminal.is_restored(), "it is still on its own screen");
    assert!(!terminal.title().contains("PWNED"), "{}", terminal.title());
    terminal.press(&["C-c"]);
    terminal.wait("EXIT=", SOON);
    assert!(terminal.is_restored());
    assert!(!terminal.screen().contains("[6n") && !terminal.screen().contains(";1R"), "nothing was answered");
}

#[test]
fn fifty_thousand_entries_and_a_line_of_a_megabyte_are_scrolled() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(1 << 20);
    let outputs = (0..25_000).map(|index| if index == 24_000 { long.clone() } else { format!("output {index}") });
    let file = recording(folder.path(), outputs);
    let terminal = Terminal::operator(120, 36, &format!("session {SESSION} --replay {file}"));
    terminal.wait("output 24999", SOON * 4);
    terminal.press(&["g", "g"]);
    terminal.wait_gone("output 24999", SOON);
    terminal.press(&["G"]);
    terminal.wait("output 24999", SOON);
    let memory = std::fs::read_to_string(format!("/proc/{}/status", program(&terminal))).unwrap();
    let resident = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes < 400 << 10, "{kibibytes} KiB: the whole transcript is kept");
    terminal.press(&["C-c"]);
    terminal.wait("EXIT=", SOON);
    assert!(terminal.is_restored());
}
