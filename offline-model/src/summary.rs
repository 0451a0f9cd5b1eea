//! The built-in small model: the first line of what it is shown.
//!
//! Operator asks a small model for one-line summaries. Offline, the honest summary of a command is
//! its own first line.

/// The name behind `offline-`.
pub(crate) const NAME: &str = "summary";
/// The longest summary, in characters.
const LONGEST: usize = 100;

/// The first line with words in it, shortened. A line that is only a label (`tool_result:`) says
/// nothing by itself and is passed over when there is another.
pub(crate) fn line(text: &str) -> String {
    let is_label = |line: &str| line.ends_with(':') && !line.contains(char::is_whitespace);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines().find(|line| !is_label(line)).or_else(|| lines().next()).unwrap_or("Nothing to summarize.");
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
        assert_eq!(line("tool_result:\n[entry 7] exit code 0"), "[entry 7] exit code 0");
        assert_eq!(line("reasoning:"), "reasoning:");
        assert_eq!(line(" \n"), "Nothing to summarize.");
        let long = line(&"ä".repeat(500));
        assert_eq!(long.chars().count(), LONGEST);
        assert!(long.ends_with('…'));
    }
}
