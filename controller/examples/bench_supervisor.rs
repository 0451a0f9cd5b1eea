//! What a command costs through the supervisor, beside a one-shot `docker exec` through the API.
//!
//! `bench_supervisor IMAGE [ROUNDS]` makes a throwaway network and a container of an agent's image,
//! runs `true` in it both ways, in turns, and prints one line of JSON.

use std::error::Error;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ExecConfig, NetworkCreateRequest};
use controller::sandbox::docker::{DockerProvider, names};
use controller::sandbox::fake::MemoryLedger;
use controller::sandbox::{Access, Command, CommandEnd, ContainerLimits, SandboxProvider as _, SandboxRequest};
use controller::session::SessionId;
use futures::StreamExt as _;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().unwrap_or_else(|| "operator-agent:dev".into());
    let rounds: usize = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    let docker = Docker::connect_with_host(&host)?;

    let session = SessionId::new(jiff::Timestamp::now());
    let project = format!("bench-{session}").to_lowercase();
    // The second one lets `make down` find what a run that was cut off left.
    let labels = [names::COMPOSE_PROJECT, names::INSTALLATION].map(|label| (label.to_owned(), project.clone()));
    let network = NetworkCreateRequest { name: project.clone(), labels: Some(labels.into()), ..Default::default() };
    docker.create_network(network).await?;
    let provider = DockerProvider::connect(&host, &format!("bench-{session}"))?;
    let measured = measure(&docker, &provider, &session, &project, &image, rounds).await;
    provider.remove(&session).await?;
    docker.remove_network(&project).await?;
    println!("{}", measured?);
    Ok(())
}

async fn measure(
    docker: &Docker,
    provider: &DockerProvider,
    session: &SessionId,
    project: &str,
    image: &str,
    rounds: usize,
) -> Outcome<serde_json::Value> {
    let request = SandboxRequest {
        session: session.clone(),
        subject: "bench/bench".into(),
        project: project.into(),
        image: image.into(),
        limits: ContainerLimits::default(),
        access: Access::default(),
        egress: Vec::new(),
        wall_limit: Duration::from_mins(10),
    };
    let begun = Instant::now();
    let plan = provider.preflight(&request).await?;
    let preflight = begun.elapsed();
    let begun = Instant::now();
    let sandbox = provider.create(&plan, MemoryLedger::new()).await?;
    let create = begun.elapsed();

    let (mut through, mut inside, mut direct) = (Vec::new(), Vec::new(), Vec::new());
    for seq in 0..i64::try_from(rounds + 10)? {
        let command = Command { seq, command: "true".into(), timeout: Duration::from_mins(1), live: None };
        let begun = Instant::now();
        let result = sandbox.run(&command).await?;
        through.push(begun.elapsed());
        inside.push(result.duration);
        if result.end != (CommandEnd::Exited { code: 0 }) {
            return Err(format!("{:?}", result.end).into());
        }
        // The slow way a tenth as often: it takes that much longer.
        if seq % 10 == 0 {
            let begun = Instant::now();
            exec(docker, sandbox.name()).await?;
            direct.push(begun.elapsed());
        }
    }
    // The first ones warm up.
    let [through, inside] = [through, inside].map(|all| all[10..].to_vec());
    let overhead = through.iter().zip(&inside).map(|(all, inner)| all.saturating_sub(*inner)).collect();
    Ok(serde_json::json!({
        "commands": rounds,
        "supervisor_ms": figures(through),
        "of_that_the_process_ms": figures(inside),
        "overhead_ms": figures(overhead),
        "docker_exec_ms": figures(direct[1..].to_vec()),
        "preflight_ms": millis(preflight),
        "create_ms": millis(create),
    }))
}

async fn exec(docker: &Docker, container: &str) -> Outcome<()> {
    let command = ["bash", "-c", "true"].map(str::to_owned);
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        user: Some("1000:1000".into()),
        cmd: Some(command.into()),
        ..Default::default()
    };
    let made = docker.create_exec(container, config).await?;
    if let StartExecResults::Attached { mut output, .. } = docker.start_exec(&made.id, None::<StartExecOptions>).await?
    {
        while output.next().await.is_some() {}
    }
    // The exit code is part of what a command needs.
    docker.inspect_exec(&made.id).await?;
    Ok(())
}

fn figures(mut all: Vec<Duration>) -> serde_json::Value {
    all.sort();
    let at = |percent: usize| all.get((all.len() * percent / 100).min(all.len().saturating_sub(1)));
    let figure = |percent| at(percent).map_or(0.0, |time| millis(*time));
    serde_json::json!({ "p50": figure(50), "p99": figure(99) })
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
