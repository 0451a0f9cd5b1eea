//! `GET /events`: the engine's stream, of which the subject's events are passed on, line by line.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Map, Value};

use super::answer::{EventOwner, event_owner};
use super::body::{Body, BoxError};
use super::engine::EngineBody;
use super::inventory::{Inventory, encoded};
use super::request::Events;

/// No event is longer; what would be is left out.
const LONGEST: usize = 1 << 20;

/// The call. The engine cannot narrow it to a project, as events of networks and volumes have no labels.
#[must_use]
pub(super) fn target(events: &Events) -> String {
    let filters = (!events.filters.is_empty()).then(|| serde_json::json!(events.filters).to_string());
    let parameters = [("since", &events.since), ("until", &events.until), ("filters", &filters)];
    let written = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?))));
    format!("/events?{}", written.collect::<Vec<_>>().join("&"))
}

/// The body of the answer.
#[must_use]
pub(super) fn events(body: EngineBody, inventory: Arc<Inventory>) -> Body {
    let watching = Watching { body, inventory, lines: Lines::default() };
    let stream = stream::try_unfold(watching, |mut watching| async move {
        let next = watching.next().await?;
        Ok::<_, BoxError>(next.map(|bytes| (Frame::data(bytes), watching)))
    });
    StreamBody::new(stream).boxed_unsync()
}

struct Watching {
    body: EngineBody,
    inventory: Arc<Inventory>,
    lines: Lines,
}

impl Watching {
    /// The next event that is the subject's.
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        loop {
            while let Some(line) = self.lines.take() {
                if let Ok(event) = serde_json::from_slice::<Value>(&line)
                    && self.is_subjects(&event).await
                {
                    let mut line = serde_json::to_vec(&event)?;
                    line.push(b'\n');
                    return Ok(Some(line.into()));
                }
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.lines.add(&data);
                    }
                }
            }
        }
    }

    async fn is_subjects(&self, event: &Value) -> bool {
        let is_subject = |labels: &Map<String, Value>| self.inventory.owns_map(labels);
        match event_owner(event, is_subject) {
            EventOwner::Subject => true,
            EventOwner::Other => false,
            EventOwner::Of { kind, id, container } => {
                self.inventory.remembers(kind, &id).await
                    && match container {
                        Some(container) => self.inventory.remembers("container", &container).await,
                        None => true,
                    }
            }
        }
    }
}

/// Cuts bytes into lines of a bounded length.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Up to here there is no end of a line.
    searched: usize,
    skipping: bool,
}

impl Lines {
    fn add(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                if self.buffer.len() > LONGEST {
                    self.skipping = true;
                    self.buffer.clear();
                    self.searched = 0;
                }
                return None;
            };
            let line: Vec<u8> = self.buffer.drain(..=self.searched + end).collect();
            self.searched = 0;
            if !std::mem::take(&mut self.skipping) {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut lines = Lines::default();
        lines.add(b"{\"a\"");
        assert_eq!(lines.take(), None);
        lines.add(b":1}\n{}\n{");
        assert_eq!(lines.take().unwrap(), b"{\"a\":1}\n");
        assert_eq!(lines.take().unwrap(), b"{}\n");
        assert_eq!(lines.take(), None);
    }

    #[test]
    fn a_line_without_an_end_is_left_out() {
        let mut lines = Lines::default();
        for _ in 0..3 {
            lines.add(&vec![b'x'; LONGEST]);
            assert_eq!(lines.take(), None);
            assert!(lines.buffer.len() <= LONGEST);
        }
        lines.add(b"\n{}\n");
        assert_eq!(lines.take().unwrap(), b"{}\n");
    }
}
