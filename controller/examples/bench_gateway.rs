//! What a call costs through the gateway, beside the bare socket; how fast its streams are, and how much
//! memory it takes.
//!
//! `bench_gateway OPERATOR IMAGE [ROUNDS]` starts `OPERATOR gateway` on this machine and a container of
//! IMAGE as its subject, asks both ways in turns, and prints one line of JSON.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, RestartContainerOptionsBuilder, StartContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use controller::sandbox::changes::Changes;
use controller::sandbox::dial::UnixDial;
use controller::sandbox::docker::names;
use controller::sandbox::fake::MemoryLedger;
use controller::sandbox::stream::{Identity, Patience};
use futures::StreamExt as _;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Size of the file that is copied out.
const STREAM: u64 = 256 << 20;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let operator = arguments.next().ok_or("which operator?")?;
    let image = arguments.next().unwrap_or_else(|| "operator-agent:dev".into());
    let rounds: usize = arguments.next().map_or(Ok(300), |text| text.parse())?;
    let engine = std::env::var("DOCKER_HOST").unwrap_or_default();
    let engine = engine.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned();

    let bare = connect(Path::new(&engine))?;
    let project = format!("bench-{}", std::process::id());
    let subject = subject(&bare, &project, &image).await?;
    let measured = measure(&bare, &operator, &engine, &project, &subject, rounds).await;
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    bare.remove_container(&subject, Some(options)).await?;
    println!("{}", measured?);
    Ok(())
}

fn connect(socket: &Path) -> Outcome<Docker> {
    Ok(Docker::connect_with_unix(&socket.to_string_lossy(), 120, API_DEFAULT_VERSION)?)
}

/// A container of the project, with a file to copy.
async fn subject(docker: &Docker, project: &str, image: &str) -> Outcome<String> {
    // The second one lets `make down` find what a run that was cut off left.
    let labels = [names::COMPOSE_PROJECT, names::INSTALLATION].map(|label| (label.to_owned(), project.to_owned()));
    let fill = format!("head -c {STREAM} /dev/zero >/tmp/file && exec sleep 3600");
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(["bash", "-c", &fill].map(str::to_owned).into()),
        cmd: Some(Vec::new()),
        labels: Some(labels.into()),
        host_config: Some(HostConfig { init: Some(true), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let made = docker.create_container(None::<CreateContainerOptions>, body).await?;
    docker.start_container(&made.id, None::<StartContainerOptions>).await?;
    Ok(made.id)
}

/// The gateway's process, ended with the measurement.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Gateway {
    /// Resident memory now and at most, in KiB.
    fn memory(&self) -> Outcome<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let figure = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such line")?;
            Ok::<u64, Box<dyn Error>>(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
        };
        Ok((figure("VmRSS:")?, figure("VmHWM:")?))
    }

    /// Of that, what is its own and not pages of its program.
    fn own_memory(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).ok_or("no such line")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
    }
}

async fn measure(
    bare: &Docker,
    operator: &str,
    engine: &str,
    project: &str,
    subject: &str,
    rounds: usize,
) -> Outcome<serde_json::Value> {
    let directory = tempfile::tempdir()?;
    let [socket, control] = ["docker.sock", "control.sock"].map(|name| directory.path().join(name));
    let policy = serde_json::json!({"project": project}).to_string();
    let child = Command::new(operator)
        .args(["gateway", "--session", "bench", "--policy", &policy, "--engine", engine, "--wall-limit", "3600"])
        .arg("--socket")
        .arg(&socket)
        .arg("--control")
        .arg(&control)
        .spawn()?;
    let child = Gateway(child);
    let identity = Identity { session: "bench".into(), epoch: 1 };
    let ledger = MemoryLedger::new();
    let dial = Arc::new(UnixDial(control));
    for _ in 0..500 {
        if socket.exists() && dial.0.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let changes = Changes::connect(dial, identity, Patience::default(), ledger).await?;
    let through = connect(&socket)?;
    let idle = child.memory()?.0;

    let list = || ListContainersOptionsBuilder::default().all(true).build();
    let mut calls = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for round in 0..rounds + 10 {
        for (way, docker) in [bare, &through].into_iter().enumerate() {
            let begun = Instant::now();
            docker.list_containers(Some(list())).await?;
            let listed = begun.elapsed();
            let begun = Instant::now();
            docker.inspect_container(subject, None::<InspectContainerOptions>).await?;
            // The first ones warm up.
            if round >= 10 {
                calls[0][way].push(listed);
                calls[1][way].push(begun.elapsed());
            }
        }
    }
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        for (way, docker) in [bare, &through].into_iter().enumerate() {
            rates[way].push(download(docker, subject).await?);
        }
    }
    let mut restarts = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        for (way, docker) in [bare, &through].into_iter().enumerate() {
            let options = RestartContainerOptionsBuilder::default().t(0).build();
            let begun = Instant::now();
            docker.restart_container(subject, Some(options)).await?;
            restarts[way].push(begun.elapsed());
        }
    }
    let (after, most) = child.memory()?;
    let own = child.own_memory()?;
    changes.close().await;
    let [list, inspect] = calls.map(pair);
    let [bare_rate, our_rate] = rates.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2].round()
    });
    Ok(serde_json::json!({
        "list_ms": list,
        "inspect_ms": inspect,
        "restart_ms": pair(restarts),
        "copy_mib_per_s": {"bare": bare_rate, "gateway": our_rate, "ratio": round(our_rate / bare_rate)},
        "memory_kib": {"idle": idle, "after": after, "most": most, "own": own},
    }))
}

/// Copies the file out, and says how many MiB a second that were.
async fn download(docker: &Docker, subject: &str) -> Outcome<f64> {
    let options = DownloadFromContainerOptionsBuilder::default().path("/tmp/file").build();
    let begun = Instant::now();
    let mut stream = docker.download_from_container(subject, Some(options));
    let mut bytes = 0_u64;
    while let Some(chunk) = stream.next().await {
        bytes += chunk?.len() as u64;
    }
    if bytes < STREAM {
        return Err(format!("only {bytes} bytes came").into());
    }
    Ok(f64::from(u32::try_from(STREAM >> 20)?) / begun.elapsed().as_secs_f64())
}

fn pair([mut bare, mut ours]: [Vec<Duration>; 2]) -> serde_json::Value {
    bare.sort();
    ours.sort();
    let at = |all: &[Duration], percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)].as_secs_f64() * 1e3;
    serde_json::json!({
        "bare": {"p50": round(at(&bare, 50)), "p99": round(at(&bare, 99))},
        "gateway": {"p50": round(at(&ours, 50)), "p99": round(at(&ours, 99))},
        "ratio": round(at(&ours, 50) / at(&bare, 50)),
    })
}

fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
