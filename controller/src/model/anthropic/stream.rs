//! The body of an answer → its message.

use super::assemble::Assembler;
use super::failure::Failure;
use super::sse::SseParser;
use crate::model::{ModelMessage, OnEvent};

/// Puts the message together while the body comes.
#[derive(Debug, Default)]
pub(super) struct MessageReader {
    parser: SseParser,
    assembler: Assembler,
}

impl MessageReader {
    /// Takes the next bytes, in whatever pieces they come; gives the message when it is whole. What follows it is left.
    pub(super) fn push(&mut self, mut bytes: &[u8], on_event: OnEvent<'_>) -> Result<Option<ModelMessage>, Failure> {
        while let Some(event) = self.parser.next(&mut bytes).map_err(|error| Failure::stream(error.to_string()))? {
            if let Some(message) = self.assembler.take(&event, on_event)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// What came of a stream that was read for a test.
#[cfg(any(test, fuzzing, feature = "testing"))]
#[derive(Debug, PartialEq)]
pub struct Read {
    /// The words that were said on the way.
    pub said: Vec<String>,
    /// The message, or why there is none; `None` for a stream that ends too early.
    pub end: Option<Result<ModelMessage, String>>,
    /// The most bytes of an event that were held at once.
    pub most_held: usize,
}

/// Reads a stream in these pieces, with events no longer than `limit`.
#[cfg(any(test, fuzzing, feature = "testing"))]
pub fn read_in_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Read {
    use crate::model::ModelEvent;
    use std::sync::{Mutex, PoisonError};

    let said = Mutex::new(Vec::new());
    let on_event = |event| {
        if let ModelEvent::Words { text, .. } = event {
            said.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    };
    let mut reader = MessageReader { parser: SseParser::limited(limit), ..MessageReader::default() };
    let (mut end, mut most_held) = (None, 0);
    for piece in pieces {
        let read = reader.push(piece, &on_event);
        most_held = most_held.max(reader.parser.held());
        match read {
            Ok(None) => {}
            Ok(Some(message)) => end = Some(Ok(message)),
            Err(failure) => end = Some(Err(failure.error.to_string())),
        }
        if end.is_some() {
            break;
        }
    }
    Read { said: said.into_inner().unwrap_or_else(PoisonError::into_inner), end, most_held }
}
