//! What a session does next, pure: a function of where it stands.
//!
//! The loop asks [`next`] before each step, and each step puts one entry on record (or asks the model,
//! and then puts that on record). There is no other way through a session, so that one which is resumed
//! behind any of its entries goes on exactly as it would have gone on.

use std::time::Duration;

use super::budget::{Limit, Plan, Spent};
use super::frozen::Frozen;
use super::progress::printable;
use super::state::{BegunCall, Message, State, Words};
use super::tools::{self, Call, ConcludeCall, ShellCall};
use super::transcript::ToolUse;
use super::{Findings, Recurring, SessionEnd, claim, prompt};
use crate::audit::entry::ConclusionEntry;
use crate::model::StopReason;

/// Pauses of a turn in a row.
const MOST_PAUSES: u32 = 5;
/// Messages in a row that were cut before they called a tool.
const MOST_CUTS: u32 = 3;
/// Containers that may be lost in one session.
const MOST_LOST: u32 = 2;

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write the first entry.
    Begin,
    /// Say that the same came again too often: nothing is tried, and a person is needed.
    SayRecurring(Recurring),
    /// Say that the model has no price.
    SayUnpriced,
    /// Put words of the last message on record.
    Say {
        /// The turn.
        turn: i64,
        /// What it said.
        text: String,
        /// Whether it was thinking.
        thinking: bool,
    },
    /// Put a call of the last message on record.
    Announce {
        /// The call.
        call: ToolUse,
        /// What it leads to.
        todo: Todo,
    },
    /// Go on with the call that is on record.
    Answer {
        /// The entry of the call.
        seq: i64,
        /// The call.
        call: ToolUse,
        /// How.
        answer: Answer,
    },
    /// Say that the container was given up, and have it replaced.
    SayLost {
        /// Why.
        reason: String,
    },
    /// Say something to a model that called no tool.
    Nudge {
        /// For the record.
        message: String,
        /// What the model is told.
        tell: String,
    },
    /// Tell the model how much is left, near the end of a budget.
    Warn {
        /// The share of a budget that is used, in percent.
        share: u64,
        /// What it is told.
        text: String,
    },
    /// Replace old results in the conversation.
    Compact {
        /// Their entries.
        entries: Vec<i64>,
    },
    /// Ask the model for its next message.
    Ask {
        /// How much it may write.
        max_tokens: u32,
    },
    /// Say that a limit is reached.
    SayLimit {
        /// The limit.
        limit: Limit,
        /// How much the last message may hold; 0 for none.
        max_tokens: u32,
    },
    /// Ask the model for its last message.
    AskLast {
        /// How much it may write.
        max_tokens: u32,
    },
    /// Look whether the fault is gone, as the agent says.
    Verify {
        /// Which time in this session, from 1.
        attempt: u32,
        /// Whether that it begins is on record.
        begun: bool,
    },
    /// Write the last entry.
    Seal(SessionEnd),
}

/// What a call leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Todo {
    /// A command.
    Shell(ShellCall),
    /// The conclusion.
    Conclude(ConcludeCall),
    /// Nothing: why not.
    Refuse(String),
}

/// How a call that is on record is gone on with.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Its command runs, or what became of it is asked. All as it is on record.
    Command {
        /// Text for `bash -c`.
        command: String,
        /// Its limit.
        limit: Duration,
        /// What the model is told about its limit.
        note: Option<String>,
    },
    /// It does not run.
    Refuse(String),
    /// Its evidence does not exist, which is said.
    NameEvidence(Vec<i64>),
    /// Its conclusion is put on record.
    Conclude(ConclusionEntry),
    /// It is done.
    Accept,
}

/// The next step. `overdue`: the wall time is over.
#[must_use]
pub fn next(state: &State, frozen: &Frozen, overdue: bool) -> Step {
    if !state.is_begun() {
        return Step::Begin;
    }
    if let Some(end) = &state.ending {
        return Step::Seal(end.clone());
    }
    if let Some(recurring) = &frozen.recurring {
        return Step::SayRecurring(recurring.clone());
    }
    if !frozen.pricing.known && state.is_unpriced_unsaid() {
        return Step::SayUnpriced;
    }
    if let Some(step) = state.message.as_ref().and_then(|message| within(state, message, frozen)) {
        return step;
    }
    if let Some(reason) = &state.loss.unsaid {
        return Step::SayLost { reason: reason.clone() };
    }
    if let Some(step) = state.message.as_ref().and_then(|message| behind(state, message, frozen)) {
        return step;
    }
    turn(state, frozen, overdue)
}

/// What of the last message is still to be done.
fn within(state: &State, message: &Message, frozen: &Frozen) -> Option<Step> {
    if let Some((begun, call)) = state.call.as_ref().and_then(|begun| Some((begun, open(state, begun)?))) {
        let answer = answer(state, message, begun, &call, frozen);
        return Some(Step::Answer { seq: begun.seq, call, answer });
    }
    if let Some(Words { text, thinking }) = message.words.get(message.said) {
        return Some(Step::Say { turn: message.turn, text: text.clone(), thinking: *thinking });
    }
    if let Some(reason) = &state.loss.unsaid {
        return Some(Step::SayLost { reason: reason.clone() });
    }
    if state.last_turn.is_none() {
        match message.stop {
            StopReason::Refusal => return Some(Step::Seal(refused(message))),
            StopReason::ContextWindow => return Some(Step::Seal(window_full(state))),
            _ => {}
        }
    }
    let call = state.transcript.open_calls().first()?;
    Some(Step::Announce { call: call.clone(), todo: todo(state, message, call, frozen) })
}

/// What a message leads to of which everything is done.
fn behind(state: &State, message: &Message, frozen: &Frozen) -> Option<Step> {
    if state.last_turn.as_ref().is_some_and(|last| !last.answered) {
        return None;
    }
    // Also of what it says in its last message: what is proven is over, whatever it cost.
    let claim = claim::of(message, frozen);
    if let Some(step) = claim.and_then(|claim| claim::next(claim, &state.checks, frozen)) {
        return Some(step);
    }
    if let Some(last) = &state.last_turn {
        let findings = message.conclusion.as_ref().map(Findings::from).or_else(|| message.findings());
        let sentence = match state.checks.refuted() {
            Some(what) => format!("{} The agent says that the fault is gone, and it is not: {what}", last.sentence),
            None => last.sentence.clone(),
        };
        return Some(Step::Seal(escalated(last.limit.reason(), sentence, findings)));
    }
    if claim.is_some() {
        // It was refuted, and goes on.
        return None;
    }
    if let Some(conclusion) = &message.conclusion {
        return Some(Step::Seal(SessionEnd::Concluded(conclusion.clone())));
    }
    if message.calls > 0 { None } else { idle(state, message, frozen) }
}

/// A message without a call: it goes on after a pause or a cut, and is asked once to conclude.
fn idle(state: &State, message: &Message, frozen: &Frozen) -> Option<Step> {
    let transcript = &state.transcript;
    let end = |reason, text: &str| Some(Step::Seal(escalated(reason, text, message.findings())));
    match &message.stop {
        StopReason::PauseTurn if transcript.pauses > MOST_PAUSES => {
            end("PausedTooOften", "the model paused its turn again and again")
        }
        StopReason::PauseTurn => None,
        StopReason::MaxTokens if transcript.cuts >= MOST_CUTS => {
            end("OutputLimit", "the model's messages were cut off again and again before they did anything")
        }
        _ if message.nudged => None,
        StopReason::MaxTokens => {
            let max_tokens = message.max_tokens.unwrap_or(frozen.budgets.max_tokens);
            let text = format!("the model's message was cut off at {max_tokens} tokens; it was asked to go on");
            Some(Step::Nudge { message: text, tell: prompt::cut_off(max_tokens) })
        }
        _ if transcript.idle_turns > 0 => {
            end("NoConclusion", "the agent stopped without concluding, also after it was asked to")
        }
        reason => {
            let why = reason.as_str().unwrap_or("no reason");
            let text = format!("the model called no tool ({why}); it was asked to conclude");
            Some(Step::Nudge { message: text, tell: prompt::NUDGE.to_owned() })
        }
    }
}

/// Another turn, as far as the budgets allow it.
fn turn(state: &State, frozen: &Frozen, overdue: bool) -> Step {
    let (budgets, price) = (&frozen.budgets, &frozen.pricing.price);
    let spent = spent(state);
    if let Some(last) = &state.last_turn {
        let max_tokens = last.max_tokens.unwrap_or_else(|| budgets.last_tokens(&spent, price));
        if max_tokens > 0 {
            return Step::AskLast { max_tokens };
        }
        return Step::Seal(escalated(last.limit.reason(), last.sentence.clone(), None));
    }
    let lost = state.transcript.lost_sandboxes.saturating_sub(state.replaced_by_halts);
    if lost > MOST_LOST {
        let message = format!("the agent's container was lost {lost} times");
        return Step::Seal(SessionEnd::Failed { reason: "SandboxLost".to_owned(), message });
    }
    if overdue {
        return Step::SayLimit { limit: Limit::WallTime, max_tokens: budgets.last_tokens(&spent, price) };
    }
    // Before it is asked what the turn may cost, for it costs less then.
    let entries = state.transcript.outgrown(&budgets.window);
    if !entries.is_empty() {
        return Step::Compact { entries };
    }
    match budgets.plan(&spent, price) {
        Plan::Turn { max_tokens } => match budgets.near_the_end(&spent, state.used(), state.told_share) {
            Some((share, text)) => Step::Warn { share, text },
            None => Step::Ask { max_tokens },
        },
        Plan::Last { max_tokens, limit } => Step::SayLimit { limit, max_tokens },
    }
}

/// What was spent so far.
pub(super) fn spent(state: &State) -> Spent {
    let transcript = &state.transcript;
    Spent {
        turns: transcript.turns,
        tokens: transcript.tokens,
        cost: transcript.cost,
        next_input: transcript.next_input_tokens(),
        output_bytes: transcript.output_bytes,
    }
}

/// What a call that is not on record yet leads to.
fn todo(state: &State, message: &Message, call: &ToolUse, frozen: &Frozen) -> Todo {
    // Its last block may be incomplete, however whole it looks.
    let is_cut = call.last && message.stop == StopReason::MaxTokens;
    let read = || tools::read(&call.name, &call.input, &frozen.budgets);
    if state.last_turn.is_some() {
        return match read() {
            Call::Conclude(conclude) if message.conclusion.is_none() && !is_cut => Todo::Conclude(conclude),
            _ => Todo::Refuse("the budget is used up, no command runs any more".to_owned()),
        };
    }
    if message.conclusion.is_some() {
        return Todo::Refuse("the session concluded".to_owned());
    }
    if state.loss.is_said {
        return Todo::Refuse("the container was lost before this call".to_owned());
    }
    if is_cut {
        return Todo::Refuse(prompt::cut_call(message.max_tokens.unwrap_or(frozen.budgets.max_tokens)));
    }
    match read() {
        Call::Shell(shell) => Todo::Shell(shell),
        // Whoever wrote it would not know that it was not heard.
        Call::Conclude(_) if state.note_waits => Todo::Refuse(prompt::NOTE_WAITS.to_owned()),
        Call::Conclude(conclude) => Todo::Conclude(conclude),
        Call::Invalid(reason) => Todo::Refuse(reason),
    }
}

/// The call whose entry stands and whose result does not.
fn open(state: &State, begun: &BegunCall) -> Option<ToolUse> {
    state.transcript.open_calls().iter().find(|call| call.id == begun.tool_use_id).cloned()
}

/// How a call that is on record is gone on with.
fn answer(state: &State, message: &Message, begun: &BegunCall, call: &ToolUse, frozen: &Frozen) -> Answer {
    if begun.concluded {
        return Answer::Accept;
    }
    if let (Some(limit), Some(command)) = (begun.timeout, &begun.command) {
        let note = match tools::read(&call.name, &call.input, &frozen.budgets) {
            Call::Shell(shell) if limit < shell.timeout => {
                Some(format!("the limit was {} s, because the wall time of the session ends then", limit.as_secs()))
            }
            Call::Shell(shell) => shell.note,
            _ => None,
        };
        return Answer::Command { command: command.clone(), limit, note };
    }
    match todo(state, message, call, frozen) {
        Todo::Refuse(reason) => Answer::Refuse(reason),
        // A command whose entry has no limit was not to run.
        Todo::Shell(_) => Answer::Refuse(WALL_TIME_OVER.to_owned()),
        Todo::Conclude(conclude) => concluding(message, begun, conclude),
    }
}

/// Why a command does not run that was called for at the very end.
const WALL_TIME_OVER: &str = "the wall time of the session is over";

fn concluding(message: &Message, begun: &BegunCall, conclude: ConcludeCall) -> Answer {
    // What is named must have stood there before the call.
    let (mut evidence, unknown): (Vec<i64>, Vec<i64>) =
        conclude.evidence.iter().partition(|number| (1..begun.seq).contains(*number));
    if !unknown.is_empty() && !begun.evidence_named {
        return Answer::NameEvidence(unknown);
    }
    evidence.sort_unstable();
    evidence.dedup();
    Answer::Conclude(ConclusionEntry {
        turn: message.turn,
        outcome: conclude.outcome,
        root_cause: conclude.root_cause,
        summary: conclude.summary,
        evidence,
        follow_up: conclude.follow_up,
    })
}

/// A person is needed.
pub(super) fn escalated(reason: &str, message: impl Into<String>, findings: Option<Findings>) -> SessionEnd {
    SessionEnd::Escalated { reason: reason.to_owned(), message: message.into(), findings }
}

/// The conversation has outgrown the model.
pub(super) fn window_full(state: &State) -> SessionEnd {
    let message = format!("the conversation fills the model's window after {} turns", state.transcript.turns);
    escalated("ContextWindow", message, None)
}

fn refused(message: &Message) -> SessionEnd {
    let detail = |key: &str| message.stop_details.get(key).and_then(serde_json::Value::as_str);
    let mut text = "the model refused to go on".to_owned();
    if let Some(category) = detail("category") {
        text = format!("{text} (category {category})");
    }
    if let Some(explanation) = detail("explanation") {
        text = format!("{text}: {}", printable(explanation));
    }
    escalated("ModelRefused", text, message.findings())
}
