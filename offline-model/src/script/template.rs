//! Placeholders: `{{name}}` becomes what a named group of the rule's patterns caught.
//!
//! Only an exact `{{name}}` or `{{name:int}}` is one, so that a command may contain
//! `--format '{{.Names}}'`, and so are Go's own words (`{{end}}`, `{{else}}`) left alone.

use regex::{Captures as Found, Regex};
use serde_json::Value;
use std::sync::LazyLock;

use super::matching::Captures;

/// Words of Go's templates, which stand in commands.
const GO_WORDS: [&str; 4] = ["end", "else", "break", "continue"];

/// The pattern is a constant, so it compiles; a test sees to it.
static PLACEHOLDER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\{\{([A-Za-z_][A-Za-z0-9_]*)(:int)?\}\}").ok());

/// Whether the text between the braces is one of ours.
fn is_ours(found: &Found<'_>) -> bool {
    found.get(1).is_some_and(|name| !GO_WORDS.contains(&name.as_str()))
}

/// The names that a text asks for.
pub(super) fn names(text: &str) -> Vec<String> {
    PLACEHOLDER
        .iter()
        .flat_map(|regex| regex.captures_iter(text))
        .filter(is_ours)
        .filter_map(|found| found.get(1).map(|name| name.as_str().to_owned()))
        .collect()
}

/// The names that the strings of a JSON value ask for.
pub(super) fn names_in(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => names(text),
        Value::Array(items) => items.iter().flat_map(names_in).collect(),
        Value::Object(fields) => fields.values().flat_map(names_in).collect(),
        _ => Vec::new(),
    }
}

/// Fills the placeholders of a text. The error is the name that was not caught.
pub(crate) fn render(text: &str, captures: &Captures) -> Result<String, String> {
    let Some(regex) = PLACEHOLDER.as_ref() else {
        return Ok(text.to_owned());
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    for found in regex.captures_iter(text).filter(is_ours) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else {
            continue;
        };
        out.push_str(&text[rest..whole.start()]);
        out.push_str(captures.get(name.as_str()).ok_or(name.as_str())?);
        rest = whole.end();
    }
    out.push_str(&text[rest..]);
    Ok(out)
}

/// Fills the placeholders of every string of a value. A string that is nothing but
/// `{{name:int}}` becomes a number.
pub(crate) fn render_json(value: &Value, captures: &Captures) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => {
            let filled = render(text, captures)?;
            match whole_integer(text).then(|| filled.parse::<i64>()) {
                Some(Ok(number)) => Value::from(number),
                _ => Value::String(filled),
            }
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| render_json(item, captures)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, item)| Ok((key.clone(), render_json(item, captures)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}

/// Whether the text is one `{{name:int}}` and nothing else.
fn whole_integer(text: &str) -> bool {
    PLACEHOLDER
        .as_ref()
        .and_then(|regex| regex.captures(text))
        .is_some_and(|found| found.get(2).is_some() && found.get(0).is_some_and(|whole| whole.len() == text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn captures() -> Captures {
        [("n", "12"), ("host", "node2")].into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn fills_strings_and_makes_numbers() {
        let value = json!({"a": "curl {{host}}:8080", "b": ["{{n:int}}", "{{n}}", 3], "c": true});
        assert_eq!(
            render_json(&value, &captures()),
            Ok(json!({"a": "curl node2:8080", "b": [12, "12", 3], "c": true}))
        );
    }

    #[test]
    fn leaves_go_templates_alone() {
        let text = "docker ps --format '{{.Names}} {{json .}}{{range .x}}{{end}}' {{ n }}";
        assert_eq!(render(text, &captures()).as_deref(), Ok(text));
        assert!(names(text).is_empty());
    }

    #[test]
    fn names_what_was_not_caught() {
        assert_eq!(render("{{who}}", &captures()), Err("who".to_owned()));
    }
}
