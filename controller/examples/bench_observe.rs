//! What an observer costs that runs twenty probes every second.
//!
//! `bench_observe OPERATOR [SECONDS]` starts `OPERATOR observe` against small servers of its own (JSON, metrics, a port, a
//! Redis that is played) and prints one line of JSON: the part of a core that it took once it was warm, and the memory
//! that it held.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use controller::probe::Round;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Names are looked up, connections made and code is read from the disk in the first rounds.
const WARM: Duration = Duration::from_secs(3);

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let operator = arguments.next().ok_or("bench_observe OPERATOR [SECONDS]")?;
    let seconds: u64 = arguments.next().map_or(Ok(30), |text| text.parse())?;

    let probes = probes(serve(web)?, serve(redis)?);
    let mut child = Command::new(operator)
        .arg("observe")
        .env("OPERATOR_PROBES", json!(probes).to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let measured = measure(&mut child, probes.len(), seconds);
    child.kill()?;
    child.wait()?;
    println!("{}", measured?);
    Ok(())
}

/// Twelve over HTTP, four pages of metrics, two ports and two Redis, most of them by a name.
fn probes(web: u16, redis: u16) -> Vec<Value> {
    let probe = |kind: &str, n: usize| json!({"name": format!("{kind}{n}"), "interval": "1s", "timeout": "1s"});
    let mut all = Vec::new();
    for n in 0..12 {
        let mut one = probe("http", n);
        one["http"] = json!({"url": format!("http://localhost:{web}/status")});
        if n % 2 == 0 {
            one["select"] = json!({"leader": "value.leader", "up": "value.members.filter(m, m.up).size()"});
        }
        all.push(one);
    }
    for n in 0..4 {
        let mut one = probe("metrics", n);
        let url = format!("http://localhost:{web}/metrics");
        one["prometheus"] = json!({"url": url, "metrics": ["requests_total", "latency_seconds"]});
        all.push(one);
    }
    for n in 0..2 {
        let mut one = probe("port", n);
        one["tcp"] = json!({"address": format!("localhost:{web}")});
        all.push(one);
        let mut one = probe("redis", n);
        one["redis"] = json!({"address": format!("localhost:{redis}"), "commands": [["PING"], ["INFO"]]});
        all.push(one);
    }
    all
}

fn measure(child: &mut Child, probes: usize, seconds: u64) -> Outcome<Value> {
    let (rounds, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counts, fails) = (rounds.clone(), failed.clone());
    let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            counts.fetch_add(1, Ordering::Relaxed);
            let ok = serde_json::from_str::<Round>(&line).is_ok_and(|round| round.readings.values().all(|one| one.ok));
            fails.fetch_add(usize::from(!ok), Ordering::Relaxed);
        }
    });
    std::thread::sleep(WARM);
    let (began, before, first) = (Instant::now(), cpu(child.id())?, rounds.load(Ordering::Relaxed));
    std::thread::sleep(Duration::from_secs(seconds));
    let (took, used) = (began.elapsed(), cpu(child.id())?.saturating_sub(before));
    Ok(json!({
        "probes": probes,
        "interval_ms": 1000,
        "seconds": seconds,
        "rounds": rounds.load(Ordering::Relaxed) - first,
        "failed_rounds": failed.load(Ordering::Relaxed),
        "cpu_percent_of_a_core": rounded(used.as_secs_f64() / took.as_secs_f64() * 100.0),
        "resident_mb": rounded(memory(child.id(), "VmRSS:")? / 1024.0),
        "of_that_anonymous_mb": rounded(memory(child.id(), "RssAnon:")? / 1024.0),
        "peak_resident_mb": rounded(memory(child.id(), "VmHWM:")? / 1024.0),
    }))
}

/// The time that a process had on a processor: of all its threads, in nanoseconds from the scheduler.
fn cpu(pid: u32) -> Outcome<Duration> {
    let mut all = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile; the observer's live on.
        if let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) {
            let first = text.split_ascii_whitespace().next().ok_or("no time")?;
            all += Duration::from_nanos(first.parse()?);
        }
    }
    Ok(all)
}

/// A figure of a process's memory, in KiB.
fn memory(pid: u32, figure: &str) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(figure)).ok_or("no such figure")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

fn serve(handle: fn(TcpStream) -> std::io::Result<()>) -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || handle(stream));
        }
    });
    Ok(port)
}

fn web(mut stream: TcpStream) -> std::io::Result<()> {
    let members: Vec<_> = (0..20).map(|n| json!({"name": format!("node{n}"), "up": n % 3 != 0, "seen": n})).collect();
    let status = json!({"leader": "node1", "members": members}).to_string();
    let lines = (0..200).map(|n| {
        format!("requests_total{{code=\"{n}\"}} {n}\nlatency_seconds_bucket{{le=\"{n}\"}} 1\nother{{n=\"{n}\"}} 1\n")
    });
    let metrics = lines.collect::<String>();
    let mut path = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if let Some(rest) = line.strip_prefix("GET ") {
            rest.clone_into(&mut path);
        }
        if line.is_empty() {
            let body = if path.starts_with("/metrics") { &metrics } else { &status };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        }
    }
    Ok(())
}

fn redis(mut stream: TcpStream) -> std::io::Result<()> {
    let info: String = (0..150).map(|n| format!("key_{n}:{n}\r\n")).collect();
    for line in BufReader::new(stream.try_clone()?).lines() {
        match line?.as_str() {
            "PING" => stream.write_all(b"+PONG\r\n")?,
            "INFO" => stream.write_all(format!("${}\r\n{info}\r\n", info.len()).as_bytes())?,
            _ => {}
        }
    }
    Ok(())
}
