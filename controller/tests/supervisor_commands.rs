//! Commands through a real supervisor process: how they end, what they leave, what they print.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "sandbox_support/local.rs"]
mod local;

use std::time::Duration;

use controller::sandbox::{CommandEnd, OutputChunk};
use local::{Local, command, processes_with, run, run_for, spare_uid, text, until};
use tokio::sync::mpsc;

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_command_says_how_it_ended_and_what_it_wrote() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let result = run(&stream, 1, "echo out; echo err >&2; exit 3").await;
    assert_eq!(result.end, CommandEnd::Exited { code: 3 });
    assert_eq!((text(&result.stdout.head), text(&result.stderr.head)), ("out\n".into(), "err\n".into()));
    for (seq, code) in [(2, 0), (3, 1), (4, 127), (5, 137), (6, 143)] {
        assert_eq!(run(&stream, seq, &format!("exit {code}")).await.end, CommandEnd::Exited { code });
    }
    assert_eq!(run(&stream, 7, "no-such-program").await.end, CommandEnd::Exited { code: 127 });
    // Multi-byte characters, quotes and newlines arrive as they are.
    let result = run(&stream, 8, "printf '%s' \"ä'\n\"\nprintf '%s' '\"$HOME'").await;
    assert_eq!(text(&result.stdout.head), "ä'\n\"$HOME");
}

#[tokio::test]
async fn a_signal_is_not_an_exit_code_and_not_a_timeout() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    assert_eq!(run(&stream, 1, "kill -9 $$").await.end, CommandEnd::Signaled { signal: 9 });
    assert_eq!(run(&stream, 2, "kill -TERM $$").await.end, CommandEnd::Signaled { signal: 15 });
    // A child of the shell that was killed is the shell's exit code.
    assert_eq!(run(&stream, 3, "sh -c 'kill -9 $$'; exit $?").await.end, CommandEnd::Exited { code: 137 });
    assert_eq!(run(&stream, 4, "true").await.end, CommandEnd::Exited { code: 0 });
}

#[tokio::test]
async fn a_command_that_never_ends_is_ended() {
    let local = Local::start(&["--grace-ms", "200"]).await;
    let stream = local.stream().await;
    let result = run_for(&stream, 1, "echo before; while :; do sleep 1; done", SHORT).await;
    assert_eq!(result.end, CommandEnd::TimedOut);
    assert_eq!(text(&result.stdout.head), "before\n");
    // One that will not listen, too.
    let result = run_for(&stream, 2, "trap '' TERM INT HUP; while :; do sleep 999.25; done", SHORT).await;
    assert_eq!(result.end, CommandEnd::TimedOut);
    // One that tidies up when asked has still run out of time, and its last words are kept.
    let result = run_for(&stream, 3, "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done", SHORT).await;
    assert_eq!((result.end, text(&result.stdout.head)), (CommandEnd::TimedOut, "bye\n".into()));
}

#[tokio::test]
async fn an_order_kills() {
    let local = Local::start(&["--grace-ms", "200"]).await;
    let stream = local.stream().await;
    let endless = command(1, "sleep 4567.1");
    let (result, ()) = tokio::join!(stream.run(&endless), async {
        until("the command", async || !processes_with("sleep\u{0}4567.1").is_empty()).await;
        stream.kill(1).await.unwrap();
    });
    assert_eq!(result.unwrap().end, CommandEnd::Killed);
    assert!(processes_with("sleep\u{0}4567.1").is_empty());
    // Late, unknown and twice are all fine.
    stream.kill(1).await.unwrap();
    stream.kill(99).await.unwrap();
}

#[tokio::test]
async fn what_went_to_the_background_holds_nothing_up_and_lives_on() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let texts = [
        "echo first; sleep 4568.1 &",
        "echo first; nohup sleep 4568.2 >&1 2>&1 &",
        "echo first; setsid sleep 4568.3 & sleep 0.1",
        "echo first; (sleep 4568.4; echo never) & disown",
    ];
    for (seq, line) in (1..).zip(texts) {
        let result = run(&stream, seq, line).await;
        assert_eq!(
            (result.end, text(&result.stdout.head)),
            (CommandEnd::Exited { code: 0 }, "first\n".into()),
            "{line}"
        );
    }
    assert!(!processes_with("sleep\u{0}4568.1").is_empty());
    run(&stream, 9, "pkill -f 'sleep 4568' ; true").await;

    // One that goes on writing is neither blocked nor killed by a closed pipe.
    let file = local.work().join("wrote");
    let line = format!("(head -c 1000000 /dev/zero; echo done > {}) & exit 0", file.display());
    assert_eq!(run(&stream, 10, &line).await.end, CommandEnd::Exited { code: 0 });
    until("the background writer's end", async || file.exists()).await;
}

#[tokio::test]
async fn a_timeout_reaches_what_left_the_group() {
    let local = Local::start(&["--grace-ms", "200"]).await;
    let stream = local.stream().await;
    let line = "setsid sleep 4569.1 & setsid setsid nohup sleep 4569.2 & sleep 4569.3";
    let result = run_for(&stream, 1, line, Duration::from_secs(1)).await;
    assert_eq!(result.end, CommandEnd::TimedOut);
    until("the end of all of them", async || processes_with("sleep\u{0}4569").is_empty()).await;
}

#[tokio::test]
async fn a_gigabyte_is_counted_and_both_ends_are_kept_in_little_memory() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let gigabyte = 1u64 << 30;
    let result = run(&stream, 1, "echo first; head -c 1G /dev/zero; echo last").await;
    assert_eq!(result.end, CommandEnd::Exited { code: 0 });
    assert_eq!(result.stdout.total, gigabyte + 11);
    assert!(result.stdout.head.starts_with(b"first\n\0"));
    assert!(result.stdout.tail.ends_with(b"\0last\n"));
    assert_eq!((result.stdout.head.len(), result.stdout.tail.len()), (512 << 10, 512 << 10));
    assert_eq!(result.stdout.dropped(), gigabyte + 11 - (1 << 20));
    let result = run(&stream, 2, "yes | head -c 1G").await;
    assert_eq!(result.stdout.total, gigabyte);
    assert_eq!(&result.stdout.tail[..4], b"y\ny\n");
    // Full text up to its limit, on disk, beginning with the beginning.
    let kept = std::fs::metadata(local.spool().join("1.stdout")).unwrap();
    assert_eq!(kept.len(), 64 << 20);
    assert!(local.high_water() < 96 << 10, "{} KiB", local.high_water());
}

#[tokio::test]
async fn more_than_four_gigabytes_are_counted() {
    let local = Local::start(&["--spool-bytes", "1048576"]).await;
    let stream = local.stream().await;
    let result = run(&stream, 1, "head -c 4200M /dev/zero").await;
    assert_eq!(result.stdout.total, 4200 << 20);
    assert!(local.high_water() < 96 << 10, "{} KiB", local.high_water());
}

#[tokio::test]
async fn bytes_are_bytes() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let result = run(&stream, 1, r"printf 'no newline'; printf '\xff\xfe\0\x80'; printf '\0' >&2").await;
    assert_eq!(result.stdout.head, b"no newline\xff\xfe\0\x80");
    assert_eq!(result.stderr.head, b"\0");
}

#[tokio::test]
async fn there_is_no_terminal_and_no_input() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let result = run(&stream, 1, "read x </dev/tty").await;
    assert_eq!(result.end, CommandEnd::Exited { code: 1 });
    assert!(text(&result.stderr.head).contains("/dev/tty"), "{}", text(&result.stderr.head));
    assert_eq!(run(&stream, 2, "read x; echo $?").await.stdout.head, b"1\n");
    assert_eq!(text(&run(&stream, 3, "cat; tty").await.stdout.head), "not a tty\n");
    let asks = "python3 -c 'import getpass; getpass.getpass()'";
    assert_eq!(run(&stream, 4, asks).await.end, CommandEnd::Exited { code: 1 });
}

#[tokio::test]
async fn it_is_somebody_without_power_in_a_clean_place() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let result = run(&stream, 1, "id -u; id -G; pwd; echo $OPERATOR_COMMAND").await;
    let (uid, work) = (spare_uid(), local.work().canonicalize().unwrap());
    let mut lines = text(&result.stdout.head).lines().map(str::to_owned).collect::<Vec<_>>();
    if !rustix::process::geteuid().is_root() {
        lines[1] = uid.to_string();
    }
    assert_eq!(lines, [uid.to_string(), uid.to_string(), work.display().to_string(), "1".into()]);
    let result = run(&stream, 2, "env").await;
    let names: Vec<_> = text(&result.stdout.head).lines().map(|l| l.split('=').next().unwrap().to_owned()).collect();
    assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
    if rustix::process::geteuid().is_root() {
        let paths = format!("{} {}", local.spool().display(), local.socket().parent().unwrap().display());
        for (seq, line) in (3..).zip([
            format!("ls {paths}"),
            format!("touch {}/1.json", local.spool().display()),
            format!(
                "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{}\")'",
                local.socket().display()
            ),
            format!("rm -f {}", local.socket().display()),
            format!("kill -9 {}", local.pid()),
        ]) {
            let result = run(&stream, seq, &line).await;
            assert!(!matches!(result.end, CommandEnd::Exited { code: 0 }), "{line}: {result:?}");
        }
    }
}

#[tokio::test]
async fn a_long_command_runs_and_one_that_cannot_says_why() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let long = format!("echo '{}' | wc -c", "x".repeat(900 << 10));
    assert_eq!(text(&run(&stream, 1, &long).await.stdout.head).trim(), ((900 << 10) + 1).to_string());
    let not_started = async |seq, line: &str| match run(&stream, seq, line).await.end {
        CommandEnd::NotStarted { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert!(not_started(2, "echo a\0b").await.contains("NUL"));
    assert!(not_started(3, &"x".repeat((1 << 20) + 1)).await.contains("limit"));
}

#[tokio::test]
async fn no_process_to_spare_is_a_reason_and_the_supervisor_lives() {
    // A limit on processes needs a user of its own.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let local = Local::start(&["--uid", "54399", "--gid", "54399", "--grace-ms", "200"]).await;
    let stream = local.stream().await;
    let bomb = "ulimit -u 60; f() { f | f & }; f; sleep 60";
    let result = run_for(&stream, 1, bomb, Duration::from_secs(1)).await;
    assert_eq!(result.end, CommandEnd::TimedOut);
    assert_eq!(run(&stream, 2, "echo alive").await.stdout.head, b"alive\n");
}

#[tokio::test]
async fn output_is_seen_while_the_command_runs() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let (live, mut chunks) = mpsc::channel::<OutputChunk>(16);
    let file = local.work().join("go");
    let script = format!("echo one; until [ -e {} ]; do sleep 0.02; done; echo two", file.display());
    let watched = controller::sandbox::Command { live: Some(live), ..command(1, &script) };
    let (result, ()) = tokio::join!(stream.run(&watched), async {
        assert_eq!(chunks.recv().await.unwrap().data, b"one\n");
        std::fs::write(&file, "").unwrap();
        assert_eq!(chunks.recv().await.unwrap().data, b"two\n");
    });
    assert_eq!(result.unwrap().stdout.head, b"one\ntwo\n");
}

#[tokio::test]
async fn a_watcher_that_takes_nothing_holds_nothing_up() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    let (live, _never_read) = mpsc::channel::<OutputChunk>(1);
    let watched = controller::sandbox::Command { live: Some(live), ..command(1, "head -c 50000000 /dev/zero") };
    assert_eq!(stream.run(&watched).await.unwrap().stdout.total, 50_000_000);
}

#[tokio::test]
async fn many_in_a_row_and_many_at_once() {
    let local = Local::start(&[]).await;
    let stream = local.stream().await;
    for seq in 1..=200 {
        assert_eq!(text(&run(&stream, seq, &format!("echo {seq}")).await.stdout.head), format!("{seq}\n"));
    }
    let all =
        (1000..1020).map(async |seq| (seq, run(&stream, seq, &format!("sleep 0.1; echo {seq} >&2; exit 5")).await));
    for (seq, result) in futures::future::join_all(all).await {
        assert_eq!((result.end, text(&result.stderr.head)), (CommandEnd::Exited { code: 5 }, format!("{seq}\n")));
    }
}
