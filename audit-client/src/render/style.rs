//! Colours, where they are wanted.

/// How to paint. Without colours every function gives back what it got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether there are colours.
    pub colour: bool,
}

impl Style {
    /// For a stream that is a terminal or not, with the environment's `NO_COLOR` and `TERM`.
    #[must_use]
    pub fn for_stream(is_terminal: bool, no_color: Option<&str>, term: Option<&str>) -> Self {
        Self { colour: is_terminal && no_color.unwrap_or_default().is_empty() && term != Some("dumb") }
    }

    /// What matters.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What can be skipped.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What went well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What went wrong.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What wants attention.
    #[must_use]
    pub fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// What was done.
    #[must_use]
    pub fn act(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// A phase in its colour.
    #[must_use]
    pub fn phase(self, phase: &str, text: &str) -> String {
        match phase {
            "Resolved" => self.good(text),
            "Escalated" | "Failed" => self.bad(text),
            "Concluded" | "Cancelled" => self.warn(text),
            _ => self.act(text),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::Style;

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert!(Style::for_stream(true, None, Some("xterm")).colour);
        assert!(Style::for_stream(true, Some(""), None).colour);
        for (terminal, no_color, term) in [(false, None, None), (true, Some("1"), None), (true, None, Some("dumb"))] {
            assert!(!Style::for_stream(terminal, no_color, term).colour);
        }
        assert_eq!(Style { colour: true }.bad("x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Style::default().bad("x"), "x");
    }
}
