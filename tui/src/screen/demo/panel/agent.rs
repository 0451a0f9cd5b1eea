//! The agent's session, in short.

use crds::{Incident, IncidentPhase};
use jiff::Timestamp;
use ratatui::text::Line as Row;

use super::{Shown, hanging, row};
use crate::feed::{Kind as Watch, Link, Source};
use crate::page::Ctx;
use crate::screen::demo::agent::{Kind, Line, Story};
use crate::screen::demo::stage::{self, Stage};
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;

/// Lines of one thought.
const THOUGHT: usize = 3;

/// What it shows.
#[must_use]
pub fn show(stage: &Stage, story: &Story, ctx: &Ctx, columns: usize) -> Shown {
    let settings = ctx.settings;
    let mut shown = Shown::named("Agent");
    let Some(incident) = stage.incident() else {
        let why = match ctx.world.link(Watch::Incidents) {
            Link::Forbidden { reason } | Link::Missing { reason } => reason.clone(),
            _ => "no session yet: an Incident opens one".to_owned(),
        };
        shown.say(settings, &why, Role::Dim, columns, 4);
        return shown;
    };
    let phase = stage::phase(incident);
    trouble(phase).clone_into(&mut shown.trouble);
    let status = incident.status.as_ref();
    if story.session.is_empty() {
        shown.title = format!("Agent  {}", phase.as_str());
        let said = status.and_then(|status| status.message.as_deref()).unwrap_or_default();
        let said = if said.is_empty() { "no session yet".to_owned() } else { format!("no session yet: {said}") };
        shown.say(settings, &said, Role::Dim, columns, 4);
        return shown;
    }
    shown.title = title(story, phase, ctx.now);
    let source = Source::Session(story.session.clone());
    let link = ctx.world.connection(&source).map(|connection| &connection.link);
    if let Some(Link::Forbidden { reason } | Link::Missing { reason } | Link::Lost { reason }) = link {
        let sign = format!("{} ", settings.glyphs.ask);
        shown.lines.extend(hanging(settings, (&sign, Role::Warn), reason, Role::Warn, columns, 2));
        if story.lines.is_empty() {
            recent(incident, settings, columns, &mut shown);
        }
    } else if story.lines.is_empty() {
        shown.say(settings, "it begins", Role::Dim, columns, 1);
    }
    let is_over = phase.is_finished();
    for line in &story.lines {
        shown.lines.extend(rows(line, is_over, settings, columns));
    }
    shown
}

fn title(story: &Story, phase: IncidentPhase, now: Timestamp) -> String {
    let id = story.session.rsplit('-').next().unwrap_or(&story.session);
    let id = text::end(&text::clean(id), 12, "");
    let until = if phase.is_finished() { story.last } else { Some(now) };
    let took = story.began.zip(until).map(|(began, until)| time::stopwatch(time::elapsed(began, until)));
    let facts = [
        format!("Agent  s-{id}"),
        if story.seq > 0 { format!("step {}", story.seq) } else { String::new() },
        took.unwrap_or_default(),
        phase.as_str().to_owned(),
    ];
    facts.into_iter().filter(|fact| !fact.is_empty()).collect::<Vec<_>>().join("  ")
}

fn trouble(phase: IncidentPhase) -> &'static str {
    match phase {
        IncidentPhase::Escalated => "NEEDS A PERSON",
        IncidentPhase::Failed => "FAILED",
        IncidentPhase::Concluded => "NOT PROVEN",
        _ => "",
    }
}

/// A line of the session as it stands in the panel. `is_over`: the session is, so nothing runs any more.
#[must_use]
pub fn rows(line: &Line, is_over: bool, settings: &Settings, columns: usize) -> Vec<Row<'static>> {
    let glyphs = settings.glyphs;
    let (sign, role, of) = match line.kind {
        Kind::Thought => (glyphs.thought, Role::Thought, Role::Text),
        Kind::Command { good: None } if is_over => (glyphs.ask, Role::Warn, Role::Command),
        Kind::Command { good: None } => (glyphs.dot, Role::Busy, Role::Command),
        Kind::Command { good: Some(true) } => (glyphs.good, Role::Good, Role::Command),
        Kind::Command { good: Some(false) } => (glyphs.bad, Role::Bad, Role::Command),
        Kind::Output => (glyphs.corner, Role::Dim, Role::Dim),
        Kind::Conclusion { resolved: true } => (glyphs.end, Role::Strong, Role::Strong),
        Kind::Conclusion { resolved: false } => (glyphs.end, Role::Bad, Role::Strong),
        Kind::Check { good: None } => (glyphs.check, Role::Busy, Role::Text),
        Kind::Check { good: Some(true) } => (glyphs.good, Role::Good, Role::Good),
        Kind::Check { good: Some(false) } => (glyphs.bad, Role::Bad, Role::Bad),
        Kind::Note => (glyphs.event, Role::Person, Role::Text),
        Kind::Control => (glyphs.alarm, Role::Warn, Role::Warn),
    };
    match line.kind {
        Kind::Command { good } => {
            let sign = format!("{sign} $ ");
            let end = if good.is_none() && !is_over { "running".to_owned() } else { line.end.clone() };
            let end = if end.is_empty() { end } else { format!("  {end}") };
            let room = columns.saturating_sub(text::width(&sign) + text::width(&end));
            let said = text::fit(&line.text, room, glyphs.more);
            vec![row(settings, &[(&sign, role), (&said, of), (&end, Role::Dim)], columns)]
        }
        Kind::Output => {
            let sign = format!("  {sign} ");
            let end = if line.end.is_empty() { String::new() } else { format!("  {}", line.end) };
            let room = columns.saturating_sub(text::width(&sign) + text::width(&end));
            let said = text::end(&line.text, room, glyphs.more);
            vec![row(settings, &[(&sign, role), (&said, of), (&end, Role::Dim)], columns)]
        }
        _ => hanging(settings, (&format!("{sign} "), role), &line.text, of, columns, THOUGHT),
    }
}

/// What the Incident's status says of the session, for who may not read it.
fn recent(incident: &Incident, settings: &Settings, columns: usize, shown: &mut Shown) {
    let entries = incident.status.iter().flat_map(|status| &status.recent_entries);
    for entry in entries {
        let kind = match entry.kind.as_str() {
            "reasoning" => format!("{} ", settings.glyphs.thought),
            "tool_call" => "$ ".to_owned(),
            "tool_result" => format!("  {} ", settings.glyphs.corner),
            other => format!("{} ", text::one_line(other)),
        };
        let said = text::one_line(&entry.text);
        shown.lines.push(row(settings, &[(&kind, Role::Dim), (&said, Role::Text)], columns));
    }
}
