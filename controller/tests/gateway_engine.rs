//! The gateway between Docker's own client and a real engine.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "gateway_support/subject.rs"]
mod subject;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use controller::audit::entry::ChangeOutcome;
use controller::gateway::protocol::{FromController, FromGateway};
use subject::{Composed, Gateway, Subject, control, docker, hear, say};

fn policy(subject: &Subject) -> String {
    format!(r#"{{"project":"{}"}}"#, subject.name)
}

/// Docker's client on a terminal of its own; the arguments are read by a shell.
fn in_terminal(gateway: &Gateway, arguments: &[&str]) -> Output {
    let line = format!("docker -H unix://{} {}", gateway.socket().display(), arguments.join(" "));
    let mut script = Command::new("timeout");
    script.args(["20", "script", "-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_looks_at_its_subject_and_at_nothing_else() {
    let subject = Subject::up();
    let gateway = Gateway::start(&policy(&subject), true, 10_000);
    let (web, foreign) = (subject.web(), subject.foreign());

    assert_eq!(gateway.docker(&["ps", "-a", "--format", "{{.Names}}"]), web);
    assert_eq!(gateway.docker(&["inspect", "--type", "container", "-f", "{{.State.Status}}", &web]), "running");
    assert!(gateway.docker(&["logs", "--tail", "1", &web]).starts_with("line "));
    assert!(gateway.docker(&["top", &web]).contains("sleep"));
    assert!(gateway.docker(&["stats", "--no-stream", "--format", "{{.Name}}", &web]).contains(&web));
    let networks = gateway.docker(&["network", "ls", "--format", "{{.Name}}"]);
    assert_eq!(networks.lines().count(), 2, "{networks}");
    assert_eq!(gateway.docker(&["volume", "ls", "-q"]), subject.named("data"));
    gateway.docker(&["volume", "inspect", &subject.named("data")]);
    gateway.docker(&["version"]);
    assert!(!gateway.docker(&["info"]).contains("/var/lib/docker"));

    let id = docker(&["inspect", "-f", "{{.Id}}", &foreign]);
    for name in [foreign.as_str(), &id, &id[..12]] {
        for arguments in [
            &["inspect", "--type", "container", name][..],
            &["logs", name],
            &["exec", name, "id"],
            &["restart", name],
            &["attach", name],
            &["cp", &format!("{name}:/etc/passwd"), "-"],
        ] {
            let sentence = gateway.refused(arguments);
            assert!(sentence.to_lowercase().contains("no such container"), "{arguments:?}: {sentence}");
        }
    }
    assert!(gateway.refused(&["inspect", "nothing"]).contains("No such object: nothing"));
    assert!(gateway.refused(&["network", "connect", "bridge", &web]).contains("network bridge not found"));
    assert!(gateway.trail.lock().unwrap().begun.is_empty(), "looking is no change");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_comes_while_it_happens() {
    let subject = Subject::up();
    let gateway = Gateway::start(&policy(&subject), true, 10_000);
    let web = subject.web();
    for arguments in [&["logs", "-f", "--tail", "0", &web][..], &["events", "--format", "{{.Action}}"]] {
        let mut child = gateway.client().args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        docker(&["exec", &subject.foreign(), "true"]);
        gateway.docker(&["pause", &web]);
        gateway.docker(&["unpause", &web]);
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        assert!(line.starts_with("line ") || line == "pause", "{line}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_repairs_and_each_change_is_on_record() {
    let subject = Subject::up();
    let gateway = Gateway::start(&policy(&subject), true, 10_000);
    let (web, back) = (subject.web(), subject.named("back"));
    for (arguments, action) in [
        (&["restart", "-t", "1", &web][..], "container.restart"),
        (&["stop", "-t", "1", &web], "container.stop"),
        (&["start", &web], "container.start"),
        (&["pause", &web], "container.pause"),
        (&["unpause", &web], "container.unpause"),
        (&["kill", &web], "container.kill"),
        (&["start", &web], "container.start"),
        (&["update", "--memory", "256m", "--memory-swap", "256m", &web], "container.update"),
        (&["network", "connect", &back, &web], "network.connect"),
        (&["network", "disconnect", &back, &web], "network.disconnect"),
    ] {
        gateway.docker(arguments);
        let (change, result) = gateway.result(action).await;
        assert!(change.summary.contains(&web), "{change:?}");
        assert!(matches!(result.outcome, ChangeOutcome::Succeeded { .. }), "{result:?}");
    }
    // A replacement: of the same name, image and volume.
    gateway.docker(&["rm", "-f", &web]);
    let volume = format!("{}:/data", subject.named("data"));
    let front = subject.named("front");
    let image = "debian:trixie-slim";
    gateway.docker(&["run", "-d", "--name", &web, "--network", &front, "-v", &volume, image, "sleep", "600"]);
    let (_, result) = gateway.result("container.create").await;
    assert_eq!(result.details["id"].as_str().unwrap(), docker(&["inspect", "-f", "{{.Id}}", &web]));
    assert_eq!(gateway.docker(&["ps", "--format", "{{.Names}}"]), web, "it is the project's again");
    gateway.refused(&["run", "-d", "--name", &web, "-v", "/:/host", image, "sleep", "600"]);
    gateway.refused(&["rm", "-fv", &web]);
    gateway.refused(&["volume", "rm", &subject.named("data")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_have_their_input_output_and_exit_code() {
    let subject = Subject::up();
    let gateway = Gateway::start(&policy(&subject), true, 10_000);
    let web = subject.web();
    let output = gateway.try_docker(&["exec", &web, "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((output.status.code(), &output.stdout[..], &output.stderr[..]), (Some(3), &b"out\n"[..], &b"err\n"[..]));
    let (change, result) = gateway.result("container.exec").await;
    assert_eq!(change.argv, ["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(result.details["exitCode"], 3);

    // The command sees the end of its input, and its output comes after that.
    let input = vec![b'x'; 30 << 20];
    let mut client = gateway.client();
    client.args(["exec", "-i", &web, "sha256sum"]);
    let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    let hash = String::from_utf8_lossy(&output.stdout)[..64].to_owned();
    for _ in 0..200 {
        let (_, result) = gateway.result("container.exec").await;
        if let Some(input) = result.input {
            assert_eq!((input.bytes, input.sha256), (30 << 20, hash));
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let output = in_terminal(&gateway, &["exec", "-it", &web, "sh", "-c", "'tty; exit 4'"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("/dev/pts/"), "{output:?}");
    assert_eq!(output.status.code(), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_go_in_and_out() {
    let subject = Subject::up();
    let gateway = Gateway::start(&policy(&subject), true, 10_000);
    let dir = tempfile::tempdir().unwrap();
    let (file, back) = (dir.path().join("file"), dir.path().join("back"));
    let content: Vec<u8> =
        (0..50_u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(&file, &content).unwrap();
    let inside = format!("{}:/root/file", subject.web());
    gateway.docker(&["cp", file.to_str().unwrap(), &inside]);
    gateway.docker(&["cp", &inside, back.to_str().unwrap()]);
    assert!(fs::read(&back).unwrap() == content, "the file changed on its way");
    let (_, result) = gateway.result("container.copy_in").await;
    assert!(result.input.unwrap().bytes > 50 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_audit_nothing_happens() {
    let subject = Subject::up();
    let gateway = Gateway::start(&policy(&subject), false, 700);
    let web = subject.web();
    let started = || docker(&["inspect", "-f", "{{.State.StartedAt}}", &web]);
    let (before, since) = (started(), Instant::now());
    assert!(gateway.refused(&["restart", &web]).contains("audit unavailable"));
    // Of a stream that does not begin the client would tell the status only: the sentence is on the stream.
    let output = gateway.try_docker(&["exec", &web, "touch", "/x"]);
    let sentence = String::from_utf8_lossy(&output.stderr);
    assert!(sentence.starts_with("operator gateway: audit unavailable: "), "{output:?}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(126), 0), "{output:?}");
    let output = in_terminal(&gateway, &["exec", "-it", &web, "touch", "/x"]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("operator gateway: audit unavailable: "), "{output:?}");
    assert_eq!(output.status.code(), Some(126));
    assert!(gateway.refused(&["attach", &web]).contains("operator gateway: audit unavailable: "));
    assert!(since.elapsed() < Duration::from_secs(8));

    // A row that comes too late changes nothing either, and the gateway says that it was not done.
    let mut stream = control(&gateway.control(), 5).await;
    assert!(matches!(hear(&mut stream).await, Some(FromGateway::Hello { epoch: 5, .. })));
    let restart = std::thread::spawn({
        let mut client = gateway.client();
        client.args(["restart", &web]);
        move || client.output().unwrap()
    });
    let Some(FromGateway::Begin { id, .. }) = hear(&mut stream).await else { panic!("no change was announced") };
    let Some(FromGateway::Done { id: done, result }) = hear(&mut stream).await else { panic!("it was not given up") };
    assert_eq!(id, done);
    assert!(matches!(result.outcome, ChangeOutcome::NotDone { .. }));
    say(&mut stream, &FromController::Committed { id, epoch: 5 }).await;
    assert!(!restart.join().unwrap().status.success());
    assert_eq!(started(), before);

    // What was not noted is said again on the next stream; one with an older token is refused.
    let mut older = control(&gateway.control(), 4).await;
    assert!(matches!(hear(&mut older).await, Some(FromGateway::Error { .. })));
    let mut next = control(&gateway.control(), 6).await;
    assert!(matches!(hear(&mut next).await, Some(FromGateway::Hello { .. })));
    assert!(matches!(hear(&mut next).await, Some(FromGateway::Done { id: again, .. }) if again == id));
    assert!(matches!(hear(&mut stream).await, Some(FromGateway::Error { .. }) | None));
    say(&mut next, &FromController::Close { epoch: 6 }).await;
    assert_eq!(hear(&mut next).await, Some(FromGateway::Closed));
    assert!(gateway.refused(&["restart", &web]).contains("session ends"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_observes_changes_nothing() {
    let subject = Subject::up();
    let policy = format!(r#"{{"project":"{}","mode":"observe"}}"#, subject.name);
    let gateway = Gateway::start(&policy, true, 10_000);
    let web = subject.web();
    for arguments in
        [&["restart", &web][..], &["exec", &web, "id"], &["attach", &web], &["rm", "-f", &web], &["rename", &web, "x"]]
    {
        assert!(gateway.refused(arguments).contains("may only look"), "{arguments:?}");
    }
    assert!(gateway.docker(&["ps"]).contains(&web));
    assert!(gateway.trail.lock().unwrap().begun.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_reach_its_host_is_closed_unless_it_is_trusted() {
    let subject = Subject::up();
    // Not every engine can start one.
    let privileged = subject.also("privileged", &["create"], &["--privileged"]);
    let bound = subject.also("bound", &["run", "-d"], &["-v", "/usr/share:/host:ro"]);
    let gateway = Gateway::start(&policy(&subject), true, 10_000);
    for (container, reason) in [(&privileged, "it is privileged"), (&bound, "/usr/share")] {
        for arguments in
            [&["exec", container, "id"][..], &["cp", &format!("{container}:/etc/hostname"), "-"], &["start", container]]
        {
            let sentence = gateway.refused(arguments);
            assert!(sentence.contains(reason) && sentence.contains("trustHostAccess"), "{arguments:?}: {sentence}");
        }
        gateway.docker(&["logs", container]);
        gateway.docker(&["inspect", container]);
    }
    assert!(gateway.refused(&["attach", &bound]).contains("/usr/share"));
    gateway.docker(&["top", &bound]);
    assert!(gateway.trail.lock().unwrap().begun.is_empty());
    let trusting = format!(r#"{{"project":"{}","trustHostAccess":true}}"#, subject.name);
    let gateway = Gateway::start(&trusting, true, 10_000);
    assert_eq!(gateway.docker(&["exec", &bound, "echo", "in"]), "in");
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_go_only_if_the_policy_is_destructive() {
    let subject = Subject::up();
    let (web, data) = (subject.web(), subject.named("data"));
    let gateway = Gateway::start(&policy(&subject), true, 10_000);
    for arguments in [&["rm", "-fv", &web][..], &["volume", "rm", &data], &["volume", "rm", "-f", &data]] {
        assert!(gateway.refused(arguments).contains("policy.destructive"), "{arguments:?}");
    }
    assert!(gateway.trail.lock().unwrap().begun.is_empty());
    let destructive = format!(r#"{{"project":"{}","destructive":true}}"#, subject.name);
    let gateway = Gateway::start(&destructive, true, 10_000);
    gateway.docker(&["rm", "-fv", &web]);
    gateway.docker(&["volume", "rm", &data]);
    let (change, _) = gateway.result("volume.remove").await;
    assert_eq!(change.target.name, data);
    assert_eq!(docker(&["volume", "ls", "-q", "--filter", &format!("name={data}")]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn compose_repairs_its_own_project() {
    let project = Composed::up();
    let gateway = Gateway::start(&format!(r#"{{"project":"{}"}}"#, project.name), true, 10_000);
    let (name, file, web) = (project.name.as_str(), project.file(), format!("{}-web-1", project.name));
    let started = || docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", &web]);
    assert!(gateway.docker(&["compose", "-p", name, "ps"]).contains(&web));
    assert!(gateway.docker(&["compose", "-p", name, "logs", "--tail", "1", "web"]).contains("tick"));
    let mut before = started();
    for repair in [
        &[&["compose", "-p", name, "restart", "-t", "1", "web"][..]][..],
        &[&["stop", "-t", "1", &web], &["compose", "-f", &file, "up", "-d", "web"]],
        &[&["rm", "-f", &web], &["compose", "-f", &file, "up", "-d", "web"]],
        &[&["compose", "-f", &file, "up", "-d", "--force-recreate", "-t", "1", "web"]],
    ] {
        for step in repair {
            gateway.docker(step);
        }
        let after = started();
        assert!(after != before && after.ends_with(" true"), "{repair:?}: {after}");
        before = after;
    }
    assert!(docker(&["compose", "-p", name, "ps", "web"]).contains("80/tcp"), "it publishes what it did");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_and_an_engine_that_is_away_are_told() {
    let gateway = Gateway::start_with(r#"{"project":"nobody"}"#, true, 10_000, &["--engine", "/nonexistent.sock"]);
    assert!(gateway.refused(&["ps"]).contains("operator gateway: the Docker engine"));
    let ping = posted(&gateway, "GET /v1.41/containers/json HTTP/1.1\r\nHost: x\r\n\r\n", 0);
    assert!(ping.starts_with("HTTP/1.1 503 ") && ping.contains("operator gateway: "), "{ping}");
    let head = "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n";
    let create = posted(&gateway, head, 2 << 20);
    assert!(create.starts_with("HTTP/1.1 413 ") && create.contains("longer than 1048576 bytes"), "{create}");
}

/// The answer's beginning to this head with so long a body.
fn posted(gateway: &Gateway, head: &str, length: usize) -> String {
    let mut stream = UnixStream::connect(gateway.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let head = head.to_owned();
    let writing = std::thread::spawn(move || {
        writer.write_all(head.as_bytes()).unwrap();
        // Whoever refuses it need not read it to its end.
        let _ = writer.write_all(&vec![b' '; length]);
    });
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&answer).contains("\"}") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
    drop(stream);
    writing.join().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
