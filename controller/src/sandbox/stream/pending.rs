//! What is waited for.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Answer;
use crate::sandbox::{Command, OutputChunk, OutputStream, Recovered, SandboxError};
use crate::supervisor::protocol::{CommandState, Outcome, Request};

/// A command whose result is waited for.
struct Waiting {
    command: Command,
    waiters: Vec<Waiter>,
    asked: Asked,
    due: Instant,
}

struct Waiter {
    answer: Answer,
    live: Option<mpsc::Sender<OutputChunk>>,
}

/// What was last asked of the supervisor about a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Start,
    Query,
    /// The same, of a command that must not be started.
    Recover,
}

/// All that is waited for. A method that returns `Err` found that the supervisor says what it cannot.
#[derive(Default)]
pub(super) struct Pending {
    commands: HashMap<i64, Waiting>,
    kills: HashMap<i64, Vec<oneshot::Sender<()>>>,
}

impl Pending {
    /// Adds a waiter, and returns the frame to send if it is the first for this number.
    pub(super) fn run(&mut self, command: Command, answer: Answer, epoch: u64, overdue: Duration) -> Option<Request> {
        let waiter = Waiter { answer, live: command.live.clone() };
        if let Some(waiting) = self.commands.get_mut(&command.seq) {
            waiting.waiters.push(waiter);
            return None;
        }
        let start = start(&command, epoch);
        let due = Instant::now() + command.timeout + overdue;
        self.commands.insert(command.seq, Waiting { command, waiters: vec![waiter], asked: Asked::Start, due });
        Some(start)
    }

    /// Adds a waiter for a command that must not be started, and returns the frame to send if it is the first
    /// for this number.
    pub(super) fn recover(&mut self, command: Command, answer: Answer, overdue: Duration) -> Option<Request> {
        let (seq, waiter) = (command.seq, Waiter { answer, live: command.live.clone() });
        if let Some(waiting) = self.commands.get_mut(&seq) {
            waiting.waiters.push(waiter);
            return None;
        }
        let due = Instant::now() + command.timeout + overdue;
        self.commands.insert(seq, Waiting { command, waiters: vec![waiter], asked: Asked::Recover, due });
        Some(Request::Query { seq })
    }

    pub(super) fn kill(&mut self, seq: i64, answer: oneshot::Sender<()>, epoch: u64) -> Request {
        self.kills.entry(seq).or_default().push(answer);
        Request::Kill { seq, epoch }
    }

    /// What to ask on a new connection.
    pub(super) fn again(&mut self, epoch: u64) -> Vec<Request> {
        let queries = self.commands.iter_mut().map(|(seq, waiting)| {
            if waiting.asked == Asked::Start {
                waiting.asked = Asked::Query;
            }
            Request::Query { seq: *seq }
        });
        let mut frames: Vec<_> = queries.collect();
        frames.extend(
            self.kills
                .iter()
                .flat_map(|(seq, waiters)| waiters.iter().map(move |_| Request::Kill { seq: *seq, epoch })),
        );
        frames
    }

    pub(super) fn started(&self, seq: i64) -> Result<(), String> {
        self.known(seq, "a start").map(|_| ())
    }

    fn known(&self, seq: i64, what: &str) -> Result<&Waiting, String> {
        self.commands
            .get(&seq)
            .ok_or_else(|| format!("the supervisor reported {what} of command {seq}, which nobody asked for"))
    }

    pub(super) fn output(&self, seq: i64, stream: OutputStream, data: &[u8]) -> Result<(), String> {
        let waiting = self.known(seq, "output")?;
        for live in waiting.waiters.iter().filter_map(|waiter| waiter.live.as_ref()) {
            let _ = live.try_send(OutputChunk { seq, stream, data: data.to_vec() });
        }
        Ok(())
    }

    pub(super) fn finished(&mut self, outcome: Outcome) -> Result<(), String> {
        let seq = outcome.seq;
        self.known(seq, "the end")?;
        if !outcome.is_consistent() {
            return Err(format!("the supervisor's figures for command {seq} cannot be true"));
        }
        for note in &outcome.notes {
            tracing::warn!(seq, note, "a note of the supervisor on a command");
        }
        self.settle(seq, &Ok(Recovered::Ended(outcome.into())));
        Ok(())
    }

    /// What to ask next about a command that was refused, if anything.
    pub(super) fn refused(
        &mut self,
        seq: i64,
        reason: String,
        state: CommandState,
        epoch: u64,
    ) -> Result<Option<Request>, String> {
        self.known(seq, "a refusal")?;
        let Some(waiting) = self.commands.get_mut(&seq) else { return Ok(None) };
        match (waiting.asked, state) {
            (Asked::Start, CommandState::Running | CommandState::Finished) => {
                waiting.asked = Asked::Query;
                Ok(Some(Request::Query { seq }))
            }
            // The stream broke before the start arrived: it never ran.
            (Asked::Query, CommandState::Unknown) => {
                waiting.asked = Asked::Start;
                Ok(Some(start(&waiting.command, epoch)))
            }
            (Asked::Start, CommandState::Unknown) => {
                self.settle(seq, &Ok(Recovered::Ended(Outcome::not_started(seq, reason).into())));
                Ok(None)
            }
            (Asked::Recover, CommandState::Unknown) => {
                self.settle(seq, &Ok(Recovered::NeverStarted));
                Ok(None)
            }
            // A supervisor that ends takes its container along: what follows waits for the next one, instead of being
            // refused in turn by one that is no use any more.
            (_, CommandState::Lost | CommandState::Ending) => {
                self.settle(seq, &Err(SandboxError::Lost { reason }));
                Ok(None)
            }
            (Asked::Query | Asked::Recover, _) => {
                Err(format!("the supervisor has command {seq} and refuses its outcome: {reason}"))
            }
        }
    }

    pub(super) fn killing(&mut self, seq: i64) -> Result<(), String> {
        let waiters = self.kills.get_mut(&seq).filter(|waiters| !waiters.is_empty());
        let waiters = waiters.ok_or_else(|| format!("the supervisor killed command {seq}, which nobody ordered"))?;
        let _ = waiters.remove(0).send(());
        if waiters.is_empty() {
            self.kills.remove(&seq);
        }
        Ok(())
    }

    /// A command whose result should have come by now.
    pub(super) fn overdue(&self) -> Option<i64> {
        let now = Instant::now();
        self.commands.iter().find(|(_, waiting)| waiting.due < now).map(|(seq, _)| *seq)
    }

    /// Nothing could come; everything gets as much time again.
    pub(super) fn postpone(&mut self, by: Duration) {
        for waiting in self.commands.values_mut() {
            waiting.due = waiting.due.max(Instant::now()) + by;
        }
    }

    fn settle(&mut self, seq: i64, result: &Result<Recovered, SandboxError>) {
        for waiter in self.commands.remove(&seq).into_iter().flat_map(|waiting| waiting.waiters) {
            let _ = waiter.answer.send(result.clone());
        }
    }
}

fn start(command: &Command, epoch: u64) -> Request {
    let timeout_ms = u64::try_from(command.timeout.as_millis()).unwrap_or(u64::MAX);
    Request::Start { seq: command.seq, command: command.command.clone(), timeout_ms, epoch }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_supervisor_that_ends_is_a_lost_container() {
        let mut pending = Pending::default();
        let (answer, answered) = oneshot::channel();
        let command = Command { seq: 3, command: "true".into(), timeout: Duration::from_secs(1), live: None };
        assert!(pending.run(command, answer, 1, Duration::from_secs(1)).is_some());
        let asked = pending.refused(3, "told to end".into(), CommandState::Ending, 1);
        assert_eq!(asked, Ok(None), "it is not asked for again");
        let SandboxError::Lost { reason } = answered.await.unwrap().unwrap_err() else { panic!("not lost") };
        assert_eq!(reason, "told to end");
        assert!(pending.overdue().is_none() && pending.again(1).is_empty());
    }
}
