//! The words of the story. Each line has the time since it began, and who speaks.

use crds::demo_chapter::{ActionState, ActionStatus, ChapterState, DemoChapterStatus};
use crds::{DemoChapter, Incident, IncidentPhase};
use jiff::Timestamp;
use ratatui::text::{Line, Span};

use crate::screen::demo::agent;
use crate::screen::demo::log;
use crate::screen::demo::panel::{self, dots, hanging, paragraphs, row};
use crate::screen::demo::stage::{self, Stage};
use crate::screen::demo::turn::waits_for;
use crate::screen::demo::workload::{Gauge, number, percent};
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;
use crate::world::Named as _;

/// As wide as a page.
const COLUMNS: usize = 100;
/// The time and who speaks.
const BEFORE: usize = 17;
/// What stands beside it.
const ROOM: usize = COLUMNS - BEFORE;
/// Before what is told.
const INDENT: &str = "   ";

/// Who tells.
pub(super) struct Teller<'a> {
    /// The looks.
    pub(super) settings: &'a Settings,
    /// The clock.
    pub(super) now: Timestamp,
    /// When the story began.
    pub(super) began: Timestamp,
}

impl Teller<'_> {
    /// Lines beside the time and who speaks.
    fn beside(&self, who: &str, lines: Vec<Line<'static>>) -> Vec<Line<'static>> {
        let clock = time::stopwatch(time::elapsed(self.began, self.now));
        let before = |index: usize| {
            if index > 0 {
                return " ".repeat(BEFORE);
            }
            let who = format!("{}  {who}", text::pad(&clock, 6));
            text::fit(&who, BEFORE, "")
        };
        let style = self.settings.theme.style(Role::Dim);
        let lines = lines.into_iter().enumerate().map(|(index, line)| {
            let mut spans = vec![Span::styled(before(index), style)];
            spans.extend(line.spans);
            Line::from(spans)
        });
        lines.collect()
    }

    /// A heading across the page.
    fn heading(&self, words: &str) -> Line<'static> {
        let (rule, theme) = (self.settings.glyphs.rule, self.settings.theme);
        let words = text::end(words, COLUMNS - 6, self.settings.glyphs.more);
        let rest = rule.repeat(COLUMNS.saturating_sub(text::width(&words) + 4));
        Line::from(vec![
            Span::styled(format!("{rule}{rule} "), theme.style(Role::Border)),
            Span::styled(words, theme.style(Role::Title)),
            Span::styled(format!(" {rest}"), theme.style(Role::Border)),
        ])
    }

    fn indented(&self, words: &str, role: Role) -> Vec<Line<'static>> {
        let lines = paragraphs(self.settings, words, COLUMNS - text::width(INDENT), role);
        let indent = |line: Line<'static>| {
            let mut spans = vec![Span::raw(INDENT)];
            spans.extend(line.spans);
            Line::from(spans)
        };
        lines.into_iter().map(indent).collect()
    }

    /// The beginning.
    pub(super) fn head(&self, name: &str, stage: &Stage) -> Vec<Line<'static>> {
        let subject = stage.subject.as_ref().map(|key| format!("{}/{}", key.namespace, key.name)).unwrap_or_default();
        let chapters = text::count(stage.chapters.len() as u64, "chapter");
        let middot = self.settings.glyphs.middot;
        let said = format!("  {chapters} {middot} Subject {}", text::clean(&subject));
        let name = format!("Demo {}", text::clean(name));
        vec![row(self.settings, &[(&name, Role::Title), (&said, Role::Dim)], COLUMNS)]
    }

    /// Something about the demo itself.
    pub(super) fn chapter(&self, parts: &[(&str, Role)]) -> Vec<Line<'static>> {
        let words: String = parts.iter().map(|(part, _)| *part).collect();
        let role = parts.first().map_or(Role::Text, |(_, role)| *role);
        self.beside("demo", hanging(self.settings, ("", role), &words, role, ROOM, 4))
    }

    /// A page is turned to.
    pub(super) fn page(&self, stage: &Stage, chapter: &DemoChapter) -> Vec<Line<'static>> {
        let number = stage.current.unwrap_or_default() + 1;
        let title = text::one_line(&chapter.spec.title);
        let mut lines = vec![Line::default(), self.heading(&format!("{number}/{}  {title}", stage.chapters.len()))];
        lines.extend(self.indented(&stage::narration(chapter), Role::Text));
        lines.push(Line::default());
        lines
    }

    /// The countdown begins.
    pub(super) fn countdown(&self, status: &DemoChapterStatus) -> Vec<Line<'static>> {
        let left = status.acts_at.as_ref().map(|at| time::elapsed(self.now, at.0).as_secs_f64().ceil());
        let said = format!("in {} s{}", left.unwrap_or_default(), dots(self.settings));
        self.beside("demo", vec![row(self.settings, &[(&said, Role::Warn)], ROOM)])
    }

    /// An action is over.
    pub(super) fn action(&self, action: &ActionStatus, is_fault: bool) -> Vec<Line<'static>> {
        let glyphs = self.settings.glyphs;
        let (sign, role) = match action.state {
            ActionState::Done if is_fault => (format!("{} FAULT INJECTED: ", glyphs.event), Role::Bad),
            ActionState::Failed => (format!("{} FAILED: ", glyphs.bad), Role::Bad),
            ActionState::Unknown => (format!("{} UNKNOWN: ", glyphs.ask), Role::Person),
            ActionState::Undone => (format!("{} taken back: ", glyphs.good), Role::Dim),
            _ => (format!("{} ", glyphs.good), Role::Good),
        };
        let said = panel::chapter::words(action);
        let message = action.message.as_deref().filter(|message| !message.is_empty());
        let said = message.map_or(said.clone(), |message| format!("{said} ({message})"));
        self.beside("demo", hanging(self.settings, (&sign, role), &said, Role::Text, ROOM, 3))
    }

    /// It waits.
    pub(super) fn waiting(&self, chapter: &DemoChapter) -> Vec<Line<'static>> {
        let sign = format!("{} waiting for: ", self.settings.glyphs.wait);
        self.beside("demo", hanging(self.settings, (&sign, Role::Busy), waits_for(chapter), Role::Text, ROOM, 2))
    }

    /// A page is over; that is only worth a line if it waited or failed.
    pub(super) fn over(&self, status: &DemoChapterStatus, waited: bool) -> Vec<Line<'static>> {
        if status.state == ChapterState::Failed {
            let sign = format!("{} FAILED: ", self.settings.glyphs.bad);
            let why = status.message.as_deref().unwrap_or("an action failed");
            return self.beside("demo", hanging(self.settings, (&sign, Role::Bad), why, Role::Text, ROOM, 3));
        }
        if !waited {
            return Vec::new();
        }
        let took = status.entered_at.as_ref().zip(status.completed_at.as_ref());
        let took = took.map(|(from, to)| time::took(time::elapsed(from.0, to.0))).unwrap_or_default();
        let said = format!("{} complete after {took}", self.settings.glyphs.good);
        self.beside("demo", vec![row(self.settings, &[(&said, Role::Good)], ROOM)])
    }

    /// What the monitor saw.
    pub(super) fn monitor(&self, line: &log::Line) -> Vec<Line<'static>> {
        let word = format!("{} ", text::fit(line.word.text(), 6, ""));
        let name = if line.name.is_empty() { String::new() } else { format!("{}: ", line.name) };
        let said = format!("{name}{}", line.text);
        let role = panel::monitor::role(line.word);
        self.beside("monitor", hanging(self.settings, (&word, role), &said, Role::Text, ROOM, 3))
    }

    /// What the agent did.
    pub(super) fn agent(&self, line: &agent::Line, is_over: bool) -> Vec<Line<'static>> {
        let lines = panel::agent::rows(line, is_over, self.settings, ROOM);
        if line.kind == agent::Kind::Output {
            let indent = |line: Line<'static>| {
                let mut spans = vec![Span::raw(" ".repeat(BEFORE))];
                spans.extend(line.spans);
                Line::from(spans)
            };
            return lines.into_iter().map(indent).collect();
        }
        self.beside("agent", lines)
    }

    /// The workload fell, or is well again.
    pub(super) fn workload(&self, gauge: &Gauge, is_low: bool) -> Vec<Line<'static>> {
        let (Some(now), Some(change), Some(baseline)) = (gauge.now, gauge.change(), gauge.baseline) else {
            return Vec::new();
        };
        let (glyph, role) =
            if is_low { (self.settings.glyphs.down, Role::Bad) } else { (self.settings.glyphs.up, Role::Good) };
        let percent = percent(change, self.settings.glyphs.minus);
        let sign = format!("{glyph} ");
        let said = format!("{} {}{}", gauge.label, number(now), gauge.unit);
        let against = format!("  ({percent} vs baseline {})", number(baseline));
        let line = row(self.settings, &[(&sign, role), (&said, Role::Text), (&against, role)], ROOM);
        self.beside("workload", vec![line])
    }

    /// The end.
    pub(super) fn end(&self, stage: &Stage, is_good: bool) -> Vec<Line<'static>> {
        let took = time::age(time::elapsed(self.began, self.now));
        let chapters = text::count(stage.chapters.len() as u64, "chapter");
        let (glyphs, word) = (self.settings.glyphs, if is_good { "The end" } else { "Not complete" });
        let mut lines = vec![Line::default(), self.heading(&format!("{word}: {chapters}, {took}"))];
        for incident in &stage.incidents {
            let phase = stage::phase(incident);
            let (glyph, role) = match phase {
                IncidentPhase::Resolved => (glyphs.good, Role::Good),
                _ => (glyphs.bad, Role::Bad),
            };
            let head = format!("{INDENT}{glyph} {}: {}", incident.named(), phase.as_str());
            lines.push(row(self.settings, &[(&head, role)], COLUMNS));
            for fact in facts(stage, incident) {
                let words = format!("{INDENT}  ");
                lines.extend(hanging(self.settings, (&words, Role::Text), &fact, Role::Text, COLUMNS, 6));
            }
        }
        lines
    }
}

/// What is to be known of an Incident at the end.
fn facts(stage: &Stage, incident: &Incident) -> Vec<String> {
    let status = incident.status.clone().unwrap_or_default();
    let created = stage::created(incident);
    let fault = stage.faults().into_iter().filter(|fault| created.is_some_and(|created| *fault <= created)).max();
    let after = |what: &str, at: Option<Timestamp>| {
        let (fault, at) = (fault?, at?);
        Some(format!("{what} {} after the fault", time::age(time::elapsed(fault, at))))
    };
    let times = [
        after("noticed", created),
        after("at work", status.started_at.as_ref().map(|at| at.0)),
        after("proven", status.finished_at.as_ref().map(|at| at.0)).filter(|_| status.phase == IncidentPhase::Resolved),
    ];
    let times: Vec<String> = times.into_iter().flatten().collect();
    let counts = [
        status.turns.map(|turns| text::count(u64::try_from(turns).unwrap_or(0), "turn")),
        status.commands.map(|commands| text::count(u64::try_from(commands).unwrap_or(0), "command")),
        status.cost.clone(),
        status.model.clone(),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let cause = status.root_cause.map(|cause| format!("root cause: {cause}"));
    [Some(times.join(", ")), Some(counts.join(", ")), cause]
        .into_iter()
        .flatten()
        .filter(|fact| !fact.is_empty())
        .collect()
}
