//! One turn: ask the model, put its message on record, do what it calls for.
//!
//! * Calls run in order, each on record before it runs and answered by a result on record.
//! * The first `conclude` that can be accepted ends the session; calls before it in the message have
//!   run, calls behind it do not run.
//! * In a message that was cut at its limit the last block may be incomplete, however whole it looks:
//!   if it is a call it does not run.
//! * A refused message, and one that met the end of the model's window, is put on record and not
//!   acted on.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::budget::Limit;
use super::driver::{Flow, LAST_TURN, Session, Stop};
use super::execute::{self, Ran};
use super::present;
use super::progress::{RunningCommand, printable};
use super::tools::{self, Call, ConcludeCall, ShellCall};
use super::transcript::{TELL, ToolUse};
use super::{Findings, SessionEnd, prompt};
use crate::audit::entry::{
    CallOutcome, ConclusionEntry, ControlEvent, EntryBody, ReasoningEntry, ToolCallEntry, ToolResultEntry, TurnEntry,
};
use crate::model::{ErrorKind, ModelError, ModelEvent, ModelMessage, ModelRequest, StopReason, thinking_for};
use crate::sandbox::{CapturedStream, Command, CommandEnd, CommandResult, Sandbox};

/// Pauses of a turn in a row.
const MOST_PAUSES: u32 = 5;
/// Messages in a row that were cut before they called a tool.
const MOST_CUTS: u32 = 3;
/// Containers that may be lost in one session.
const MOST_LOST: u32 = 2;

/// What comes after a turn.
pub(super) enum Next {
    /// Another turn, if the budgets allow it.
    Again,
    /// The end.
    End(SessionEnd),
}

/// What asking the model gave.
enum Asked {
    Message(Box<ModelMessage>, Duration),
    Failed(ModelError),
    OutOfTime,
}

impl Session {
    /// A turn of the model.
    pub(super) async fn turn(&mut self, max_tokens: u32) -> Flow<Next> {
        let message = match self.ask(max_tokens, self.deadline).await? {
            Asked::Message(message, took) => {
                self.record_turn(&message, took).await?;
                message
            }
            Asked::OutOfTime => return Ok(Next::Again),
            Asked::Failed(error) if error.kind == ErrorKind::TooLarge && self.transcript.turns > 0 => {
                self.control(ControlEvent::Error, error.to_string(), Value::Null).await?;
                return Ok(Next::End(self.window_full()));
            }
            Asked::Failed(error) => return self.model_failed(&error).await.map(Next::End),
        };
        match message.stop_reason {
            StopReason::Refusal => Ok(Next::End(refused(&message))),
            StopReason::ContextWindow => Ok(Next::End(self.window_full())),
            _ if self.transcript.open_calls().is_empty() => self.idle(&message, max_tokens).await,
            _ => self.calls(&message, max_tokens).await,
        }
    }

    /// The last turn: the model writes its findings, and the session escalates with them.
    pub(super) async fn last_turn(&mut self, limit: Limit, max_tokens: u32) -> Flow<SessionEnd> {
        let sentence = self.input.budgets.sentence(limit);
        let details = if max_tokens == 0 {
            json!({"limit": limit.reason()})
        } else {
            json!({"limit": limit.reason(), TELL: prompt::last_turn(&sentence)})
        };
        self.control(ControlEvent::Budget, sentence.clone(), details).await?;
        let mut findings = None;
        if max_tokens > 0 {
            match self.ask(max_tokens, Instant::now() + LAST_TURN).await? {
                Asked::Message(message, took) => {
                    self.record_turn(&message, took).await?;
                    findings = self.findings(&message).await?;
                }
                Asked::Failed(error) => drop(self.model_failed(&error).await?),
                Asked::OutOfTime => {
                    let late = format!("the model did not write its findings within {} s", LAST_TURN.as_secs());
                    self.control(ControlEvent::Error, late, Value::Null).await?;
                }
            }
        }
        Ok(Self::escalated(limit.reason(), sentence, findings))
    }

    /// What the last message found; no command in it runs.
    async fn findings(&mut self, message: &ModelMessage) -> Flow<Option<Findings>> {
        let mut findings = words(message);
        let mut concluded = false;
        for call in self.transcript.open_calls().to_vec() {
            match tools::read(&call.name, &call.input, &self.input.budgets) {
                Call::Conclude(conclude) if !concluded && !is_cut(&call, message) => {
                    findings = Some(Findings::from(&self.conclude(&call, conclude).await?));
                    concluded = true;
                }
                _ => self.not_run(&call, None, "the budget is used up, no command runs any more").await?,
            }
        }
        Ok(findings)
    }

    /// Asks the model. Retries are put on record while they happen.
    async fn ask(&mut self, max_tokens: u32, until: Instant) -> Flow<Asked> {
        let request = ModelRequest {
            model: self.input.model.clone(),
            system: self.system.clone(),
            messages: self.transcript.messages(),
            tools: self.tools.clone(),
            max_tokens,
            thinking: thinking_for(&self.input.model),
        };
        let (model, cancel) = (self.model.clone(), self.cancel.clone());
        let (retries, mut retried) = mpsc::unbounded_channel();
        let on_event = move |event: ModelEvent| {
            if matches!(event, ModelEvent::Retry { .. }) {
                let _ = retries.send(event);
            }
        };
        let started = Instant::now();
        let call = model.complete(&request, &on_event, &cancel);
        tokio::pin!(call);
        let answer = loop {
            tokio::select! {
                biased;
                Some(event) = retried.recv() => self.record_retry(&event).await?,
                answer = &mut call => break answer,
                () = cancel.cancelled() => return Err(Stop::Cancelled),
                () = sleep_until(until) => return Ok(Asked::OutOfTime),
            }
        };
        while let Ok(event) = retried.try_recv() {
            self.record_retry(&event).await?;
        }
        self.progress.send_if_modified(|progress| progress.waiting.take().is_some());
        match answer {
            Ok(message) => Ok(Asked::Message(Box::new(message), started.elapsed())),
            Err(error) if error.kind == ErrorKind::Cancelled => Err(Stop::Cancelled),
            Err(error) => Ok(Asked::Failed(error)),
        }
    }

    async fn record_retry(&mut self, event: &ModelEvent) -> Flow<()> {
        let ModelEvent::Retry { attempt, error, category, wait } = event else { return Ok(()) };
        let message = format!("{error}; trying again in {:.1} s", wait.as_secs_f64());
        self.progress.send_modify(|progress| progress.waiting = Some(message.clone()));
        let details = json!({"category": category, "attempt": attempt, "waitMs": millis(*wait)});
        self.control(ControlEvent::Error, message, details).await
    }

    /// The message verbatim, then its words.
    async fn record_turn(&mut self, message: &ModelMessage, took: Duration) -> Flow<()> {
        let turn = self.transcript.turns + 1;
        let entry = TurnEntry {
            turn,
            message: message.message.clone(),
            stop_reason: message.stop_reason.as_str().map(str::to_owned),
            usage: message.usage.raw.clone(),
            model: message.model.clone(),
            message_id: message.id.clone(),
            request_id: message.request_id.clone(),
            cost: self.input.pricing.price.cost(&message.usage),
            duration_ms: millis(took),
        };
        let cost = entry.cost;
        self.progress.send_modify(|progress| {
            progress.turns = turn;
            progress.cost += cost;
            progress.input_tokens = progress.input_tokens.saturating_add(whole(message.usage.total_input()));
            progress.output_tokens = progress.output_tokens.saturating_add(whole(message.usage.output));
        });
        self.write(EntryBody::Turn(entry)).await?;
        if message.ignored > 0 {
            tracing::debug!(session = %self.input.session, ignored = message.ignored, "the model's stream held unknown events");
        }
        for block in blocks(message) {
            let (key, thinking) = match block["type"].as_str() {
                Some("text") => ("text", false),
                Some("thinking") => ("thinking", true),
                _ => continue,
            };
            if let Some(text) = block[key].as_str().map(str::trim).filter(|text| !text.is_empty()) {
                let entry = ReasoningEntry { turn, text: text.to_owned(), thinking };
                self.write(EntryBody::Reasoning(entry)).await?;
            }
        }
        Ok(())
    }

    /// A message without a call: it goes on after a pause or a cut, and is asked once to conclude.
    async fn idle(&mut self, message: &ModelMessage, max_tokens: u32) -> Flow<Next> {
        let end = |reason, text: &str| Ok(Next::End(Self::escalated(reason, text, words(message))));
        match &message.stop_reason {
            StopReason::PauseTurn if self.transcript.pauses > MOST_PAUSES => {
                end("PausedTooOften", "the model paused its turn again and again")
            }
            StopReason::PauseTurn => Ok(Next::Again),
            StopReason::MaxTokens if self.transcript.cuts >= MOST_CUTS => {
                end("OutputLimit", "the model's messages were cut off again and again before they did anything")
            }
            StopReason::MaxTokens => {
                let text = format!("the model's message was cut off at {max_tokens} tokens; it was asked to go on");
                self.tell(ControlEvent::Nudged, text, prompt::cut_off(max_tokens)).await?;
                Ok(Next::Again)
            }
            _ if self.transcript.idle_turns > 0 => {
                end("NoConclusion", "the agent stopped without concluding, also after it was asked to")
            }
            reason => {
                let why = reason.as_str().unwrap_or("no reason");
                let text = format!("the model called no tool ({why}); it was asked to conclude");
                self.tell(ControlEvent::Nudged, text, prompt::NUDGE.to_owned()).await?;
                Ok(Next::Again)
            }
        }
    }

    /// The calls of a message, in order.
    async fn calls(&mut self, message: &ModelMessage, max_tokens: u32) -> Flow<Next> {
        let mut conclusion = None;
        let mut lost = false;
        for call in self.transcript.open_calls().to_vec() {
            if conclusion.is_some() {
                self.not_run(&call, None, "the session concluded").await?;
            } else if lost {
                self.not_run(&call, None, "the container was lost during a call before this one").await?;
            } else if is_cut(&call, message) {
                self.not_run(&call, None, &prompt::cut_call(max_tokens)).await?;
            } else {
                match tools::read(&call.name, &call.input, &self.input.budgets) {
                    Call::Shell(shell) => lost = self.shell(&call, &shell).await?,
                    Call::Conclude(conclude) => conclusion = Some(self.conclude(&call, conclude).await?),
                    Call::Invalid(reason) => self.not_run(&call, None, &reason).await?,
                }
            }
        }
        if lost {
            self.replace_sandbox()?;
        }
        Ok(conclusion.map_or(Next::Again, |conclusion| Next::End(SessionEnd::Concluded(conclusion))))
    }

    /// Runs a command. True if the container was lost meanwhile.
    async fn shell(&mut self, call: &ToolUse, shell: &ShellCall) -> Flow<bool> {
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
    async fn sandbox(&mut self) -> Flow<std::sync::Arc<dyn Sandbox>> {
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

    fn replace_sandbox(&mut self) -> Flow<()> {
        let lost = self.transcript.lost_sandboxes;
        if lost > MOST_LOST {
            let message = format!("the agent's container was lost {lost} times");
            return Err(Stop::End(SessionEnd::Failed { reason: "SandboxLost".to_owned(), message }));
        }
        self.sandboxes.begin(lost);
        Ok(())
    }

    /// Puts the conclusion on record.
    async fn conclude(&mut self, call: &ToolUse, conclude: ConcludeCall) -> Flow<ConclusionEntry> {
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
    async fn not_run(&mut self, call: &ToolUse, shell: Option<&ShellCall>, reason: &str) -> Flow<()> {
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
        let content = present::result(seq, &outcome, result.duration, &result.stdout, &result.stderr, note, self.cut);
        let record = |stream: &CapturedStream| (stream.total > 0).then(|| present::record(stream));
        ToolResultEntry {
            turn: self.transcript.turns,
            call: seq,
            tool_use_id: call.id.clone(),
            outcome,
            duration_ms: millis(result.duration),
            stdout: record(&result.stdout),
            stderr: record(&result.stderr),
            content,
            is_error,
        }
    }

    fn window_full(&self) -> SessionEnd {
        let message = format!("the conversation fills the model's window after {} turns", self.transcript.turns);
        Self::escalated("ContextWindow", message, None)
    }
}

/// Whether a call may be incomplete, because its message was cut in it.
fn is_cut(call: &ToolUse, message: &ModelMessage) -> bool {
    call.last && message.stop_reason == StopReason::MaxTokens
}

fn refused(message: &ModelMessage) -> SessionEnd {
    let detail = |key: &str| message.stop_details.get(key).and_then(Value::as_str);
    let mut text = "the model refused to go on".to_owned();
    if let Some(category) = detail("category") {
        text = format!("{text} (category {category})");
    }
    if let Some(explanation) = detail("explanation") {
        text = format!("{text}: {}", printable(explanation));
    }
    Session::escalated("ModelRefused", text, words(message))
}

fn blocks(message: &ModelMessage) -> &[Value] {
    message.message["content"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What a message says, if it says anything.
fn words(message: &ModelMessage) -> Option<Findings> {
    let texts: Vec<&str> = blocks(message)
        .iter()
        .filter(|block| block["type"] == "text")
        .filter_map(|block| block["text"].as_str())
        .collect();
    let summary = texts.join("\n").trim().to_owned();
    (!summary.is_empty()).then_some(Findings { root_cause: None, summary, follow_up: None })
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
