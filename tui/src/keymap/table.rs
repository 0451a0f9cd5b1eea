//! The keys as they are without a configuration. The order is that of the footer and of the help.

use super::{Action, Binding, Chord, Context};
use crate::rights::Right;

/// An empty label keeps a key out of the footer.
type Line = (Context, Action, &'static [&'static str], &'static str, &'static str, Option<Right>);

const CHANGE: Option<Right> = Some(Right::PatchIncidents);
const CHAPTER: Option<Right> = Some(Right::PatchChapters);

#[rustfmt::skip]
const LINES: &[Line] = {
    use Action as A;
    use Context::{Demo, Global, Incidents, Move, Pager, Session, Subjects};
    &[
        (Incidents, A::Open, &["enter", "right", "l"], "open", "open the session", None),
        (Incidents, A::Yaml, &["y"], "yaml", "show it as YAML", None),
        (Incidents, A::Describe, &["d"], "describe", "show what happened, in words", None),
        (Incidents, A::Cancel, &["x"], "cancel", "cancel the attempt (asks)", CHANGE),
        (Incidents, A::Retry, &["r"], "retry", "begin a new attempt (asks)", CHANGE),
        (Incidents, A::Note, &["n"], "note", "say something to the agent (asks)", CHANGE),
        (Incidents, A::Copy, &["c"], "copy", "copy the name", None),
        (Incidents, A::Preview, &["p"], "", "show or hide the summary", None),
        (Incidents, A::Mark, &["space"], "", "mark it; x and r take all marked", None),
        (Incidents, A::Sort, &["s"], "", "sort by the next column", None),
        (Incidents, A::SortReverse, &["S"], "", "sort the other way round", None),

        (Subjects, A::Open, &["enter", "right", "l"], "incidents", "show its Incidents", None),
        (Subjects, A::Yaml, &["y"], "yaml", "show it as YAML", None),
        (Subjects, A::Describe, &["d"], "describe", "show its invariants and what was last seen, in words", None),
        (Subjects, A::Copy, &["c"], "copy", "copy the name", None),
        (Subjects, A::Preview, &["p"], "preview", "show or hide the invariants", None),
        (Subjects, A::Sort, &["s"], "", "sort by the next column", None),
        (Subjects, A::SortReverse, &["S"], "", "sort the other way round", None),

        (Session, A::Fold, &["tab"], "fold", "open or fold the step", None),
        (Session, A::FoldAll, &["T"], "fold all", "open or fold all steps", None),
        (Session, A::Open, &["enter"], "pager", "read the step in the pager", None),
        (Session, A::PreviousCommand, &["["], "", "go to the command before", None),
        (Session, A::NextCommand, &["]"], "", "go to the next command", None),
        (Session, A::PreviousFailed, &["{"], "", "go to the failed step before", None),
        (Session, A::NextFailed, &["}"], "", "go to the next failed step", None),
        (Session, A::PreviousAttempt, &["<"], "", "show the attempt before", None),
        (Session, A::NextAttempt, &[">"], "", "show the attempt after", None),
        (Session, A::NextMatch, &["n"], "", "go to the next match", None),
        (Session, A::PreviousMatch, &["N"], "", "go to the match before", None),
        (Session, A::Copy, &["c"], "copy cmd", "copy the command", None),
        (Session, A::CopyOutput, &["C"], "", "copy the output", None),
        (Session, A::Export, &["o"], "export", "write the session into a file (JSON lines or Markdown)", None),
        (Session, A::Describe, &["d"], "", "show what happened, in words", None),
        (Session, A::Cancel, &["x"], "cancel", "cancel the attempt (asks)", CHANGE),
        (Session, A::Retry, &["r"], "", "begin a new attempt (asks)", CHANGE),
        (Session, A::Note, &["m"], "note", "say something to the agent (asks)", CHANGE),

        (Demo, A::Next, &["space", "right"], "next", "turn to the next chapter", CHAPTER),
        (Demo, A::Previous, &["b", "left"], "back", "turn to the chapter before", CHAPTER),
        (Demo, A::Force, &["N"], "", "turn the page, whatever this chapter waits for", CHAPTER),
        (Demo, A::Reset, &["R"], "reset", "bring everything back to the beginning (asks)", CHAPTER),
        (Demo, A::Panel1, &["1"], "", "go to the panel 1", None),
        (Demo, A::Panel2, &["2"], "", "go to the panel 2", None),
        (Demo, A::Panel3, &["3"], "", "go to the panel 3", None),
        (Demo, A::Panel4, &["4"], "", "go to the panel 4", None),
        (Demo, A::Panel5, &["5"], "", "go to the panel 5", None),
        (Demo, A::Zoom, &["z"], "zoom", "show the panel alone, or all of them", None),
        (Demo, A::Freeze, &["f"], "freeze", "hold the panel still, or let it follow", None),
        (Demo, A::Open, &["enter"], "open", "open the session, on the agent's panel; else turn to the next chapter", None),
        (Demo, A::Down, &["j", "down"], "", "down in the panel", None),
        (Demo, A::Up, &["k", "up"], "", "up in the panel", None),

        (Pager, A::NextMatch, &["n"], "next match", "go to the next match", None),
        (Pager, A::PreviousMatch, &["N"], "", "go to the match before", None),
        (Pager, A::Copy, &["c"], "copy", "copy the text", None),
        (Pager, A::Left, &["left", "h"], "", "to the left", None),
        (Pager, A::Right, &["right", "l"], "", "to the right", None),

        (Move, A::Down, &["j", "down"], "", "down", None),
        (Move, A::Up, &["k", "up"], "", "up", None),
        (Move, A::Top, &["g g", "home"], "", "to the first", None),
        (Move, A::Bottom, &["G", "end"], "", "to the last", None),
        (Move, A::HalfDown, &["ctrl-d"], "", "half a page down", None),
        (Move, A::HalfUp, &["ctrl-u"], "", "half a page up", None),
        (Move, A::PageDown, &["pgdn", "ctrl-f"], "", "a page down", None),
        (Move, A::PageUp, &["pgup", "ctrl-b"], "", "a page up", None),

        (Global, A::Filter, &["/"], "filter", "filter, or search in a text", None),
        (Global, A::Command, &[":"], "cmd", "type a command", None),
        (Global, A::Help, &["?", "f1"], "help", "show this help", None),
        (Global, A::Back, &["esc"], "", "back; an active filter goes first", None),
        (Global, A::Quit, &["q"], "quit", "back; from the first screen: end", None),
        (Global, A::LastView, &["-"], "", "to the screen before this one", None),
        (Global, A::AllNamespaces, &["0"], "", "all namespaces, or the one again", None),
        (Global, A::Reconnect, &["ctrl-r"], "", "connect again now", None),
        (Global, A::Redraw, &["ctrl-l"], "", "draw anew", None),
        (Global, A::Suspend, &["ctrl-z"], "", "stop, as a job of the shell", None),
        (Global, A::ForceQuit, &["ctrl-c"], "", "end", None),
    ]
};

/// All of them.
pub(super) fn bindings() -> Vec<Binding> {
    let binding = |(context, action, keys, label, help, right): &Line| Binding {
        context: *context,
        action: *action,
        keys: keys.iter().filter_map(|key| Chord::parse(key)).collect(),
        label,
        help,
        right: *right,
    };
    LINES.iter().map(binding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_can_be_read() {
        for (line, binding) in LINES.iter().zip(bindings()) {
            assert_eq!(line.2.len(), binding.keys.len(), "{binding}");
        }
    }
}
