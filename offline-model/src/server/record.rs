//! The latest requests, for tests that want to see what a client really sent.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

/// One request to the Messages API.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// When its body was complete.
    pub received_at: Timestamp,
    /// Its path.
    pub path: String,
    /// Its body; null when it was no JSON.
    pub body: Value,
    /// The status of the answer (200 for a stream that was then cut).
    pub status: u16,
    /// The rule that answered; none for a refusal, or when no rule matched.
    pub rule: Option<String>,
}

/// A bounded list.
#[derive(Debug)]
pub(super) struct Records {
    limit: usize,
    list: Mutex<VecDeque<RecordedRequest>>,
}

impl Records {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, list: Mutex::default() }
    }

    pub(super) fn add(&self, request: RecordedRequest) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push_back(request);
        while list.len() > self.limit {
            list.pop_front();
        }
    }

    pub(super) fn all(&self) -> Vec<RecordedRequest> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
