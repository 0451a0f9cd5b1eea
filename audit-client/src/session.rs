//! The name of a session: readable in a listing, sortable by time, unique enough for a label.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// For example `2026-01-28T20-54-48-3a029c12`: the start in UTC and eight random hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// A new name for a session that starts at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let at = now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H-%M-%S");
        Self(format!("{at}-{:08x}", rand::random::<u32>()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` has the shape of a session's name (and so cannot be an Incident's, which has
    /// no capital letters).
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        text.len() == 28
            && text.bytes().enumerate().all(|(i, b)| match i {
                4 | 7 | 13 | 16 | 19 => b == b'-',
                10 => b == b'T',
                20.. => b.is_ascii_hexdigit(),
                _ => b.is_ascii_digit(),
            })
    }
}

impl From<String> for SessionId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_promised_shape() {
        let at: Timestamp = "2026-01-28T20:54:48Z".parse().unwrap();
        let id = SessionId::new(at);
        assert!(id.as_str().starts_with("2026-01-28T20-54-48-"), "{id}");
        assert!(SessionId::is_valid(id.as_str()));
        assert!(!SessionId::is_valid("redis-readonly"));
    }
}
