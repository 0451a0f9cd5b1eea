//! Asking the model, and putting its message on record.
//!
//! What the message leads to is for [`step`](super::step) to say: calls run in order, each on record before
//! it runs and answered by a result on record; the first `conclude` that can be accepted ends the session;
//! in a message that was cut at its limit a call that is the last block does not run.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::act::millis;
use super::budget::{FINAL_TOKENS, Limit};
use super::driver::{Flow, LAST_TURN, Session, Stop};
use super::state::{LIMIT, MAX_TOKENS};
use super::step::{escalated, window_full};
use super::transcript::TELL;
use super::{SessionEnd, prompt};
use crate::audit::entry::{ControlEvent, EntryBody, TurnEntry};
use crate::model::{ErrorKind, ModelError, ModelEvent, ModelMessage, ModelRequest};

/// What asking the model gave.
enum Asked {
    Message(Box<ModelMessage>, Duration),
    Failed(ModelError),
    OutOfTime,
}

impl Session {
    /// A turn of the model.
    pub(super) async fn turn(&mut self, max_tokens: u32) -> Flow<()> {
        self.want_sandbox();
        match self.ask(max_tokens, self.deadline).await? {
            Asked::Message(message, took) => self.record_turn(&message, max_tokens, took).await,
            // The wall time is over, which the next step says.
            Asked::OutOfTime => Ok(()),
            Asked::Failed(error) if error.kind == ErrorKind::TooLarge && self.state.transcript.turns > 0 => {
                let end = window_full(&self.state);
                self.decide(error.to_string(), json!({"category": error.category()}), &end).await
            }
            Asked::Failed(error) if error.kind == ErrorKind::DailyBudget => {
                let details = json!({"category": error.category()});
                self.control(ControlEvent::Error, error.to_string(), details).await?;
                let max_tokens = max_tokens.min(FINAL_TOKENS);
                self.say_limit(Limit::Day, max_tokens).await
            }
            Asked::Failed(error) => {
                let (reason, message) = (error.category().to_owned(), error.to_string());
                self.model_failed(&error, &SessionEnd::Failed { reason, message }).await
            }
        }
    }

    /// A limit is reached: from here on no command runs.
    pub(super) async fn say_limit(&mut self, limit: Limit, max_tokens: u32) -> Flow<()> {
        let sentence = self.frozen.budgets.sentence(limit);
        let mut details = json!({LIMIT: limit.reason(), MAX_TOKENS: max_tokens});
        if max_tokens > 0 {
            details[TELL] = prompt::last_turn(&sentence).into();
        }
        self.control(ControlEvent::Budget, sentence, details).await
    }

    /// The last turn: the model writes its findings, and the session escalates with them.
    pub(super) async fn last_turn(&mut self, max_tokens: u32) -> Flow<()> {
        let Some(last) = self.state.last_turn.clone() else { return Ok(()) };
        let without = escalated(last.limit.reason(), last.sentence, None);
        match self.ask(max_tokens, Instant::now() + LAST_TURN).await? {
            Asked::Message(message, took) => self.record_turn(&message, max_tokens, took).await,
            Asked::Failed(error) => self.model_failed(&error, &without).await,
            Asked::OutOfTime => {
                let late = format!("the model did not write its findings within {} s", LAST_TURN.as_secs());
                self.decide(late, json!({}), &without).await
            }
        }
    }

    /// The model did not answer: on record, and over.
    async fn model_failed(&mut self, error: &ModelError, end: &SessionEnd) -> Flow<()> {
        let details = json!({"category": error.category(), "requestId": error.request_id, "attempts": error.attempts});
        self.decide(error.to_string(), details, end).await
    }

    /// Asks the model. Retries are put on record while they happen.
    async fn ask(&mut self, max_tokens: u32, until: Instant) -> Flow<Asked> {
        let request = ModelRequest {
            model: self.frozen.model.clone(),
            system: self.frozen.system.clone(),
            messages: self.state.transcript.messages(),
            tools: self.frozen.tools.clone(),
            max_tokens,
            thinking: self.frozen.thinking.clone(),
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

    /// The message verbatim. Its words and calls are the next steps.
    async fn record_turn(&mut self, message: &ModelMessage, max_tokens: u32, took: Duration) -> Flow<()> {
        let entry = TurnEntry {
            turn: self.state.transcript.turns + 1,
            message: message.message.clone(),
            stop_reason: message.stop_reason.as_str().map(str::to_owned),
            usage: message.usage.raw.clone(),
            model: message.model.clone(),
            message_id: message.id.clone(),
            request_id: message.request_id.clone(),
            cost: self.frozen.pricing.price.cost(&message.usage),
            duration_ms: millis(took),
            max_tokens: Some(max_tokens),
            stop_details: message.stop_details.clone(),
        };
        self.write(EntryBody::Turn(entry)).await?;
        if message.ignored > 0 {
            tracing::debug!(session = %self.id, ignored = message.ignored, "the model's stream held unknown events");
        }
        Ok(())
    }
}
