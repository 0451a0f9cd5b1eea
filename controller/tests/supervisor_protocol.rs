//! The protocol against a real supervisor process: once only, whatever becomes of the stream.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "sandbox_support/local.rs"]
mod local;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use controller::sandbox::dial::{Aside, Condition, Dial, Pipe, UnixDial};
use controller::sandbox::stream::{Identity, Patience, Stream};
use controller::sandbox::{CommandEnd, Recovered, SandboxError};
use controller::supervisor::frames::codec;
use controller::supervisor::protocol::{CommandState, MAX_FRAME, Reply, Request, VERSION};
use futures::{SinkExt as _, StreamExt as _};
use local::{Local, PATIENCE, Raw, command, hello, run, stream, text, until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio_util::codec::Framed;

fn start(seq: i64, command: &str, epoch: u64) -> Request {
    Request::Start { seq, command: command.into(), timeout_ms: 60_000, epoch }
}

#[tokio::test]
async fn a_number_is_started_once() {
    let local = Local::start(&[]).await;
    let mut raw = local.greeted(1).await;
    let file = local.work().join("count");
    let line = format!("echo x >> {}; cat {0}", file.display());
    raw.send(&start(1, &line, 1)).await;
    assert_eq!(raw.next().await, Some(Reply::Started { seq: 1 }));
    assert!(matches!(raw.next_but_output().await, Some(Reply::Finished(_))));
    raw.send(&start(1, &line, 1)).await;
    let Some(Reply::Refused { seq: 1, state: CommandState::Finished, .. }) = raw.next().await else { panic!() };
    raw.send(&Request::Query { seq: 1 }).await;
    let Some(Reply::Finished(outcome)) = raw.next().await else { panic!() };
    assert_eq!(outcome.stdout.head, b"x\n");
    raw.send(&Request::Query { seq: 2 }).await;
    assert!(matches!(raw.next().await, Some(Reply::Refused { seq: 2, state: CommandState::Unknown, .. })));
    // The same through the client, which asks for the outcome by itself.
    assert_eq!(run(&local.stream().await, 1, &line).await.stdout.head, b"x\n");
}

#[tokio::test]
async fn another_stream_finds_what_runs() {
    let local = Local::start(&[]).await;
    let mut first = local.greeted(1).await;
    let go = local.work().join("go");
    first.send(&start(1, &format!("echo a; until [ -e {} ]; do sleep 0.02; done; echo b", go.display()), 1)).await;
    assert_eq!(first.next().await, Some(Reply::Started { seq: 1 }));
    drop(first);
    let mut second = local.raw().await;
    second.send(&hello(&local.session, 1)).await;
    let Some(Reply::Hello { commands, .. }) = second.next().await else { panic!() };
    assert_eq!((commands[0].seq, commands[0].state), (1, CommandState::Running));
    second.send(&Request::Query { seq: 1 }).await;
    assert_eq!(second.next().await, Some(Reply::Started { seq: 1 }));
    std::fs::write(&go, "").unwrap();
    let Some(Reply::Finished(outcome)) = second.next_but_output().await else { panic!() };
    assert_eq!(outcome.stdout.head, b"a\nb\n");
}

#[tokio::test]
async fn outcomes_outlive_the_supervisor() {
    let mut local = Local::start(&[]).await;
    let stream = local.stream().await;
    run(&stream, 1, "echo kept; exit 4").await;
    let mut raw = local.greeted(1).await;
    raw.send(&start(2, "sleep 4570.1", 1)).await;
    assert_eq!(raw.next().await, Some(Reply::Started { seq: 2 }));
    until("the record", async || local.spool().join("2.json").exists()).await;
    until("the command", async || !local::processes_with("sleep\u{0}4570.1").is_empty()).await;
    drop(stream);
    local.start_again().await;
    for pid in local::processes_with("sleep\u{0}4570.1") {
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL);
    }
    let stream = local.stream().await;
    let result = run(&stream, 1, "echo never").await;
    assert_eq!((result.end, text(&result.stdout.head)), (CommandEnd::Exited { code: 4 }, "kept\n".into()));
    // Started, outcome unknown: said so, and not started again.
    let lost = stream.run(&command(2, "echo never")).await;
    assert!(matches!(&lost, Err(SandboxError::Lost { reason }) if reason.contains("command 2")), "{lost:?}");
    assert_eq!(run(&stream, 3, "echo new").await.stdout.head, b"new\n");
}

#[tokio::test]
async fn another_controller_is_told_what_became_of_a_command_and_starts_none() {
    let mut local = Local::start(&[]).await;
    let first = local.stream().await;
    run(&first, 1, "echo ended").await;
    let slow = command(2, "echo begun >> count; until [ -e go ]; do sleep 0.05; done; cat count");
    let waited = tokio::time::timeout(Duration::from_millis(500), first.run(&slow)).await;
    assert!(waited.is_err(), "{waited:?}");
    drop(first);

    let stream = local.stream().await;
    let ended = |recovered| match recovered {
        Recovered::Ended(result) => text(&result.stdout.head),
        other @ Recovered::NeverStarted => panic!("{other:?}"),
    };
    assert_eq!(ended(stream.recover(&command(1, "echo again")).await.unwrap()), "ended\n");
    // One that runs is waited for, whatever becomes of its stream meanwhile.
    let (running, ()) = tokio::join!(stream.recover(&slow), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        std::fs::write(local.work().join("go"), "").unwrap();
    });
    assert_eq!(ended(running.unwrap()), "begun\n");
    // One that it never saw is not started, now or later.
    let never = command(3, "touch started");
    assert_eq!(stream.recover(&never).await.unwrap(), Recovered::NeverStarted);
    assert_eq!(stream.recover(&never).await.unwrap(), Recovered::NeverStarted);
    assert!(!local.work().join("started").exists());

    // What nobody can know any more is said to be so.
    let lost = command(4, "sleep 60");
    let _ = tokio::time::timeout(Duration::from_millis(500), stream.run(&lost)).await;
    drop(stream);
    local.start_again().await;
    let stream = local.stream().await;
    let error = stream.recover(&lost).await.unwrap_err();
    assert!(matches!(error, SandboxError::Lost { .. }), "{error}");
    assert_eq!(ended(stream.recover(&command(1, "echo again")).await.unwrap()), "ended\n");
}

#[tokio::test]
async fn a_lower_epoch_can_do_nothing_more() {
    let local = Local::start(&[]).await;
    let mut old = local.greeted(1).await;
    let file = local.work().join("never");
    let _new = local.greeted(2).await;
    // Its stream has ended with the hello of the later one; what it sends all the same is not heard.
    old.try_send(&start(1, &format!("touch {}", file.display()), 1)).await;
    assert!(matches!(old.next().await, Some(Reply::Error { reason }) if reason.contains("epoch 1")));
    assert_eq!(old.next().await, None);
    // On a stream of the later one's, an earlier one's frame is refused as well.
    let mut mixed = local.greeted(2).await;
    mixed.send(&start(1, &format!("touch {}", file.display()), 1)).await;
    assert!(matches!(mixed.next().await, Some(Reply::Error { reason }) if reason.contains("epoch 1")));
    let mut raw = local.raw().await;
    raw.send(&hello(&local.session, 1)).await;
    assert!(matches!(raw.next().await, Some(Reply::Error { .. })));
    let mut new = local.greeted(2).await;
    new.send(&Request::Query { seq: 1 }).await;
    assert!(matches!(new.next().await, Some(Reply::Refused { state: CommandState::Unknown, .. })));
    assert!(!file.exists());
}

#[tokio::test]
async fn a_later_controller_ends_the_streams_of_earlier_ones_at_once() {
    let local = Local::start(&[]).await;
    let mut old = local.greeted(1).await;
    old.send(&start(1, "sleep 4570.2", 1)).await;
    assert_eq!(old.next().await, Some(Reply::Started { seq: 1 }));
    let mut same = local.greeted(1).await;
    let mut new = local.greeted(2).await;
    // Neither of them says anything, and both are told.
    for earlier in [&mut old, &mut same] {
        assert!(matches!(earlier.next().await, Some(Reply::Error { reason }) if reason.contains("2 was seen")));
        assert_eq!(earlier.next().await, None);
    }
    // The command goes on, and is the later one's to ask for and to end.
    new.send(&Request::Query { seq: 1 }).await;
    assert_eq!(new.next().await, Some(Reply::Started { seq: 1 }));
    new.send(&Request::Kill { seq: 1, epoch: 2 }).await;
    assert!(matches!(new.next_but_output().await, Some(Reply::Killing { seq: 1, .. } | Reply::Finished(_))));
}

#[tokio::test]
async fn who_made_it_is_the_first_that_it_hears() {
    let local = Local::start(&["--epoch", "5"]).await;
    let mut raw = local.raw().await;
    raw.send(&hello(&local.session, 4)).await;
    assert!(
        matches!(raw.next().await, Some(Reply::Error { reason }) if reason.contains("epoch 4 is over: 5 was seen"))
    );
    local.greeted(5).await;
}

#[tokio::test]
async fn wrong_hellos_are_refused_with_a_sentence() {
    let local = Local::start(&[]).await;
    let other = Request::Hello { version: VERSION + 1, session: local.session.clone(), epoch: 1 };
    for (request, word) in [(hello("another", 1), "another"), (other, "version"), (Request::Ping { nonce: 1 }, "hello")]
    {
        let mut raw = local.raw().await;
        raw.send(&request).await;
        let reply = raw.next().await;
        assert!(matches!(&reply, Some(Reply::Error { reason }) if reason.contains(word)), "{reply:?}");
        assert_eq!(raw.next().await, None);
    }
}

#[tokio::test]
async fn garbage_ends_a_stream_and_nothing_else() {
    let local = Local::start(&[]).await;
    let too_long = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes().to_vec();
    let half = [100u32.to_be_bytes().to_vec(), b"{\"type\":".to_vec()].concat();
    let wrong = [4u32.to_be_bytes().to_vec(), b"null".to_vec()].concat();
    let nothing = 0u32.to_be_bytes().to_vec();
    for bytes in [too_long, half, wrong, nothing, b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 4096], vec![]] {
        for greeted in [false, true] {
            let mut raw = if greeted { local.greeted(1).await } else { local.raw().await };
            let stream = raw.0.get_mut();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            while raw.next().await.is_some() {}
        }
    }
    assert_eq!(run(&local.stream().await, 1, "echo fine").await.stdout.head, b"fine\n");
}

#[tokio::test]
async fn a_shutdown_and_a_signal_take_the_commands_along() {
    let mut local = Local::start(&["--grace-ms", "200"]).await;
    let mut raw = local.greeted(1).await;
    raw.send(&start(1, "trap '' TERM; sleep 4571.1", 1)).await;
    until("the command", async || !local::processes_with("sleep\u{0}4571.1").is_empty()).await;
    raw.send(&Request::Shutdown { epoch: 1 }).await;
    until("the end", async || matches!(raw.next().await, Some(Reply::Bye) | None)).await;
    assert!(local.child().wait().unwrap().success());
    assert!(local::processes_with("sleep\u{0}4571.1").is_empty());

    let mut local = Local::start(&["--grace-ms", "200"]).await;
    let mut raw = local.greeted(1).await;
    raw.send(&start(1, "sleep 4571.2 & sleep 4571.3", 1)).await;
    until("the command", async || local::processes_with("sleep\u{0}4571").len() == 2).await;
    let pid = rustix::process::Pid::from_raw(local.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(local.child().wait().unwrap().success());
    assert!(local::processes_with("sleep\u{0}4571").is_empty());
}

#[tokio::test]
async fn the_wall_limit_ends_it_all() {
    let mut local = Local::start(&["--grace-ms", "200", "--wall-limit", "1"]).await;
    let mut raw = local.greeted(1).await;
    raw.send(&start(1, "sleep 4572.1", 1)).await;
    assert!(local.child().wait().unwrap().success());
    assert!(local::processes_with("sleep\u{0}4572").is_empty());
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_fails_no_command() {
    let local = Local::start(&["--spool-total-bytes", "1000", "--head-bytes", "10", "--tail-bytes", "10"]).await;
    let mut raw = local.greeted(1).await;
    raw.send(&start(1, "yes | head -c 100000", 1)).await;
    let _ = raw.next().await;
    let Some(Reply::Finished(outcome)) = raw.next_but_output().await else { panic!() };
    assert_eq!((outcome.end, outcome.stdout.total), (CommandEnd::Exited { code: 0 }, 100_000));
    assert!(outcome.notes[0].contains("used up"), "{:?}", outcome.notes);
    std::fs::remove_dir_all(local.spool()).unwrap();
    raw.send(&start(2, "echo still", 1)).await;
    let _ = raw.next().await;
    let Some(Reply::Finished(outcome)) = raw.next_but_output().await else { panic!() };
    assert_eq!(outcome.stdout.head, b"still\n");
    assert!(!outcome.notes.is_empty());
    raw.send(&Request::Query { seq: 2 }).await;
    assert!(matches!(raw.next().await, Some(Reply::Finished(_))));
}

/// A way to a supervisor whose streams can be cut, before or after what was written.
struct Fragile {
    inner: UnixDial,
    streams: Mutex<Vec<tokio::task::AbortHandle>>,
}

impl Fragile {
    fn cut(&self) -> usize {
        self.streams.lock().unwrap().drain(..).map(|task| task.abort()).count()
    }
}

#[async_trait]
impl Dial for Fragile {
    async fn dial(&self) -> Result<Pipe, String> {
        let mut pipe = self.inner.dial().await?;
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        let task = tokio::spawn(async move {
            let mut inner = tokio::io::join(&mut pipe.read, &mut pipe.write);
            let _ = tokio::io::copy_bidirectional(&mut inner, &mut theirs).await;
        });
        self.streams.lock().unwrap().push(task.abort_handle());
        let (read, write) = tokio::io::split(ours);
        Ok(Pipe { read: Box::new(read), write: Box::new(write), aside: Aside::default() })
    }

    async fn look(&self) -> Condition {
        Condition::Running
    }
}

#[tokio::test]
async fn a_cut_stream_loses_and_repeats_nothing() {
    let local = Local::start(&[]).await;
    let dial = Arc::new(Fragile { inner: UnixDial(local.socket()), streams: Mutex::default() });
    let stream = stream(&local.session, dial.clone()).await.unwrap();
    let go = local.work().join("go");
    let count = local.work().join("count");
    let line = format!("echo x >> {}; until [ -e {} ]; do sleep 0.02; done; cat {0}", count.display(), go.display());
    let asked = command(1, &line);
    let (result, ()) = tokio::join!(stream.run(&asked), async {
        until("the command", async || count.exists()).await;
        assert!(dial.cut() > 0);
        std::fs::write(&go, "").unwrap();
    });
    assert_eq!(result.unwrap().stdout.head, b"x\n");

    // Cut at random, again and again, while commands run.
    let cutter = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(rand::random_range(0..15))).await;
            dial.cut();
        }
    };
    let log = local.work().join("log");
    let work = async {
        for seq in 100..160 {
            let result = run(&stream, seq, &format!("echo {seq} >> {}; echo {seq}", log.display())).await;
            assert_eq!(text(&result.stdout.head), format!("{seq}\n"));
        }
    };
    tokio::select! { () = work => {}, () = cutter => {} }
    let expected: Vec<_> = (100..160).map(|seq| seq.to_string()).collect();
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().collect::<Vec<_>>(), expected);
}

/// A supervisor that answers the hello and then does as it is told.
async fn hostile<F>(
    behave: impl Fn(Raw) -> F + Send + Sync + 'static,
) -> (tempfile::TempDir, Result<Stream, SandboxError>)
where
    F: Future<Output = Raw> + Send,
{
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("s")).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut raw = Raw(Framed::new(stream, codec()));
            raw.0.next().await;
            let hello = Reply::Hello { version: VERSION, session: "s".into(), epoch: 1, commands: vec![] };
            reply(&mut raw, &hello).await;
            let mut raw = behave(raw).await;
            while let Some(Ok(_)) = raw.0.next().await {}
        }
    });
    let patience = Patience {
        hello: std::time::Duration::from_millis(500),
        reattach: std::time::Duration::from_millis(500),
        ping: std::time::Duration::from_millis(50),
        silence: std::time::Duration::from_millis(500),
        overdue: std::time::Duration::from_millis(500),
    };
    let dial = Arc::new(UnixDial(dir.path().join("s")));
    let stream = Stream::connect(dial, Identity { session: "s".into(), epoch: 1 }, patience).await;
    (dir, stream)
}

async fn reply(raw: &mut Raw, reply: &Reply) {
    let _ = raw.0.send(controller::supervisor::frames::encode(reply).unwrap()).await;
}

async fn lost(stream: &Stream) -> String {
    let quick = controller::sandbox::Command { timeout: std::time::Duration::ZERO, ..command(1, "true") };
    match tokio::time::timeout(PATIENCE, stream.run(&quick)).await.expect("no end came") {
        Err(SandboxError::Lost { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_supervisor_that_says_what_it_cannot_is_lost() {
    let outcome = |seq| controller::supervisor::protocol::Outcome::not_started(seq, String::new());
    let mut impossible = outcome(1);
    impossible.stdout.total = 5;
    let lies = [
        (Reply::Finished(Box::new(outcome(7))), "nobody asked"),
        (Reply::Finished(Box::new(impossible)), "cannot be true"),
        (Reply::Started { seq: 9 }, "nobody asked"),
        (Reply::Killing { seq: 1, state: CommandState::Running }, "nobody ordered"),
        (Reply::Pong { nonce: u64::MAX }, "never sent"),
        (Reply::Bye, "ended"),
        (Reply::Error { reason: "epoch 1 is over".into() }, "epoch 1 is over"),
    ];
    for (lie, word) in lies {
        let (_dir, stream) = hostile(move |mut raw| {
            let lie = lie.clone();
            async move {
                // The first ping may come before the command.
                while !matches!(raw.next_request().await, Some(Request::Start { .. }) | None) {}
                reply(&mut raw, &lie).await;
                raw
            }
        })
        .await;
        let reason = lost(&stream.unwrap()).await;
        assert!(reason.contains(word), "{reason}");
    }
}

#[tokio::test]
async fn garbage_silence_and_neglect_are_lost_too() {
    for (bytes, word) in [(vec![0xff; 64], "too long"), (b"\0\0\0\x04null".to_vec(), "garbage")] {
        let (_dir, stream) = hostile(move |mut raw| {
            let bytes = bytes.clone();
            async move {
                let _ = raw.0.get_mut().write_all(&bytes).await;
                raw
            }
        })
        .await;
        let reason = lost(&stream.unwrap()).await;
        assert!(reason.contains(word), "{reason}");
    }
    // Answers every ping and never reports a command.
    let (_dir, stream) = hostile(|mut raw| async move {
        while let Some(request) = raw.next_request().await {
            if let Request::Ping { nonce } = request {
                reply(&mut raw, &Reply::Pong { nonce }).await;
            }
        }
        raw
    })
    .await;
    let reason = lost(&stream.unwrap()).await;
    assert!(reason.contains("never reported"), "{reason}");
}

#[tokio::test]
async fn nobody_there_is_lost_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let error = stream("s", Arc::new(UnixDial(dir.path().join("s")))).await.err().unwrap();
    assert!(matches!(&error, SandboxError::Lost { reason } if reason.contains("socket is gone")), "{error}");
}
