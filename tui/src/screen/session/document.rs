//! A step, or the session, as a text to read or to copy.

use audit_client::EntryBody;

use super::digest::What;
use super::output::Kept;
use super::step::{Kind, Step};
use super::{State, rows};
use crate::ask::{Ask, Document};
use crate::feed::Entry;
use crate::msg::Cmd;
use crate::page::Ctx;
use crate::{text, time};

/// The most bytes that go into a terminal's clipboard.
const COPIED: usize = 1 << 20;

impl State {
    fn chosen(&self) -> Option<&Step> {
        self.layout.steps().get(self.reading.index(&self.layout))
    }

    fn what(&self, index: usize) -> &What {
        &self.transcript.entries()[index].what
    }

    /// The entry of the chosen step of which not all is here.
    pub(super) fn missing(&self) -> Option<i64> {
        let Kind::Command { result: Some(result), .. } = self.chosen()?.kind else { return None };
        match self.what(result) {
            What::Result { out, err, .. } if !out.is_whole() || !err.is_whole() => {
                Some(self.transcript.entries()[result].seq)
            }
            _ => None,
        }
    }

    /// The chosen step in the pager.
    pub(super) fn read(&self, whole: Option<&Entry>) -> Vec<Ask> {
        let Some(step) = self.chosen() else { return Vec::new() };
        let mut page = String::new();
        let title = match &step.kind {
            Kind::Command { call, result, changes } => {
                self.command(*call, &mut page);
                for change in changes {
                    self.change(change.begun, change.done, &mut page);
                }
                self.result(*result, whole, &mut page);
                "command"
            }
            Kind::Check { begun, ended } => {
                begun.iter().chain(ended).for_each(|index| self.plain(*index, &mut page));
                "check"
            }
            Kind::Change(change) => {
                self.change(change.begun, change.done, &mut page);
                "change"
            }
            Kind::One(index) => {
                self.plain(*index, &mut page);
                "entry"
            }
        };
        let title = format!("{title} #{} {} {}", step.seq, time::clock(step.at), self.title(step));
        vec![Ask::Pager(Document { title, text: page })]
    }

    fn title(&self, step: &Step) -> String {
        match &step.kind {
            Kind::Command { call: Some(call), .. } => match self.what(*call) {
                What::Call { command, .. } => {
                    format!("$ {}", text::one_line(command.first().next().unwrap_or_default()))
                }
                _ => String::new(),
            },
            _ => String::new(),
        }
    }

    fn command(&self, call: Option<usize>, page: &mut String) {
        if let Some(What::Call { command, why, .. }) = call.map(|call| self.what(call)) {
            for (index, line) in text::clean(&command.joined()).lines().enumerate() {
                line_of(page, if index == 0 { "$" } else { ">" }, line);
            }
            if !why.is_empty() {
                line_of(page, "\nwhy:", &text::clean(&why.joined()));
            }
        }
    }

    fn result(&self, result: Option<usize>, whole: Option<&Entry>, page: &mut String) {
        let Some(What::Result { end, took, out, err, .. }) = result.map(|result| self.what(result)) else {
            line_of(page, "\nresult:", if self.over() { "none" } else { "it runs" });
            return;
        };
        line_of(page, "\nresult:", &format!("{} in {}", rows::word(end), time::took(*took)));
        if let Some(said) = rows::said(end) {
            line_of(page, "", &said);
        }
        let session = self.subject.id.clone().unwrap_or_default();
        let (out, err) = match whole.and_then(|entry| super::news::whole(&session, entry)) {
            Some(EntryBody::ToolResult(result)) => {
                let whole =
                    |stream: &Option<audit_client::StreamRecord>| stream.as_ref().map(Kept::whole).unwrap_or_default();
                (whole(&result.stdout), whole(&result.stderr))
            }
            _ => (out.clone(), err.clone()),
        };
        for (name, kept) in [("output", out), ("errors", err)] {
            if !kept.is_empty() {
                line_of(page, &format!("\n{name}:"), &text::count(kept.lines as u64, "line"));
                page.push_str(&kept.joined());
                if !page.ends_with('\n') {
                    page.push('\n');
                }
                // A colour that nobody ended ends here.
                page.push_str("\u{1b}[0m");
            }
        }
    }

    fn change(&self, begun: Option<usize>, done: Option<usize>, page: &mut String) {
        if let Some(What::Change(summary)) = begun.map(|begun| self.what(begun)) {
            line_of(page, "\nchange:", summary);
        }
        if let Some(What::Changed { end, took, .. }) = done.map(|done| self.what(done)) {
            use super::digest::ChangeEnd;
            let said = match end {
                ChangeEnd::Done => "done".to_owned(),
                ChangeEnd::Failed(why) => format!("failed: {why}"),
                ChangeEnd::NotDone(why) => format!("not done: {why}"),
                ChangeEnd::Unknown(why) => format!("nobody knows what came of it: {why}"),
            };
            line_of(page, "", &format!("{said} ({})", time::took(*took)));
        }
    }

    fn plain(&self, index: usize, page: &mut String) {
        let entry = &self.transcript.entries()[index];
        match &entry.what {
            What::Incident { title, description } => {
                line_of(page, "", title);
                line_of(page, "\n", &text::clean(&description.joined()));
            }
            What::Thought(thought) => line_of(page, "", &text::clean(&thought.joined())),
            What::Note { author, text: said } => line_of(page, &format!("{author}:"), &text::clean(&said.joined())),
            What::Conclusion { resolved, cause, summary, evidence, follow_up } => {
                line_of(page, "the agent says:", if *resolved { "resolved" } else { "unresolved" });
                line_of(page, "\nroot cause:", cause);
                line_of(page, "\nsummary:", summary);
                let shown: Vec<String> = evidence.iter().map(|seq| format!("#{seq}")).collect();
                line_of(page, "\nshown by:", &shown.join(" "));
                if let Some(next) = follow_up {
                    line_of(page, "\nto be done:", next);
                }
            }
            What::Check { attempt, attempts, holds } => {
                let holds = time::took(*holds);
                line_of(page, &format!("check {attempt} of {attempts}:"), &format!("all has to hold for {holds}"));
            }
            What::Checked { words, findings, .. } => {
                line_of(page, "", words);
                for line in findings {
                    line_of(page, "-", line);
                }
            }
            What::Healed => line_of(page, "", "all invariants held again before the agent concluded"),
            What::Control { event, message, phase } => {
                let phase = phase.as_deref().unwrap_or_default();
                line_of(page, &format!("{} {phase}:", rows::name(*event)).replace(" :", ":"), message);
            }
            What::Turn { stop } => line_of(page, "the model's message ended:", stop.as_deref().unwrap_or("as usual")),
            What::Recent { kind, text } => line_of(page, &format!("{kind}:"), text),
            What::Unknown { kind, data } => line_of(page, &format!("{kind}:\n"), &text::clean(&data.joined())),
            What::Change(summary) => line_of(page, "change:", summary),
            What::Call { .. } | What::Result { .. } | What::Changed { .. } => {}
        }
        if let Some(summary) = &entry.summary {
            line_of(page, "\nin short (a small model's words, outside the proof):", summary);
        }
    }

    pub(super) fn copy_command(&self) -> Vec<Ask> {
        let copied = match self.chosen().map(|step| &step.kind) {
            Some(Kind::Command { call: Some(call), .. }) => match self.what(*call) {
                What::Call { command, .. } => Some(text::clean(&command.joined())),
                _ => None,
            },
            Some(Kind::Change(change)) => change.begun.and_then(|begun| match self.what(begun) {
                What::Change(summary) => Some(summary.clone()),
                _ => None,
            }),
            _ => None,
        };
        match copied {
            Some(command) => {
                let said = text::end(&text::one_line(&command), 50, "…");
                vec![Cmd::Copy(command).into(), Ask::Say(format!("copied $ {said}"))]
            }
            None => vec![Ask::Say("this step has no command: C copies its text".to_owned())],
        }
    }

    /// What the chosen step printed, or says.
    pub(super) fn copy_output(&self, whole: Option<&Entry>) -> Vec<Ask> {
        let Some(step) = self.chosen() else { return Vec::new() };
        let mut page = String::new();
        match &step.kind {
            Kind::Command { result, .. } => {
                let session = self.subject.id.clone().unwrap_or_default();
                let streams = match whole.and_then(|entry| super::news::whole(&session, entry)) {
                    Some(EntryBody::ToolResult(result)) => [result.stdout, result.stderr]
                        .map(|stream| stream.as_ref().map(Kept::whole).unwrap_or_default()),
                    _ => match result.map(|result| self.what(result)) {
                        Some(What::Result { out, err, .. }) => [out.clone(), err.clone()],
                        _ => [Kept::default(), Kept::default()],
                    },
                };
                for kept in streams {
                    page.push_str(&text::clean(&kept.joined()));
                }
            }
            Kind::Check { begun, ended } => {
                begun.iter().chain(ended).for_each(|index| self.plain(*index, &mut page));
            }
            Kind::Change(change) => self.change(change.begun, change.done, &mut page),
            Kind::One(index) => self.plain(*index, &mut page),
        }
        if page.trim().is_empty() {
            return vec![Ask::Say("there is nothing to copy".to_owned())];
        }
        let cut = page.floor_char_boundary(COPIED);
        let said = if cut < page.len() { "copied the first megabyte" } else { "copied the output" };
        let lines = text::count(page.lines().count() as u64, "line");
        page.truncate(cut);
        vec![Cmd::Copy(page).into(), Ask::Say(format!("{said} ({lines})"))]
    }

    /// What it is about and how it stands, in words.
    pub(super) fn describe(&self, ctx: &Ctx) -> Vec<Ask> {
        let mut page = String::new();
        if let Some(record) = &self.subject.record {
            let style = audit_client::render::style::Style { colour: ctx.settings.theme.has_colour() };
            let options = audit_client::render::text::Options { full: false, style, now: ctx.now };
            page.push_str(&audit_client::render::text::header(record, options));
            page.push('\n');
        }
        if let Some(incident) = &self.subject.incident {
            line_of(&mut page, "title:", &text::one_line(&incident.spec.title));
            if !incident.spec.description.is_empty() {
                line_of(&mut page, "\n", &text::clean(&incident.spec.description));
            }
            let status = self.subject.status();
            if let Some(message) = status.and_then(|status| status.message.as_deref()) {
                line_of(&mut page, "\nnow:", &text::one_line(message));
            }
        }
        if let Some(end) = self.subject.end(&self.transcript) {
            line_of(&mut page, "\nended:", &format!("{}: {}", end.phase, end.message));
            end.cause.iter().for_each(|cause| line_of(&mut page, "\nroot cause:", cause));
            end.follow_up.iter().for_each(|next| line_of(&mut page, "\nto be done:", next));
        }
        if page.is_empty() {
            return vec![Ask::Say("nothing is known of it yet".to_owned())];
        }
        vec![Ask::Pager(Document { title: "Session".to_owned(), text: page })]
    }
}

fn line_of(page: &mut String, name: &str, text: &str) {
    if !name.is_empty() {
        page.push_str(name);
        if !name.ends_with('\n') {
            page.push(' ');
        }
    }
    page.push_str(text.trim_end());
    page.push('\n');
}
