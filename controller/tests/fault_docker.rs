//! What chapters do to a project, on a real engine: done, found out about, taken back, and nothing left.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![allow(unreachable_pub)]

#[path = "sandbox_support/engine.rs"]
#[allow(dead_code)]
mod engine;
#[path = "fault_support/stage.rs"]
mod stage;
#[path = "gateway_support/subject.rs"]
#[allow(dead_code)]
mod subject;

use std::time::Duration;

use controller::fault::{Error, Faults, Outcome};
use controller::monitor::observers::Observers as _;
use controller::sandbox::SandboxProvider as _;
use controller::sandbox::docker::DockerProvider;
use engine::docker;
use serde_json::json;
use stage::{Stage, failed, until};

fn on(service: &str) -> serde_json::Value {
    json!({"target": {"service": service}})
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_s_own_verbs_and_their_opposites() {
    let stage = Stage::up();
    let stands = |service: &str| stage.inspect(service, "{{.State.Status}}");

    // A policy that starts it again after a crash does not after a kill through the engine.
    docker(&["update", "--restart", "unless-stopped", &stage.container("db")]);
    let kill = stage.plan(json!({"kill": on("db")})).await;
    assert_eq!(stage.outcome(0, &kill).await, Outcome::NotBegun);
    stage.faults.act(&stage.key(0), &kill).await.unwrap();
    assert_eq!((stands("db").as_str(), stage.inspect("db", "{{.State.ExitCode}}").as_str()), ("exited", "137"));
    assert!(is_done(&stage.outcome(0, &kill).await));
    stage.undo(0, &kill).await;
    assert_eq!(stands("db"), "running");
    stage.undo(0, &kill).await;
    assert!(matches!(stage.outcome(0, &kill).await, Outcome::Unknown(why) if why.contains("started again")));

    let (pause, done) = stage.act(1, json!({"pause": on("web")})).await;
    done.unwrap();
    assert_eq!(stands("web"), "paused");
    stage.faults.act(&stage.key(1), &pause).await.unwrap();
    assert!(is_done(&stage.outcome(1, &pause).await));
    stage.undo(1, &pause).await;
    stage.undo(1, &pause).await;
    assert_eq!(stands("web"), "running");

    let restart = stage.plan(json!({"restart": on("web")})).await;
    assert_eq!(stage.outcome(2, &restart).await, Outcome::NotBegun);
    stage.faults.act(&stage.key(2), &restart).await.unwrap();
    assert!(is_done(&stage.outcome(2, &restart).await));

    let (stop, done) = stage.act(3, json!({"stop": on("db")})).await;
    done.unwrap();
    let (start, done) = stage.act(4, json!({"start": on("db")})).await;
    done.unwrap();
    assert_eq!(stands("db"), "running");
    stage.undo(4, &start).await;
    assert_eq!(stands("db"), "exited", "it did not run before it was started");
    stage.undo(3, &stop).await;
    assert_eq!(stands("db"), "running");

    // The share of a container with a limit, and of one without.
    let cpus = |service: &str| stage.inspect(service, "{{.HostConfig.NanoCpus}} {{.HostConfig.CpuQuota}}");
    docker(&["update", "--cpus", "0.5", &stage.container("db")]);
    for (index, service, throttled, back) in [(5, "db", "100000000 0", "500000000 0"), (6, "web", "0 10000", "0 -1")] {
        let wanted = json!({"throttle": {"target": {"service": service}, "milliCpus": 100}});
        let (throttle, done) = stage.act(index, wanted).await;
        done.unwrap();
        assert_eq!(cpus(service), throttled);
        assert!(is_done(&stage.outcome(index, &throttle).await));
        stage.undo(index, &throttle).await;
        stage.undo(index, &throttle).await;
        assert_eq!(cpus(service), back);
    }
    docker(&["restart", "-t", "0", &stage.container("web")]);
    assert_eq!(stage.helpers(), Vec::<String>::new(), "none of these takes a helper");

    // One that was made anew is found by its service, and one that has gone takes nothing back.
    let (kill, done) = stage.act(7, json!({"kill": on("db")})).await;
    done.unwrap();
    docker(&["rm", &stage.container("db")]);
    stage.undo(7, &kill).await;
    assert!(failed(stage.faults.act(&stage.key(7), &kill).await).contains("was removed"));
    assert!(matches!(stage.outcome(7, &kill).await, Outcome::Unknown(_)));
    let project = format!("com.docker.compose.project={}", stage.project);
    let name = stage.container("db");
    let anew = ["create", "--name", &name, "--label", &project, "--label", "com.docker.compose.service=db"];
    docker(&[&anew[..], &[stage::service_image(), "sleep", "600"]].concat());
    stage.undo(7, &kill).await;
    assert_eq!(stands("db"), "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_runs_once_whoever_asks_for_it() {
    let stage = Stage::up();
    let ask = |path: &str| {
        let script = format!("exec 3<>/dev/tcp/db/8080; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
        vec!["bash".to_owned(), "-c".to_owned(), script]
    };
    let wanted = json!({"exec": {"target": {"service": "web"}, "command": ask("/once"), "undoCommand": ask("/back")}});
    let exec = stage.plan(wanted).await;
    assert_eq!(stage.outcome(0, &exec).await, Outcome::NotBegun);
    let key = stage.key(0);
    let (one, other) = tokio::join!(stage.faults.act(&key, &exec), stage.faults.act(&key, &exec));
    assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
    let again = stage.faults.act(&stage.key(0), &exec).await.unwrap();
    assert!(again.words.contains("200 OK") && is_done(&stage.outcome(0, &exec).await), "{again:?}");
    assert_eq!(stage.requests("db", "/once"), 1);
    for _ in 0..2 {
        stage.undo(0, &exec).await;
    }
    assert_eq!(stage.requests("db", "/back"), 1, "nor is it taken back twice");

    // The controller dies while it runs, and another leads.
    let slow = json!({"exec": {"target": {"service": "web"}, "command": ["bash", "-c", format!("sleep 3; {}", ask("/slow")[2])]}});
    let slow = stage.plan(slow).await;
    let (faults, key, plan) = (stage.faults.clone(), stage.key(1), slow.clone());
    let dies = tokio::spawn(async move { faults.act(&key, &plan).await });
    while stage.outcome(1, &slow).await != Outcome::Running {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    dies.abort();
    let next = DockerProvider::connect(engine::HOST, &stage.installation).unwrap().with_epoch(2);
    let key = controller::fault::Key { epoch: 2, ..stage.key(1) };
    next.act(&key, &slow).await.unwrap();
    assert!(is_done(&next.outcome(&key, &slow).await.unwrap()));
    assert_eq!(stage.requests("db", "/slow"), 1);

    let exec = |command: &[&str], timeout: &str| json!({"exec": {"target": {"service": "web"}, "command": command, "timeout": timeout}});
    let (plan, done) = stage.act(2, exec(&["bash", "-c", "echo no room >&2; exit 3"], "10s")).await;
    assert_eq!(failed(done), "it ended with exit code 3: no room");
    assert!(matches!(stage.outcome(2, &plan).await, Outcome::Failed(why) if why.contains("no room")));
    let (plan, done) = stage.act(3, exec(&["no-such-program"], "10s")).await;
    assert!(failed(done).contains("no-such-program"));
    assert!(matches!(stage.outcome(3, &plan).await, Outcome::Failed(why) if why.contains("no-such-program")));
    let (_, done) = stage.act(4, exec(&["sleep", "600"], "1s")).await;
    assert_eq!(failed(done), "it did not end within 1 s, and was ended");

    // One that was made when the controller died, and not started, was not begun, and can be.
    let plan = stage.plan(exec(&["no-matter"], "10s")).await;
    let mark = stage.key(6).hash(&stage.installation);
    let (ours, of) =
        (format!("operator.dev/installation={}", stage.installation), format!("operator.dev/fault={mark}"));
    let (name, network) = (format!("operator-fault-{mark}"), format!("container:{}", stage.container("web")));
    let made = ["create", "--name", &name, "--label", &ours, "--label", &of, "--network", &network];
    let beside = format!("operator.dev/project={}", stage.project);
    let runs =
        ["--label", &beside, "--label", "operator.dev/role=fault", stage::service_image(), "echo", "left standing"];
    docker(&[&made[..], &runs].concat());
    assert_eq!(stage.outcome(6, &plan).await, Outcome::NotBegun);
    assert_eq!(stage.faults.act(&stage.key(6), &plan).await.unwrap().words, "left standing");
    assert!(is_done(&stage.outcome(6, &plan).await));

    // An exec at what does not run stands on the project's networks instead.
    docker(&["stop", "-t", "0", &stage.container("web")]);
    let (_, done) = stage.act(5, exec(&["bash", "-c", &ask("/stopped")[2]], "10s")).await;
    assert!(done.unwrap().words.contains("200 OK"));

    assert!(stage.helpers().len() >= 5);
    // Of this project alone, and what is to be kept is kept.
    assert!(matches!(stage.faults.sweep(Some("another"), &[]).await, Ok(0)));
    stage.faults.sweep(Some(&stage.project), &[stage.key(2)]).await.unwrap();
    assert_eq!(stage.helpers().len(), 1, "{:?}", stage.helpers());
    stage.faults.sweep(None, &[]).await.unwrap();
    assert_eq!(stage.helpers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_goes_on_beside_and_nobody_takes_it_for_the_projects() {
    let stage = Stage::up();
    let script = "while :; do exec 3<>/dev/tcp/web/8080 && printf 'GET /load HTTP/1.0\\r\\n\\r\\n' >&3; exec 3>&-; sleep 0.1; done";
    let wanted = json!({"run": {"target": {"service": "db"}, "command": ["bash", "-c", script], "detach": true}});
    let (load, done) = stage.act(0, wanted).await;
    done.unwrap();
    assert!(is_done(&stage.outcome(0, &load).await));
    until("load", || stage.requests("web", "/load") > 2);
    let helpers = stage.helpers();
    let [name] = helpers.as_slice() else { panic!("{helpers:?}") };

    // Compose's labels are on its image, and not on it.
    let of_project = format!("label=com.docker.compose.project={}", stage.project);
    for filter in [of_project.as_str(), "label=com.docker.compose.project=inherited"] {
        assert!(!docker(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]).contains(name));
    }
    // The agent sees it in no list, on no network, in no event, and by no name.
    let gateway = subject::Gateway::start(&format!(r#"{{"project":"{}"}}"#, stage.project), true, 10_000);
    let id = docker(&["inspect", "-f", "{{.Id}}", name]);
    let network = format!("{}_front", stage.project);
    let until_now = docker(&["info", "-f", "{{.SystemTime}}"]);
    for arguments in [
        &["ps", "-a", "--no-trunc"][..],
        &["network", "inspect", &network],
        &["events", "--since", "10m", "--until", &until_now],
    ] {
        let said = gateway.docker(arguments);
        assert!(said.contains(&stage.project), "{arguments:?}: {said}");
        assert!(!said.contains(name) && !said.contains(&id[..12]), "{arguments:?}: {said}");
    }
    assert!(gateway.refused(&["inspect", "--type", "container", name]).to_lowercase().contains("no such container"));
    assert!(!name.contains("operator") && !name.contains("fault"), "its name can be asked for on the network");
    assert_eq!(Faults::look(&stage.faults, &stage.project).await.unwrap().containers.len(), 2);
    assert!(stage.faults.list().await.unwrap().is_empty(), "no sweep of sessions finds it");
    let survey = stage.faults.survey().await.unwrap();
    assert!(survey.observers.is_empty());
    assert_eq!(stage.helpers().len(), 1, "a survey leaves it alone");

    // The project goes: its networks are free, and it comes back onto them with the project.
    let ends = || docker(&["inspect", "-f", "{{len .NetworkSettings.Networks}}", name]);
    assert_eq!(ends(), "2");
    docker(&["stop", "-t", "0", &stage.container("web"), &stage.container("db")]);
    assert_eq!(stage.faults.release_networks_if_project_gone(&stage.project).await, Ok(2));
    assert_eq!(ends(), "0");
    docker(&["start", &stage.container("web"), &stage.container("db")]);
    assert_eq!(stage.faults.release_networks_if_project_gone(&stage.project).await, Ok(2));
    let before = stage.requests("web", "/load");
    until("load again", || stage.requests("web", "/load") > before);

    assert_eq!(stage.faults.sweep(Some(&stage.project), &[stage.key(0)]).await, Ok(0));
    stage.undo(0, &load).await;
    stage.undo(0, &load).await;
    assert_eq!(stage.helpers(), Vec::<String>::new());
    assert_eq!(stage.outcome(0, &load).await, Outcome::NotBegun);

    let ends_at_once = json!({"run": {"target": {"service": "db"}, "command": ["bash", "-c", "echo wrong flag; exit 2"], "detach": true}});
    let (_, done) = stage.act(1, ends_at_once).await;
    assert_eq!(failed(done), "it ended with exit code 2: wrong flag");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_come_from_inside() {
    let stage = Stage::up();
    let get = |url: &str, times: usize| json!({"http": {"url": url, "times": times}});
    let (plan, done) = stage.act(0, get("http://web:8080/limits", 3)).await;
    assert_eq!(done.unwrap().words, "answered 200 (3 times)");
    stage.faults.act(&stage.key(0), &plan).await.unwrap();
    assert_eq!(stage.requests("web", "/limits"), 3, "not made again");
    let (plan, done) = stage.act(1, get("http://web:8080/none", 1)).await;
    assert_eq!(failed(done), "answered 404: ok");
    assert!(matches!(stage.outcome(1, &plan).await, Outcome::Failed(why) if why == "answered 404: ok"));
    let (_, done) = stage.act(2, get("http://nowhere:8080/", 1)).await;
    assert!(failed(done).starts_with("no answer: "));
    assert_eq!(stage.faults.sweep(Some(&stage.project), &[]).await, Ok(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_drops_both_ways_and_leaves_no_rule() {
    let stage = Stage::up();
    let cut = json!({"partition": {"target": {"service": "web"}, "from": [{"service": "db"}]}});
    let (partition, done) = stage.act(0, cut.clone()).await;
    done.unwrap();
    assert!(!stage.reaches("web", "db") && !stage.reaches("db", "web"));
    assert!(is_done(&stage.outcome(0, &partition).await));
    // A second one stands beside it, and only its own rules go.
    let (second, done) = stage.act(1, json!({"partition": on("web")})).await;
    done.unwrap();
    stage.undo(0, &partition).await;
    stage.undo(0, &partition).await;
    assert!(!stage.reaches("db", "web"));
    stage.undo(1, &second).await;
    assert!(stage.reaches("web", "db") && stage.reaches("db", "web"));

    let (partition, done) = stage.act(2, cut).await;
    done.unwrap();
    assert!(!stage.reaches("db", "web"));
    let (heal, done) = stage.act(3, json!({"heal": on("web")})).await;
    assert_eq!(done.unwrap().words, "partitions removed: 1");
    assert!(stage.reaches("db", "web") && is_done(&stage.outcome(3, &heal).await));
    // It stops, and its namespace with it: there is nothing to take back.
    docker(&["stop", "-t", "0", &stage.container("web")]);
    stage.undo(2, &partition).await;
    docker(&["start", &stage.container("web")]);
    until("web", || stage.reaches("db", "web"));

    // Where the kernel has no netem it says so, and nothing is delayed.
    let late = json!({"latency": {"target": {"service": "web"}, "delay": "200ms", "jitter": "10ms"}});
    let (latency, done) = stage.act(4, late).await;
    match done {
        Ok(done) => assert!(done.words.starts_with("200 ms on eth"), "{done:?}"),
        Err(Error::Failed(why)) => {
            eprintln!("not seen here, a delay itself: {why}");
            assert!(why.starts_with("this kernel has no netem"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    for _ in 0..2 {
        stage.undo(4, &latency).await;
    }
    assert!(stage.reaches("db", "web"));
    stage.faults.sweep(None, &[]).await.unwrap();
    assert_eq!(stage.helpers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_is_filled_and_emptied() {
    let stage = Stage::up();
    let web = stage.container("web");
    let files = |folder: &str| docker(&["exec", &web, "find", folder, "-name", "fill-*", "-size", "+1k"]);
    let fill = |folder: &str| json!({"fillDisk": {"target": {"service": "web"}, "folder": folder, "mebibytes": 3}});
    docker(&["exec", &web, "mkdir", "/var/lib/shop/wal"]);
    docker(&["exec", &web, "chmod", "700", "/var/lib/shop/wal"]);
    docker(&["exec", &web, "chown", "1000", "/var/lib/shop/wal"]);
    for (index, folder, words) in
        [(0, "/var/lib/shop/wal", "3 MiB written"), (1, "/var/tmp", "3 MiB written"), (2, "/small", "it is full")]
    {
        let (plan, done) = stage.act(index, fill(folder)).await;
        assert_eq!(done.unwrap().words, words, "{folder}");
        assert!(!files(folder).is_empty(), "{folder}");
        stage.undo(index, &plan).await;
        stage.undo(index, &plan).await;
        assert_eq!(files(folder), "", "{folder}");
    }
    // By whatever was written of it when the controller died.
    let (plan, done) = stage.act(3, fill("/var/lib/shop")).await;
    done.unwrap();
    assert!(is_done(&stage.outcome(3, &plan).await));
    docker(&["stop", "-t", "0", &web]);
    stage.undo(3, &plan).await;
    docker(&["start", &web]);
    assert_eq!(files("/var/lib/shop"), "");
    let (_, done) = stage.act(4, fill("/var/lib/shop/nowhere")).await;
    assert!(failed(done).contains("cannot be written"));

    // A volume that is a path of the host is not filled.
    let bound = format!("{}_bound", stage.project);
    let label = format!("com.docker.compose.project={}", stage.project);
    let options = ["-o", "type=none", "-o", "o=bind", "-o", "device=/tmp"];
    docker(&[&["volume", "create", "--label", &label][..], &options, &[&bound]].concat());
    let mut plan = stage.plan(fill("/var/lib/shop")).await;
    if let controller::fault::Verb::FillDisk { place, .. } = &mut plan.verb {
        *place = controller::fault::plan::Place::Volume { volume: bound, folder: String::new(), overrides: true };
    }
    assert!(failed(stage.faults.act(&stage.key(5), &plan).await).contains("path of its host"));
    stage.faults.sweep(None, &[]).await.unwrap();
    assert_eq!(stage.helpers(), Vec::<String>::new());
}

#[tokio::test]
async fn an_engine_that_is_away_is_no_failure() {
    let away = DockerProvider::connect("unix:///nowhere/docker.sock", "test").unwrap();
    assert!(matches!(Faults::look(&away, "shop").await, Err(Error::Unavailable(_))));
    assert!(matches!(away.sweep(None, &[]).await, Err(Error::Unavailable(_))));
}
