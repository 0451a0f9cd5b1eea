//! An Incident in words, for the pager.

use std::fmt::Write as _;

use crds::Incident;

use super::row;
use crate::screen::describe::{bold, cyan, dim};
use crate::settings::Settings;
use crate::text;
use crate::time;
use crate::world::Named as _;

/// All that is known of it, in the order in which it happened.
#[must_use]
pub fn describe(settings: &Settings, incident: &Incident, now: jiff::Timestamp) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(settings, incident, now, &mut out);
    out
}

fn write(settings: &Settings, incident: &Incident, now: jiff::Timestamp, out: &mut String) -> std::fmt::Result {
    let (spec, status) = (&incident.spec, incident.status.clone().unwrap_or_default());
    let (sign, _) = row::sign(status.phase, settings.glyphs);
    let field = |out: &mut String, label: &str, value: &str| {
        if value.trim().is_empty() {
            return Ok(());
        }
        writeln!(out, "{} {}", dim(&format!("{label:<12}")), text::one_line(value))
    };
    writeln!(out, "{}", bold(&text::one_line(&spec.title)))?;
    writeln!(out)?;
    field(out, "Incident", &format!("{}/{}", incident.space(), incident.named()))?;
    field(out, "Subject", &spec.subject_ref.name)?;
    field(out, "Severity", spec.severity.as_str())?;
    field(out, "Phase", &format!("{sign} {}", status.phase.as_str()))?;
    if let Some(at) = row::created(incident) {
        let ago = time::age(time::elapsed(at, now));
        field(out, "Opened", &format!("{at} ({ago} ago)"))?;
    }
    field(out, "Attempt", &status.attempt.unwrap_or(spec.attempt).to_string())?;
    field(out, "Session", status.session_id.as_deref().unwrap_or_default())?;
    field(out, "Model", status.model.as_deref().unwrap_or_default())?;
    let steps = status.commands.map(|commands| {
        let turns = text::count(u64::try_from(status.turns.unwrap_or_default()).unwrap_or(0), "turn");
        format!("{} in {turns}", text::count(u64::try_from(commands).unwrap_or(0), "command"))
    });
    field(out, "Commands", &steps.unwrap_or_default())?;
    field(out, "Cost", status.cost.as_deref().unwrap_or_default())?;
    field(out, "Message", status.message.as_deref().unwrap_or_default())?;

    for (heading, words) in [
        ("Root cause", status.root_cause.as_deref()),
        ("What was done", status.summary.as_deref()),
        ("What a person should do next", status.follow_up.as_deref()),
        ("Description", Some(spec.description.as_str())),
    ] {
        let Some(words) = words.filter(|words| !words.trim().is_empty()) else { continue };
        writeln!(out, "\n{}", bold(heading))?;
        for line in text::clean(words).lines() {
            writeln!(out, "  {line}")?;
        }
    }
    if let Some(origin) = &spec.origin {
        writeln!(out, "\n{}", bold("Opened by the monitor"))?;
        for violated in &origin.violated {
            let key = if violated.key.is_empty() { String::new() } else { format!("[{}]", violated.key) };
            writeln!(out, "  {}{}", text::one_line(&violated.invariant), text::one_line(&key))?;
        }
    }
    if !spec.evidence.is_empty() {
        writeln!(out, "\n{}", bold("Evidence"))?;
        for evidence in &spec.evidence {
            writeln!(out, "  {} {}", cyan(&text::one_line(&evidence.source)), text::one_line(&evidence.message))?;
        }
    }
    if !spec.notes.is_empty() {
        writeln!(out, "\n{}", bold("Notes to the agent"))?;
        let heard = usize::try_from(status.notes_heard.unwrap_or_default()).unwrap_or(0);
        for (index, note) in spec.notes.iter().enumerate() {
            let author = note.author.as_deref().unwrap_or("somebody");
            let state = if index < heard { "heard" } else { "not heard yet" };
            let (author, words) = (text::one_line(author), text::one_line(&note.text));
            writeln!(out, "  {}: {words} {}", cyan(&author), dim(&format!("({state})")))?;
        }
    }
    if !status.conditions.is_empty() {
        writeln!(out, "\n{}", bold("Conditions"))?;
        for condition in &status.conditions {
            writeln!(
                out,
                "  {} {:<7} {}: {}",
                cyan(&format!("{:<13}", text::one_line(&condition.type_))),
                text::one_line(&condition.status),
                text::one_line(&condition.reason),
                text::one_line(&condition.message)
            )?;
        }
    }
    if !status.recent_entries.is_empty() {
        writeln!(out, "\n{}", bold("Last entries"))?;
        for entry in &status.recent_entries {
            writeln!(
                out,
                "  {} {:>4} {} {}",
                dim(&time::clock(entry.at.0)),
                entry.seq,
                cyan(&format!("{:<12}", text::one_line(&entry.kind))),
                text::one_line(&entry.text)
            )?;
        }
    }
    Ok(())
}
