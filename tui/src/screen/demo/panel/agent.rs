//! The agent's session, in short.

use jiff::Timestamp;

use super::{Shown, row};
use crate::feed::Link;
use crate::screen::demo::agent::{Kind, Story};
use crate::screen::demo::stage::{self, Stage};
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;

/// What it shows. `link` is how the session's stream stands.
#[must_use]
pub fn show(
    stage: &Stage,
    story: &Story,
    link: Option<&Link>,
    settings: &Settings,
    now: Timestamp,
    columns: usize,
) -> Shown {
    let mut shown = Shown { title: "Agent".to_owned(), ..Shown::default() };
    let Some(incident) = stage.incident() else {
        shown.lines.push(row(settings, &[("no session yet: an Incident opens one", Role::Dim)], columns));
        return shown;
    };
    let phase = stage::phase(incident);
    phase.as_str().clone_into(&mut shown.right);
    shown.trouble = matches!(phase.as_str(), "Escalated" | "Failed");
    if story.session.is_empty() {
        let said = incident.status.as_ref().and_then(|status| status.message.clone());
        let said = text::one_line(said.as_deref().unwrap_or("no session yet"));
        shown.lines.push(row(settings, &[(&said, Role::Dim)], columns));
        return shown;
    }
    let id = story.session.rsplit('-').next().unwrap_or(&story.session);
    let until = if phase.as_str() == "Running" || phase.as_str() == "Verifying" { Some(now) } else { story.last };
    let took = story.began.zip(until).map(|(began, until)| time::stopwatch(time::elapsed(began, until)));
    shown.title = format!("Agent  s-{id}  step {}  {}", story.steps, took.unwrap_or_default());
    if let Some(Link::Forbidden { reason } | Link::Missing { reason } | Link::Lost { reason }) = link {
        let said = format!("{} {}", settings.glyphs.ask, text::one_line(reason));
        shown.lines.push(row(settings, &[(&said, Role::Warn)], columns));
        recent(incident, settings, columns, &mut shown);
    }
    let glyphs = settings.glyphs;
    for line in &story.lines {
        let (sign, role, of) = match line.kind {
            Kind::Thought => (glyphs.thought, Role::Thought, Role::Text),
            Kind::Command { good: None } => (glyphs.dot, Role::Busy, Role::Command),
            Kind::Command { good: Some(true) } => (glyphs.good, Role::Good, Role::Command),
            Kind::Command { good: Some(false) } => (glyphs.bad, Role::Bad, Role::Command),
            Kind::Output => (glyphs.corner, Role::Dim, Role::Dim),
            Kind::Change => (glyphs.event, Role::Warn, Role::Warn),
            Kind::Conclusion => (glyphs.end, Role::Strong, Role::Strong),
            Kind::Check { good: None } => (glyphs.check, Role::Busy, Role::Text),
            Kind::Check { good: Some(true) } => (glyphs.good, Role::Good, Role::Good),
            Kind::Check { good: Some(false) } => (glyphs.bad, Role::Bad, Role::Bad),
            Kind::Control => (glyphs.alarm, Role::Warn, Role::Warn),
        };
        let end = if line.end.is_empty() { String::new() } else { format!("  {}", line.end) };
        let sign = match line.kind {
            Kind::Command { .. } => format!("{sign} $ "),
            Kind::Output => format!("  {sign} "),
            _ => format!("{sign} "),
        };
        let room = columns.saturating_sub(text::width(&sign) + text::width(&end));
        let said = if end.is_empty() {
            text::end(&line.text, room, glyphs.more)
        } else {
            text::fit(&line.text, room, glyphs.more)
        };
        shown.lines.push(row(settings, &[(&sign, role), (&said, of), (&end, Role::Dim)], columns));
    }
    shown
}

/// What the Incident's status says of the session, for who may not read it.
fn recent(incident: &crds::Incident, settings: &Settings, columns: usize, shown: &mut Shown) {
    let entries = incident.status.iter().flat_map(|status| &status.recent_entries);
    for entry in entries {
        let kind = format!("{} ", entry.kind);
        let said = text::one_line(&entry.text);
        shown.lines.push(row(settings, &[(&kind, Role::Dim), (&said, Role::Text)], columns));
    }
}
