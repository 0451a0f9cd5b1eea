//! A model for tests: it plays a list of answers and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{ErrorKind, Model, ModelError, ModelEvent, ModelMessage, ModelRequest, OnEvent, StopReason, Usage};

/// One answer of the script.
#[derive(Clone, Debug)]
pub enum Step {
    /// A message.
    Answer(Box<ModelMessage>),
    /// A failure.
    Fail(ModelError),
    /// A retry is reported, then the next step is played.
    Retry(ModelError),
    /// Waits before the next step (or until it is cancelled).
    Wait(Duration),
}

/// Plays its steps in order; when they are used up it fails with [`ErrorKind::InvalidRequest`].
#[derive(Debug, Default)]
pub struct FakeModel {
    steps: Mutex<VecDeque<Step>>,
    requests: Mutex<Vec<ModelRequest>>,
}

impl FakeModel {
    /// A model that plays these steps.
    #[must_use]
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: Mutex::new(steps.into_iter().collect()), requests: Mutex::default() }
    }

    /// What it was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn next(&self) -> Option<Step> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// A message with these content blocks, and a usage of 100 tokens read and 10 written.
#[must_use]
pub fn message(stop_reason: StopReason, content: &[Value]) -> ModelMessage {
    ModelMessage {
        message: json!({"role": "assistant", "content": content}),
        stop_reason,
        stop_details: Value::Null,
        usage: Usage::from_api(json!({"input_tokens": 100, "output_tokens": 10})),
        model: "offline-fake".to_owned(),
        id: Some("msg_fake".to_owned()),
        request_id: Some("req_fake".to_owned()),
        ignored: 0,
    }
}

/// A message that calls tools: `(id, tool, input)` each.
#[must_use]
pub fn calls(calls: &[(&str, &str, Value)]) -> Step {
    let block =
        |(id, name, input): &(&str, &str, Value)| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let content: Vec<Value> = calls.iter().map(block).collect();
    Step::Answer(Box::new(message(StopReason::ToolUse, &content)))
}

/// A message that only says something and ends its turn.
#[must_use]
pub fn says(text: &str) -> Step {
    Step::Answer(Box::new(message(StopReason::EndTurn, &[json!({"type": "text", "text": text})])))
}

#[async_trait]
impl Model for FakeModel {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_event: OnEvent<'_>,
        cancel: &CancellationToken,
    ) -> Result<ModelMessage, ModelError> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        loop {
            if cancel.is_cancelled() {
                return Err(ModelError::new(ErrorKind::Cancelled, ""));
            }
            match self.next() {
                Some(Step::Answer(message)) => return Ok(*message),
                Some(Step::Fail(error)) => return Err(error),
                Some(Step::Retry(error)) => on_event(ModelEvent::Retry {
                    attempt: error.attempts,
                    error: error.to_string(),
                    category: error.category(),
                    wait: Duration::ZERO,
                }),
                Some(Step::Wait(wait)) => {
                    let _ = cancel.run_until_cancelled(tokio::time::sleep(wait)).await;
                }
                None => return Err(ModelError::new(ErrorKind::InvalidRequest, "the script of the fake is used up")),
            }
        }
    }
}
