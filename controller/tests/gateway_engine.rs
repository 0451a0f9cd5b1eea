//! The gateway between Docker's own client and a real engine.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "gateway_support/subject.rs"]
mod subject;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use controller::audit::entry::ChangeOutcome;
use controller::gateway::protocol::{FromController, FromGateway};
use subject::{Gateway, Subject, control, docker, hear, say};

fn policy(subject: &Subject) -> String {
    format!(r#"{{"project":"{}"}}"#, subject.name)
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
            &["cp", &format!("{name}:/etc/passwd"), "-"],
        ] {
            let sentence = gateway.refused(arguments);
            assert!(sentence.to_lowercase().contains("no such container"), "{arguments:?}: {sentence}");
        }
    }
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

    let line = format!("docker -H unix://{} exec -it {web} sh -c 'tty; exit 4'", gateway.socket().display());
    let output = std::process::Command::new("timeout")
        .args(["20", "script", "-qec", &line, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
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
    // Of a stream that does not begin the client tells the status only.
    assert!(gateway.refused(&["exec", &web, "touch", "/x"]).contains("503"));
    assert!(since.elapsed() < Duration::from_secs(5));

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
    for arguments in [&["restart", &web][..], &["exec", &web, "id"], &["rm", "-f", &web], &["rename", &web, "x"]] {
        assert!(gateway.refused(arguments).contains("may only look"), "{arguments:?}");
    }
    assert!(gateway.docker(&["ps"]).contains(&web));
    assert!(gateway.trail.lock().unwrap().begun.is_empty());
}
