//! The sandbox on a real engine: made, used, lost, removed.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "sandbox_support/engine.rs"]
mod engine;

use std::sync::Arc;
use std::time::Duration;

use controller::leader::Leadership;
use controller::sandbox::docker::DockerProvider;
use controller::sandbox::fake::MemoryLedger;
use controller::sandbox::{
    Command, CommandEnd, CommandResult, ContainerLimits, Recovered, Sandbox, SandboxError, SandboxProvider as _,
    SandboxRequest,
};
use engine::{HOST, Project, docker};

fn command(seq: i64, text: &str) -> Command {
    Command { seq, command: text.into(), timeout: Duration::from_mins(1), live: None }
}

async fn run(sandbox: &Arc<dyn Sandbox>, seq: i64, text: &str) -> CommandResult {
    sandbox.run(&command(seq, text)).await.unwrap()
}

fn out(result: &CommandResult) -> String {
    String::from_utf8_lossy(&result.stdout.head).trim().to_owned()
}

#[tokio::test]
async fn a_sandbox_from_its_beginning_to_its_end() {
    let project = Project::up();
    let provider = project.provider();
    let request = project.request();
    let plan = provider.preflight(&request).await.unwrap();
    assert_eq!(plan.networks.iter().map(|network| network.name.clone()).collect::<Vec<_>>(), {
        let mut names = project.networks.clone();
        names.sort();
        names
    });
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    assert_eq!(sandbox.name(), format!("operator-agent-{}-e1", request.session));

    // Who it is and what it cannot do.
    assert_eq!(out(&run(&sandbox, 1, "id -u; pwd; grep -E 'CapEff|CapPrm|NoNewPrivs' /proc/self/status").await), {
        "1000\n/work\nCapPrm:\t0000000000002000\nCapEff:\t0000000000002000\nNoNewPrivs:\t1"
    });
    let result = run(&sandbox, 2, "touch /x /usr/x /etc/x; ls /var/lib/operator/spool; kill -9 1; kill -9 7").await;
    assert_ne!(result.end, CommandEnd::Exited { code: 0 });
    let places =
        "for d in /tmp /work /home/agent; do echo '#!/bin/sh' > $d/s && chmod +x $d/s && $d/s && echo yes; done";
    assert_eq!(out(&run(&sandbox, 3, places).await), "yes\nyes\nyes");
    // On both networks before its first command, with the project's names.
    assert_eq!(out(&run(&sandbox, 4, "ls /sys/class/net | grep -c eth").await), "2");
    assert!(!out(&run(&sandbox, 5, "getent hosts web").await).is_empty());

    let labels = docker(&["inspect", "-f", "{{json .Config.Labels}}", sandbox.name()]);
    for label in ["operator.dev/installation", "operator.dev/session", "default/shop", "managed-by"] {
        assert!(labels.contains(label), "{labels}");
    }
    assert!(!labels.contains("com.docker.compose"), "{labels}");

    // What set the walls has ended, and the engine takes it away by itself, when it comes to it.
    let begun = std::time::Instant::now();
    let listed = loop {
        let listed = provider.list().await.unwrap();
        let goes = listed.iter().any(|leftover| leftover.name.starts_with("operator-wall-"));
        if !goes || begun.elapsed() > Duration::from_secs(30) {
            break listed;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(listed.iter().all(|leftover| leftover.session == request.session), "{listed:?}");
    let mut names: Vec<_> = listed.iter().map(|leftover| leftover.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [sandbox.name(), &sandbox.name().replace("agent", "gateway")]);
    provider.remove(&request.session).await.unwrap();
    assert_eq!(project.standing(), Vec::<String>::new());
    provider.remove(&request.session).await.unwrap();
    assert!(matches!(sandbox.run(&command(9, "true")).await, Err(SandboxError::Lost { .. })));
}

#[tokio::test]
async fn a_standing_container_is_taken_over_with_its_outcomes() {
    let project = Project::up();
    let request = project.request();
    let first = project.provider();
    let plan = first.preflight(&request).await.unwrap();
    let sandbox = first.create(&plan, MemoryLedger::new()).await.unwrap();
    assert!(!sandbox.is_kept());
    let slow = command(2, "echo begun >> /work/count; until [ -e /work/go ]; do sleep 0.1; done; cat /work/count");
    run(&sandbox, 1, "echo kept").await;
    let _ = tokio::time::timeout(Duration::from_millis(500), sandbox.run(&slow)).await;
    drop(sandbox);
    let before = project.standing();

    let sandbox = project.provider().with_epoch(2).create(&plan, MemoryLedger::new()).await.unwrap();
    assert_eq!(project.standing(), before);
    assert!(sandbox.is_kept());
    assert_eq!(out(&run(&sandbox, 1, "echo never").await), "kept");
    let (result, _) = tokio::join!(sandbox.recover(&slow), run(&sandbox, 3, "touch /work/go"));
    let Recovered::Ended(result) = result.unwrap() else { panic!("it was started") };
    assert_eq!(out(&result), "begun");
    assert_eq!(sandbox.recover(&command(4, "touch /work/never")).await, Ok(Recovered::NeverStarted));
    // The former controller can do nothing more.
    let error = first.create(&plan, MemoryLedger::new()).await.err().unwrap();
    assert!(matches!(&error, SandboxError::Lost { reason } if reason.contains("epoch")), "{error}");
}

#[tokio::test]
async fn what_a_later_leader_made_is_not_touched_and_what_an_earlier_one_made_is_kept() {
    let project = Project::up();
    let request = project.request();
    let earlier = project.provider().with_epoch(2);
    let plan = earlier.preflight(&request).await.unwrap();
    let sandbox = earlier.create(&plan, MemoryLedger::new()).await.unwrap();
    let name = sandbox.name().to_owned();
    assert!(name.ends_with("-e2"), "{name}");
    assert_eq!(docker(&["inspect", "-f", "{{index .Config.Labels \"operator.dev/epoch\"}}", &name]), "2");
    drop(sandbox);

    // The next leader finds it under the name that it has.
    let leadership = Leadership::for_ever(3);
    let later = project.provider().led_by(&leadership);
    let sandbox = later.create(&plan, MemoryLedger::new()).await.unwrap();
    assert_eq!(sandbox.name(), name);
    assert_eq!(out(&run(&sandbox, 1, "echo kept").await), "kept");
    // And makes its own, when that one is gone.
    docker(&["rm", "-f", &name]);
    let sandbox = later.create(&plan, MemoryLedger::new()).await.unwrap();
    assert!(sandbox.name().ends_with("-e3"), "{}", sandbox.name());
    let standing = project.standing();

    // A late call of the earlier one, from before it knew.
    for error in [
        earlier.remove(&request.session).await.unwrap_err(),
        earlier.create(&plan, MemoryLedger::new()).await.err().unwrap(),
    ] {
        assert!(error.is_transient() && error.to_string().contains("another one leads"), "{error}");
    }
    assert_eq!(project.standing(), standing);
    // Nor does the leader itself do anything once it is over, and nothing is lost by that.
    leadership.end();
    assert!(later.remove(&request.session).await.unwrap_err().is_transient());
    for error in [sandbox.run(&command(2, "true")).await.unwrap_err(), sandbox.kill(1).await.unwrap_err()] {
        assert!(error.is_transient() && error.to_string().contains("does not lead"), "{error}");
    }
    assert_eq!(project.standing(), standing);
    project.provider().with_epoch(4).remove(&request.session).await.unwrap();
    assert_eq!(project.standing(), Vec::<String>::new());
}

#[tokio::test]
async fn a_paused_container_is_silent_and_not_lost() {
    let project = Project::up();
    let provider = project.provider().with_patience(controller::sandbox::stream::Patience {
        ping: Duration::from_millis(200),
        silence: Duration::from_millis(600),
        reattach: Duration::from_secs(5),
        ..Default::default()
    });
    let plan = provider.preflight(&project.request()).await.unwrap();
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    docker(&["pause", sandbox.name()]);
    let asked = command(1, "echo awake");
    let (result, ()) = tokio::join!(sandbox.run(&asked), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        docker(&["unpause", sandbox.name()]);
    });
    assert_eq!(out(&result.unwrap()), "awake");
}

#[tokio::test]
async fn a_container_that_dies_is_lost_with_what_the_engine_says() {
    let project = Project::up();
    let provider = project.provider();
    let plan = provider.preflight(&project.request()).await.unwrap();
    for (seq, kill, word) in [(1, ["kill", "-s", "KILL"].as_slice(), "137"), (2, ["rm", "-f"].as_slice(), "removed")] {
        let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
        let endless = command(seq, "sleep 600");
        let (result, ()) = tokio::join!(sandbox.run(&endless), async {
            run(&sandbox, seq + 100, "true").await;
            let arguments: Vec<_> = kill.iter().copied().chain([sandbox.name()]).collect();
            docker(&arguments);
        });
        let error = result.unwrap_err();
        assert!(matches!(&error, SandboxError::Lost { reason } if reason.contains(word)), "{error}");
    }
    // The next one stands in a new container, and knows from the spool what it must not start again.
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    assert_eq!(out(&run(&sandbox, 3, "echo new").await), "new");
    let again = sandbox.run(&command(1, "echo again")).await;
    assert!(matches!(&again, Err(SandboxError::Lost { reason }) if reason.contains("outcome is lost")), "{again:?}");
}

#[tokio::test]
async fn the_engine_ends_and_freezes_what_no_supervisor_would_find() {
    let project = Project::up();
    let provider = project.provider();
    let request = project.request();
    let plan = provider.preflight(&request).await.unwrap();
    provider.kill(&request.session).await.unwrap();
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    // In a session of its own and without its marks: nothing inside finds it.
    let hidden =
        "setsid env -i sh -c 'while :; do date +%s%N >> /work/alive; sleep 0.05; done' >/dev/null 2>&1 & sleep 0.3";
    run(&sandbox, 1, hidden).await;
    let state = |what: &str| docker(&["inspect", "-f", &format!("{{{{.State.{what}}}}}"), sandbox.name()]);

    provider.pause(&request.session, true).await.unwrap();
    provider.pause(&request.session, true).await.unwrap();
    assert_eq!((state("Paused"), state("Running")), ("true".into(), "true".into()));
    provider.pause(&request.session, false).await.unwrap();
    provider.pause(&request.session, false).await.unwrap();
    let alive = out(&run(&sandbox, 2, "tail -n 1 /work/alive; sleep 0.3; tail -n 1 /work/alive").await);
    let beats: Vec<_> = alive.lines().collect();
    assert!(beats.len() == 2 && beats[0] != beats[1], "it goes on: {alive}");

    // A frozen one dies as well, and the gateway beside it stays: what was changed is still heard of.
    provider.pause(&request.session, true).await.unwrap();
    provider.kill(&request.session).await.unwrap();
    let dead = || state("Running") == "false";
    for _ in 0..100 {
        if dead() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(dead(), "all of it ended");
    assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", &sandbox.name().replace("agent", "gateway")]), "true");
    provider.kill(&request.session).await.unwrap();
    provider.remove(&request.session).await.unwrap();
    provider.kill(&request.session).await.unwrap();
}

#[tokio::test]
async fn a_command_that_runs_in_the_subject_is_known_by_its_process() {
    let project = Project::up();
    let provider = project.provider();
    docker(&["exec", "-d", &project.container(), "sleep", "30"]);
    let ids = docker(&["inspect", "-f", "{{json .ExecIDs}}", &project.container()]);
    let ids: Vec<String> = serde_json::from_str(&ids).unwrap();
    assert!(provider.running_exec(&ids[0]).await.unwrap().is_some_and(|pid| pid > 1));
    let kill =
        "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline) in 'sleep 30'*) kill ${p#/proc/};; esac; done";
    docker(&["exec", &project.container(), "sh", "-c", kill]);
    for _ in 0..100 {
        if provider.running_exec(&ids[0]).await.unwrap().is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(provider.running_exec(&ids[0]).await.unwrap(), None);
    assert_eq!(provider.running_exec(&"0".repeat(64)).await.unwrap(), None, "one that nobody knows");
}

#[tokio::test]
async fn limits_hold_and_the_supervisor_survives_them() {
    let project = Project::up();
    let provider = project.provider();
    let plan = provider.preflight(&project.request()).await.unwrap();
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    // Memory: a shell that doubles a string is killed, not the supervisor.
    let result = run(&sandbox, 1, "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done").await;
    assert!(!matches!(result.end, CommandEnd::Exited { code: 0 } | CommandEnd::TimedOut), "{:?}", result.end);
    // Processes.
    let bomb = Command { timeout: Duration::from_secs(2), ..command(2, "f() { f | f & }; f; sleep 60") };
    let result = sandbox.run(&bomb).await.unwrap();
    assert_eq!(result.end, CommandEnd::TimedOut);
    // Disk.
    let result = run(&sandbox, 3, "head -c 1G /dev/zero > /work/full; head -c 1G /dev/zero > /tmp/full; true").await;
    assert!(String::from_utf8_lossy(&result.stderr.head).contains("No space left"), "{result:?}");
    assert_eq!(out(&run(&sandbox, 4, "rm /work/full /tmp/full; echo alive").await), "alive");
    // What left its group goes with a command that ran out of time, in the container too.
    let strays = Command { timeout: Duration::from_secs(1), ..command(5, "setsid sleep 777 & sleep 778") };
    assert_eq!(sandbox.run(&strays).await.unwrap().end, CommandEnd::TimedOut);
    let left = run(&sandbox, 6, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 77[7]'").await;
    assert_eq!(out(&left), "0");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let project = Project::up();
    let provider = project.provider();
    let request = SandboxRequest { project: "no-such-project".into(), ..project.request() };
    assert!(matches!(provider.preflight(&request).await, Err(SandboxError::ProjectNotRunning { .. })));
    let request = SandboxRequest { image: "localhost:1/no-such-image:1".into(), ..project.request() };
    let error = provider.preflight(&request).await.unwrap_err();
    assert!(matches!(&error, SandboxError::ImageMissing { image, .. } if image.contains("no-such")), "{error}");
    for host in ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"] {
        let away = DockerProvider::connect(host, "test").unwrap();
        let error = away.preflight(&project.request()).await.unwrap_err();
        assert!(matches!(error, SandboxError::EngineUnavailable { .. }), "{host}: {error}");
        assert!(matches!(away.list().await, Err(SandboxError::EngineUnavailable { .. })));
    }
    assert!(DockerProvider::connect("ssh://somewhere", "test").is_err());
}

#[tokio::test]
async fn a_failure_leaves_nothing_behind() {
    let project = Project::up();
    let request = project.request();
    // No binary of that name: the engine refuses the start.
    let wrong = project.provider().with_operator_path("/no/such/operator");
    let plan = wrong.preflight(&request).await.unwrap();
    assert!(wrong.create(&plan, MemoryLedger::new()).await.is_err());
    assert_eq!(project.standing(), Vec::<String>::new());
    // One that is no supervisor: its stream says so.
    let wrong = project.provider().with_operator_path("/bin/ls");
    let error = wrong.create(&plan, MemoryLedger::new()).await.err().unwrap();
    assert!(matches!(error, SandboxError::Lost { .. }), "{error}");
    assert_eq!(project.standing(), Vec::<String>::new());
    // Limits that no engine takes.
    let plan = controller::sandbox::SandboxPlan {
        request: SandboxRequest { limits: ContainerLimits { memory_bytes: 1, ..request.limits }, ..plan.request },
        ..plan
    };
    let error = project.provider().create(&plan, MemoryLedger::new()).await.err().unwrap();
    assert!(matches!(error, SandboxError::Refused(_)), "{error}");
    assert_eq!(project.standing(), Vec::<String>::new());
}

#[tokio::test]
async fn another_installations_container_is_left_alone() {
    let project = Project::up();
    let plan = project.provider().preflight(&project.request()).await.unwrap();
    let _sandbox = project.provider().create(&plan, MemoryLedger::new()).await.unwrap();
    let other = DockerProvider::connect(HOST, "another").unwrap();
    assert!(matches!(other.create(&plan, MemoryLedger::new()).await, Err(SandboxError::Refused(_))));
    other.remove(&plan.request.session).await.unwrap();
    assert!(other.list().await.unwrap().is_empty());
    assert_eq!(project.standing().len(), 4, "agent and gateway, a volume each: {:?}", project.standing());
}

#[tokio::test]
async fn it_leaves_the_networks_with_the_project_and_comes_back() {
    let project = Project::up();
    let provider = project.provider();
    let plan = provider.preflight(&project.request()).await.unwrap();
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    assert_eq!(provider.release_networks_if_project_gone(&project.name).await.unwrap(), 0);
    docker(&["stop", "-t", "0", &project.container()]);
    assert_eq!(provider.release_networks_if_project_gone(&project.name).await.unwrap(), 2);
    assert_eq!(out(&run(&sandbox, 1, "ls /sys/class/net | grep -c eth").await), "0");
    docker(&["start", &project.container()]);
    assert_eq!(provider.release_networks_if_project_gone(&project.name).await.unwrap(), 2);
    assert!(!out(&run(&sandbox, 2, "getent hosts web").await).is_empty());
    docker(&["rm", "-f", &project.container()]);
    provider.release_networks_if_project_gone(&project.name).await.unwrap();
    for network in &project.networks {
        docker(&["network", "rm", network]);
    }
}

#[tokio::test]
async fn containers_that_would_give_the_host_away_are_found() {
    let project = format!("optest{:08x}", rand::random::<u32>());
    let label = format!("com.docker.compose.project={project}");
    let [plain, privileged, socket, disguised] =
        ["plain", "privileged", "socket", "disguised"].map(|name| format!("{project}-{name}-1"));
    let volume = format!("{project}_disguised");
    let options = ["type=none", "o=bind", "device=/tmp"].map(|option| ["--opt", option]).concat();
    docker(&[&["volume", "create", "--label", &label], options.as_slice(), &[&volume]].concat());
    let create = |name: &str, more: &[&str]| {
        let begin = ["create", "--name", name, "--label", &label, "--network", "none"];
        docker(&[&begin, more, &["debian:trixie-slim", "true"]].concat());
    };
    create(&plain, &["--volume", "/data"]);
    create(&privileged, &["--privileged"]);
    create(&socket, &["--volume", "/var/run/docker.sock:/var/run/docker.sock"]);
    create(&disguised, &["--volume", &format!("{volume}:/data")]);
    let provider = DockerProvider::connect(HOST, "another").unwrap();
    let mut found = provider.host_access(&project).await.unwrap();
    found.sort_by(|a, b| a.container.cmp(&b.container));
    let none = provider.host_access(&format!("{project}-none")).await.unwrap();
    docker(&["rm", "--force", "--volumes", &plain, &privileged, &socket, &disguised]);
    docker(&["volume", "rm", &volume]);

    assert_eq!(found.iter().map(|one| one.container.clone()).collect::<Vec<_>>(), [disguised, privileged, socket]);
    assert!(found[0].reasons.iter().any(|reason| reason.contains(&volume)), "{found:?}");
    assert!(found[1].reasons.iter().any(|reason| reason.contains("privileged")), "{found:?}");
    assert!(found[2].reasons.iter().any(|reason| reason.contains("docker.sock")), "{found:?}");
    assert!(none.is_empty(), "{none:?}");
    let gone = DockerProvider::connect("unix:///nonexistent.sock", "another").unwrap();
    assert!(matches!(gone.host_access(&project).await, Err(SandboxError::EngineUnavailable { .. })));
}
