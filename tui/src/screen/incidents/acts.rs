//! What can be done about Incidents: each is asked for with the exact call.

use std::sync::Arc;

use crds::Incident;
use crds::incident::MOST_NOTES;

use super::row;
use crate::act::Act;
use crate::ask::Ask;
use crate::page::{Ctx, Purpose};
use crate::world::Named as _;

/// The most Incidents that are changed at once.
const MOST: usize = 50;

/// Asks whether the attempts are to be cancelled.
#[must_use]
pub fn cancel(chosen: &[&Arc<Incident>]) -> Vec<Ask> {
    let acts = chosen.iter().filter(|incident| row::can_cancel(incident)).map(|incident| Act::Cancel {
        namespace: incident.space().to_owned(),
        name: incident.named().to_owned(),
        attempt: incident.spec.attempt,
    });
    confirm(acts.collect(), chosen, "there is nothing to cancel: it has ended, or is being cancelled")
}

/// Asks whether new attempts are to begin.
#[must_use]
pub fn retry(chosen: &[&Arc<Incident>]) -> Vec<Ask> {
    let acts = chosen.iter().filter(|incident| row::can_retry(incident)).map(|incident| Act::Retry {
        namespace: incident.space().to_owned(),
        name: incident.named().to_owned(),
        attempt: incident.spec.attempt + 1,
    });
    confirm(acts.collect(), chosen, "its attempt is not over: cancel it first, or wait")
}

fn confirm(acts: Vec<Act>, chosen: &[&Arc<Incident>], none: &str) -> Vec<Ask> {
    match acts.len() {
        0 if chosen.is_empty() => Vec::new(),
        0 => vec![Ask::Complain(none.to_owned())],
        many if many > MOST => vec![Ask::Complain(format!("{many} are too many at once: mark at most {MOST}"))],
        _ => vec![Ask::Confirm(acts)],
    }
}

/// Asks for the words of a note.
#[must_use]
pub(super) fn begin_note(incident: &Incident) -> Vec<Ask> {
    if incident.spec.notes.len() >= MOST_NOTES {
        return vec![Ask::Complain(format!("it has {MOST_NOTES} notes, and no more can be added"))];
    }
    if row::phase(incident).is_finished() {
        return vec![Ask::Complain("it has ended: no agent would hear it".to_owned())];
    }
    vec![Ask::Prompt { purpose: Purpose::Note, text: String::new() }]
}

/// Asks whether a note is to be told.
///
/// # Errors
/// If it says nothing.
pub fn note(incident: &Incident, text: &str, ctx: &Ctx) -> Result<Vec<Ask>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a note says something; esc gives it up".to_owned());
    }
    let act = Act::Note {
        namespace: incident.space().to_owned(),
        name: incident.named().to_owned(),
        text: text.to_owned(),
        author: ctx.settings.user.clone(),
        // The API has whole seconds.
        at: jiff::Timestamp::from_second(ctx.now.as_second()).unwrap_or(ctx.now),
        first: incident.spec.notes.is_empty(),
    };
    Ok(vec![Ask::Confirm(vec![act])])
}
