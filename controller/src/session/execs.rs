//! What a session changed of its subject, and which of its commands may still run there. Pure: from the entries.
//!
//! A `docker exec` runs in the subject's own container. It ends neither with the agent's container nor with the
//! session, so who cancels a session is told of it.

use std::collections::BTreeMap;

use crate::agent::StillRuns;
use crate::audit::entry::{Change, ChangeEntry, ChangeOutcome};
use crate::printable::short_line;

/// Commands of which the end is not known; the oldest are forgotten.
const MOST_OPEN: usize = 64;
/// Changes that are kept in words.
const MOST_CHANGES: usize = 20;
/// Characters of one.
const LONGEST: usize = 200;

/// A session's changes, as far as a summary needs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How many were begun.
    pub begun: usize,
    /// The last of them, each in a line.
    last: BTreeMap<i64, String>,
    /// Commands in the subject's containers that may still run, by the number of their entry.
    open: BTreeMap<i64, Exec>,
}

/// A command in one of the subject's containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The engine's id of it.
    pub id: String,
    /// What is said of it if it runs.
    pub runs: StillRuns,
}

impl Changes {
    /// Takes an entry into account.
    pub fn take(&mut self, seq: i64, entry: &ChangeEntry) {
        match entry {
            ChangeEntry::Begun(change) => {
                self.begun += 1;
                keep(&mut self.last, seq, short_line(&change.summary, LONGEST), MOST_CHANGES);
                if let Some(exec) = exec_of(seq, change) {
                    keep(&mut self.open, seq, exec, MOST_OPEN);
                }
            }
            ChangeEntry::Completed(done) => {
                let (over, word) = match &done.result.outcome {
                    ChangeOutcome::Succeeded { .. } => (done.result.details.get("exitCode").is_some(), ""),
                    ChangeOutcome::Failed { .. } => (true, " (failed)"),
                    ChangeOutcome::NotDone { .. } => (true, " (not done)"),
                    ChangeOutcome::Unknown { .. } => (false, " (outcome unknown)"),
                };
                if over {
                    self.open.remove(&done.change);
                }
                if let Some(line) = self.last.get_mut(&done.change) {
                    line.push_str(word);
                }
            }
        }
    }

    /// The last changes in words, in order.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.last.values().cloned().collect()
    }

    /// Commands whose end is not on record.
    #[must_use]
    pub fn open(&self) -> Vec<Exec> {
        self.open.values().cloned().collect()
    }
}

fn keep<T>(map: &mut BTreeMap<i64, T>, seq: i64, value: T, most: usize) {
    map.insert(seq, value);
    while map.len() > most {
        map.pop_first();
    }
}

/// The command, if the change is the start of one.
fn exec_of(seq: i64, change: &Change) -> Option<Exec> {
    if change.action != "container.exec" {
        return None;
    }
    let path = change.call.get("path")?.as_str()?;
    let mut parts = path.split(['/', '?']).skip_while(|part| *part != "exec");
    let id = parts.nth(1)?.to_owned();
    let runs = StillRuns {
        entry: seq,
        container: change.target.name.clone(),
        command: short_line(&change.summary, LONGEST),
        pid: None,
    };
    Some(Exec { id, runs })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::entry::{ChangeResult, ChangeTarget, CompletedChange};

    fn begun(summary: &str, path: &str) -> ChangeEntry {
        let target =
            ChangeTarget { kind: "container".into(), id: "c".into(), name: "shop-web-1".into(), service: None };
        let action = if path.contains("/exec/") { "container.exec" } else { "container.restart" };
        ChangeEntry::Begun(Change {
            action: action.into(),
            target,
            summary: summary.into(),
            argv: Vec::new(),
            call: json!({"method": "POST", "path": path}),
            origin: None,
        })
    }

    fn completed(change: i64, outcome: ChangeOutcome, details: serde_json::Value) -> ChangeEntry {
        let result = ChangeResult { outcome, duration_ms: 1, input: None, details };
        ChangeEntry::Completed(CompletedChange { change, result })
    }

    #[test]
    fn a_command_may_run_until_its_exit_code_is_known() {
        let mut changes = Changes::default();
        let done = || ChangeOutcome::Succeeded { status: 101 };
        changes.take(5, &begun("docker exec web sleep 1", "/v1.41/exec/aa/start"));
        changes.take(6, &begun("docker exec -d web sleep 9", "/v1.41/exec/bb/start"));
        changes.take(7, &begun("docker exec web sleep 8", "/v1.41/exec/cc/start"));
        changes.take(8, &begun("docker restart web", "/v1.41/containers/c/restart"));
        changes.take(9, &begun("docker exec web x", "/v1.41/exec/dd/start"));
        changes.take(10, &completed(5, done(), json!({"exitCode": 0})));
        changes.take(11, &completed(6, done(), serde_json::Value::Null));
        changes.take(12, &completed(7, ChangeOutcome::Unknown { reason: "r".into() }, json!({"running": true})));
        changes.take(13, &completed(9, ChangeOutcome::NotDone { reason: "r".into() }, serde_json::Value::Null));
        let open: Vec<_> = changes.open().into_iter().map(|exec| (exec.runs.entry, exec.id)).collect();
        assert_eq!(open, [(6, "bb".to_owned()), (7, "cc".to_owned())]);
        assert_eq!(changes.begun, 5);
        let lines = changes.lines();
        assert_eq!(
            lines[2..],
            ["docker exec web sleep 8 (outcome unknown)", "docker restart web", "docker exec web x (not done)"]
        );
    }

    #[test]
    fn only_the_last_are_kept_and_all_are_counted() {
        let mut changes = Changes::default();
        for seq in 1..=500 {
            changes.take(seq, &begun("docker exec -d web x", &format!("/exec/{seq}/start")));
        }
        assert_eq!((changes.begun, changes.lines().len(), changes.open().len()), (500, MOST_CHANGES, MOST_OPEN));
        assert_eq!(changes.open().last().unwrap().id, "500");
    }
}
