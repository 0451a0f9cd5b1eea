//! What one look at one target gives, before it is a reading: each kind of probe returns it.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::room::Place;

/// An answer that could be read.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: Option<i64>,
    pub(super) value: Option<Value>,
    /// What could not be read of it.
    pub(super) error: Option<String>,
    /// A large value has its place until it was made small.
    pub(super) place: Place,
}

/// None, or none that could be read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Failure {
    pub(super) error: String,
    pub(super) status: Option<i64>,
    pub(super) value: Option<Value>,
}

impl Failure {
    pub(super) fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), ..Self::default() }
    }

    pub(super) fn with_status(self, status: i64) -> Self {
        Self { status: Some(status), ..self }
    }
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self::new(error)
    }
}

pub(super) type Read = Result<Answer, Failure>;

/// How far a look has come: what it was doing when its time was over.
pub(super) struct Stage(Mutex<&'static str>);

impl Stage {
    pub(super) fn new() -> Self {
        Self(Mutex::new("beginning"))
    }

    pub(super) fn set(&self, stage: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An error of the system without its number, to stand in a sentence.
pub(super) fn plain(error: &io::Error) -> String {
    let known = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by the other side",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "connection closed by the other side",
        io::ErrorKind::HostUnreachable => "no route to the host",
        io::ErrorKind::NetworkUnreachable => "no route to the network",
        io::ErrorKind::TimedOut => "the system's own time limit was reached",
        io::ErrorKind::NotFound => "no such file",
        io::ErrorKind::PermissionDenied => "permission denied",
        _ => "",
    };
    if !known.is_empty() {
        return known.into();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.strip_prefix("failed to lookup address information: ").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_no_numbers() {
        assert_eq!(plain(&io::Error::from_raw_os_error(111)), "connection refused");
        assert_eq!(plain(&io::Error::from_raw_os_error(24)), "Too many open files");
        assert_eq!(plain(&io::Error::other("failed to lookup address information: Try again")), "Try again");
    }
}
