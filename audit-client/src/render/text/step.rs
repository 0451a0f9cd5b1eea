//! One entry as text.

use std::fmt::Write as _;

use serde_json::Value;

use super::Options;
use crate::entry::{ChangeEntry, ChangeOutcome, EndedVerification, Finding, VerdictWord, VerificationEntry};
use crate::printable;
use crate::redact::Redactor;
use crate::render::style::Style;
use crate::render::{clean, numbers};
use crate::{
    CallOutcome, ConclusionEntry, ControlEntry, ControlEvent, EntryBody, Outcome, SessionRecord, StoredEntry,
    StreamRecord, ToolCallEntry, ToolResultEntry, TurnEntry,
};

/// Lines that are shown of the start of an output, unless all is wanted.
const FIRST: usize = 12;
/// Lines that are shown of its end.
const LAST: usize = 8;
/// Characters that are shown of one line.
const LONGEST: usize = 400;
/// Under the first line of a step.
const INDENT: &str = "                        ";

/// An entry's first line, and the lines under it.
struct Step {
    first: String,
    under: Vec<String>,
}

impl Step {
    fn new(first: impl Into<String>) -> Self {
        Self { first: first.into(), under: Vec::new() }
    }

    /// A text of several lines, each behind a mark, so that no line passes for one of ours.
    fn under(mut self, mark: &str, text: &str, options: Options) -> Self {
        self.under.extend(bounded(&all_lines(text, options), options).into_iter().map(|line| format!("{mark} {line}")));
        self
    }
}

/// The entry's lines, or nothing for what only repeats others.
pub(super) fn render(record: &SessionRecord, entry: &StoredEntry, options: Options) -> String {
    let style = options.style;
    let Some(mut step) = entry
        .body()
        .map_or_else(|| Some(unknown(entry, options)), |body| known(&Redactor::for_readers().shown(&body), options))
    else {
        return String::new();
    };
    if let Some(summary) = entry.summary.as_deref().filter(|summary| !summary.trim().is_empty()) {
        step.under.push(style.dim(&format!("≈ {}", printable::one_line(summary))));
    }
    let since = format!("+{}", numbers::between(record.new.started_at, entry.at));
    let gutter = format!("{since:>8} {} {:>4}  ", numbers::time_of_day(entry.at), format!("#{}", entry.seq));
    let mut text = format!("{}{}\n", style.dim(&gutter), step.first);
    for line in step.under {
        text.push_str(&format!("{INDENT}{line}\n"));
    }
    text
}

fn known(body: &EntryBody, options: Options) -> Option<Step> {
    let style = options.style;
    Some(match body {
        EntryBody::Incident(entry) => {
            let title = entry.incident["title"].as_str().unwrap_or("an incident");
            let step = Step::new(format!("{} {}", style.bold("incident"), printable::one_line(title)));
            let description = entry.incident["description"].as_str().unwrap_or_default();
            let step = step.under("│", description, options);
            if options.full { step.under("│", &entry.user, options) } else { step }
        }
        EntryBody::Turn(turn) => turn_step(turn, style),
        EntryBody::Reasoning(entry) => {
            let mut lines = all_lines(entry.text.trim(), options);
            if lines.is_empty() {
                return None;
            }
            let mark = if entry.thinking { style.dim("∴ (thinking)") } else { "∴".to_owned() };
            let first = lines.remove(0);
            let under = bounded(&lines, options).into_iter().map(|line| format!("┆ {line}")).collect();
            Step { first: format!("{mark} {first}"), under }
        }
        EntryBody::ToolCall(call) => call_step(call, options),
        EntryBody::ToolResult(result) => result_step(result, options),
        EntryBody::Change(change) => change_step(change, style),
        EntryBody::Verification(verification) => verification_step(verification, options),
        EntryBody::Note(note) => {
            let first = format!("{} {} from {}", style.bold("note"), note.number, printable::one_line(note.author()));
            Step::new(first).under("│", &note.text, options)
        }
        EntryBody::Conclusion(conclusion) => conclusion_step(conclusion, options),
        EntryBody::Control(control) => control_step(control, options),
    })
}

fn unknown(entry: &StoredEntry, options: Options) -> Step {
    let first = format!("{} (this version does not know it)", printable::one_line(&entry.kind));
    Step::new(first).under("│", &pretty(&entry.data), options)
}

fn change_step(change: &ChangeEntry, style: Style) -> Step {
    match change {
        ChangeEntry::Begun(change) => {
            let first = format!("{} {}", style.act("change"), style.bold(&printable::one_line(&change.summary)));
            Step::new(first)
        }
        ChangeEntry::Completed(done) => {
            let (word, why) = match &done.result.outcome {
                ChangeOutcome::Succeeded { .. } => ("done".to_owned(), None),
                ChangeOutcome::Failed { status, message } => (style.warn(&format!("failed ({status})")), Some(message)),
                ChangeOutcome::NotDone { reason } => (style.warn("not done"), Some(reason)),
                ChangeOutcome::Unknown { reason } => (style.warn("outcome unknown"), Some(reason)),
            };
            let mut first =
                format!("change {} {word} · {}", done.change, numbers::duration_ms(done.result.duration_ms));
            if let Some(input) = &done.result.input {
                let _ = write!(first, " · input {} bytes, sha256 {}", input.bytes, printable::one_line(&input.sha256));
            }
            if let Some(why) = why {
                let _ = write!(first, " · {}", printable::one_line(why));
            }
            Step::new(first)
        }
    }
}

fn turn_step(turn: &TurnEntry, style: Style) -> Step {
    let mut parts =
        vec![format!("turn {}", turn.turn), printable::one_line(&turn.model), numbers::duration_ms(turn.duration_ms)];
    parts.push(turn.cost.to_string());
    if let Some(reason) = turn.stop_reason.as_deref().filter(|reason| !matches!(*reason, "tool_use" | "end_turn")) {
        parts.push(style.warn(&printable::one_line(reason)));
    }
    Step::new(style.dim(&parts.join(" · ")))
}

fn call_step(call: &ToolCallEntry, options: Options) -> Step {
    let style = options.style;
    let mut step = match &call.command {
        Some(command) => {
            let mut lines = all_lines(command.trim_end(), Options { full: true, ..options });
            let first = if lines.is_empty() { String::new() } else { lines.remove(0) };
            let first = format!("{} {}", style.act("$"), style.bold(&first));
            Step {
                first,
                under: lines.into_iter().map(|line| format!("{} {}", style.act(">"), style.bold(&line))).collect(),
            }
        }
        None if call.tool == "conclude" => return Step::new(style.dim("the agent asks to conclude")),
        None => Step::new(format!("{} {}", style.act("tool"), printable::one_line(&call.tool))).under(
            "│",
            &pretty(&call.input),
            options,
        ),
    };
    if let Some(why) = call.reasoning.as_deref().filter(|why| !why.trim().is_empty()) {
        step.under.push(format!("{} {}", style.dim("why:"), printable::one_line(why)));
    }
    step
}

/// How a call ended, in a few words, and whether that is well.
pub(in crate::render) fn outcome(outcome: &CallOutcome) -> (String, bool) {
    match outcome {
        CallOutcome::Exited { code: 0 } => ("exit 0".to_owned(), true),
        CallOutcome::Exited { code } => (format!("exit {code}"), false),
        CallOutcome::Signaled { signal } => (format!("killed by signal {signal}"), false),
        CallOutcome::TimedOut { limit_ms } => {
            (format!("timed out: killed after {}", numbers::duration_ms(*limit_ms)), false)
        }
        CallOutcome::Cancelled => ("killed: the session was cancelled".to_owned(), false),
        CallOutcome::NotStarted { reason } => (format!("not started: {}", printable::one_line(reason)), false),
        CallOutcome::Unknown { reason } => (format!("outcome unknown: {}", printable::one_line(reason)), false),
        CallOutcome::Accepted => ("accepted".to_owned(), true),
    }
}

fn result_step(result: &ToolResultEntry, options: Options) -> Step {
    let style = options.style;
    let (words, good) = outcome(&result.outcome);
    let painted = if good { style.good(&words) } else { style.bad(&words) };
    let written: u64 = [&result.stdout, &result.stderr].into_iter().flatten().map(|stream| stream.bytes).sum();
    let mut first = format!(
        "→ {painted} {}",
        style.dim(&format!("(#{}, {}", result.call, numbers::duration_ms(result.duration_ms)))
    );
    if written > 0 {
        first.push_str(&style.dim(&format!(", {}", numbers::bytes(written))));
    }
    first.push_str(&style.dim(")"));
    let mut step = Step::new(first);
    if let Some(stream) = &result.stdout {
        step.under.extend(output(stream, "│", options));
    }
    if let Some(stream) = &result.stderr {
        step.under.extend(output(stream, &style.bad("!"), options));
    }
    step
}

/// An output's lines behind a mark, the dropped middle named.
fn output(stream: &StreamRecord, mark: &str, options: Options) -> Vec<String> {
    let mut lines = all_lines(&clean::bytes(&stream.head), options);
    if let Some(tail) = &stream.tail {
        let kept = stored_len(&stream.head) + stored_len(tail);
        lines.push(format!("… {} in between were not kept …", numbers::bytes(stream.bytes.saturating_sub(kept))));
        lines.extend(all_lines(&clean::bytes(tail), options));
    }
    bounded(&lines, options).into_iter().map(|line| format!("{mark} {line}")).collect()
}

pub(in crate::render) fn stored_len(bytes: &crate::Bytes) -> u64 {
    match bytes {
        crate::Bytes::Text(text) => text.len() as u64,
        crate::Bytes::Base64(text) => {
            let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
            (text.len() / 4 * 3).saturating_sub(padding) as u64
        }
    }
}

fn conclusion_step(conclusion: &ConclusionEntry, options: Options) -> Step {
    let style = options.style;
    let claim = match conclusion.outcome {
        Outcome::Resolved => style.good("resolved"),
        Outcome::Unresolved => style.bad("unresolved"),
    };
    let mut step = Step::new(format!("{} the agent says: {claim}", style.bold("conclusion")));
    let evidence: Vec<String> = conclusion.evidence.iter().map(|seq| format!("#{seq}")).collect();
    let parts = [
        ("root cause:", Some(conclusion.root_cause.clone())),
        ("summary:", Some(conclusion.summary.clone())),
        ("evidence:", (!evidence.is_empty()).then(|| evidence.join(", "))),
        ("follow-up:", conclusion.follow_up.clone()),
    ];
    for (name, text) in parts {
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            step.under.push(format!("{} {}", style.dim(name), printable::one_line(&text)));
        }
    }
    if options.full { step } else { Step { under: bounded(&step.under, options), ..step } }
}

/// What is looked at and what was seen, in words; the same for every format.
pub(in crate::render) fn check(verification: &VerificationEntry) -> (String, String, Tone) {
    match verification {
        VerificationEntry::Begun(begun) => {
            let words = format!(
                "all invariants must hold for {}, on fresh readings, while the agent's container is paused",
                numbers::duration_ms(ms(begun.stabilization_ms))
            );
            (format!("check {} of {}", begun.attempt, begun.attempts), words, Tone::Neutral)
        }
        VerificationEntry::Ended(ended) => {
            let name = format!("check {}", ended.attempt);
            match ended.verdict {
                VerdictWord::Holds => {
                    let rounds = numbers::counted(ms(ended.seen), "round");
                    let window = numbers::duration_ms(ms(ended.window_ms));
                    (
                        name,
                        format!("proven: all invariants held for {window}, seen in {rounds} of readings"),
                        Tone::Good,
                    )
                }
                VerdictWord::Violated => (name, "not true: the fault is not gone".to_owned(), Tone::Bad),
                VerdictWord::Unknown => {
                    (name, "not proven: nobody can say whether the fault is gone".to_owned(), Tone::Bad)
                }
            }
        }
        VerificationEntry::Healed { .. } => {
            let words = "all invariants hold again before the agent concluded; it was told";
            ("healed".to_owned(), words.to_owned(), Tone::Good)
        }
    }
}

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Tone {
    Good,
    Bad,
    Neutral,
}

/// What a check found, a line each, as it came.
pub(in crate::render) fn found(verification: &VerificationEntry) -> Vec<String> {
    let VerificationEntry::Ended(ended) = verification else { return Vec::new() };
    let mut lines: Vec<String> = ended.findings.iter().map(Finding::line).collect();
    if ended.more > 0 {
        lines.push(format!("and {} more", ended.more));
    }
    lines
}

fn verification_step(verification: &VerificationEntry, options: Options) -> Step {
    let style = options.style;
    let (name, words, tone) = check(verification);
    let words = match tone {
        Tone::Good => style.good(&words),
        Tone::Bad => style.bad(&words),
        Tone::Neutral => words,
    };
    let lines: Vec<String> =
        found(verification).iter().map(|line| format!("{} {}", style.bad("✗"), printable::one_line(line))).collect();
    let mut step = Step::new(format!("{} {words}", style.bold(&name)));
    step.under = bounded(&lines, options);
    match verification {
        VerificationEntry::Ended(EndedVerification { details, .. }) | VerificationEntry::Healed { details }
            if options.full && !details.is_null() =>
        {
            step.under("│", &pretty(details), options)
        }
        _ => step,
    }
}

/// A number of ours that is never negative, as amounts are shown.
fn ms(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn control_step(control: &ControlEntry, options: Options) -> Step {
    let style = options.style;
    let name =
        serde_json::to_value(control.event).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    let name = match control.event {
        ControlEvent::Error | ControlEvent::SandboxLost | ControlEvent::Recurring => style.bad(&name),
        ControlEvent::Cancelled
        | ControlEvent::Budget
        | ControlEvent::Nudged
        | ControlEvent::Resumed
        | ControlEvent::Halted
        | ControlEvent::Released
        | ControlEvent::Evidence => style.warn(&name),
        ControlEvent::Started | ControlEvent::Compacted | ControlEvent::Sealed => style.dim(&name),
    };
    let step = Step::new(format!("· {name} {}", printable::one_line(&control.message)));
    if options.full && !control.details.is_null() {
        step.under("│", &pretty(&control.details), options)
    } else {
        step
    }
}

fn pretty(data: &Value) -> String {
    match data {
        Value::Null => String::new(),
        data => format!("{data:#}"),
    }
}

fn all_lines(text: &str, options: Options) -> Vec<String> {
    let limit = if options.full { usize::MAX } else { LONGEST };
    printable::lines(text).map(|line| clean::bounded(&line, limit)).collect()
}

/// The first and the last lines, with a word about those between.
fn bounded(lines: &[String], options: Options) -> Vec<String> {
    if options.full || lines.len() <= FIRST + LAST + 1 {
        return lines.to_vec();
    }
    let mut kept = lines[..FIRST].to_vec();
    let between = format!("… +{} more lines, --full shows all", lines.len() - FIRST - LAST);
    kept.push(options.style.dim(&between));
    kept.extend_from_slice(&lines[lines.len() - LAST..]);
    kept
}
