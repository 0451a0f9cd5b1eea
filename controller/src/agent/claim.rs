//! The agent's word that the fault is gone, and what follows from it. Pure: from the entries.
//!
//! Its word is one thing, what is seen of the system another. So a claim is looked at before anything follows from it,
//! and only what was seen decides: a session ends `Resolved` behind an entry that says that all invariants held, and
//! nowhere else.

use super::frozen::Frozen;
use super::prompt::seconds;
use super::state::Message;
use super::step::{Step, escalated};
use super::{Findings, SessionEnd};
use crate::audit::entry::{ConclusionEntry, EndedVerification, Outcome, VerdictWord, VerificationEntry};

/// Findings that an end's sentence names.
const NAMED: usize = 6;

/// The checks of a session, as far as its entries tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    /// How many were begun.
    begun: u32,
    /// That of the last conclusion.
    last: Option<Check>,
    /// Whether the model was told that all invariants hold again.
    pub(super) healed_said: bool,
}

/// The check of a conclusion.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Check {
    /// Its beginning is on record, and nobody knows what was seen.
    Begun(u32),
    /// What was seen is on record.
    Ended(EndedVerification),
}

impl Checks {
    /// The model speaks again: what it says now is another word.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// Takes an entry into account. `claimed`: the agent's last message says that the fault is gone. A check that does
    /// not belong to a claim, or an end without its beginning, says nothing.
    pub(super) fn take(&mut self, entry: &VerificationEntry, claimed: bool) {
        match entry {
            VerificationEntry::Begun(begun) if claimed && self.last.is_none() && begun.attempt > self.begun => {
                self.begun = begun.attempt;
                self.last = Some(Check::Begun(begun.attempt));
            }
            VerificationEntry::Ended(ended) if self.last == Some(Check::Begun(ended.attempt)) => {
                self.last = Some(Check::Ended(ended.clone()));
            }
            VerificationEntry::Healed { .. } => self.healed_said = true,
            VerificationEntry::Begun(_) | VerificationEntry::Ended(_) => {}
        }
    }

    /// Whether one is under way: the session's clock stands still meanwhile.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.last, Some(Check::Begun(_)))
    }

    /// What the last conclusion was refuted with.
    pub(super) fn refuted(&self) -> Option<String> {
        match &self.last {
            Some(Check::Ended(ended)) if ended.verdict == VerdictWord::Violated => Some(ended.found(NAMED)),
            _ => None,
        }
    }
}

/// The conclusion of a message, if it is one that has to be proven.
pub(super) fn of<'a>(message: &'a Message, frozen: &Frozen) -> Option<&'a ConclusionEntry> {
    let conclusion = message.conclusion.as_ref()?;
    (frozen.proving.provable && conclusion.outcome == Outcome::Resolved).then_some(conclusion)
}

/// What a claim leads to; `None` if it was refuted and the agent may go on.
pub(super) fn next(conclusion: &ConclusionEntry, checks: &Checks, frozen: &Frozen) -> Option<Step> {
    let ended = match &checks.last {
        None => return Some(Step::Verify { attempt: checks.begun + 1, begun: false }),
        Some(Check::Begun(attempt)) => return Some(Step::Verify { attempt: *attempt, begun: true }),
        Some(Check::Ended(ended)) => ended,
    };
    let findings = || Some(Findings::from(conclusion));
    let end = match ended.verdict {
        VerdictWord::Holds => {
            let message = format!("{}: {}", held(ended), conclusion.summary);
            SessionEnd::Resolved { conclusion: conclusion.clone(), message }
        }
        VerdictWord::Unknown => {
            let why = ended.found(NAMED);
            let message = format!("the agent says that the fault is gone, and nobody can say whether it is: {why}");
            escalated("Unproven", message, findings())
        }
        VerdictWord::Violated if ended.attempt < frozen.proving.attempts => return None,
        VerdictWord::Violated => {
            let times = if ended.attempt == 1 { "once".to_owned() } else { format!("{} times", ended.attempt) };
            let what = ended.found(NAMED);
            let message = format!("the agent said {times} that the fault is gone, and it is not: {what}");
            escalated("NotVerified", message, findings())
        }
    };
    Some(Step::Seal(end))
}

/// What was seen of a system that is well, in a sentence.
fn held(ended: &EndedVerification) -> String {
    let rounds = if ended.seen == 1 { "round" } else { "rounds" };
    format!("all invariants held for {}, seen in {} {rounds} of readings", seconds(ended.window_ms), ended.seen)
}
