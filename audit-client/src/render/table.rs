//! Listings, in the manner of kubectl.

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use super::numbers;
use super::style::Style;
use crate::SessionRecord;
use crate::columns::aligned;
use crate::printable;

/// The most columns that a title or a root cause takes.
const LONG: usize = 60;

/// What to show in a listing.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A column for the namespace.
    pub namespaces: bool,
    /// More columns: model, turns, tokens, duration, root cause.
    pub wide: bool,
    /// The time from which the age counts.
    pub now: Timestamp,
    /// Colours.
    pub style: Style,
}

/// Sessions as a table with a head.
#[must_use]
pub fn sessions(sessions: &[SessionRecord], options: Options) -> String {
    let mut head = vec!["SESSION", "INCIDENT", "ATTEMPT", "SEVERITY", "SUBJECT", "PHASE", "COMMANDS", "COST", "AGE"];
    if options.namespaces {
        head.insert(0, "NAMESPACE");
    }
    if options.wide {
        head.extend(["DURATION", "TURNS", "TOKENS", "MODEL", "ROOT CAUSE"]);
    }
    head.push("TITLE");
    let phase = head.iter().position(|name| *name == "PHASE");
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|name| (*name).to_owned()).collect()];
    rows.extend(sessions.iter().map(|session| row(session, options)));

    aligned(&rows, |number, column, cell| match column {
        _ if number == 0 => options.style.bold(cell),
        c if Some(c) == phase => options.style.phase(cell, cell),
        _ => cell.to_owned(),
    })
}

fn row(session: &SessionRecord, options: Options) -> Vec<String> {
    let (new, state) = (&session.new, &session.state);
    let mut row = vec![
        new.id.to_string(),
        new.incident_name.clone(),
        new.attempt.to_string(),
        new.severity.clone(),
        new.subject.clone(),
        state.phase.clone(),
        state.commands.to_string(),
        state.cost.to_string(),
        numbers::age(new.started_at, options.now),
    ];
    if options.namespaces {
        row.insert(0, new.incident_namespace.clone());
    }
    if options.wide {
        row.extend([
            numbers::between(new.started_at, state.ended_at.unwrap_or(options.now)),
            state.turns.to_string(),
            format!("{}/{}", numbers::tokens(state.input_tokens), numbers::tokens(state.output_tokens)),
            new.model.clone(),
            state.root_cause.clone().unwrap_or_default(),
        ]);
    }
    row.push(new.title.clone());
    row.into_iter()
        .map(|cell| shorten(&printable::one_line(&cell)))
        .map(|cell| if cell.is_empty() { "-".into() } else { cell })
        .collect()
}

/// Cut to [`LONG`] columns.
fn shorten(cell: &str) -> String {
    if cell.width() <= LONG {
        return cell.to_owned();
    }
    let mut short = String::new();
    for c in cell.chars() {
        let mut next = short.clone();
        next.push(c);
        if next.width() >= LONG {
            break;
        }
        short = next;
    }
    short + "…"
}
