//! Ends a command: its process group, and what it left behind under its mark.
//!
//! A descendant that leaves the group (`setsid`) still carries `OPERATOR_COMMAND=SEQ` in its
//! environment, unless it hides it. Then it lives until its container ends; that is the real wall.

use std::fs;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, test_kill_process_group, waitid,
};
use tokio::time::{Instant, sleep};

/// The environment variable that marks all that a command started.
pub(super) const MARK: &str = "OPERATOR_COMMAND";

/// How often the end of a process is looked for while it may still end by itself.
const STEP: Duration = Duration::from_millis(10);

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
    !processes().any(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything, also parentheses.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let alive = fields.next().is_some_and(|state| state != "Z" && state != "X");
        alive && fields.nth(1).and_then(|text| text.parse::<i32>().ok()) == Some(group)
    })
}

/// Kills every process that carries the mark of this command, until none is found any more.
pub(super) async fn end_marked(seq: i64) {
    let mark = format!("{MARK}={seq}");
    for _ in 0..20 {
        let mut found = false;
        for pid in processes().filter(|pid| is_marked(*pid, mark.as_bytes())) {
            found |= Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok());
        }
        if !found {
            return;
        }
        sleep(STEP).await;
    }
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    // A zombie has no environment left, so it is not found again and again.
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == mark))
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
