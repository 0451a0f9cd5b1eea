//! What a call leads to: a command, the conclusion, or an answer why it is not run. Each is on record
//! before it happens, and answered by a result on record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::driver::{Flow, LAST_WORDS, Session, Stop};
use super::execute::{self, Begun, Ran};
use super::progress::{RunningCommand, printable};
use super::step::{Answer, Todo};
use super::tools::ShellCall;
use super::transcript::{TELL, ToolUse};
use super::{SessionEnd, claim, present, prompt};
use crate::audit::entry::{CallOutcome, ControlEvent, EntryBody, ToolCallEntry, ToolResultEntry};
use crate::halt::Halt;
use crate::redact::MaskedStream;
use crate::sandbox::{Command, CommandEnd, CommandResult, Recovered, Sandbox};

/// What the model is told of a command that an earlier controller put on record and did not begin with.
const NEVER_SENT: &str = "not started: the controller ended before it was sent";

impl Session {
    /// Puts a call on record.
    pub(super) async fn announce(&mut self, call: &ToolUse, todo: Todo) -> Flow<()> {
        let Todo::Shell(shell) = todo else {
            return self.write(EntryBody::ToolCall(self.call_entry(call, None, None))).await.map(drop);
        };
        // At the very end a command has no limit, and so does not run.
        let mut limit = None;
        if !self.is_overdue() {
            let Some(_) = self.sandbox().await? else { return Ok(()) };
            let left = self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
            limit = Some(shell.timeout.min(left));
        }
        let seq = self.write(EntryBody::ToolCall(self.call_entry(call, Some(&shell), limit))).await?;
        self.announced = Some(seq);
        Ok(())
    }

    /// Goes on with a call that is on record.
    pub(super) async fn answer(&mut self, seq: i64, call: &ToolUse, answer: Answer) -> Flow<()> {
        match answer {
            Answer::Command { command, limit, note } => {
                let command = Command { seq, command, timeout: limit, live: None };
                self.command(call, &command, note.as_deref()).await
            }
            Answer::Refuse(reason) => {
                let outcome = CallOutcome::NotStarted { reason };
                self.result(call, seq, outcome, &nothing(Duration::ZERO), None).await
            }
            Answer::NameEvidence(unknown) => {
                let text = format!("the conclusion names entries that do not exist: {unknown:?}; they were left out");
                self.control(ControlEvent::Error, text, json!({"evidence": unknown})).await
            }
            Answer::Conclude(conclusion) => self.write(EntryBody::Conclusion(conclusion)).await.map(drop),
            Answer::Accept => {
                // Whether it is right is not said by that.
                let claim = self.state.message.as_ref().and_then(|message| claim::of(message, &self.frozen));
                let note = claim.map(|_| prompt::IS_CHECKED);
                self.result(call, seq, CallOutcome::Accepted, &nothing(Duration::ZERO), note).await
            }
        }
    }

    /// Runs a command, or finds what became of one that an earlier controller put on record.
    async fn command(&mut self, call: &ToolUse, command: &Command, note: Option<&str>) -> Flow<()> {
        let seq = command.seq;
        let started = Instant::now();
        let running = RunningCommand {
            seq,
            since: Timestamp::now(),
            text: printable(&self.presenter.redactor.text(&command.command).value),
        };
        self.progress.send_modify(|progress| progress.command = Some(running));
        let begun = if self.announced.take() == Some(seq) { Begun::Here } else { Begun::Before };
        let halt = self.orders.halt.clone();
        let ran = match (self.gone.take(), self.sandboxes.current()) {
            // Nothing of it has begun.
            (None, _) if begun == Begun::Here && halt.borrow().is_some() => Ran::Halted(Some(Recovered::NeverStarted)),
            (None, Some(sandbox)) => execute::run(&*sandbox, command, begun, &self.cancel, halt).await,
            (Some(reason), _) => Ran::Lost(reason),
            (None, None) => Ran::Lost("its container could not be reached any more".to_owned()),
        };
        self.progress.send_modify(|progress| progress.command = None);
        match ran {
            Ran::Done(result) => {
                let outcome = outcome_of(&result, command.timeout);
                self.result(call, seq, outcome, &result, note).await
            }
            Ran::Never => {
                let outcome = CallOutcome::NotStarted { reason: NEVER_SENT.to_owned() };
                self.result(call, seq, outcome, &nothing(Duration::ZERO), None).await
            }
            Ran::Cancelled(result) => {
                let outcome = match &result {
                    Some(result) if result.end != CommandEnd::Killed => outcome_of(result, command.timeout),
                    _ => CallOutcome::Cancelled,
                };
                let result = result.unwrap_or_else(|| nothing(started.elapsed()));
                let entry = self.result_entry(call, seq, outcome, &result, note);
                let _ = self.write_last(EntryBody::ToolResult(entry), LAST_WORDS).await;
                Err(Stop::Cancelled)
            }
            Ran::Halted(ended) => self.halted(call, command, ended, started.elapsed(), note).await,
            Ran::Lost(reason) => {
                let outcome = CallOutcome::Unknown { reason };
                self.result(call, seq, outcome, &nothing(started.elapsed()), None).await
            }
        }
    }

    /// The result of a command that a halt of the installation met.
    async fn halted(
        &mut self,
        call: &ToolUse,
        command: &Command,
        ended: Option<Recovered>,
        took: Duration,
        note: Option<&str>,
    ) -> Flow<()> {
        let sentence = self.orders.halt.borrow().as_ref().map_or_else(|| Halt::default().sentence(), Halt::sentence);
        let seq = command.seq;
        match ended {
            Some(Recovered::Ended(result)) if result.end == CommandEnd::Killed => {
                let note = format!("killed, because {sentence}");
                self.result(call, seq, CallOutcome::Cancelled, &result, Some(&note)).await
            }
            // It ended by itself in this very moment.
            Some(Recovered::Ended(result)) => {
                let outcome = outcome_of(&result, command.timeout);
                self.result(call, seq, outcome, &result, note).await
            }
            Some(Recovered::NeverStarted) => {
                let outcome = CallOutcome::NotStarted { reason: format!("not started, because {sentence}") };
                self.result(call, seq, outcome, &nothing(Duration::ZERO), None).await
            }
            None => {
                let killed = match self.orders.brake.kill().await {
                    Ok(()) => "its container was killed".to_owned(),
                    Err(error) => format!("its container could not be killed ({error})"),
                };
                let reason = format!("{sentence}, and the command did not end in time: {killed}");
                self.result(call, seq, CallOutcome::Unknown { reason }, &nothing(took), None).await
            }
        }
    }

    /// The container was given up, and the one that follows it is being made.
    pub(super) async fn say_lost(&mut self, reason: &str) -> Flow<()> {
        let name = self.state.container.as_ref().map_or("", |container| &container.name);
        let message = format!("the agent's container {name} was given up: {reason}");
        let tell = prompt::replaced(self.state.loss.interrupted);
        self.control(ControlEvent::SandboxLost, message, json!({TELL: tell, "reason": reason})).await?;
        if self.is_replaced {
            self.is_replaced = false;
            self.sandboxes.rename(self.state.transcript.lost_sandboxes);
        }
        Ok(())
    }

    /// The container; the first time it is handed out that is put on record. `None` if there is none, and the end
    /// is decided.
    async fn sandbox(&mut self) -> Flow<Option<Arc<dyn Sandbox>>> {
        self.want_sandbox();
        let cancel = self.cancel.clone();
        let ready = cancel.run_until_cancelled(self.sandboxes.ready()).await.ok_or(Stop::Cancelled)?;
        match ready {
            Ok(opened) => {
                let replacement = self.state.transcript.lost_sandboxes;
                let known = self.state.container.as_ref().is_some_and(|known| known.replacement == replacement);
                if !known {
                    let name = opened.sandbox.name();
                    let message = format!("the agent's container {name} is ready");
                    let details = json!({"container": name, "replacement": replacement});
                    self.control(ControlEvent::Started, message, details).await?;
                }
                Ok(Some(opened.sandbox))
            }
            Err(error) => {
                let (reason, message) = (error.category().to_owned(), error.to_string());
                let details = json!({"category": error.category()});
                self.decide(message.clone(), details, &SessionEnd::Failed { reason, message }).await?;
                Ok(None)
            }
        }
    }

    fn call_entry(&self, call: &ToolUse, shell: Option<&ShellCall>, limit: Option<Duration>) -> ToolCallEntry {
        ToolCallEntry {
            turn: self.state.transcript.turns,
            tool_use_id: call.id.clone(),
            tool: call.name.clone(),
            input: call.input.clone(),
            command: shell.map(|shell| shell.command.clone()),
            reasoning: shell.and_then(|shell| shell.reasoning.clone()),
            timeout_ms: limit.map(millis),
        }
    }

    /// Commits the result of a call.
    async fn result(
        &mut self,
        call: &ToolUse,
        seq: i64,
        outcome: CallOutcome,
        result: &CommandResult,
        note: Option<&str>,
    ) -> Flow<()> {
        let entry = self.result_entry(call, seq, outcome, result, note);
        self.write(EntryBody::ToolResult(entry)).await.map(drop)
    }

    fn result_entry(
        &self,
        call: &ToolUse,
        seq: i64,
        outcome: CallOutcome,
        result: &CommandResult,
        note: Option<&str>,
    ) -> ToolResultEntry {
        let is_error = matches!(outcome, CallOutcome::NotStarted { .. } | CallOutcome::Unknown { .. });
        let redactor = &self.presenter.redactor;
        let outcome = redactor.outcome(outcome);
        let (stdout, stderr) = (redactor.captured(&result.stdout), redactor.captured(&result.stderr));
        let content = self.presenter.result(seq, &outcome, result.duration, &stdout, &stderr, note);
        let record = |stream: &MaskedStream| (stream.total > 0).then(|| present::record(stream));
        ToolResultEntry {
            turn: self.state.transcript.turns,
            call: seq,
            tool_use_id: call.id.clone(),
            outcome,
            duration_ms: millis(result.duration),
            stdout: record(&stdout),
            stderr: record(&stderr),
            content,
            is_error,
            redacted: stdout.masked + stderr.masked,
        }
    }
}

fn outcome_of(result: &CommandResult, limit: Duration) -> CallOutcome {
    match &result.end {
        CommandEnd::Exited { code } => CallOutcome::Exited { code: *code },
        CommandEnd::Signaled { signal } => CallOutcome::Signaled { signal: *signal },
        CommandEnd::TimedOut => CallOutcome::TimedOut { limit_ms: millis(limit) },
        // Nobody here ordered it: the supervisor was told to end, as by an engine that stops, and its container with it.
        CommandEnd::Killed => CallOutcome::Unknown {
            reason: "the agent's container was told to end in the middle of it, and the command was killed".to_owned(),
        },
        CommandEnd::NotStarted { reason } => CallOutcome::NotStarted { reason: reason.clone() },
    }
}

/// The result of a command of which nothing is known but how long it was waited for.
fn nothing(duration: Duration) -> CommandResult {
    CommandResult { duration, ..CommandResult::exited(0, "", "") }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
