//! Looking for something in steps.

use std::collections::VecDeque;

use regex::{Regex, RegexBuilder};

use super::digest::{ChangeEnd, Digest, What};
use super::output::Kept;
use super::step::{Kind, Step};

/// What is looked for.
///
/// # Errors
/// A sentence, if it is no regular expression.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern).case_insensitive(true).multi_line(true).size_limit(1 << 20).build();
    regex.map_err(|_| format!("{pattern:?} is not a regular expression"))
}

/// Whether a step has it.
#[must_use]
pub fn matches(step: &Step, entries: &VecDeque<Digest>, search: &Regex) -> bool {
    let entry = |index: &Option<usize>| index.is_some_and(|index| of(&entries[index], search));
    match &step.kind {
        Kind::Command { call, result, changes } => {
            entry(call) || entry(result) || changes.iter().any(|change| entry(&change.begun) || entry(&change.done))
        }
        Kind::Check { begun, ended } => entry(begun) || entry(ended),
        Kind::Change(change) => entry(&change.begun) || entry(&change.done),
        Kind::One(index) => of(&entries[*index], search),
    }
}

fn of(entry: &Digest, search: &Regex) -> bool {
    let text = |text: &str| search.is_match(text);
    let kept = |kept: &Kept| search.is_match(&kept.head) || search.is_match(&kept.tail);
    entry.summary.as_deref().is_some_and(text)
        || match &entry.what {
            What::Incident { title, description } => text(title) || kept(description),
            What::Turn { stop } => stop.as_deref().is_some_and(text),
            What::Thought(thought) => kept(thought),
            What::Call { command, why, .. } => kept(command) || kept(why),
            What::Result { out, err, .. } => kept(out) || kept(err),
            What::Change(summary) => text(summary),
            What::Changed { end, .. } => match end {
                ChangeEnd::Done => false,
                ChangeEnd::Failed(why) | ChangeEnd::NotDone(why) | ChangeEnd::Unknown(why) => text(why),
            },
            What::Conclusion { cause, summary, follow_up, .. } => {
                text(cause) || text(summary) || follow_up.as_deref().is_some_and(text)
            }
            What::Checked { words, findings, .. } => text(words) || findings.iter().any(|line| text(line)),
            What::Note { author, text: said } => text(author) || kept(said),
            What::Control { message, phase, .. } => text(message) || phase.as_deref().is_some_and(text),
            What::Recent { kind, text: said } => text(kind) || text(said),
            What::Unknown { kind, data } => text(kind) || kept(data),
            What::Check { .. } | What::Healed => false,
        }
}
