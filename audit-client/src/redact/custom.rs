//! What the configuration adds: patterns and values. The controller's own secrets are among the values.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::{Regex, RegexBuilder};

use super::scan::Found;
use crate::redact::config::RedactionConfig;

/// Shorter values stand everywhere by chance.
pub(crate) const SHORTEST: usize = 6;
/// How much memory a compiled pattern may take.
const PATTERN_SIZE: usize = 1 << 20;

/// Why the part `redaction` of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedactionError {
    /// A pattern is not one.
    #[error("redaction.patterns: {name:?} is no pattern: {reason}")]
    Pattern {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value is too short to be masked.
    #[error("redaction: the value from {from} has fewer than {SHORTEST} characters: it would be found everywhere")]
    Short {
        /// Where it came from. The value itself is never shown.
        from: String,
    },
    /// A value cannot be had.
    #[error("redaction.valuesFrom: {from}: {reason}")]
    Missing {
        /// Where it was looked for.
        from: String,
        /// What was wrong.
        reason: String,
    },
    /// The values are too many or too long.
    #[error("redaction.values cannot be used: {0}")]
    Values(String),
}

impl RedactionError {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Pattern { .. } => "redaction_pattern",
            Self::Short { .. } => "redaction_short_value",
            Self::Missing { .. } => "redaction_missing_value",
            Self::Values(_) => "redaction_values",
        }
    }
}

/// The configured rules, compiled.
#[derive(Default)]
pub(super) struct Custom {
    patterns: Vec<(String, Regex)>,
    values: Option<AhoCorasick>,
    /// Bytes of the longest value.
    pub(super) longest: usize,
}

impl Custom {
    pub(super) fn new(config: &RedactionConfig, own: &[String]) -> Result<Self, RedactionError> {
        let mut patterns = Vec::new();
        for pattern in &config.patterns {
            let broken = |reason: String| RedactionError::Pattern { name: pattern.name.clone(), reason };
            let regex = RegexBuilder::new(&pattern.regex)
                .size_limit(PATTERN_SIZE)
                .multi_line(true)
                .build()
                .map_err(|error| broken(error.to_string()))?;
            if regex.is_match(b"") {
                return Err(broken("it matches nothing at all, and so everywhere".to_owned()));
            }
            patterns.push((pattern.name.clone(), regex));
        }
        let mut values = Vec::new();
        for (from, value) in config.read_values()? {
            if value.trim().len() < SHORTEST {
                return Err(RedactionError::Short { from });
            }
            values.extend(forms(value.trim()));
        }
        // One of the controller's own that is so short is no secret: an offline model takes any word as key.
        values.extend(own.iter().filter(|value| value.len() >= SHORTEST).flat_map(|value| forms(value)));
        values.sort_unstable();
        values.dedup();
        let longest = values.iter().map(Vec::len).max().unwrap_or_default();
        let values = if values.is_empty() {
            None
        } else {
            let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&values);
            Some(automaton.map_err(|error| RedactionError::Values(error.to_string()))?)
        };
        Ok(Self { patterns, values, longest })
    }

    pub(super) fn find<'r>(&'r self, data: &[u8], found: &mut Vec<Found<'r>>) {
        if let Some(values) = &self.values {
            found.extend(values.find_iter(data).map(|hit| Found { start: hit.start(), end: hit.end(), kind: "value" }));
        }
        for (name, regex) in &self.patterns {
            for groups in regex.captures_iter(data) {
                // The first group that took part is the secret, else all of it.
                let Some(secret) = groups.iter().skip(1).flatten().next().or_else(|| groups.get(0)) else { continue };
                found.push(Found { start: secret.start(), end: secret.end(), kind: name });
            }
        }
    }
}

/// A value as it is, and as it stands in JSON, in an address, in base64.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![value.as_bytes().to_vec()];
    if let Ok(json) = serde_json::to_string(value) {
        forms.push(json.trim_matches('"').as_bytes().to_vec());
    }
    forms.push(escaped(value));
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        forms.push(engine.encode(value).into_bytes());
        // As it comes from `echo value | base64`.
        forms.push(engine.encode(format!("{value}\n")).into_bytes());
    }
    forms
}

fn escaped(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}
