//! Ends a command: its process group, and what it left behind under its mark.
//!
//! A descendant that leaves the group (`setsid`) still carries `OPERATOR_COMMAND=SEQ` and
//! `OPERATOR_SESSION=SESSION` in its environment, unless it hides it. Then it lives until its container ends; that is the real wall.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::Config;
use crate::processes::{self, Seen};

/// The environment variables that mark all that a command started.
pub(super) const COMMAND: &str = "OPERATOR_COMMAND";
pub(super) const SESSION: &str = "OPERATOR_SESSION";

/// How often the end of a process is looked for while it may still end by itself.
const STEP: Duration = Duration::from_millis(10);
/// How often what was left behind is looked for.
const ROUNDS: usize = 20;

/// Asks the group to end, and after `grace` ends it. The group's leader must be a child that is not
/// yet waited for: then its number cannot have become another's.
pub(super) async fn end_group(leader: Pid, grace: Duration) {
    let _ = kill_process_group(leader, Signal::TERM);
    let until = Instant::now() + grace;
    while Instant::now() < until && !(has_exited(leader) && group_is_alone(leader)) {
        sleep(STEP).await;
    }
    let _ = kill_process_group(leader, Signal::KILL);
}

/// Whether the child ended, without taking its status away from whoever waits for it.
fn has_exited(child: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(child), options), Ok(None))
}

/// Whether nothing but the leader's remains stand in the group. A zombie counts as a member for the
/// kernel, so this looks at the states.
fn group_is_alone(leader: Pid) -> bool {
    if test_kill_process_group(leader).is_err() {
        return true;
    }
    let group = leader.as_raw_nonzero().get();
    !processes::all().any(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything, also parentheses.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let alive = fields.next().is_some_and(|state| state != "Z" && state != "X");
        alive && fields.nth(1).and_then(|text| text.parse::<i32>().ok()) == Some(group)
    })
}

/// Kills every process that carries the marks of this command, until none is found any more.
///
/// Root in the container has no power to read what other users' processes are (those capabilities
/// would also be a way out), so where that is refused the user's own eyes are borrowed: a helper
/// that runs as that user and can do to its processes what they can do to each other.
pub(super) async fn end_marked(config: &Config, seq: i64) {
    for _ in 0..ROUNDS {
        let seen = end_seen(&config.session, seq);
        if seen.hidden && !help(config, seq).await {
            tracing::warn!(seq, "what a command left behind could not be looked for");
        }
        if seen.hidden || !seen.any {
            return;
        }
        sleep(STEP).await;
    }
}

/// What the helper does; blocks.
pub fn sweep(session: &str, seq: i64) {
    for _ in 0..ROUNDS {
        if !end_seen(session, seq).any {
            return;
        }
        std::thread::sleep(STEP);
    }
}

async fn help(config: &Config, seq: i64) -> bool {
    let Ok(program) = std::env::current_exe() else { return false };
    let mut command = Command::new(program);
    command.args(["supervise", "--session", &config.session, "--sweep", &seq.to_string()]);
    command.env_clear().current_dir("/").process_group(0).uid(config.uid).gid(config.gid).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A command that was just killed may still be giving its processes back.
    for _ in 0..ROUNDS {
        if let Ok(mut child) = command.spawn() {
            return matches!(timeout(Duration::from_secs(5), child.wait()).await, Ok(Ok(status)) if status.success());
        }
        sleep(STEP).await;
    }
    false
}

fn end_seen(session: &str, seq: i64) -> Seen {
    processes::kill_marked(&[format!("{COMMAND}={seq}"), format!("{SESSION}={session}")])
}
