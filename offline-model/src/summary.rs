//! The built-in small model: the first line of what it is shown.
//!
//! Operator asks a small model for one-line summaries. Offline, the honest summary of a command is
//! its own first line.

/// The name behind `offline-`.
pub(crate) const NAME: &str = "summary";
/// The longest summary, in characters.
const LONGEST: usize = 100;

/// The first line with words in it, shortened.
pub(crate) fn line(text: &str) -> String {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("Nothing to summarize.");
    if first.chars().count() <= LONGEST {
        return first.to_owned();
    }
    let kept: String = first.chars().take(LONGEST - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_short_line() {
        assert_eq!(line("\n  \n  redis-cli ping \nmore"), "redis-cli ping");
        assert_eq!(line(" \n"), "Nothing to summarize.");
        let long = line(&"ä".repeat(500));
        assert_eq!(long.chars().count(), LONGEST);
        assert!(long.ends_with('…'));
    }
}
