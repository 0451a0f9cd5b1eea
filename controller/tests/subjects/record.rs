//! Records the rounds of a system that runs: those of the real observer in the system's network, and those of the
//! `docker` probes, in the order in which they came.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bollard::Docker;
use controller::probe::docker::Containers;

use crate::files;

pub(crate) async fn record(name: &str, seconds: u64, file: &str) {
    let spec = files::subject(name).spec;
    let project = spec.r#where.docker.unwrap().project;
    let probes = serde_json::to_string(&spec.probes).unwrap();
    let observer = format!("operator-record-{name}");
    let network = String::from_utf8(
        Command::new("docker")
            .args([
                "network",
                "ls",
                "--filter",
                &format!("label=com.docker.compose.project={project}"),
                "--format",
                "{{.Name}}",
            ])
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    let mut child = Command::new("docker")
        .args([
            "run",
            "--rm",
            "--name",
            &observer,
            "--network",
            network.trim(),
            "--user",
            "1000:1000",
            "--cap-drop",
            "ALL",
        ])
        .args(["--read-only", "--tmpfs", "/tmp", "--pids-limit", "64", "--env", &format!("OPERATOR_PROBES={probes}")])
        .args(["--volume", &format!("{}:/usr/local/bin/operator:ro", env!("CARGO_BIN_EXE_operator"))])
        .args(["--entrypoint", "/usr/local/bin/operator", "operator-agent:dev", "observe"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (lines, read) = mpsc::channel::<String>();
    let heard = lines.clone();
    let output = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| heard.send(line))
    });

    let docker = Docker::connect_with_local_defaults().unwrap();
    let until = Instant::now() + Duration::from_secs(seconds);
    for containers in spec.probes.iter().filter_map(|probe| Containers::new(probe).unwrap()) {
        let (docker, project, lines) = (docker.clone(), project.clone(), lines.clone());
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(containers.interval());
            loop {
                ticks.tick().await;
                let round = containers.round(&docker, &project).await.round;
                if lines.send(controller::probe::line(&round).trim_end().to_owned()).is_err() {
                    return;
                }
            }
        });
    }
    let mut out = File::create(file).unwrap();
    tokio::task::spawn_blocking(move || {
        while let Ok(line) = read.recv_timeout(until.saturating_duration_since(Instant::now())) {
            writeln!(out, "{line}").unwrap();
        }
    })
    .await
    .unwrap();
    Command::new("docker").args(["rm", "--force", &observer]).output().unwrap();
    child.wait().unwrap();
}
