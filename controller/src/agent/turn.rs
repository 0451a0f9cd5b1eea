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

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::act::millis;
use super::budget::Limit;
use super::driver::{Flow, LAST_TURN, Session, Stop};
use super::progress::printable;
use super::tools::{self, Call};
use super::transcript::{TELL, ToolUse};
use super::{Findings, SessionEnd, prompt};
use crate::audit::entry::{ControlEvent, EntryBody, ReasoningEntry, TurnEntry};
use crate::model::{ErrorKind, ModelError, ModelEvent, ModelMessage, ModelRequest, StopReason, thinking_for};

/// Pauses of a turn in a row.
const MOST_PAUSES: u32 = 5;
/// Messages in a row that were cut before they called a tool.
const MOST_CUTS: u32 = 3;

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
        let (heard, mut retries) = mpsc::unbounded_channel();
        let on_event = move |event: ModelEvent| {
            if matches!(event, ModelEvent::Retry { .. }) {
                let _ = heard.send(event);
            }
        };
        let started = Instant::now();
        let call = model.complete(&request, &on_event, &cancel);
        tokio::pin!(call);
        let answer = loop {
            tokio::select! {
                biased;
                Some(event) = retries.recv() => self.record_retry(&event).await?,
                answer = &mut call => break answer,
                () = cancel.cancelled() => return Err(Stop::Cancelled),
                () = sleep_until(until) => return Ok(Asked::OutOfTime),
            }
        };
        while let Ok(event) = retries.try_recv() {
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
            progress.cached_tokens = progress.cached_tokens.saturating_add(whole(message.usage.cache_read));
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

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
