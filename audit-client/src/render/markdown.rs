//! A session as Markdown, for a ticket or a postmortem.
//!
//! What models and commands wrote stands in fences that it cannot close, or with everything escaped
//! that Markdown or HTML would act on.

use jiff::Timestamp;

use super::style::Style;
use super::text::{self, Tone, check, found, outcome, stored_len};
use super::{Shown, clean, numbers};
use crate::entry::VerificationEntry;
use crate::printable;
use crate::redact::Redactor;
use crate::{EntryBody, Outcome, SessionRecord, StoredEntry, StreamRecord, ToolCallEntry, ToolResultEntry};

/// Lines of an output that are shown unless all is wanted.
const LINES: usize = 60;

/// Sessions one after the other.
#[must_use]
pub fn shown(all: &[Shown], full: bool, now: Timestamp) -> String {
    all.iter().map(|one| session(one, full, now)).collect::<Vec<_>>().join("\n---\n\n")
}

/// A session.
#[must_use]
pub fn session(shown: &Shown, full: bool, now: Timestamp) -> String {
    let record = &shown.session;
    let steps: String = shown.entries.iter().map(|entry| step(record, entry, full)).collect();
    format!("{}{steps}{}", head(record, now), foot(super::has_summaries(shown)))
}

/// What stands before a session's steps. A session that is too long for one text is written part by part.
#[must_use]
pub fn head(record: &SessionRecord, now: Timestamp) -> String {
    let (new, state) = (&record.new, &record.state);
    let mut page = format!("# {}\n\n", inline(&new.title));
    let mut facts = vec![
        ("Incident", format!("{}/{}", new.incident_namespace, new.incident_name)),
        ("Severity", new.severity.clone()),
        ("Subject", new.subject.clone()),
        ("Session", format!("{} (attempt {})", new.id, new.attempt)),
        ("Phase", text::phase(record, Style::default())),
        ("Model", new.model.clone()),
        ("Time", text::time(record, now)),
        ("Used", text::used(record)),
    ];
    facts.extend(state.root_cause.clone().map(|cause| ("Root cause", cause)));
    facts.extend(state.summary.clone().map(|summary| ("Summary", summary)));
    for (name, value) in facts {
        page.push_str(&format!("- **{name}:** {}\n", inline(&value)));
    }
    page.push_str("\n## Steps\n");
    page
}

/// What stands behind them. `summaries`: whether a step had one.
#[must_use]
pub fn foot(summaries: bool) -> &'static str {
    if summaries { "\n---\n\nSummaries in italics are a small model's; they are outside the proof.\n" } else { "" }
}

/// One entry. Empty for one that says nothing more.
#[must_use]
pub fn step(record: &SessionRecord, entry: &StoredEntry, full: bool) -> String {
    let since = numbers::between(record.new.started_at, entry.at);
    let at = format!("#{} · +{since} · {}", entry.seq, numbers::time_of_day(entry.at));
    // The model's own words stand in the trail as they were, and are masked here.
    let body = entry.body().map(|body| Redactor::for_readers().shown(&body).into_owned());
    let mut part = match body {
        Some(EntryBody::Turn(turn)) if !full => {
            format!("\n*turn {} · {} · {}*\n", turn.turn, inline(&turn.model), numbers::duration_ms(turn.duration_ms))
        }
        Some(EntryBody::Incident(incident)) if !full => {
            let description = incident.incident["description"].as_str().unwrap_or_default();
            format!("\n### {at} · incident\n\n{}", quote(description))
        }
        Some(EntryBody::Reasoning(reasoning)) => format!("\n{}", quote(&reasoning.text)),
        // The conclusion itself comes next.
        Some(EntryBody::ToolCall(call)) if call.tool == "conclude" && !full => return String::new(),
        Some(EntryBody::ToolCall(call)) => call_part(&at, &call),
        Some(EntryBody::ToolResult(result)) => result_part(&at, &result, full),
        Some(EntryBody::Conclusion(conclusion)) => {
            let claim = match conclusion.outcome {
                Outcome::Resolved => "resolved",
                Outcome::Unresolved => "unresolved",
            };
            let evidence: Vec<String> = conclusion.evidence.iter().map(|seq| format!("#{seq}")).collect();
            let mut part =
                format!("\n### {at} · conclusion: {claim}\n\n- **Root cause:** {}\n", inline(&conclusion.root_cause));
            part.push_str(&format!(
                "- **Summary:** {}\n- **Evidence:** {}\n",
                inline(&conclusion.summary),
                evidence.join(", ")
            ));
            if let Some(follow_up) = &conclusion.follow_up {
                part.push_str(&format!("- **Follow-up:** {}\n", inline(follow_up)));
            }
            part
        }
        Some(EntryBody::Verification(verification)) => verification_part(&at, &verification),
        Some(EntryBody::Control(control)) => format!("\n*{at} · {}*\n", inline(&control.message)),
        // A kind without words of its own, or one of a later version.
        _ => format!("\n### {at} · {}\n\n{}", inline(&entry.kind), fence("json", &format!("{:#}", entry.data))),
    };
    if let Some(summary) = &entry.summary {
        part.push_str(&format!("\n*{}*\n", inline(summary)));
    }
    part
}

fn call_part(at: &str, call: &ToolCallEntry) -> String {
    let mut part = match &call.command {
        Some(command) => format!("\n### {at} · command\n\n{}", fence("sh", command)),
        None => format!("\n### {at} · {}\n\n{}", inline(&call.tool), fence("json", &format!("{:#}", call.input))),
    };
    if let Some(why) = call.reasoning.as_deref().filter(|why| !why.trim().is_empty()) {
        part.push_str(&format!("\nWhy: {}\n", inline(why)));
    }
    part
}

fn verification_part(at: &str, verification: &VerificationEntry) -> String {
    let (name, words, tone) = check(verification);
    let words = if tone == Tone::Neutral { words } else { format!("**{words}**") };
    let mut part = format!("\n### {at} · {name}\n\n{words}\n");
    let found = found(verification);
    if !found.is_empty() {
        part.push('\n');
        part.extend(found.iter().map(|line| format!("- {}\n", inline(line))));
    }
    part
}

fn result_part(at: &str, result: &ToolResultEntry, full: bool) -> String {
    let (words, _) = outcome(&result.outcome);
    let mut part = format!("\n{at} · **{}** in {}\n", inline(&words), numbers::duration_ms(result.duration_ms));
    for (name, stream) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
        let Some(stream) = stream.as_ref().filter(|stream| stream.bytes > 0) else { continue };
        part.push_str(&format!(
            "\n{name} ({}):\n\n{}",
            numbers::bytes(stream.bytes),
            fence("text", &output(stream, full))
        ));
    }
    part
}

fn output(stream: &StreamRecord, full: bool) -> String {
    let mut text = clean::bytes(&stream.head);
    if let Some(tail) = &stream.tail {
        text.truncate(text.trim_end_matches('\n').len());
        let kept = stored_len(&stream.head) + stored_len(tail);
        text.push_str(&format!(
            "\n… {} in between were not kept …\n",
            numbers::bytes(stream.bytes.saturating_sub(kept))
        ));
        text.push_str(&clean::bytes(tail));
    }
    let lines: Vec<&str> = text.lines().collect();
    if full || lines.len() <= LINES {
        return text;
    }
    let half = LINES / 2;
    let between = format!("… +{} more lines, --full shows all", lines.len() - LINES);
    [&lines[..half], &[between.as_str()], &lines[lines.len() - half..]].concat().join("\n")
}

/// A block that its content cannot close.
fn fence(language: &str, content: &str) -> String {
    let content: Vec<String> = printable::lines(content).collect();
    let content = content.join("\n");
    let longest = content.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat((longest + 1).max(3));
    format!("{ticks}{language}\n{content}\n{ticks}\n")
}

/// A text of several lines as a quotation.
fn quote(text: &str) -> String {
    printable::lines(text.trim()).map(|line| format!("> {}\n", escape(&line))).collect()
}

/// A text on one line.
fn inline(text: &str) -> String {
    escape(&printable::one_line(text))
}

/// Takes from a text what Markdown and HTML would act on.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (place, c) in text.chars().enumerate() {
        match c {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => safe.extend(['\\', c]),
            '#' | '>' | '-' | '+' | '=' if place == 0 => safe.extend(['\\', c]),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_holds() {
        assert_eq!(fence("text", "a\n````\nb"), "`````text\na\n````\nb\n`````\n");
        assert_eq!(fence("sh", "true"), "```sh\ntrue\n```\n");
    }

    #[test]
    fn nothing_is_markup() {
        assert_eq!(inline("![x](http://a) <img> *b*\n# h"), "!\\[x\\](http://a) &lt;img> \\*b\\* # h");
        assert_eq!(quote("# a\n\u{1b}[2J"), "> \\# a\n> \\x1b\\[2J\n".replace("\\x1b", "\\\\x1b"));
    }
}
