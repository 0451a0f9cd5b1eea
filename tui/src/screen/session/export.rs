//! Which file a session is written into, and how.

use crate::feed::Format;

/// How a file is written, by its name.
///
/// # Errors
/// A sentence, if the name does not say.
pub fn format(path: &str) -> Result<Format, String> {
    let path = path.trim();
    let end = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match end.as_str() {
        _ if path.is_empty() || path.ends_with('/') => Err("name a file".to_owned()),
        "md" | "markdown" if path.contains('.') => Ok(Format::Markdown),
        "jsonl" | "ndjson" if path.contains('.') => Ok(Format::JsonLines),
        _ => Err("end the name with .md (for people) or .jsonl (for programs)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_how() {
        assert_eq!(format("a.md"), Ok(Format::Markdown));
        assert_eq!(format(" /tmp/x.JSONL "), Ok(Format::JsonLines));
        for wrong in ["", "md", "a.txt", "a/", "a"] {
            assert!(format(wrong).is_err(), "{wrong}");
        }
    }
}
