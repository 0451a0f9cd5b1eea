//! A step as lines of the screen.

pub mod canvas;
mod output;

use std::collections::VecDeque;

use audit_client::entry::VerdictWord;
use audit_client::{CallOutcome, ControlEvent};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

pub use canvas::{Canvas, Right};

use super::digest::{ChangeEnd, Digest, What};
use super::output::Kept;
use super::step::{Change, Kind, State, Step};
use crate::text;
use crate::theme::Role;
use crate::time;

/// How many lines of a long text are shown; the pager has the others.
const LONG: usize = 30;
/// The same for a reason.
const WHY: usize = 6;
/// Lines of a command after its first.
const COMMAND: usize = 12;
/// Changes of a folded step.
const CHANGES: usize = 3;

/// All that a step's lines are made from.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The step.
    pub step: &'a Step,
    /// The window that it is in.
    pub entries: &'a VecDeque<Digest>,
    /// Whether it is open.
    pub open: bool,
    /// Whether it is the chosen one.
    pub selected: bool,
}

/// The lines. How many there are depends on the entries, on `open` and on the width alone.
#[must_use]
pub fn rows(shown: Shown, canvas: &Canvas) -> Vec<Line<'static>> {
    let mut page = Page { canvas, shown, rows: Vec::new() };
    match &shown.step.kind {
        Kind::Command { call, result, changes } => page.command(*call, *result, changes),
        Kind::Check { begun, ended } => page.check(*begun, *ended),
        Kind::Change(change) => page.change_alone(*change),
        Kind::One(index) => page.one(&shown.entries[*index]),
    }
    page.rows
}

struct Page<'a> {
    canvas: &'a Canvas<'a>,
    shown: Shown<'a>,
    rows: Vec<Line<'static>>,
}

impl Page<'_> {
    fn what(&self, index: usize) -> &What {
        &self.shown.entries[index].what
    }

    fn summary(&mut self, index: usize) {
        if let Some(summary) = &self.shown.entries[index].summary {
            let sign = if self.canvas.settings.glyphs.ascii { "sum" } else { "≈" };
            self.field(sign, &summary.clone(), Role::Dim, WHY);
        }
    }

    fn state(&self) -> State {
        self.shown.step.state(self.shown.entries, self.canvas.over)
    }

    /// The first line of a step.
    fn first(&mut self, folds: bool, glyph: (&str, Role), text: Vec<Span<'static>>, right: &Right) {
        let glyphs = self.canvas.settings.glyphs;
        let fold = match (folds, self.shown.open) {
            (false, _) => " ",
            (true, true) => glyphs.open,
            (true, false) => glyphs.folded,
        };
        let row = self.canvas.first(self.shown, fold, glyph, text, right);
        self.rows.push(row);
    }

    /// A line under the first one.
    fn under(&mut self, text: Vec<Span<'static>>) {
        let row = self.canvas.under(self.shown.selected, text);
        self.rows.push(row);
    }

    /// A name and a text behind it, wrapped.
    fn field(&mut self, name: &str, text: &str, role: Role, most: usize) {
        let style = self.canvas.style(role);
        let room = self.canvas.detail();
        let lines = wrapped(text, room, most, self.canvas.settings.glyphs.more);
        for (index, line) in lines.into_iter().enumerate() {
            let label = if index == 0 { name } else { "" };
            let mut spans = vec![self.canvas.label(label)];
            spans.extend(self.canvas.found(vec![Span::styled(line, style)]));
            self.under(spans);
        }
    }

    fn command(&mut self, call: Option<usize>, result: Option<usize>, changes: &[Change]) {
        let state = self.state();
        let glyphs = self.canvas.settings.glyphs;
        let glyph = match state {
            State::Running => (glyphs.dot, Role::Busy),
            State::Good | State::Plain => (glyphs.good, Role::Good),
            State::Bad => (glyphs.bad, Role::Bad),
        };
        let (command, why) = match call.map(|call| self.what(call).clone()) {
            Some(What::Call { command, why, .. }) => (command, why),
            _ => (Kept::text("(the command stands further up)"), Kept::default()),
        };
        let (end, took, out, err) = match result.map(|result| self.what(result).clone()) {
            Some(What::Result { end, took, out, err, .. }) => (Some(end), Some(took), out, err),
            _ => (None, None, Kept::default(), Kept::default()),
        };
        let mut lines = command.first().map(text::clean);
        let first = lines.next().unwrap_or_default();
        let more: Vec<String> = lines.take(COMMAND).collect();
        let mut spans = vec![Span::styled("$ ", self.canvas.style(Role::Dim))];
        spans.extend(self.canvas.found(vec![Span::styled(first, self.canvas.style(Role::Command))]));
        if !more.is_empty() && !self.shown.open {
            spans.push(Span::styled(
                format!(" {} +{}", glyphs.more, text::count(more.len() as u64, "line")),
                self.canvas.style(Role::Dim),
            ));
        }
        let (word, role) = match &end {
            Some(end) => (word(end), if state == State::Good { Role::Dim } else { Role::Bad }),
            None if self.canvas.over => ("no result".to_owned(), Role::Warn),
            None => ("running".to_owned(), Role::Busy),
        };
        let took = took.or_else(|| (!self.canvas.over).then(|| time::elapsed(self.shown.step.at, self.canvas.now)));
        let lines = out.lines + err.lines;
        let count = end.as_ref().map_or_else(String::new, |_| text::count(lines as u64, "line"));
        let folds =
            !why.is_empty() || !more.is_empty() || lines > 0 || end.as_ref().is_some_and(|end| said(end).is_some());
        self.first(folds, glyph, spans, &Right { took, word, role, count });
        if self.shown.open {
            for line in more {
                let spans = vec![self.canvas.label(">"), Span::styled(line, self.canvas.style(Role::Command))];
                self.under(spans);
            }
            if !why.is_empty() {
                self.field("why", &why.head, Role::Text, WHY);
            }
            if let Some(said) = end.as_ref().and_then(said) {
                self.field("end", &said, Role::Bad, WHY);
            }
            self.printed("out", &out, Role::Dim);
            self.printed("err", &err, Role::Bad);
            call.into_iter().chain(result).for_each(|index| self.summary(index));
        }
        self.changes(changes);
    }

    fn changes(&mut self, changes: &[Change]) {
        let most = if self.shown.open { LONG } else { CHANGES };
        for change in changes.iter().take(most) {
            let (text, right) = self.change(*change);
            let event = self.canvas.settings.glyphs.event;
            let mut spans = vec![Span::styled(format!("{event} "), self.canvas.style(Role::Warn))];
            spans.extend(self.canvas.found(vec![Span::styled(text, self.canvas.style(Role::Strong))]));
            let row = self.canvas.under_with(self.shown.selected, spans, &right);
            self.rows.push(row);
        }
        if changes.len() > most {
            let event = self.canvas.settings.glyphs.event;
            let more = text::count((changes.len() - most) as u64, "more change");
            self.under(vec![Span::styled(format!("{event} +{more}"), self.canvas.style(Role::Warn))]);
        }
    }

    fn change(&self, change: Change) -> (String, Right) {
        let summary = match change.begun.map(|begun| self.what(begun)) {
            Some(What::Change(summary)) => summary.clone(),
            _ => "(the change stands further up)".to_owned(),
        };
        let count = String::new();
        let Some(What::Changed { end, took, .. }) = change.done.map(|done| self.what(done)) else {
            let (word, role) = if self.canvas.over { ("unknown", Role::Warn) } else { ("changing", Role::Busy) };
            return (summary, Right { took: None, word: word.to_owned(), role, count });
        };
        let (word, role, why) = match end {
            ChangeEnd::Done => ("done", Role::Good, None),
            ChangeEnd::Failed(why) => ("failed", Role::Bad, Some(why)),
            ChangeEnd::NotDone(why) => ("not done", Role::Warn, Some(why)),
            ChangeEnd::Unknown(why) => ("unknown", Role::Warn, Some(why)),
        };
        let summary = why.map_or(summary.clone(), |why| format!("{summary}: {why}"));
        (summary, Right { took: Some(*took), word: word.to_owned(), role, count })
    }

    fn change_alone(&mut self, change: Change) {
        let (text, right) = self.change(change);
        let spans = self.canvas.found(vec![Span::styled(text, self.canvas.style(Role::Strong))]);
        self.first(false, (self.canvas.settings.glyphs.event, Role::Warn), spans, &right);
    }

    fn check(&mut self, begun: Option<usize>, ended: Option<usize>) {
        let glyphs = self.canvas.settings.glyphs;
        let (number, promise) = match begun.map(|begun| self.what(begun)) {
            Some(What::Check { attempt, attempts, holds }) => (
                format!("check {attempt} of {attempts}"),
                format!("all invariants must hold for {} while the agent's container is paused", time::took(*holds)),
            ),
            _ => (String::new(), String::new()),
        };
        let (text, findings, took) = match ended.map(|ended| (self.what(ended), self.shown.entries[ended].at)) {
            Some((What::Checked { attempt, words, findings, .. }, at)) => {
                let number = if number.is_empty() { format!("check {attempt}") } else { number };
                let took = begun.is_some().then(|| time::elapsed(self.shown.step.at, at));
                (format!("{number}: {words}"), findings.clone(), took)
            }
            _ => (format!("{number}: {promise}"), Vec::new(), None),
        };
        let (glyph, role, word) = match self.state() {
            State::Running => (glyphs.check, Role::Busy, "checking"),
            State::Good => (glyphs.good, Role::Good, "proven"),
            _ => match ended.map(|ended| self.what(ended)) {
                Some(What::Checked { verdict: VerdictWord::Unknown, .. }) => (glyphs.ask, Role::Warn, "unknown"),
                Some(_) => (glyphs.bad, Role::Bad, "violated"),
                None => (glyphs.ask, Role::Warn, "no result"),
            },
        };
        let took = took.or_else(|| {
            (!self.canvas.over && ended.is_none()).then(|| time::elapsed(self.shown.step.at, self.canvas.now))
        });
        let spans = self.canvas.found(vec![Span::styled(text, self.canvas.style(Role::Strong))]);
        let right = Right { took, word: word.to_owned(), role, count: String::new() };
        self.first(!findings.is_empty(), (glyph, role), spans, &right);
        if self.shown.open {
            for line in findings {
                self.field(glyphs.bad, &line, Role::Text, 3);
            }
            begun.into_iter().chain(ended).for_each(|index| self.summary(index));
        }
    }

    fn one(&mut self, entry: &Digest) {
        let glyphs = self.canvas.settings.glyphs;
        match &entry.what {
            What::Thought(text) => self.long((glyphs.thought, Role::Thought), "", text, Role::Text),
            What::Note { author, text } => {
                self.long((glyphs.arrow, Role::Person), &format!("{author}: "), text, Role::Person);
            }
            What::Incident { title, description } => {
                let spans = self.canvas.found(vec![Span::styled(title.clone(), self.canvas.style(Role::Strong))]);
                self.first(!description.is_empty(), (glyphs.alarm, Role::Warn), spans, &Right::default());
                if self.shown.open && !description.is_empty() {
                    self.field("", &description.head, Role::Text, LONG);
                }
            }
            What::Unknown { kind, data } => {
                let said = format!("{kind} (this version does not know it)");
                let spans = self.canvas.found(vec![Span::styled(said, self.canvas.style(Role::Text))]);
                self.first(true, (glyphs.ask, Role::Warn), spans, &Right::default());
                if self.shown.open {
                    self.printed("", data, Role::Dim);
                }
            }
            What::Conclusion { resolved, cause, summary, evidence, follow_up } => {
                let (word, glyph, role) = if *resolved {
                    ("resolved", glyphs.good, Role::Good)
                } else {
                    ("unresolved", glyphs.bad, Role::Bad)
                };
                let mut spans = vec![Span::styled(format!("the agent concludes: {word}"), self.canvas.style(role))];
                if !self.shown.open {
                    spans.push(Span::styled(format!(" {} ", glyphs.middot), self.canvas.style(Role::Dim)));
                    spans.extend(self.canvas.found(vec![Span::styled(cause.clone(), self.canvas.style(Role::Text))]));
                }
                self.first(true, (glyph, role), spans, &Right::default());
                if self.shown.open {
                    let numbers: Vec<String> = evidence.iter().map(|seq| format!("#{seq}")).collect();
                    let parts = [
                        ("cause", cause.clone()),
                        ("what", summary.clone()),
                        ("shown", numbers.join(" ")),
                        ("next", follow_up.clone().unwrap_or_default()),
                    ];
                    for (name, text) in parts.iter().filter(|(_, text)| !text.trim().is_empty()) {
                        self.field(name, text, Role::Text, LONG);
                    }
                }
            }
            What::Control { event, message, phase } => self.control(*event, message, phase.as_deref()),
            What::Turn { stop } => {
                let stop = stop.as_deref().unwrap_or("end");
                self.thin(glyphs.middot, Role::Warn, &format!("the model's message ended with {stop}"));
            }
            What::Healed => {
                let words = "all invariants hold again before the agent concluded; it was told";
                self.thin(glyphs.good, Role::Good, words);
            }
            What::Recent { kind, text } => {
                let spans = vec![
                    Span::styled(format!("{kind:<12} "), self.canvas.style(Role::Dim)),
                    Span::styled(text.clone(), self.canvas.style(Role::Text)),
                ];
                self.first(false, (glyphs.middot, Role::Dim), spans, &Right::default());
            }
            // The others are parts of steps.
            _ => self.thin(glyphs.ask, Role::Dim, "an entry that belongs to a step further up"),
        }
        if self.shown.open {
            self.summary_of(entry);
        }
    }

    fn summary_of(&mut self, entry: &Digest) {
        if let Some(summary) = entry.summary.clone() {
            let sign = if self.canvas.settings.glyphs.ascii { "sum" } else { "≈" };
            self.field(sign, &summary, Role::Dim, WHY);
        }
    }

    /// A text that is one line when it is folded.
    fn long(&mut self, glyph: (&str, Role), before: &str, text: &Kept, role: Role) {
        let style = self.canvas.style(role);
        let more = self.canvas.settings.glyphs.more;
        let room = self.canvas.text();
        let whole = format!("{before}{}", text.head.trim());
        let lines = wrapped(&whole, room, LONG, more);
        if self.shown.open {
            let mut lines = lines.into_iter();
            let first = self.canvas.found(vec![Span::styled(lines.next().unwrap_or_default(), style)]);
            self.first(true, glyph, first, &Right::default());
            for line in lines {
                let mut spans = vec![Span::raw("  ")];
                spans.extend(self.canvas.found(vec![Span::styled(line, style)]));
                self.under(spans);
            }
            return;
        }
        let folds = lines.len() > 1;
        let line = text::end(&text::one_line(&whole), room, more);
        let spans = self.canvas.found(vec![Span::styled(line, style)]);
        self.first(folds, glyph, spans, &Right::default());
    }

    fn control(&mut self, event: ControlEvent, message: &str, phase: Option<&str>) {
        let glyphs = self.canvas.settings.glyphs;
        let (glyph, role) = match event {
            ControlEvent::Error | ControlEvent::SandboxLost | ControlEvent::Recurring => (glyphs.bad, Role::Bad),
            ControlEvent::Cancelled | ControlEvent::Halted => (glyphs.stop, Role::Warn),
            ControlEvent::Budget
            | ControlEvent::Nudged
            | ControlEvent::Resumed
            | ControlEvent::Released
            | ControlEvent::Evidence => (glyphs.middot, Role::Warn),
            ControlEvent::Started | ControlEvent::Compacted => (glyphs.middot, Role::Dim),
            ControlEvent::Sealed => (glyphs.end, Role::Strong),
        };
        let phase = phase.map_or_else(String::new, |phase| format!(" {phase}"));
        self.thin(glyph, role, &format!("{}{phase}: {message}", name(event)));
    }

    fn thin(&mut self, glyph: &str, role: Role, text: &str) {
        let spans = self.canvas.found(vec![Span::styled(text.to_owned(), self.canvas.style(role))]);
        self.first(false, (glyph, role), spans, &Right::default());
    }

    fn printed(&mut self, name: &str, kept: &Kept, role: Role) {
        for spans in output::lines(kept, self.canvas, role, name) {
            self.under(spans);
        }
    }
}

/// Lines of at most `room` columns, the last one marked if there are more.
fn wrapped(text: &str, room: usize, most: usize, more: &str) -> Vec<String> {
    let mut lines = text::wrap(&text::clean(text.trim_end()), room, most + 1);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = text::end(&format!("{last} {more} (enter: pager)"), room, more);
        }
    }
    lines
}

/// A control event's name.
#[must_use]
pub fn name(event: ControlEvent) -> &'static str {
    match event {
        ControlEvent::Started => "started",
        ControlEvent::Resumed => "resumed",
        ControlEvent::Compacted => "compacted",
        ControlEvent::Cancelled => "cancelled",
        ControlEvent::Halted => "halted",
        ControlEvent::Released => "released",
        ControlEvent::Budget => "budget",
        ControlEvent::Error => "error",
        ControlEvent::Nudged => "nudged",
        ControlEvent::SandboxLost => "sandbox lost",
        ControlEvent::Evidence => "evidence",
        ControlEvent::Recurring => "recurring",
        ControlEvent::Sealed => "sealed",
    }
}

/// How a call ended, in a word or two.
#[must_use]
pub fn word(end: &CallOutcome) -> String {
    match end {
        CallOutcome::Exited { code } => format!("exit {code}"),
        CallOutcome::Signaled { signal } => format!("signal {signal}"),
        CallOutcome::TimedOut { .. } => "timed out".to_owned(),
        CallOutcome::Cancelled => "cancelled".to_owned(),
        CallOutcome::NotStarted { .. } => "not run".to_owned(),
        CallOutcome::Unknown { .. } => "unknown".to_owned(),
        CallOutcome::Accepted => "accepted".to_owned(),
    }
}

/// What else there is to say about it.
#[must_use]
pub fn said(end: &CallOutcome) -> Option<String> {
    match end {
        CallOutcome::TimedOut { limit_ms } => {
            let limit = std::time::Duration::from_millis(u64::try_from(*limit_ms).unwrap_or(0));
            Some(format!("killed after {}, its limit", time::took(limit)))
        }
        CallOutcome::Cancelled => Some("killed: the session was cancelled or ended".to_owned()),
        CallOutcome::NotStarted { reason } | CallOutcome::Unknown { reason } => Some(text::one_line(reason)),
        _ => None,
    }
}

/// A style that says nothing.
pub(super) const PLAIN: Style = Style::new();
