//! Steps: what a person sees as one thing, made of the entries that belong to it.

use std::collections::VecDeque;

use audit_client::CallOutcome;
use audit_client::entry::VerdictWord;
use jiff::Timestamp;

use super::digest::{ChangeEnd, Digest, What};

/// A step. It refers to entries by their place in the window, so it holds until the window changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The number of its first entry.
    pub seq: i64,
    /// The number of its last entry.
    pub last: i64,
    /// When it began.
    pub at: Timestamp,
    /// What it is.
    pub kind: Kind,
}

/// What a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A command, what came of it, and what it changed.
    Command {
        /// The call; absent if it is further up than the window goes.
        call: Option<usize>,
        /// The result; absent while it runs.
        result: Option<usize>,
        /// The changes.
        changes: Vec<Change>,
    },
    /// A check of the invariants.
    Check {
        /// Its beginning.
        begun: Option<usize>,
        /// Its end.
        ended: Option<usize>,
    },
    /// A change that belongs to no command here.
    Change(Change),
    /// Any other entry alone.
    One(usize),
}

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its beginning.
    pub begun: Option<usize>,
    /// Its end.
    pub done: Option<usize>,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Running,
    /// As it should.
    Good,
    /// Not so.
    Bad,
    /// It neither succeeds nor fails.
    Plain,
}

/// Puts entries together.
#[must_use]
pub fn steps(entries: &VecDeque<Digest>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        if !joined(&mut steps, entries, index, entry)
            && let Some(kind) = alone(entries, index, entry)
        {
            steps.push(Step { seq: entry.seq, last: entry.seq, at: entry.at, kind });
        }
    }
    steps
}

/// Adds an entry to the step that it belongs to, if that is there.
fn joined(steps: &mut [Step], entries: &VecDeque<Digest>, index: usize, entry: &Digest) -> bool {
    let fits = |step: &Step| match (&entry.what, &step.kind) {
        (What::Result { call, .. }, Kind::Command { call: Some(_), result: None, .. }) => step.seq == *call,
        // What an agent changes, it changes by the command that runs.
        (What::Change(_), Kind::Command { call: Some(_), result: None, .. }) => true,
        (What::Changed { change, .. }, Kind::Command { changes, .. }) => {
            changes.iter().any(|known| known.begun.is_some_and(|begun| entries[begun].seq == *change))
        }
        (What::Changed { change, .. }, Kind::Change(known)) => {
            known.begun.is_some_and(|begun| entries[begun].seq == *change)
        }
        (What::Checked { attempt, .. }, Kind::Check { begun: Some(begun), ended: None }) => {
            matches!(&entries[*begun].what, What::Check { attempt: known, .. } if known == attempt)
        }
        _ => false,
    };
    // What belongs together stands close together.
    let Some(step) = steps.iter_mut().rev().take(64).find(|step| fits(step)) else { return false };
    let known = |change: &Change| match &entry.what {
        What::Changed { change: number, .. } => change.begun.is_some_and(|begun| entries[begun].seq == *number),
        _ => false,
    };
    match &mut step.kind {
        Kind::Command { result, changes, .. } => match &entry.what {
            What::Result { .. } => *result = Some(index),
            What::Change(_) => changes.push(Change { begun: Some(index), done: None }),
            _ => changes.iter_mut().filter(|change| known(change)).for_each(|change| change.done = Some(index)),
        },
        Kind::Change(change) => change.done = Some(index),
        Kind::Check { ended, .. } => *ended = Some(index),
        Kind::One(_) => return false,
    }
    step.last = entry.seq;
    true
}

fn alone(entries: &VecDeque<Digest>, index: usize, entry: &Digest) -> Option<Kind> {
    Some(match &entry.what {
        // A message is told by its parts, and the conclusion says what the call for it said.
        What::Turn { stop: None }
        | What::Call { concludes: true, .. }
        | What::Result { end: CallOutcome::Accepted, .. } => return None,
        What::Thought(text) if text.is_empty() => return None,
        What::Call { .. } => Kind::Command { call: Some(index), result: None, changes: Vec::new() },
        What::Result { call, .. } => {
            // A conclusion that was refused is told like a command that failed.
            let call = entries.iter().take(index).rposition(|entry| entry.seq == *call);
            Kind::Command { call, result: Some(index), changes: Vec::new() }
        }
        What::Change(_) => Kind::Change(Change { begun: Some(index), done: None }),
        What::Changed { .. } => Kind::Change(Change { begun: None, done: Some(index) }),
        What::Check { .. } => Kind::Check { begun: Some(index), ended: None },
        What::Checked { .. } => Kind::Check { begun: None, ended: Some(index) },
        _ => Kind::One(index),
    })
}

impl Step {
    /// Whether it is a command.
    #[must_use]
    pub fn is_command(&self) -> bool {
        matches!(self.kind, Kind::Command { .. })
    }

    /// How it stands. `over`: the session is, so nothing runs any more.
    #[must_use]
    pub fn state(&self, entries: &VecDeque<Digest>, over: bool) -> State {
        let running = if over { State::Bad } else { State::Running };
        match &self.kind {
            Kind::Command { result: None, .. }
            | Kind::Check { ended: None, .. }
            | Kind::Change(Change { done: None, .. }) => running,
            Kind::Command { result: Some(result), .. } => match &entries[*result].what {
                What::Result { end: CallOutcome::Exited { code: 0 } | CallOutcome::Accepted, .. } => State::Good,
                _ => State::Bad,
            },
            Kind::Check { ended: Some(ended), .. } => match &entries[*ended].what {
                What::Checked { verdict: VerdictWord::Holds, .. } => State::Good,
                _ => State::Bad,
            },
            Kind::Change(Change { done: Some(done), .. }) => match &entries[*done].what {
                What::Changed { end: ChangeEnd::Done, .. } => State::Good,
                _ => State::Bad,
            },
            Kind::One(index) => match &entries[*index].what {
                What::Conclusion { resolved: true, .. } | What::Healed => State::Good,
                What::Conclusion { resolved: false, .. } => State::Bad,
                _ => State::Plain,
            },
        }
    }

    /// Whether it is open unless somebody folded it: what failed, and what the agent concluded.
    #[must_use]
    pub fn opens(&self, entries: &VecDeque<Digest>, over: bool) -> bool {
        match &self.kind {
            Kind::One(index) => matches!(entries[*index].what, What::Conclusion { .. } | What::Note { .. }),
            _ => self.state(entries, over) == State::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use audit_client::story;

    use super::*;
    use crate::feed::Entry;

    fn digests() -> VecDeque<Digest> {
        let started: Timestamp = "2026-01-28T20:54:48Z".parse().unwrap();
        (1..)
            .zip(story::bodies().into_iter().chain(story::checks()))
            .map(|(seq, (ms, body))| {
                let mut written = serde_json::to_value(&body).unwrap();
                let at = started + jiff::SignedDuration::from_millis(ms);
                let kind = body.kind().as_str().to_owned();
                Digest::of(Entry { seq, at, kind, data: written["data"].take(), summary: None })
            })
            .collect()
    }

    #[test]
    fn what_belongs_together_is_one_step() {
        let entries = digests();
        let steps = steps(&entries);
        let numbers: Vec<(i64, i64)> = steps.iter().map(|step| (step.seq, step.last)).collect();
        assert_eq!(
            numbers,
            [
                (1, 1),   // the Incident
                (2, 2),   // started
                (4, 4),   // a thought
                (5, 6),   // a command and its result
                (7, 7),   // a turn that was cut
                (8, 9),   // a command that failed
                (10, 11), // one that was killed
                (12, 12), // an error
                (15, 15), // the conclusion
                (16, 16), // sealed
                (17, 18), // a check
                (19, 19), // healed
                (20, 20), // a check's end alone
                (21, 21), // another
            ]
        );
        let states: Vec<State> =
            steps.iter().filter(|step| step.is_command()).map(|step| step.state(&entries, false)).collect();
        assert_eq!(states, [State::Good, State::Bad, State::Bad]);
    }

    #[test]
    fn a_command_runs_until_its_result_is_there_or_the_session_is_over() {
        let mut entries = digests();
        entries.truncate(5);
        let steps = steps(&entries);
        let last = steps.last().unwrap();
        assert_eq!((last.state(&entries, false), last.state(&entries, true)), (State::Running, State::Bad));
        assert!(!last.opens(&entries, false));
    }
}
