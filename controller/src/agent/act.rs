//! What a call leads to: a command, the conclusion, or an answer why it is not run. Each is on record
//! before it happens, and answered by a result on record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::driver::{Flow, Session, Stop};
use super::execute::{self, Ran};
use super::progress::{RunningCommand, printable};
use super::tools::{ConcludeCall, ShellCall};
use super::transcript::ToolUse;
use super::{SessionEnd, present, prompt};
use crate::audit::entry::{CallOutcome, ConclusionEntry, ControlEvent, EntryBody, ToolCallEntry, ToolResultEntry};
use crate::redact::MaskedStream;
use crate::sandbox::{Command, CommandEnd, CommandResult, Sandbox};

/// Containers that may be lost in one session.
const MOST_LOST: u32 = 2;

impl Session {
    /// Runs a command. True if the container was lost meanwhile.
    pub(super) async fn shell(&mut self, call: &ToolUse, shell: &ShellCall) -> Flow<bool> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.not_run(call, Some(shell), "the wall time of the session is over").await?;
            return Ok(false);
        }
        let sandbox = self.sandbox().await?;
        let left = self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let limit = shell.timeout.min(left);
        let note = if limit < shell.timeout {
            Some(format!("the limit was {} s, because the wall time of the session ends then", limit.as_secs()))
        } else {
            shell.note.clone()
        };
        let seq = self.write(EntryBody::ToolCall(self.call_entry(call, Some(shell), Some(limit)))).await?;
        let started = Instant::now();
        let running = RunningCommand { seq, since: Timestamp::now(), text: printable(&shell.command) };
        self.progress.send_modify(|progress| {
            progress.commands += 1;
            progress.command = Some(running);
        });
        let command = Command { seq, command: shell.command.clone(), timeout: limit, live: None };
        let ran = execute::run(&*sandbox, &command, &self.cancel).await;
        self.progress.send_modify(|progress| progress.command = None);
        match ran {
            Ran::Done(result) => {
                let outcome = outcome_of(&result, limit);
                let entry = self.result_entry(call, seq, outcome, &result, note.as_deref());
                self.write(EntryBody::ToolResult(entry)).await?;
                Ok(false)
            }
            Ran::Cancelled(result) => {
                let outcome = match &result {
                    Some(result) if result.end != CommandEnd::Killed => outcome_of(result, limit),
                    _ => CallOutcome::Cancelled,
                };
                let result = result.unwrap_or_else(|| nothing(started.elapsed()));
                let entry = self.result_entry(call, seq, outcome, &result, note.as_deref());
                let _ = self.write_last(EntryBody::ToolResult(entry), Duration::from_secs(5)).await;
                Err(Stop::Cancelled)
            }
            Ran::Lost(reason) => {
                let outcome = CallOutcome::Unknown { reason: reason.clone() };
                let entry = self.result_entry(call, seq, outcome, &nothing(started.elapsed()), None);
                self.write(EntryBody::ToolResult(entry)).await?;
                let message = format!("the agent's container {} was given up: {reason}", sandbox.name());
                self.tell(ControlEvent::SandboxLost, message, prompt::REPLACED.to_owned()).await?;
                Ok(true)
            }
        }
    }

    /// The container; the first time it is handed out that is put on record.
    async fn sandbox(&mut self) -> Flow<Arc<dyn Sandbox>> {
        let cancel = self.cancel.clone();
        let ready = cancel.run_until_cancelled(self.sandboxes.ready()).await.ok_or(Stop::Cancelled)?;
        match ready {
            Ok((sandbox, fresh)) => {
                if fresh {
                    let message = format!("the agent's container {} is ready", sandbox.name());
                    let details = json!({"container": sandbox.name(), "replacement": self.transcript.lost_sandboxes});
                    self.control(ControlEvent::Started, message, details).await?;
                }
                Ok(sandbox)
            }
            Err(error) => {
                let details = json!({"category": error.category()});
                self.control(ControlEvent::Error, error.to_string(), details).await?;
                let reason = error.category().to_owned();
                Err(Stop::End(SessionEnd::Failed { reason, message: error.to_string() }))
            }
        }
    }

    pub(super) fn replace_sandbox(&mut self) -> Flow<()> {
        let lost = self.transcript.lost_sandboxes;
        if lost > MOST_LOST {
            let message = format!("the agent's container was lost {lost} times");
            return Err(Stop::End(SessionEnd::Failed { reason: "SandboxLost".to_owned(), message }));
        }
        self.sandboxes.begin(lost);
        Ok(())
    }

    /// Puts the conclusion on record.
    pub(super) async fn conclude(&mut self, call: &ToolUse, conclude: ConcludeCall) -> Flow<ConclusionEntry> {
        let last = self.transcript.last_seq;
        let seq = self.write(EntryBody::ToolCall(self.call_entry(call, None, None))).await?;
        let (mut evidence, unknown): (Vec<i64>, Vec<i64>) =
            conclude.evidence.iter().partition(|number| (1..=last).contains(*number));
        evidence.sort_unstable();
        evidence.dedup();
        if !unknown.is_empty() {
            let text = format!("the conclusion names entries that do not exist: {unknown:?}; they were left out");
            self.control(ControlEvent::Error, text, json!({"evidence": unknown})).await?;
        }
        let conclusion = ConclusionEntry {
            turn: self.transcript.turns,
            outcome: conclude.outcome,
            root_cause: conclude.root_cause,
            summary: conclude.summary,
            evidence,
            follow_up: conclude.follow_up,
        };
        self.write(EntryBody::Conclusion(conclusion.clone())).await?;
        let entry = self.result_entry(call, seq, CallOutcome::Accepted, &nothing(Duration::ZERO), None);
        self.write(EntryBody::ToolResult(entry)).await?;
        Ok(conclusion)
    }

    /// Puts a call on record that is not run, and why.
    pub(super) async fn not_run(&mut self, call: &ToolUse, shell: Option<&ShellCall>, reason: &str) -> Flow<()> {
        let seq = self.write(EntryBody::ToolCall(self.call_entry(call, shell, None))).await?;
        let outcome = CallOutcome::NotStarted { reason: reason.to_owned() };
        let entry = self.result_entry(call, seq, outcome, &nothing(Duration::ZERO), None);
        self.write(EntryBody::ToolResult(entry)).await.map(drop)
    }

    fn call_entry(&self, call: &ToolUse, shell: Option<&ShellCall>, limit: Option<Duration>) -> ToolCallEntry {
        ToolCallEntry {
            turn: self.transcript.turns,
            tool_use_id: call.id.clone(),
            tool: call.name.clone(),
            input: call.input.clone(),
            command: shell.map(|shell| shell.command.clone()),
            reasoning: shell.and_then(|shell| shell.reasoning.clone()),
            timeout_ms: limit.map(millis),
        }
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
        let (stdout, stderr) = (redactor.captured(&result.stdout), redactor.captured(&result.stderr));
        let content = self.presenter.result(seq, &outcome, result.duration, &stdout, &stderr, note);
        let record = |stream: &MaskedStream| (stream.total > 0).then(|| present::record(stream));
        ToolResultEntry {
            turn: self.transcript.turns,
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
        CommandEnd::Killed => CallOutcome::Cancelled,
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
