//! The characters that stand for states: none of them stands alone, a word is always beside it.

/// A set of them. Each is one column wide.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Between the parts of the way to a screen.
    pub crumb: &'static str,
    /// At the selected row.
    pub cursor: &'static str,
    /// At a marked row.
    pub mark: &'static str,
    /// Live, up, healthy.
    pub dot: &'static str,
    /// Not live.
    pub ring: &'static str,
    /// Runs.
    pub run: &'static str,
    /// Waits.
    pub wait: &'static str,
    /// Is being proven.
    pub check: &'static str,
    /// Good.
    pub good: &'static str,
    /// Bad.
    pub bad: &'static str,
    /// Needs a person, or nobody knows.
    pub ask: &'static str,
    /// Ended without a proof.
    pub end: &'static str,
    /// Stopped by a person.
    pub stop: &'static str,
    /// Trouble, in a panel's title.
    pub alarm: &'static str,
    /// What the agent thinks.
    pub thought: &'static str,
    /// A folded step.
    pub folded: &'static str,
    /// An open step.
    pub open: &'static str,
    /// Something happened to the subject.
    pub event: &'static str,
    /// More below.
    pub down: &'static str,
    /// More above.
    pub up: &'static str,
    /// Not following.
    pub pause: &'static str,
    /// Cut off here.
    pub more: &'static str,
    /// The last of what belongs to the line above.
    pub corner: &'static str,
    /// Between a label and what was printed.
    pub bar: &'static str,
    /// A line across.
    pub rule: &'static str,
    /// A minus sign.
    pub minus: &'static str,
    /// From this to that.
    pub dash: &'static str,
    /// A multiplication sign.
    pub times: &'static str,
    /// Between two facts.
    pub middot: &'static str,
    /// To.
    pub arrow: &'static str,
    /// An increasing row of bars.
    pub bars: [&'static str; 8],
    /// What is turned while something is waited for.
    pub spinner: &'static [&'static str],
    /// Borders: top left, top right, bottom left, bottom right, horizontal, vertical.
    pub border: [&'static str; 6],
    /// Where a scroll bar is.
    pub thumb: &'static str,
    /// Whether all are ASCII.
    pub ascii: bool,
}

/// For terminals with Unicode.
pub const UNICODE: Glyphs = Glyphs {
    crumb: "▸",
    cursor: "▌",
    mark: "◆",
    dot: "●",
    ring: "○",
    run: "▶",
    wait: "◌",
    check: "◎",
    good: "✓",
    bad: "✗",
    ask: "?",
    end: "■",
    stop: "⊘",
    alarm: "!",
    thought: "∴",
    folded: "▸",
    open: "▾",
    event: "►",
    down: "↓",
    up: "↑",
    pause: "⏸",
    more: "…",
    corner: "└",
    bar: "│",
    rule: "─",
    minus: "−",
    dash: "–",
    times: "×",
    middot: "·",
    arrow: "→",
    bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    border: ["┌", "┐", "└", "┘", "─", "│"],
    thumb: "┃",
    ascii: false,
};

/// For all others.
pub const ASCII: Glyphs = Glyphs {
    crumb: ">",
    cursor: "|",
    mark: "*",
    dot: "*",
    ring: "o",
    run: ">",
    wait: ".",
    check: "~",
    good: "+",
    bad: "x",
    ask: "?",
    end: "=",
    stop: "/",
    alarm: "!",
    thought: ":",
    folded: ">",
    open: "v",
    event: ">",
    down: "v",
    up: "^",
    pause: "=",
    more: "~",
    corner: "`",
    bar: "|",
    rule: "-",
    minus: "-",
    dash: "-",
    times: "x",
    middot: "-",
    arrow: ">",
    bars: [".", ".", ":", ":", "-", "=", "+", "#"],
    spinner: &["|", "/", "-", "\\"],
    border: ["+", "+", "+", "+", "-", "|"],
    thumb: "#",
    ascii: true,
};

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    fn all(glyphs: &Glyphs) -> Vec<&'static str> {
        let g = glyphs;
        let mut all = vec![
            g.crumb, g.cursor, g.mark, g.dot, g.ring, g.run, g.wait, g.check, g.good, g.bad, g.ask, g.end, g.stop,
            g.alarm, g.thought, g.folded, g.open, g.event, g.down, g.up, g.pause, g.more, g.corner, g.bar, g.rule,
            g.minus, g.dash, g.times, g.middot, g.arrow, g.thumb,
        ];
        all.extend(g.bars);
        all.extend(g.spinner);
        all.extend(g.border);
        all
    }

    #[test]
    fn each_is_one_column_wide() {
        for glyph in all(&UNICODE).into_iter().chain(all(&ASCII)) {
            assert_eq!(glyph.width(), 1, "{glyph}");
        }
        assert!(all(&ASCII).into_iter().all(str::is_ascii));
    }
}
