//! Resources as text for the pager.

use serde::Serialize;

use crate::text;

/// Bold.
#[must_use]
pub fn bold(text: &str) -> String {
    format!("\u{1b}[1m{text}\u{1b}[0m")
}

/// What matters less.
#[must_use]
pub fn dim(text: &str) -> String {
    format!("\u{1b}[2m{text}\u{1b}[0m")
}

/// Names.
#[must_use]
pub fn cyan(text: &str) -> String {
    format!("\u{1b}[36m{text}\u{1b}[0m")
}

/// A resource as YAML, its keys coloured.
#[must_use]
pub fn yaml<K: Serialize>(object: &K) -> String {
    let yaml = serde_saphyr::to_string(object).unwrap_or_else(|error| format!("# cannot be written: {error}"));
    let mut out = String::with_capacity(yaml.len() * 2);
    for line in text::clean(&yaml).lines() {
        match key_length(line) {
            Some((start, end)) => {
                out.push_str(&line[..start]);
                out.push_str(&cyan(&line[start..end]));
                out.push_str(&line[end..]);
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Where a line's key is, if it has one.
fn key_length(line: &str) -> Option<(usize, usize)> {
    let start = line.find(|c: char| c != ' ' && c != '-')?;
    let length = line[start..].find(|c: char| !(c.is_alphanumeric() || "_-./$".contains(c)))?;
    let rest = &line[start + length..];
    (length > 0 && (rest == ":" || rest.starts_with(": "))).then_some((start, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found() {
        for (line, key) in [
            ("spec:", Some("spec")),
            ("  - name: a: b", Some("name")),
            ("    operator.dev/x: y", Some("operator.dev/x")),
            ("- one", None),
            ("  just words: no", None),
            ("", None),
        ] {
            assert_eq!(key_length(line).map(|(start, end)| &line[start..end]), key, "{line}");
        }
    }
}
