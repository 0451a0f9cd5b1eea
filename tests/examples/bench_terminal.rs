//! What `operator-tui` costs: as a process in a real terminal, with 10,000 Incidents from a recording, and (where
//! KUBECONFIG names the project's cluster) with one that changes. Prints one line of JSON.
//!
//! Times are taken at the other end of the program's own terminal: from its start, or a key, to the bytes that it writes.
//! Only a change in the cluster is looked for on a tmux's screen, so tmux's share (a few milliseconds) is in that.

// A measurement: whatever fails ends it with a sentence.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use controller::agent::present::thousands;
use operator_tests::Cluster;
use operator_tests::pty::Pty;
use operator_tests::tmux::{Terminal, binary};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
/// How often the program is started for its first paint.
const STARTS: usize = 9;
/// Between two keys: slower than the program draws, as fast as a person types.
const BETWEEN: Duration = Duration::from_millis(80);
/// For how long the processor's use is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Keys, and changes in the cluster, that are measured.
const TIMES: usize = 60;
/// Ticks of `/proc/PID/stat` in a second: what Linux shows, on every machine.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() {
    let incidents: usize = std::env::args().nth(1).map_or(10_000, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().unwrap();
    let still = recording(folder.path(), "still", incidents, 0);
    let lively = recording(folder.path(), "lively", incidents, 400);
    let mut figures = json!({"incidents": incidents});
    // As the header writes it.
    let listed = thousands(incidents as u64);

    let replay = ["incidents", "--replay", &still];
    let (painted, rows) = (0..STARTS).map(|_| first_paint(&replay, "inc-").1).unzip();
    figures["first_paint_ms"] = middle_and_end(painted);
    figures["first_rows_ms"] = middle_and_end(rows);
    let (mut terminal, _) = first_paint(&replay, "inc-");
    terminal.settle(Duration::from_secs(1));
    let keys = (0..TIMES).map(|time| {
        std::thread::sleep(BETWEEN);
        terminal.answer(if time % 2 == 0 { b"j" } else { b"k" }, SOON)
    });
    figures["key_ms"] = middle_and_end(keys.collect());
    drop(terminal);

    let terminal = opened(&still);
    terminal.until("all are listed", SOON, |screen| screen.contains(&listed));
    std::thread::sleep(Duration::from_secs(2));
    figures["idle_cpu_percent"] = json!(cpu(&terminal));
    figures["rss_kib"] = json!(resident(&terminal));
    drop(terminal);

    let terminal = opened(&lively);
    terminal.until("all are listed", SOON, |screen| screen.contains(&listed));
    std::thread::sleep(Duration::from_secs(2));
    figures["cpu_percent_at_10_updates"] = json!(cpu(&terminal));
    drop(terminal);

    if std::env::var_os("KUBECONFIG").is_some() {
        cluster(&mut figures).await;
    }
    println!("{figures}");
}

fn ms(time: Duration) -> Value {
    json!((time.as_secs_f64() * 10_000.0).round() / 10.0)
}

/// One that is a month old: an age in seconds would be drawn anew each second, and then nothing is idle.
fn incident(number: usize, version: usize) -> Value {
    let phase = ["Resolved", "Concluded", "Escalated"][number % 3];
    let severity = ["critical", "error", "warning", "info"][number % 4];
    let message = format!("change {version} of {number}");
    json!({"kind": "incident", "object": {
        "apiVersion": "operator.dev/v1alpha1", "kind": "Incident",
        "metadata": {"name": format!("inc-{number:05}"), "namespace": "ns", "uid": format!("uid-{number}"),
            "resourceVersion": (number + version).to_string(), "creationTimestamp": "2025-12-01T00:00:00Z", "generation": 1},
        "spec": {"title": format!("Incident {number}: something does not answer"), "subjectRef": {"name": "shop"},
            "severity": severity, "attempt": 1},
        "status": {"phase": phase, "message": message, "turns": 5, "commands": 10, "cost": "$0.10",
            "rootCause": "A container had ended and nobody started it again."},
    }})
}

/// All of them at once, and then a change of one ten times a second.
fn recording(folder: &Path, name: &str, incidents: usize, changes: usize) -> String {
    let began: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut text = String::new();
    let mut line = |after: Duration, event: Value| {
        let mut line = event;
        line["at"] = json!(began + after);
        writeln!(text, "{line}").unwrap();
    };
    let now = Duration::ZERO;
    line(now, json!({"event": "listing", "of": "incidents"}));
    for number in 0..incidents {
        line(now, json!({"event": "applied", "object": incident(number, 0)}));
    }
    line(now, json!({"event": "listed", "of": "incidents"}));
    line(now, json!({"event": "link", "source": {"kind": "incidents"}, "link": {"state": "live"}}));
    for change in 1..=changes {
        let after = Duration::from_millis(100) * u32::try_from(change).unwrap();
        line(after, json!({"event": "applied", "object": incident(change % 30, change)}));
    }
    let file = folder.join(format!("{name}.jsonl"));
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// The program, and how long it took until a screen of it stood there, and until that had a row with this text.
fn first_paint(arguments: &[&str], row: &str) -> (Pty, (Duration, Duration)) {
    let mut program = Command::new(binary());
    program.args(arguments);
    let begun = Instant::now();
    let terminal = Pty::open(120, 36, program);
    let painted = terminal.until(&["operator"], SOON) - begun;
    let rows = terminal.until(&[row], SOON) - begun;
    (terminal, (painted, rows))
}

/// A tmux with that recording.
fn opened(file: &str) -> Terminal {
    Terminal::operator(120, 36, &format!("incidents --replay {file}"))
}

fn middle_and_end(mut times: Vec<Duration>) -> Value {
    times.sort();
    json!({"p50": ms(times[times.len() / 2]), "p99": ms(times[times.len() * 99 / 100])})
}

fn program(terminal: &Terminal) -> u32 {
    let shell = terminal.shell();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    children.split_whitespace().next().expect("the program").parse().unwrap()
}

/// How much of one processor the program uses, in percent.
fn cpu(terminal: &Terminal) -> f64 {
    let program = program(terminal);
    let ticks = || -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{program}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(WATCHED);
    let used = (ticks() - before) / TICKS / WATCHED.as_secs_f64() * 100.0;
    (used * 100.0).round() / 100.0
}

fn resident(terminal: &Terminal) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program(terminal))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The same start with a real API server, and from a change there to the screen.
async fn cluster(figures: &mut Value) {
    let namespace = Cluster::connect().await.namespace("bench-terminal").await;
    namespace.subject("none", "nothing-is-called-that").await;
    let arguments = ["subjects", "--namespace", &namespace.name];
    let (painted, rows) = (0..STARTS).map(|_| first_paint(&arguments, "Unwatched").1).unzip();
    figures["first_paint_of_cluster_ms"] = middle_and_end(painted);
    figures["first_rows_of_cluster_ms"] = middle_and_end(rows);

    let terminal = Terminal::operator(120, 36, &arguments.join(" "));
    terminal.wait("LIVE", SOON);
    let mut times = Vec::new();
    for number in 0..TIMES {
        let name = format!("s-{number:03}");
        let begun = Instant::now();
        namespace.subject(&name, "nothing-is-called-that").await;
        while !terminal.screen().contains(&name) {
            assert!(begun.elapsed() < SOON, "{name} does not come\n{}", terminal.screen());
        }
        times.push(begun.elapsed());
        let api = namespace.api::<crds::Subject>();
        api.delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
        terminal.wait_gone(&name, SOON);
    }
    namespace.remove().await;
    figures["change_ms"] = middle_and_end(times);
}
