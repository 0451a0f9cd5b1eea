//! What is wrong with a probe, and where: found before anything is looked at.

use std::cell::Cell;
use std::fmt;

use super::template;

/// A probe that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The place in the list of probes: `probes[2].http.url`.
    pub path: String,
    /// A sentence.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Mistake {}

impl Mistake {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Fills one target into the texts of a probe, and knows where they stand.
pub(super) struct Filling<'a> {
    path: &'a str,
    target: Option<&'a str>,
    used: Cell<bool>,
}

impl<'a> Filling<'a> {
    pub(super) fn new(path: &'a str, target: Option<&'a str>) -> Self {
        Self { path, target, used: Cell::new(false) }
    }

    /// The text of a field for this target.
    pub(super) fn text(&self, field: &str, text: &str) -> Result<String, Mistake> {
        let parts = template::parts(text).map_err(|message| self.wrong(field, message))?;
        match (parts.as_slice(), self.target) {
            ([_], _) | ([], _) => Ok(text.to_owned()),
            (_, None) => Err(self.wrong(field, "{{target}} stands here, and the probe has no targets")),
            (parts, Some(target)) => {
                self.used.set(true);
                Ok(parts.join(target))
            }
        }
    }

    /// A mistake in a field; it names the target, if one was filled in.
    pub(super) fn wrong(&self, field: &str, message: impl fmt::Display) -> Mistake {
        let target = self.target.filter(|_| self.used.get());
        let message = match target {
            Some(target) => format!("{message} (with the target {target:?})"),
            None => message.to_string(),
        };
        Mistake::new(format!("{}.{field}", self.path), message)
    }

    /// Whether some text had the target in it.
    pub(super) fn used(&self) -> bool {
        self.used.get()
    }
}
