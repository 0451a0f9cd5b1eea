//! A session for somebody on call: what it is about, every step in order, how it ended.

mod step;

pub(super) use step::{Tone, check, found, outcome, stored_len};

use jiff::Timestamp;

use super::style::Style;
use super::{Shown, numbers};
use crate::printable;
use crate::{SessionRecord, StoredEntry};

/// How to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// All output and every message of the model, not only their first and last lines.
    pub full: bool,
    /// Colours.
    pub style: Style,
    /// The time up to which a session that still runs is counted.
    pub now: Timestamp,
}

/// Sessions one after the other: all attempts of an Incident, say.
#[must_use]
pub fn shown(all: &[Shown], options: Options) -> String {
    all.iter().map(|one| session(one, options)).collect::<Vec<_>>().join("\n")
}

/// A session: head, steps, end.
#[must_use]
pub fn session(shown: &Shown, options: Options) -> String {
    let mut text = header(&shown.session, options);
    text.push('\n');
    for entry in &shown.entries {
        text.push_str(&step(&shown.session, entry, options));
    }
    text.push('\n');
    text.push_str(&footer(&shown.session, options));
    if super::has_summaries(shown) {
        text.push_str(&options.style.dim("≈ marks a small model's summary: it is outside the proof"));
        text.push('\n');
    }
    text
}

/// What a session is about and where it stands.
#[must_use]
pub fn header(record: &SessionRecord, options: Options) -> String {
    let (new, state, style) = (&record.new, &record.state, options.style);
    let incident =
        format!("{}/{}", printable::one_line(&new.incident_namespace), printable::one_line(&new.incident_name));
    let mut text = String::new();
    let mut say = |name: &str, value: &str| {
        let name = style.dim(&format!("{name:<11}"));
        text.push_str(&format!("{name}{value}\n"));
    };
    say("Incident", &style.bold(&format!("{incident}: {}", printable::one_line(&new.title))));
    say("Severity", &printable::one_line(&new.severity));
    say("Subject", &printable::one_line(&new.subject));
    say("Session", &format!("{} (attempt {})", printable::one_line(new.id.as_str()), new.attempt));
    say("Phase", &phase(record, style));
    say("Model", &printable::one_line(&new.model));
    say("Time", &time(record, options.now));
    say("Used", &used(record));
    if let Some(cause) = &state.root_cause {
        say("Root cause", &printable::one_line(cause));
    }
    text
}

/// One entry: its line, and what belongs under it. Empty for an entry that says nothing more.
#[must_use]
pub fn step(record: &SessionRecord, entry: &StoredEntry, options: Options) -> String {
    step::render(record, entry, options)
}

/// How a session ended, or that it goes on.
#[must_use]
pub fn footer(record: &SessionRecord, options: Options) -> String {
    let style = options.style;
    let mut text = format!("{} after {}, {}\n", phase(record, style), duration(record, options.now), used(record));
    if let Some(cause) = &record.state.root_cause {
        text.push_str(&format!("{} {}\n", style.bold("Root cause:"), printable::one_line(cause)));
    }
    if let Some(summary) = &record.state.summary {
        text.push_str(&format!("{} {}\n", style.bold("Summary:"), printable::one_line(summary)));
    }
    text
}

pub(super) fn phase(record: &SessionRecord, style: Style) -> String {
    let state = &record.state;
    let phase = printable::one_line(&state.phase);
    let painted = style.phase(&phase, &style.bold(&phase));
    match state.reason.as_deref().map(printable::one_line) {
        Some(reason) if reason != phase && !reason.is_empty() => format!("{painted} ({reason})"),
        _ => painted,
    }
}

pub(super) fn time(record: &SessionRecord, now: Timestamp) -> String {
    let begun = numbers::date_time(record.new.started_at);
    match record.state.ended_at {
        Some(ended) => format!("{begun} to {} UTC ({})", numbers::time_of_day(ended), duration(record, now)),
        None => format!("since {begun} UTC ({})", duration(record, now)),
    }
}

fn duration(record: &SessionRecord, now: Timestamp) -> String {
    numbers::between(record.new.started_at, record.state.ended_at.unwrap_or(now))
}

pub(super) fn used(record: &SessionRecord) -> String {
    let state = &record.state;
    format!(
        "{}, {}, tokens {} in and {} out, {}",
        numbers::counted(state.turns, "turn"),
        numbers::counted(state.commands, "command"),
        numbers::tokens(state.input_tokens),
        numbers::tokens(state.output_tokens),
        state.cost
    )
}
