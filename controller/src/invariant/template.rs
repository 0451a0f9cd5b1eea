//! Text with CEL in `{{ }}`.

use kube::core::cel::cel::{Context, Program, Value};
use serde_json::Value as Json;

use super::LONGEST_MESSAGE;
use super::mistakes::{Names, compile};
use super::names::Reads;
use crate::{cel, printable};

/// Text, compiled.
#[derive(Debug, Default)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Value(Program),
}

impl Template {
    /// Reads a text. Where an expression has braces of its own it ends at the first `}}` at which it can be read.
    pub(super) fn read(text: &str, names: &Names<'_>) -> Result<(Self, Reads), String> {
        let (mut parts, mut reads) = (Vec::new(), Reads::default());
        let mut rest = text;
        while let Some(begin) = rest.find("{{") {
            if begin > 0 {
                parts.push(Part::Text(rest[..begin].to_owned()));
            }
            let inner = &rest[begin + 2..];
            let ends: Vec<usize> = inner.match_indices("}}").map(|(at, _)| at).collect();
            let Some(first) = ends.first() else { return Err("`{{` is not closed by `}}`".into()) };
            // The last of a run of braces closes: `{{ {'a': 1} }}` has none to spare, `{{{'a': 1}}}` has.
            let end = ends.iter().flat_map(|at| [*at, at + 1]).find(|end| {
                inner.get(*end..).is_some_and(|behind| behind.starts_with("}}"))
                    && inner.get(..*end).is_some_and(|source| cel::compile(source).is_ok())
            });
            let end = end.unwrap_or(*first);
            let (program, more) = compile(inner[..end].trim(), names)?;
            parts.push(Part::Value(program));
            reads.add(more);
            rest = &inner[end + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok((Self { parts }, reads))
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The text with its values, on one printable line.
    pub(super) fn fill(&self, context: &Context<'_>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Value(program) => text.push_str(&shown(&cel::evaluate(program, context)?)),
            }
            if text.len() > 8 * LONGEST_MESSAGE {
                break;
            }
        }
        Ok(printable::short_line(&text, LONGEST_MESSAGE))
    }
}

/// A value in a sentence: a string as it is, everything else as JSON.
pub(super) fn shown(value: &Value) -> String {
    match cel::to_json(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// On one printable line.
pub(super) fn short(text: &str) -> String {
    printable::short_line(text, LONGEST_MESSAGE)
}
