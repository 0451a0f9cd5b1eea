//! What `operator-tui` costs: as a process in a real terminal, with 10,000 Incidents from a recording, and (where
//! KUBECONFIG names the project's cluster) with one that changes. Prints one line of JSON.
//!
//! Times are taken from what tmux is sent to what the program wrote, so they hold tmux's own share (a few milliseconds).

// A measurement: whatever fails ends it with a sentence.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use controller::agent::present::thousands;
use operator_tests::Cluster;
use operator_tests::tmux::Terminal;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
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

    let (terminal, painted) = opened(&still);
    figures["first_paint_ms"] = ms(painted);
    terminal.until("all are listed", SOON, |screen| screen.contains(&listed));
    std::thread::sleep(Duration::from_secs(2));
    figures["idle_cpu_percent"] = json!(cpu(&terminal));
    let mut keys: Vec<Duration> =
        (0..TIMES).map(|time| key(&terminal, if time % 2 == 0 { "j" } else { "k" })).collect();
    keys.sort();
    figures["key_ms"] = json!({"p50": ms(keys[TIMES / 2]), "p99": ms(keys[TIMES * 99 / 100])});
    figures["rss_kib"] = json!(resident(&terminal));
    drop(terminal);

    let (terminal, _) = opened(&lively);
    terminal.until("all are listed", SOON, |screen| screen.contains(&listed));
    std::thread::sleep(Duration::from_secs(2));
    figures["cpu_percent_at_10_updates"] = json!(cpu(&terminal));
    drop(terminal);

    if std::env::var_os("KUBECONFIG").is_some() {
        figures["change_ms"] = changes().await;
    }
    println!("{figures}");
}

fn ms(time: Duration) -> Value {
    json!((time.as_secs_f64() * 10_000.0).round() / 10.0)
}

fn incident(number: usize, version: usize) -> Value {
    let phase = ["Resolved", "Concluded", "Escalated"][number % 3];
    let severity = ["critical", "error", "warning", "info"][number % 4];
    let message = format!("change {version} of {number}");
    json!({"kind": "incident", "object": {
        "apiVersion": "operator.dev/v1alpha1", "kind": "Incident",
        "metadata": {"name": format!("inc-{number:05}"), "namespace": "ns", "uid": format!("uid-{number}"),
            "resourceVersion": (number + version).to_string(), "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1},
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

/// A terminal with that recording, and how long it took until something stood on its screen.
fn opened(file: &str) -> (Terminal, Duration) {
    let begun = Instant::now();
    let terminal = Terminal::operator(120, 36, &format!("incidents --replay {file}"));
    terminal.until("the first frame", SOON, |screen| screen.contains("operator") && screen.contains("SEV"));
    (terminal, begun.elapsed())
}

/// From a key to another screen.
fn key(terminal: &Terminal, key: &str) -> Duration {
    let before = terminal.coloured();
    let begun = Instant::now();
    terminal.press(&[key]);
    while terminal.coloured() == before {
        assert!(begun.elapsed() < SOON, "{key} changes nothing\n{before}");
    }
    begun.elapsed()
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

/// From a change at the API server to the screen.
async fn changes() -> Value {
    let namespace = Cluster::connect().await.namespace("bench-terminal").await;
    namespace.subject("none", "nothing-is-called-that").await;
    let terminal = Terminal::operator(120, 36, &format!("subjects --namespace {}", namespace.name));
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
    times.sort();
    json!({"p50": ms(times[TIMES / 2]), "p99": ms(times[TIMES * 99 / 100])})
}
