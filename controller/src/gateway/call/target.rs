//! The target of a call to the engine, built from segments and parameters.

use std::fmt::Write as _;

use crate::gateway::refusal::Refusal;
use crate::gateway::request::Filters;

/// What the engines in use have in common.
const VERSION: &str = "/v1.41";

/// A path, and the parameters so far.
#[derive(Debug)]
pub(super) struct Target {
    written: String,
    parameters: usize,
}

impl Target {
    /// The segments are ids, names of volumes, or our own words. Anything else is a mistake that must not
    /// become a path.
    pub(super) fn of(segments: &[&str]) -> Result<Self, Refusal> {
        let mut written = VERSION.to_owned();
        for segment in segments {
            let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if !segment.starts_with(|c: char| c.is_ascii_alphanumeric()) || !segment.bytes().all(safe) {
                return Err(Refusal::bad("an id has characters that no id has"));
            }
            written.push('/');
            written.push_str(segment);
        }
        Ok(Self { written, parameters: 0 })
    }

    /// A text, if there is one.
    pub(super) fn text(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.written.push(if self.parameters == 0 { '?' } else { '&' });
            self.parameters += 1;
            self.written.push_str(name);
            self.written.push('=');
            encode(value, &mut self.written);
        }
        self
    }

    /// A boolean, if it is true.
    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        self.text(name, value.then_some("1"))
    }

    /// Filters, if there are any.
    pub(super) fn filters(self, filters: &Filters) -> Result<Self, Refusal> {
        if filters.is_empty() {
            return Ok(self);
        }
        let json = serde_json::to_string(filters).map_err(|_| Refusal::bad("the filters cannot be written"))?;
        Ok(self.text("filters", Some(&json)))
    }

    pub(super) fn finish(self) -> String {
        self.written
    }
}

/// Everything but letters, digits and `-_.~` as `%XX`.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}
